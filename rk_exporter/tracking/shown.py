"""The recordings and totals of an app that an exposition shows."""

import logging

from collections.abc import Collection
from dataclasses import dataclass, field

from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.store import MOST_RECORDINGS, RecordingStore
from rk_exporter.tracking.totals import RecordingTotals


logger = logging.getLogger(__name__)
# The number of hidden recordings is logged again when it has grown by this factor.
_NOTABLE_GROWTH = 10


@dataclass(frozen=True, slots=True)
class ShownRecordings:
    """The *recordings* that get series of their own, and the *totals* of all known ones."""

    recordings: tuple[KnownRecording, ...] = ()
    totals: RecordingTotals = field(default_factory=RecordingTotals)


def select(
    store: RecordingStore,
    *,
    most_finished: int,
    returned: Collection[str],
    oldest: float,
    now: float,
) -> ShownRecordings:
    """
    Return what to show of the recordings in *store* at *now*, by the API's clock.

    Recordings in progress are shown unless they were last read before *oldest*, by this machine's
    clock. Of the finished ones, all are shown that the API has *returned* for their meetings, and
    others in the order of their ranks, until there are *most_finished*.
    """
    in_progress = [known for known in store.oldest_in_progress() if known.read_at >= oldest]
    known_returned = (store.get(recording_id) for recording_id in sorted(returned))
    finished = {
        known.recording_id: known
        for known in known_returned
        if known is not None and known.is_finished
    }
    for known in store.first_finished(most_finished):
        if len(finished) >= most_finished:
            break
        finished[known.recording_id] = known
    return ShownRecordings(
        (*in_progress, *finished.values()),
        store.totals(shown_finished=len(finished), now=now),
    )


class LimitLog:
    """Logs when the recordings of an app reach a limit, and when they no longer do."""

    def __init__(self, app: str, max_recordings: int) -> None:
        self._fields = {"app": app, "max_recordings": max_recordings}
        self._hidden = 0
        """How many were hidden when that was logged last."""
        self._is_full = LastLogged(initial=False)

    def log(self, *, hidden: int, is_full: bool) -> None:
        """Log a change: recordings are *hidden*, or there is no room for more recordings."""
        if hidden and (not self._hidden or hidden >= _NOTABLE_GROWTH * self._hidden):
            self._hidden = hidden
            logger.warning(
                "some finished recordings have no series of their own; raise "
                "follow.max_recordings to show all",
                extra=self._fields | {"hidden": hidden},
            )
        elif self._hidden and not hidden:
            self._hidden = 0
            logger.info("all finished recordings have their series again", extra=self._fields)
        if self._is_full.changes_to(is_full) and is_full:
            logger.warning(
                "too many recordings for one app; those that ended longest ago are dropped",
                extra=self._fields | {"limit": MOST_RECORDINGS},
            )
