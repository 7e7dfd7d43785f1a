"""The part of a tracker that outlives the process."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.store import Tombstone


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerState:
    """The recordings of one app, the tombstones of earlier ones, and the counters."""

    recordings: tuple[KnownRecording, ...] = ()
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    counters: RecordingCounters = field(default_factory=RecordingCounters)
    listed_until: float | None = None
    """Up to which invocation time the tracker has seen all recordings; None if never."""
