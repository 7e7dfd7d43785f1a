"""The known copies of an app's recordings: frozen, so that snapshots can hold them."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from rk_exporter.model.archive import ArchiveFailure, ArchiveReason, Bucket
from rk_exporter.tracking.counters import Histogram
from rk_exporter.tracking.totals import WITHIN_SECONDS


# A page of 1,000 objects takes about 0.1 s, so a bucket may take from that to minutes.
LIST_BOUNDS_SECONDS = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
SAVE_WITHIN = ("24h", "72h")
"""The values of the label `within` of rk_recordings_not_archived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copies:
    """
    Which recordings have a copy, as one list of the bucket shows.

    A recording that is in neither set was not looked for, so nothing is known about its copy.
    """

    listed_at: float
    """When the list began, in unix seconds."""
    objects: int
    saved: frozenset[str]
    missing: frozenset[str]
    missing_expiries: tuple[float, ...] = ()
    """When the download URLs of the missing ones expire, sorted."""

    def has(self, recording_id: str) -> bool | None:
        """Return whether a recording has a copy; None if that is unknown."""
        if recording_id in self.saved:
            return True
        return False if recording_id in self.missing else None

    def missing_within(self, now: float) -> Mapping[str, int]:
        """Return how many files without a copy get lost soon after *now*, by the API's clock."""
        gone = bisect_right(self.missing_expiries, now)
        return {
            within: bisect_right(self.missing_expiries, now + WITHIN_SECONDS[within]) - gone
            for within in SAVE_WITHIN
        }


def _no_failures() -> Mapping[ArchiveReason, int]:
    return dict.fromkeys(ArchiveReason, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveStatus:
    """The copies that the last successful list showed, and how the lists went."""

    bucket: Bucket
    copies: Copies | None = None
    """None before the first successful list."""
    failure: ArchiveFailure | None = None
    """Why the last list failed; None after a success, and before the first list."""
    last_success_timestamp_seconds: float | None = None
    durations: Histogram = field(default_factory=lambda: Histogram.empty(LIST_BOUNDS_SECONDS))
    failures: Mapping[ArchiveReason, int] = field(default_factory=_no_failures)

    @property
    def up(self) -> bool | None:
        """Return whether the last list succeeded; None before the end of the first one."""
        return False if self.failure else None if self.copies is None else True

    def counting_on(self, before: "ArchiveStatus") -> "ArchiveStatus":
        """Return the status with the counters of the archive that the app had *before*."""
        return replace(self, durations=before.durations, failures=before.failures)

    def after_success(self, copies: Copies, *, seconds: float, now: float) -> "ArchiveStatus":
        """Return the status after a list that took *seconds* and ended *now*."""
        return replace(
            self,
            copies=copies,
            failure=None,
            last_success_timestamp_seconds=now,
            durations=self.durations.observe(seconds),
        )

    def after_failure(self, failure: ArchiveFailure) -> "ArchiveStatus":
        """Return the status after a list that failed; the copies of the last good one stay."""
        failures = {**self.failures, failure.reason: self.failures[failure.reason] + 1}
        return replace(self, failure=failure, failures=failures)
