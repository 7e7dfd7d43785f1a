"""The answer to every scrape: the readings of all apps, and how their passes went."""

from dataclasses import dataclass, field

from rk_exporter.archive.status import ArchiveStatus
from rk_exporter.model.account import Account
from rk_exporter.model.download import DownloadChecks
from rk_exporter.model.failure import Failure
from rk_exporter.model.meeting import App, DiscoveryState, FileState, Reading, ReadMode
from rk_exporter.model.webhook import WebhookStatus
from rk_exporter.ratelimit.status import BudgetStatus, Outage
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.tracking.totals import RecordingTotals


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSnapshot:
    """The readings of one app, and how its last pass went; None before the first pass."""

    app: App
    readings: tuple[Reading, ...]
    read_mode: ReadMode = ReadMode.ACTIVE_RECORDING
    up: bool | None = None
    deferred: int | None = None
    duration_seconds: float | None = None
    last_pass_timestamp_seconds: float | None = None
    """When the last pass ended."""
    outage: Outage | None = None
    """The failures of all calls since a time; None if a call of the last pass succeeded."""
    token_problem: str | None = None
    """Why the token in its file cannot be used; the last good one is used instead."""
    budget_status: BudgetStatus | None = None
    files: tuple[FileState, ...] = ()
    discovery: DiscoveryState | None = None
    recordings: tuple[KnownRecording, ...] = ()
    """The recordings that get series of their own."""
    totals: RecordingTotals = field(default_factory=RecordingTotals)
    counters: RecordingCounters = field(default_factory=RecordingCounters)
    downloads: DownloadChecks | None = None
    """What checks of downloads have found; None if downloads are not verified."""
    is_restored: bool = False
    """Whether the recordings from before the start are among them."""
    archive: ArchiveStatus | None = None
    """What is known about copies in the user's own bucket; None without `downloads.archive`."""
    clock_offset_seconds: float = 0.0
    """How far the API's clock, which makes its timestamps, is ahead of this machine's."""
    webhook: WebhookStatus | None = None
    """How well webhooks work; None if they are off."""

    @property
    def obstruction(self) -> Outage | None:
        """Return why calls are suspended, or else why they fail; None if they succeed."""
        return (self.budget_status and self.budget_status.block) or self.outage


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountSnapshot:
    """The result of the last list of an account's apps; None before the first one."""

    account: Account
    up: bool | None
    apps: int | None
    """The apps that are to be read, by this exporter or by another shard."""
    listed: int | None
    """All apps in the list."""
    failure: Failure | None
    last_success_timestamp_seconds: float | None
    is_cut: bool | None = None
    """Whether the account has more apps than the exporter lists; None before the first list."""
    token_problem: str | None = None
    """Why the token in its file cannot be used; the last good one is used instead."""

    @property
    def wants_none(self) -> bool:
        """Return whether the account has apps, and the configuration leaves out all of them."""
        return self.apps == 0 and bool(self.listed)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The values of an exposition, as of *taken_at* (unix seconds); replaced as a whole."""

    apps: tuple[AppSnapshot, ...]
    taken_at: float
    state_file: StateFileStatus | None = None
    accounts: tuple[AccountSnapshot, ...] = ()
