"""What one pass over an app leaves to the next."""

from dataclasses import dataclass, field

from rk_exporter.collector.readings import StalenessGrace
from rk_exporter.collector.scrape_interval import ScrapeInterval
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.secret import Secret
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.state_records import SavedApp


@dataclass(frozen=True, slots=True, kw_only=True)
class AppState:
    """The snapshot and the memory of the passes over one app, replaced as a whole."""

    snapshot: AppSnapshot
    saved: SavedApp
    """The part that outlives the process."""
    revision: int
    """Incremented by every change that must be saved immediately."""
    grace: StalenessGrace
    configured: tuple[Meeting, ...] | None = None
    """The configured meetings and those in files, as of the last reconciliation."""
    interval: ScrapeInterval = field(default_factory=ScrapeInterval)
    token: Secret | None = None
    """The token of the last pass."""
    last_pass_at: float | None = None
    has_read: bool = False
    """Whether a pass has read any meeting."""
    urgent_first: bool = False
    """Whether the urgent queue starts in the next pass."""
    backfill_first: bool = False
    """Whether the next pass starts with the list of recordings, because the last had no call."""
    left_over: int = 0
    """How many calls the last pass could not make after it had read the whole list."""
