"""Compare recordings in an exposition with the scenario."""

import math

from collections import defaultdict
from collections.abc import Collection, Iterable

from rk_exporter.simulator import TERMINAL, URL_LIFETIME_SECONDS, Recording
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.changes import ends_at


class Truth:
    """
    The *recordings* of a scenario.

    Recordings that ended *before* the first scrape may be shown as well.
    """

    def __init__(
        self, recordings: Iterable[Recording], *, before: Iterable[Recording] = ()
    ) -> None:
        self._by_meeting: defaultdict[str, list[Recording]] = defaultdict(list)
        self._by_id = {recording.id: recording for recording in before}
        for recording in recordings:
            self._by_meeting[recording.meeting_id].append(recording)
            self._by_id[recording.id] = recording

    def lacking(
        self, meeting_id: str, shown_ids: Collection[str], begun: float, ended: float
    ) -> str | None:
        """
        Describe a recording of a meeting that should be shown and is not, if there is one.

        A recording must be shown if it was in progress from *begun* to *ended*.
        """
        for recording in self._by_meeting.get(meeting_id, ()):
            is_in_progress = recording.invoked_at <= begun and ended < ends_at(recording)
            if is_in_progress and recording.id not in shown_ids:
                states = " or ".join(_states(recording, begun, ended))
                return f"{recording.id} is not shown, but was {states}"
        return None

    def difference(self, known: KnownRecording, begun: float, ended: float) -> str | None:
        """
        Describe how a recording read between *begun* and *ended* differs from the scenario, if so.

        Any state that it had in that time is correct.
        """
        recording = self._by_id.get(known.recording_id)
        states = _states(recording, begun, ended) if recording else []
        status = known.recording.status.value
        if status in states:
            return None
        was = " or ".join(states) or "not there"
        return f"{known.recording_id} is shown as {status}, but was {was}"

    def ended_by(self, at: float) -> set[str]:
        """Return the ids of the recordings that were uploaded or had failed by then."""
        return {recording.id for recording in self._by_id.values() if _has_ended(recording, at)}

    def kept(self, recording_ids: Collection[str], at: float) -> set[str]:
        """Return the recordings that exist and whose file has not expired."""
        return {
            recording_id
            for recording_id in recording_ids
            if _is_kept(self._by_id[recording_id], at)
        }

    def ended_at(self, recording_id: str) -> float:
        """Return when a recording stopped; if it never started, when it was invoked."""
        recording = self._by_id[recording_id]
        return recording.stopped_at or recording.started_at or recording.invoked_at


def _has_ended(recording: Recording, at: float) -> bool:
    status = recording.status(at)
    return status is not None and status in TERMINAL


def _is_kept(recording: Recording, at: float) -> bool:
    expires_at = recording.url_expires_at(at) or recording.invoked_at + URL_LIFETIME_SECONDS
    return at < expires_at and at < recording.vanishes_at


def _states(recording: Recording, begun: float, ended: float) -> list[str]:
    """Return the states that a recording had at some time from *begun* to *ended*."""
    until = [*(at for _, at in recording.phases[1:]), math.inf]
    return [
        status
        for (status, at), next_at in zip(recording.phases, until, strict=True)
        if at <= ended
        and at < recording.vanishes_at
        and min(next_at, recording.vanishes_at) > begun
    ]
