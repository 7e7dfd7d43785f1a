"""RealtimeKit behind the gateway: it answers calls from a scenario."""

from dataclasses import dataclass
from http import HTTPStatus

from rk_exporter.simulator.api.endpoints import ApiCall, Endpoint
from rk_exporter.simulator.api.listing import (
    BadQuery,
    Page,
    Query,
    RecordingFilter,
    last_value,
    select_meetings,
    select_sessions,
)
from rk_exporter.simulator.api.payloads import (
    MeetingInList,
    meeting_payload,
    recording_in_full,
    recording_in_list,
    recording_payload,
    session_payload,
)
from rk_exporter.simulator.api.responses import JsonResponse, backend_error, success
from rk_exporter.simulator.scenarios.model import Session, Status
from rk_exporter.simulator.scenarios.scenario import Scenario


@dataclass(frozen=True, slots=True)
class Backend:
    """Answer calls from a *scenario*; the class `Simulator` documents the switches."""

    scenario: Scenario
    linger_seconds: float
    uploading_is_active: bool
    active_as_list: bool
    status_filters: frozenset[str]
    meeting_in_list: MeetingInList

    def meeting_of(self, call: ApiCall, query: Query, now: float) -> str | None:
        """Return the id of the meeting that a call is about; None if it is about several."""
        match call.endpoint:
            case Endpoint.ACTIVE_RECORDING | Endpoint.MEETING | Endpoint.ACTIVE_SESSION:
                return call.item_id
            case Endpoint.RECORDING:
                recording = self.scenario.recording(call.item_id, now)
                return None if recording is None else recording.meeting_id
            case Endpoint.SESSION:
                session = self.scenario.session(call.item_id, now)
                return None if session is None else session.meeting_id
            case Endpoint.RECORDINGS:
                return last_value(query, "meeting_id")
            case Endpoint.SESSIONS:
                return last_value(query, "associated_id")
        return None

    def respond(self, call: ApiCall, query: Query, now: float) -> JsonResponse:
        """Answer a *call* at *now*."""
        try:
            match call.endpoint:
                case Endpoint.ACTIVE_RECORDING:
                    response = self._active_recording(call, now)
                case Endpoint.RECORDINGS:
                    response = self._recordings(query, now)
                case Endpoint.RECORDING:
                    response = self._recording(call, now)
                case Endpoint.SESSIONS:
                    response = self._sessions(call, query, now)
                case Endpoint.SESSION:
                    response = self._session(call, now)
                case Endpoint.MEETINGS:
                    response = self._meetings(query)
                case Endpoint.MEETING:
                    response = self._meeting(call)
                case _:
                    response = self._active_session(call, now)
        except BadQuery as error:
            return backend_error(HTTPStatus.BAD_REQUEST, f"BAD_REQUEST: {error}")
        return response

    def _active_recording(self, call: ApiCall, now: float) -> JsonResponse:
        recordings = self.scenario.active(call.item_id, now, self.linger_seconds)
        if not self.uploading_is_active:
            recordings = [r for r in recordings if r.status(now) != Status.UPLOADING]
        if not recordings:
            return _not_found(f"No active recording found for meeting_id {call.item_id}")
        if self.active_as_list:
            return success([recording_payload(recording, now) for recording in recordings])
        return success(recording_payload(recordings[0], now))

    def _recordings(self, query: Query, now: float) -> JsonResponse:
        page = Page.from_query(query)
        matching = RecordingFilter.from_query(query, self.status_filters).select(self.scenario, now)
        recordings, paging = page.cut(matching)
        payloads = []
        for recording in recordings:
            meeting = self.scenario.meeting(recording.meeting_id)
            payloads.append(recording_in_list(recording, meeting, now, self.meeting_in_list))
        return success(payloads, paging)

    def _recording(self, call: ApiCall, now: float) -> JsonResponse:
        recording = self.scenario.recording(call.item_id, now)
        if recording is None:
            return _not_found(f"No recording found with id {call.item_id}")
        return success(recording_in_full(recording, now))

    def _sessions(self, call: ApiCall, query: Query, now: float) -> JsonResponse:
        sessions, paging = Page.from_query(query).cut(select_sessions(self.scenario, query, now))
        payloads = [self._session_payload(session, call, now) for session in sessions]
        return success({"sessions": payloads}, paging)

    def _session(self, call: ApiCall, now: float) -> JsonResponse:
        session = self.scenario.session(call.item_id, now)
        if session is None:
            return _not_found(f"No session found with id {call.item_id}")
        return success(self._session_payload(session, call, now))

    def _active_session(self, call: ApiCall, now: float) -> JsonResponse:
        for session in self.scenario.sessions(now, meeting_id=call.item_id):
            if session.is_live(now):
                return success(self._session_payload(session, call, now))
        return _not_found(f"No active session found for meeting_id {call.item_id}")

    def _session_payload(self, session: Session, call: ApiCall, now: float) -> dict[str, object]:
        meeting = self.scenario.meeting(session.meeting_id)
        return session_payload(session, meeting, call.app_id, now)

    def _meetings(self, query: Query) -> JsonResponse:
        meetings, paging = Page.from_query(query).cut(select_meetings(self.scenario, query))
        return success([meeting_payload(meeting) for meeting in meetings], paging)

    def _meeting(self, call: ApiCall) -> JsonResponse:
        meeting = self.scenario.meeting(call.item_id)
        if meeting is None:
            return _not_found(f"No meeting found with id {call.item_id}")
        return success(meeting_payload(meeting))


def _not_found(message: str) -> JsonResponse:
    """Return the 404 of RealtimeKit itself, which differs from the gateway's."""
    return backend_error(HTTPStatus.NOT_FOUND, message)
