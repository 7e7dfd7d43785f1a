"""Nothing lost: what an app without trouble must show."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field

from rk_exporter.simulator import TERMINAL, Recording
from tests.support.model.rooms import DENIED_TWICE_SECONDS, LIVE
from tests.support.model.shown import Shown
from tests.support.model.stories import Story, states_between


# The app's list of recordings is read each minute.
LISTED_SECONDS = 60.0
# While webhooks work, a meeting without a recording is read at least so often.
_IDLE_SECONDS = 600.0
IN_PROGRESS = frozenset({"INVOKED", "RECORDING", "PAUSED", "UPLOADING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What an exposition must have that was asked for at *begun_at* and came at *ended_at*."""

    begun_at: float
    ended_at: float
    meetings: Collection[str]
    """Those in the app's list."""
    followed: Collection[str]
    """Those whose recordings are followed."""
    found: Collection[str]
    """Those that the app must have found itself."""
    in_use: Collection[str]
    """Those that it may have found itself."""
    seen: Collection[str]
    """The recordings that an earlier exposition has shown."""
    found_since: float
    """Since when the list could be read, which shows recordings that no call by meeting did."""
    may_rest: bool = False
    """Whether idle meetings are read less often, because webhooks work."""
    announced: Mapping[str, float] = field(default_factory=dict)
    """When an event has last announced a change, by meeting."""

    def must_be_known(self, recording: Recording) -> bool:
        """Return whether a reading must have shown the recording by now."""
        states = set(states_between(recording, self.begun_at, self.ended_at))
        if recording.meeting_id not in self.followed or None in states:
            return False
        if recording.id in self.seen:
            return True
        is_in_progress = states <= IN_PROGRESS
        if is_in_progress and self._is_read(recording):
            return True
        since = recording.invoked_at if is_in_progress else recording.phases[-1].at
        listed_since = max(self.found_since, since)
        is_over = is_in_progress or states <= TERMINAL
        return is_over and self.begun_at >= listed_since + LISTED_SECONDS

    def _is_read(self, recording: Recording) -> bool:
        """Return whether a meeting was read while it had a recording in progress."""
        if recording.meeting_id not in {*self.meetings, *self.found}:
            return False
        announced_at = self.announced.get(recording.meeting_id, 0.0)
        return not self.may_rest or recording.invoked_at <= announced_at <= self.begun_at

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
        read = shown.by_meeting("rk_meeting_up", app)
        recordings, hidden = shown.recordings(app), shown.value("rk_recordings_hidden", app) or 0
        for recording in story.recordings:
            if not self.must_be_known(recording):
                continue
            # What no reading of a meeting shows is read with the list.
            is_listed_only = recording.meeting_id not in read
            since = self.begun_at - (LISTED_SECONDS if is_listed_only else 0.0)
            states = {str(x) for x in states_between(recording, since, self.ended_at)}
            is_over = recording.status(self.begun_at) in TERMINAL
            found = recordings.get(recording.id)
            if found is None and is_over and hidden:
                hidden -= 1
            elif found is None:
                yield f"{at} {recording.id} is not shown, but is {states}"
            elif found.status not in states:
                yield f"{at} {recording.id} is {found.status}, but should be {states}"
            elif found.in_progress and not self._is_new(
                found.get("last_success_timestamp_seconds"), since
            ):
                yield f"{at} {recording.id} was not read"

    def _meetings(self, shown: Shown, app: str, story: Story) -> Iterator[str]:
        at = f"{app}, scraped at {self.begun_at:.3f}:"
        ups = shown.by_meeting("rk_meeting_up", app)
        read = shown.by_meeting("rk_meeting_last_success_timestamp_seconds", app)
        counts = shown.by_meeting("rk_meeting_active_recordings", app)
        lives = shown.by_meeting(LIVE, app)
        least_meetings = {*self.meetings, *self.found}
        if not least_meetings <= {*ups} <= {*self.meetings, *self.in_use, *self.found}:
            yield f"{at} the meetings are {sorted(ups)}, not {least_meetings} and {self.in_use}"
        if shown.value("rk_meetings", app) != len(ups):
            yield f"{at} there are {shown.value('rk_meetings', app)} meetings, but {[*ups]}"
        for meeting_id in ups:
            of_meeting = [
                (recording, {*states_between(recording, self.begun_at, self.ended_at)})
                for recording in story.recordings
                if recording.meeting_id == meeting_id
            ]
            is_idle = lives.get(meeting_id) != 1 and not any(
                states <= IN_PROGRESS and x.id in self.seen for x, states in of_meeting
            )
            read_at = read.get(meeting_id)
            is_read = self._is_new(read_at) or (is_idle and self._is_in_time(meeting_id, read_at))
            if ups.get(meeting_id) != 1 or not is_read:
                yield f"{at} {meeting_id} was not read"
            least = sum(
                states <= IN_PROGRESS and self.must_be_known(recording)
                for recording, states in of_meeting
            )
            most = sum(bool(IN_PROGRESS & states) for _, states in of_meeting)
            # One that has vanished is shown until a second answer denies it.
            most += sum(
                x.meeting_id == meeting_id and self._has_just_vanished(x) for x in story.recordings
            )
            if not least <= counts.get(meeting_id, -1) <= most:
                yield f"{at} {meeting_id} counts {counts.get(meeting_id)}, not {least} to {most}"

    def _is_in_time(self, meeting_id: str, read_at: float | None) -> bool:
        """Return whether an idle meeting was read when it had to."""
        oldest = self.begun_at - _IDLE_SECONDS
        announced_at = self.announced.get(meeting_id, 0.0)
        if announced_at <= self.begun_at:
            oldest = max(oldest, announced_at)
        return self.may_rest and read_at is not None and read_at >= oldest

    def _is_new(self, read_at: float | None, since: float | None = None) -> bool:
        begin = self.begun_at if since is None else since
        return read_at is not None and begin <= read_at <= self.ended_at

    def _has_just_vanished(self, recording: Recording) -> bool:
        if recording.vanishes_at > self.ended_at:
            return False
        denied_since = max(recording.vanishes_at, self.found_since)
        return self.begun_at <= denied_since + DENIED_TWICE_SECONDS
