"""The endpoints: which path means what, and what each of them says."""

import re

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import unquote

from rk_exporter.simulator.answers import Reply, backend_error, found
from rk_exporter.simulator.listing import (
    LATER_STATUSES,
    BadQuery,
    Page,
    Query,
    RecordingFilter,
    select_meetings,
    select_sessions,
)
from rk_exporter.simulator.payloads import (
    MeetingInList,
    meeting_payload,
    recording_in_full,
    recording_in_list,
    recording_payload,
    session_payload,
)
from rk_exporter.simulator.story import Status, Story


class Endpoint(StrEnum):
    """The calls that the simulator knows."""

    ACTIVE_RECORDING = "active_recording"
    RECORDINGS = "recordings"
    RECORDING = "recording"
    SESSIONS = "sessions"
    SESSION = "session"
    MEETINGS = "meetings"
    MEETING = "meeting"
    ACTIVE_SESSION = "active_session"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Call:
    """A call understood: the endpoint, and the id in its path if it has one."""

    endpoint: Endpoint
    app_id: str = ""
    subject: str = ""


_APP_PATH = re.compile(
    r"/client/v4/accounts/[A-Za-z0-9_-]+/realtime/kit/(?P<app_id>[A-Za-z0-9_-]+)/(?P<rest>.+)"
)
UNKNOWN_CALL = Call(Endpoint.UNKNOWN)


def understand(path: str) -> Call:
    """Find the endpoint of a *path*, still percent-encoded so that ids may hold anything."""
    match = _APP_PATH.fullmatch(path)
    if match is None:
        return UNKNOWN_CALL
    app_id, rest = match["app_id"], [unquote(part) for part in match["rest"].split("/")]
    if not all(rest):
        return UNKNOWN_CALL
    match rest:
        case ["recordings", "active-recording", subject]:
            return Call(Endpoint.ACTIVE_RECORDING, app_id, subject)
        case ["meetings", subject, "active-session"]:
            return Call(Endpoint.ACTIVE_SESSION, app_id, subject)
        case ["recordings" | "sessions" | "meetings" as kind]:
            return Call(Endpoint(kind), app_id)
        case ["recordings" | "sessions" | "meetings" as kind, subject]:
            return Call(Endpoint(kind.removesuffix("s")), app_id, subject)
    return UNKNOWN_CALL


@dataclass(frozen=True, slots=True)
class Backend:
    """RealtimeKit behind the gateway: it answers calls from a story."""

    story: Story
    linger_seconds: float = 0.0
    active_as_list: bool = False
    refuse_later_statuses: bool = False
    refuse_status_filter: bool = False
    meeting_in_list: MeetingInList = MeetingInList.MEETING
    uploading_is_active: bool = True

    def meeting_of(self, call: Call, query: Query, now: float) -> str | None:
        """Tell which single meeting a call is about, if any."""
        match call.endpoint:
            case Endpoint.ACTIVE_RECORDING | Endpoint.MEETING | Endpoint.ACTIVE_SESSION:
                return call.subject
            case Endpoint.RECORDING:
                recording = self.story.recording(call.subject, now)
                return None if recording is None else recording.meeting_id
            case Endpoint.SESSION:
                session = self.story.session(call.subject, now)
                return None if session is None else session.meeting_id
            case Endpoint.RECORDINGS:
                return next(iter(query.get("meeting_id", ())), None)
            case Endpoint.SESSIONS:
                return next(iter(query.get("associated_id", ())), None)
        return None

    def reply(self, call: Call, query: Query, now: float) -> Reply:
        """Answer a *call* as of *now*."""
        try:
            match call.endpoint:
                case Endpoint.ACTIVE_RECORDING:
                    reply = self._active_recording(call, now)
                case Endpoint.RECORDINGS:
                    reply = self._recordings(query, now)
                case Endpoint.RECORDING:
                    reply = self._recording(call, now)
                case Endpoint.SESSIONS:
                    reply = self._sessions(call, query, now)
                case Endpoint.SESSION:
                    reply = self._session(call, now)
                case Endpoint.MEETINGS:
                    reply = self._meetings(query)
                case Endpoint.MEETING:
                    reply = self._meeting(call)
                case _:
                    reply = self._active_session(call, now)
        except BadQuery as error:
            return backend_error(HTTPStatus.BAD_REQUEST, f"BAD_REQUEST: {error}")
        return reply

    def _active_recording(self, call: Call, now: float) -> Reply:
        recordings = self.story.active(call.subject, now, self.linger_seconds)
        if not self.uploading_is_active:
            recordings = [each for each in recordings if each.status(now) != Status.UPLOADING]
        if not recordings:
            return _not_found(f"No active recording found for meeting_id {call.subject}")
        if self.active_as_list:
            return found([recording_payload(recording, now) for recording in recordings])
        return found(recording_payload(recordings[0], now))

    def _recordings(self, query: Query, now: float) -> Reply:
        page = Page.from_query(query)
        chosen = RecordingFilter.from_query(query, self._statuses()).select(self.story, now)
        shown, paging = page.cut(chosen)
        meeting = self.story.meeting
        data = [
            recording_in_list(item, meeting(item.meeting_id), now, self.meeting_in_list)
            for item in shown
        ]
        return found(data, paging)

    def _statuses(self) -> frozenset[str]:
        """Return the statuses that the list of recordings takes as filters."""
        if self.refuse_status_filter:
            return frozenset()
        statuses = frozenset(status.value for status in Status)
        return statuses - LATER_STATUSES if self.refuse_later_statuses else statuses

    def _recording(self, call: Call, now: float) -> Reply:
        recording = self.story.recording(call.subject, now)
        if recording is None:
            return _not_found(f"No recording found with id {call.subject}")
        return found(recording_in_full(recording, now))

    def _sessions(self, call: Call, query: Query, now: float) -> Reply:
        page = Page.from_query(query)
        shown, paging = page.cut(select_sessions(self.story, query, now))
        meeting = self.story.meeting
        sessions = [
            session_payload(item, meeting(item.meeting_id), call.app_id, now) for item in shown
        ]
        return found({"sessions": sessions}, paging)

    def _session(self, call: Call, now: float) -> Reply:
        session = self.story.session(call.subject, now)
        if session is None:
            return _not_found(f"No session found with id {call.subject}")
        meeting = self.story.meeting(session.meeting_id)
        return found(session_payload(session, meeting, call.app_id, now))

    def _meetings(self, query: Query) -> Reply:
        page = Page.from_query(query)
        shown, paging = page.cut(select_meetings(self.story, query))
        return found([meeting_payload(meeting) for meeting in shown], paging)

    def _meeting(self, call: Call) -> Reply:
        meeting = self.story.meeting(call.subject)
        if meeting is None:
            return _not_found(f"No meeting found with id {call.subject}")
        return found(meeting_payload(meeting))

    def _active_session(self, call: Call, now: float) -> Reply:
        for session in self.story.sessions(now, meeting_id=call.subject):
            if session.is_live(now):
                meeting = self.story.meeting(call.subject)
                return found(session_payload(session, meeting, call.app_id, now))
        return _not_found(f"No active session found for meeting_id {call.subject}")


def _not_found(message: str) -> Reply:
    """Answer that there is no such thing, which is RealtimeKit's to say, not the gateway's."""
    return backend_error(HTTPStatus.NOT_FOUND, message)
