"""The meetings of one app, and the recordings that the API returned for them."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording
from rk_exporter.tracking import retention
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording


# A meeting that is live may be found some time after its first recording has ended.
_FOUND_LATE_SECONDS = 3600.0


class TrackedMeetings:
    """
    The list of meetings, and the ids that the last reading of each meeting returned.

    Spellings of one meeting's id do not differ; the list has the one that is shown.
    """

    def __init__(self) -> None:
        self._listed: Mapping[str, Meeting] | None = None
        self._returned: dict[str, frozenset[str]] = {}
        self._added: frozenset[str] = frozenset()
        self._added_at: dict[str, float] = {}

    def listed(self, meeting: Meeting) -> Meeting | None:
        """Return a meeting with its id and name in the list, if it is there."""
        return (self._listed or {}).get(canonical(meeting.meeting_id))

    def is_added(self, meeting: Meeting) -> bool:
        """Return whether a meeting is in the list, and was not in the one before."""
        return canonical(meeting.meeting_id) in self._added

    def is_from_before(self, meeting: Meeting, recording: Recording) -> bool:
        """Return whether a recording had ended long before its meeting came into the list."""
        added_at = self._added_at.get(canonical(meeting.meeting_id))
        stopped_at = recording.stopped_timestamp_seconds
        if added_at is None or stopped_at is None:
            return False
        return stopped_at < added_at - _FOUND_LATE_SECONDS

    @property
    def has_added(self) -> bool:
        """Return whether the list has meetings that were not in the one before."""
        return bool(self._added)

    def replace(self, meetings: Iterable[Meeting], *, now: float) -> bool:
        """
        Replace the list, and return whether it is new or has other meetings than before.

        *now* is the API's time.
        """
        before = None if self._listed is None else {*map(_id, self._listed.values())}
        known = self._listed
        self._listed = {canonical(item.meeting_id): item for item in meetings}
        self._added = frozenset()
        if before == {*map(_id, self._listed.values())}:
            return False
        if known is not None:
            self._added = frozenset(self._listed.keys() - known.keys())
            self._added_at = {
                meeting_id: added_at
                for meeting_id, added_at in self._added_at.items()
                if meeting_id in self._listed
            } | dict.fromkeys(self._added, now)
        self._returned = {
            meeting_id: recording_ids
            for meeting_id, recording_ids in self._returned.items()
            if meeting_id in self._listed
        }
        return True

    def followed(
        self, known: KnownRecording, rules: FollowRules, *, now: float
    ) -> KnownRecording | None:
        """
        Return how a recording is followed with this list, or None if it is not.

        *now* is this machine's time.
        """
        listed = self.listed(known.meeting)
        if listed is None:
            if not retention.survives_removal(known, rules):
                return None
            if known.is_finished or known.missing_since is not None:
                return known
            # No reading of a meeting would show that it has ended.
            return replace(known, missing_since=now)
        if known.missing_since is not None and self.is_added(listed):
            # If the meeting does not show it now, it has just ended, and is read again.
            return replace(known, meeting=listed, missing_since=None)
        if listed.meeting_id != known.meeting.meeting_id:
            # Another spelling of the same id.
            return replace(known, meeting=listed)
        return known

    def observe_meeting(self, meeting_id: str, recording_ids: Iterable[str]) -> None:
        """Remember what the API returned for one meeting."""
        if returned := frozenset(recording_ids):
            self._returned[canonical(meeting_id)] = returned
        else:
            self._returned.pop(canonical(meeting_id), None)

    def observe_all(self) -> None:
        """Forget earlier readings, because a list has shown what is in progress in all meetings."""
        self._returned = {}

    @property
    def returned(self) -> frozenset[str]:
        """Return the ids of all recordings that the API returns, although they may have ended."""
        return frozenset().union(*self._returned.values())


def _id(meeting: Meeting) -> str:
    return meeting.meeting_id
