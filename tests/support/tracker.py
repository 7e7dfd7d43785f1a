"""A tracker of the recordings of one app, with the clocks and meetings that it uses."""

import math

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.tracker import RecordingTracker
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.building import NOW, Time


MEETING = Meeting("meeting-1", "Daily")
OTHER = Meeting("meeting-2", "Weekly")
ID = "recording-1"
HOUR = 3600.0
DAY = 24 * HOUR
RULES = FollowRules(
    retain_seconds=DAY,
    max_recordings=1000,
    reread_seconds=6 * HOUR,
    keep_removed=False,
    longest_pause_seconds=225.0,
)


def recording(
    status: Status = Status.RECORDING, recording_id: str = ID, **fields: Any
) -> Recording:
    """Return a recording, which runs."""
    return Recording(recording_id=recording_id, status=status, **fields)


class WallTime(Time):
    """A clock whose monotonic time moves with its wall time."""

    def monotonic(self) -> float:
        """Return unix seconds."""
        return self.now


class Harness:
    """A tracker of one app, with the clocks and meetings that it uses."""

    def __init__(
        self,
        *meetings: Meeting,
        state: TrackerState | None = None,
        ahead: float = 0.0,
        is_listed: bool = True,
        **rules: Any,
    ) -> None:
        self.time = WallTime()
        self.server_clock = ServerClock(self.time)
        self.server_clock.offset_seconds = ahead
        self.rules = replace(RULES, **rules)
        self.meetings = meetings or (MEETING,)
        self.restart(state)
        if is_listed:
            self.list_up_to(NOW)

    def list_up_to(self, newest_invoked_at: float) -> None:
        """Read the list, whose newest recording was invoked then."""
        self.tracker.begin_counting(newest_invoked_at, moment=self.time.monotonic())
        self.tracker.is_listed_up_to(newest_invoked_at)

    def restart(self, state: TrackerState | None) -> None:
        """Replace the tracker by one with the state of an earlier process."""
        self.tracker = RecordingTracker(
            "app-1",
            self.rules,
            clock=self.time,
            server_clock=self.server_clock,
            state=state,
        )
        self.tracker.set_meetings(self.meetings)

    @property
    def counters(self) -> RecordingCounters:
        return self.tracker.counters

    @property
    def shown(self) -> list[KnownRecording]:
        return list(self.tracker.shown(oldest=-math.inf).recordings)

    @property
    def ids(self) -> list[str]:
        return [known.recording_id for known in self.shown]

    @property
    def due(self) -> list[str]:
        return [known.recording_id for _, known in self.tracker.due(now=self.time.now)]

    def read_meeting(self, *recordings: Recording, after: float = 0.0) -> list[str]:
        """Read the first meeting after some seconds; return the missing ids."""
        self.time.now += after
        return self.tracker.observe_meeting(self.meetings[0], recordings)

    def observe_missing_twice(self, recording_id: str = ID) -> None:
        """Let two answers, a minute apart, say that a recording does not exist."""
        self.tracker.observe_missing(recording_id)
        self.time.now += 60
        self.tracker.observe_missing(recording_id)

    def read_list(
        self, *recordings: Recording, meeting: Meeting = MEETING, takes: float = 0.0
    ) -> None:
        """Read the app's list, in an answer that took some seconds."""
        for recording in recordings:
            self.tracker.observe_listed(meeting, recording, asked_at=self.time.now - takes)


Event: TypeAlias = Callable[[Harness, Recording], object]
READINGS: dict[str, Event] = {
    "meeting": lambda harness, read: harness.read_meeting(read),
    "list": lambda harness, read: harness.read_list(read),
    "list in progress": lambda harness, read: harness.tracker.observe_in_progress(
        [ListedRecording(MEETING, read)], is_complete=False
    ),
    "details": lambda harness, read: harness.tracker.observe_details(read),
}


def uploaded(recording_id: str, *, expires_at: float) -> Recording:
    """Return a recording whose file expires at a time."""
    return recording(
        Status.UPLOADED,
        recording_id,
        has_download_url=True,
        stopped_timestamp_seconds=expires_at - 7 * DAY,
        download_url_expiry_timestamp_seconds=expires_at,
    )


def elapse(harness: Harness, seconds: float) -> None:
    """Let time pass until the next scrape."""
    harness.time.now += seconds
    harness.tracker.set_meetings(harness.meetings)


STARTED = recording(started_timestamp_seconds=NOW + 1)
