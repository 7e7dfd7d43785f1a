"""What every scrape is answered from: the readings of all apps, and how each is doing."""

from dataclasses import dataclass, field

from rk_exporter.ratelimit import RateLimitPolicy
from rk_exporter.recordings import App, Failure, KnownRecording, Reading, ReadMode
from rk_exporter.tally import Tally


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """What an app's token may spend: calls in 300 s, and what the API itself says of its limit."""

    limit: int
    remaining: int
    blocked_until_timestamp_seconds: float | None = None
    """Until when calls are held back, after a 429 or a refused token."""
    policies: tuple[RateLimitPolicy, ...] = ()


@dataclass(frozen=True, slots=True)
class DiscoveryState:
    """How the live sessions were listed: the last *failure*, None where it succeeded."""

    failure: Failure | None = None
    last_success_timestamp_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class FileState:
    """A file with meetings: whether what it holds now is what is read."""

    path: str
    is_read: bool
    last_success_timestamp_seconds: float | None


@dataclass(frozen=True, slots=True)
class StateFileState:
    """The file that outlives the process: whether the last write went well, and when one did."""

    is_written: bool
    last_success_timestamp_seconds: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppSnapshot:
    """All readings of one app, and how its last pass went; None stands before the first pass."""

    app: App
    readings: tuple[Reading, ...]
    read_mode: ReadMode = ReadMode.ACTIVE_RECORDING
    up: bool | None = None
    deferred: int | None = None
    duration_seconds: float | None = None
    spending: Spending | None = None
    files: tuple[FileState, ...] = ()
    discovery: DiscoveryState | None = None
    recordings: tuple[KnownRecording, ...] = ()
    """Those in progress, and those that have ended and are still of interest."""
    tally: Tally = field(default_factory=Tally)
    is_restored: bool = False
    """Whether the recordings from before the start are among them."""
    clock_offset_seconds: float = 0.0
    """By how much the API's clock, which timestamps are by, is ahead of this machine's."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What every scrape is answered from: replaced whole, never changed. *taken_at* is unix s."""

    apps: tuple[AppSnapshot, ...]
    taken_at: float
    state_file: StateFileState | None = None
