"""Scenarios that are written out in advance, for tests."""

import math

from collections.abc import Iterable, Sequence

from rk_exporter.simulator.scenarios.model import Meeting, Recording, Session


class ScriptedScenario:
    """A `Scenario` written out in advance; it adds the meetings that only recordings name."""

    def __init__(
        self,
        *,
        meetings: Iterable[Meeting | str] = (),
        recordings: Iterable[Recording] = (),
        sessions: Iterable[Session] = (),
    ) -> None:
        self._recordings = sorted(recordings, key=lambda r: r.invoked_at, reverse=True)
        self._sessions = sorted(sessions, key=lambda s: s.started_at, reverse=True)
        listed = [Meeting(id=m) if isinstance(m, str) else m for m in meetings]
        self._meetings = {meeting.id: meeting for meeting in listed}
        named = [recording.meeting_id for recording in self._recordings]
        named += [session.meeting_id for session in self._sessions]
        for meeting_id in named:
            self._meetings.setdefault(meeting_id, Meeting(id=meeting_id))

    @property
    def longest_seconds(self) -> float:
        """No limit: a scripted recording may never end."""
        return math.inf

    def meetings(self) -> Sequence[Meeting]:
        return tuple(self._meetings.values())

    def meeting(self, meeting_id: str) -> Meeting | None:
        return self._meetings.get(meeting_id)

    def recordings(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Recording]:
        return tuple(
            recording
            for recording in self._recordings
            if since <= recording.invoked_at <= now < recording.vanishes_at
            and meeting_id in (None, recording.meeting_id)
        )

    def active(
        self, meeting_id: str, now: float, linger_seconds: float = 0.0
    ) -> Sequence[Recording]:
        return tuple(
            recording
            for recording in self._recordings
            if recording.meeting_id == meeting_id and recording.is_active(now, linger_seconds)
        )

    def recording(self, recording_id: str, now: float) -> Recording | None:
        return next((r for r in self.recordings(now) if r.id == recording_id), None)

    def sessions(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Session]:
        return tuple(
            session
            for session in self._sessions
            if since <= session.started_at <= now and meeting_id in (None, session.meeting_id)
        )

    def session(self, session_id: str, now: float) -> Session | None:
        return next((s for s in self.sessions(now) if s.id == session_id), None)
