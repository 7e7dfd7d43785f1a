"""What every scrape is answered from: the readings of all apps, and how each is doing."""

from dataclasses import dataclass, field

from rk_exporter.model.meeting import App, DiscoveryState, FileState, Reading, ReadMode
from rk_exporter.ratelimit.status import BudgetStatus
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.state_file import StateFileStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSnapshot:
    """All readings of one app, and how its last pass went; None stands before the first pass."""

    app: App
    readings: tuple[Reading, ...]
    read_mode: ReadMode = ReadMode.ACTIVE_RECORDING
    up: bool | None = None
    deferred: int | None = None
    duration_seconds: float | None = None
    budget_status: BudgetStatus | None = None
    files: tuple[FileState, ...] = ()
    discovery: DiscoveryState | None = None
    recordings: tuple[KnownRecording, ...] = ()
    """Those in progress, and those that have ended and are still of interest."""
    counters: RecordingCounters = field(default_factory=RecordingCounters)
    is_restored: bool = False
    """Whether the recordings from before the start are among them."""
    clock_offset_seconds: float = 0.0
    """By how much the API's clock, which timestamps are by, is ahead of this machine's."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every scrape is answered from: replaced whole, never changed. *taken_at* is unix s."""

    apps: tuple[AppSnapshot, ...]
    taken_at: float
    state_file: StateFileStatus | None = None
