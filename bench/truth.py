"""Whether what is shown is what the story says."""

from collections import defaultdict
from collections.abc import Iterable

from bench.changes import ends_at
from rk_exporter.recordings import Recording as Shown
from rk_exporter.simulator import Recording


class Truth:
    """The *recordings* of a story in which a meeting has one under way at a time."""

    def __init__(self, recordings: Iterable[Recording]) -> None:
        self._by_meeting: defaultdict[str, list[Recording]] = defaultdict(list)
        for recording in recordings:
            self._by_meeting[recording.meeting_id].append(recording)

    def difference(
        self, meeting_id: str, recordings: Iterable[Shown], begun: float, ended: float
    ) -> str | None:
        """
        Tell how *recordings* read between *begun* and *ended* differ from the story, if they do.

        Recordings in progress are compared. Each may be shown in any state that it had meanwhile,
        and has to be shown if it was under way all the time.
        """
        known = self._by_meeting.get(meeting_id, ())
        if not known and not recordings:
            return None
        shown = {each.recording_id: each.status.value for each in recordings if each.in_progress}
        for recording in known:
            states = _states(recording, begun, ended)
            status = shown.pop(recording.id, None) if states else None
            if status is None:
                if recording.invoked_at <= begun and ended < ends_at(recording):
                    return f"{recording.id} is not shown, but was {' or '.join(states)}"
            elif status not in states:
                return f"{recording.id} is shown as {status}, but was {' or '.join(states)}"
        return f"shown as in progress, but was not: {', '.join(shown)}" if shown else None


def _states(recording: Recording, begun: float, ended: float) -> list[str]:
    """Return the states in which a recording was under way from *begun* to *ended*."""
    end = ends_at(recording)
    if recording.invoked_at > ended or end <= begun:
        return []
    moments = [*(at for _, at in recording.phases[1:]), end]
    return [
        status
        for (status, at), until in zip(recording.phases, moments, strict=True)
        if at <= ended and at < end and until > begun
    ]
