"""Nothing lost: what an app without trouble must show."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rk_exporter.simulator import TERMINAL, Recording
from tests.support.model.shown import Shown
from tests.support.model.stories import Story, states_between


# The app's list of recordings is read each minute.
LISTED_SECONDS = 60.0
_DENIED_TWICE_SECONDS = 300.0
IN_PROGRESS = frozenset({"INVOKED", "RECORDING", "PAUSED", "UPLOADING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an exposition must have that was asked for at *begun_at* and came at *ended_at*."""

    begun_at: float
    ended_at: float
    meetings: Collection[str]
    seen: Collection[str]
    """The recordings that an earlier exposition has shown."""
    found_since: float
    """Since when the list could be read, which shows recordings that no call by meeting did."""

    def must_be_known(self, recording: Recording) -> bool:
        """Return whether a reading must have shown the recording by now."""
        states = set(states_between(recording, self.begun_at, self.ended_at))
        if recording.meeting_id not in self.meetings or None in states:
            return False
        if states <= IN_PROGRESS or recording.id in self.seen:
            return True
        has_ended = states <= TERMINAL
        listed_since = max(self.found_since, recording.phases[-1].at)
        return has_ended and self.begun_at >= listed_since + LISTED_SECONDS

    def lacking(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        """Return what is missing or out of date."""
        at = f"{app}, scraped at {self.begun_at:.3f}:"
        if shown.value("rk_up", app) != 1:
            yield f"{at} rk_up is {shown.value('rk_up', app)}"
        if shown.value("rk_meetings_deferred", app) != 0:
            yield f"{at} {shown.value('rk_meetings_deferred', app)} meetings are deferred"
        if shown.of("rk_api_blocked_until_timestamp_seconds", app):
            yield f"{at} calls are blocked"
        yield from self._meetings(shown, app, story)
        recordings, hidden = shown.recordings(app), shown.value("rk_recordings_hidden", app) or 0
        for recording in story.recordings:
            if not self.must_be_known(recording):
                continue
            states = {str(x) for x in states_between(recording, self.begun_at, self.ended_at)}
            found = recordings.get(recording.id)
            if found is None and states <= TERMINAL and hidden:
                hidden -= 1
            elif found is None:
                yield f"{at} {recording.id} is not shown, but is {states}"
            elif found.status not in states:
                yield f"{at} {recording.id} is {found.status}, but should be {states}"
            elif found.in_progress and not self._is_new(
                found.get("last_success_timestamp_seconds")
            ):
                yield f"{at} {recording.id} was not read"

    def _meetings(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        at = f"{app}, scraped at {self.begun_at:.3f}:"
        ups = shown.by_meeting("rk_meeting_up", app)
        read = shown.by_meeting("rk_meeting_last_success_timestamp_seconds", app)
        counts = shown.by_meeting("rk_meeting_active_recordings", app)
        if {*ups} != {*self.meetings}:
            yield f"{at} the meetings are {sorted(ups)}"
        for meeting_id in self.meetings:
            if ups.get(meeting_id) != 1 or not self._is_new(read.get(meeting_id)):
                yield f"{at} {meeting_id} was not read"
            states = [
                [*states_between(recording, self.begun_at, self.ended_at)]
                for recording in story.recordings
                if recording.meeting_id == meeting_id
            ]
            least = sum(set(x) <= IN_PROGRESS for x in states)
            most = sum(bool(IN_PROGRESS & {*x}) for x in states)
            # One that has vanished is shown until a second answer denies it.
            most += sum(
                x.meeting_id == meeting_id and self._has_just_vanished(x) for x in story.recordings
            )
            if not least <= counts.get(meeting_id, -1) <= most:
                yield f"{at} {meeting_id} counts {counts.get(meeting_id)}, not {least} to {most}"

    def _is_new(self, read_at: float | None) -> bool:
        return read_at is not None and self.begun_at <= read_at <= self.ended_at

    def _has_just_vanished(self, recording: Recording) -> bool:
        if recording.vanishes_at > self.ended_at:
            return False
        denied_since = max(recording.vanishes_at, self.found_since)
        return self.begun_at <= denied_since + _DENIED_TWICE_SECONDS
