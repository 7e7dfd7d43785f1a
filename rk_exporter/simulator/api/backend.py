"""RealtimeKit behind the gateway: it answers calls from a scenario."""

from dataclasses import dataclass, replace
from http import HTTPStatus
from urllib.parse import unquote

from rk_exporter.simulator.api.endpoints import ApiCall, Endpoint, parse_path
from rk_exporter.simulator.api.files import FILES_PREFIX, file_response, move_urls
from rk_exporter.simulator.api.listing import (
    ALL_STATUSES,
    LATER_STATUSES,
    BadQuery,
    Page,
    Query,
    RecordingFilter,
    last_value,
    select_apps,
    select_meetings,
    select_sessions,
)
from rk_exporter.simulator.api.payloads import (
    CANARY,
    app_payload,
    meeting_payload,
    recording_in_full,
    recording_in_list,
    recording_payload,
    session_payload,
    timestamp,
)
from rk_exporter.simulator.api.responses import (
    JsonObject,
    JsonResponse,
    Response,
    backend_error,
    success,
)
from rk_exporter.simulator.api.settings import SimulatorSettings
from rk_exporter.simulator.scenarios.model import URL_LIFETIME_SECONDS, Recording, Session, Status
from rk_exporter.simulator.scenarios.scenario import Scenario


_IDS = frozenset({"meeting_id", "associated_id"})
_ITEM_IDS = frozenset({"id", "meeting_id", "associated_id"})
_LONG_URL = 830
"""Characters of each URL of a track recording with several files."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Answer calls from a *scenario*; `SimulatorSettings` documents the settings."""

    scenario: Scenario
    settings: SimulatorSettings

    def understand(self, path: str, query: Query) -> tuple[ApiCall, Query]:
        """Return the call to a *path*, and the *query*, with ids as the scenario has them."""
        call = parse_path(path)
        if not self.settings.capital_ids:
            return call, query
        ids = {name: [value.lower() for value in query[name]] for name in _IDS & query.keys()}
        return replace(call, item_id=call.item_id.lower()), {**query, **ids}

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
            if call.endpoint == Endpoint.APPS:
                return self._apps(query)
            return self._of_app(call, query, now)
        except BadQuery as error:
            refused_page = str(error).startswith('"per_page"')
            status = self.settings.page_refusal if refused_page else HTTPStatus.BAD_REQUEST
            return backend_error(status, f"BAD_REQUEST: {error}")

    def _of_app(self, call: ApiCall, query: Query, now: float) -> JsonResponse:
        """Answer a call about one app."""
        match call.endpoint:
            case Endpoint.ACTIVE_RECORDING:
                return self._active_recording(call, now)
            case Endpoint.RECORDINGS:
                return self._recordings(query, now)
            case Endpoint.RECORDING:
                return self._recording(call, now)
            case Endpoint.SESSIONS:
                return self._sessions(call, query, now)
            case Endpoint.SESSION:
                return self._session(call, now)
            case Endpoint.MEETINGS:
                return self._meetings(query)
            case Endpoint.MEETING:
                return self._meeting(call)
        return self._active_session(call, now)

    def _apps(self, query: Query) -> JsonResponse:
        settings = self.settings
        page, paging = Page.from_query(query, settings.most_apps).cut(select_apps(settings, query))
        payloads = [app_payload(app_id, name) for app_id, name in page]
        data: object = {"apps": payloads} if settings.apps_in_object else payloads
        response = success(data, None if settings.apps_without_paging else paging)
        return JsonResponse(settings.apps_status, response.content)

    def _active_recording(self, call: ApiCall, now: float) -> JsonResponse:
        recordings = self.scenario.active(call.item_id, now, self.settings.linger_seconds)
        if not self.settings.uploading_is_active:
            recordings = [r for r in recordings if r.status(now) != Status.UPLOADING]
        if self.settings.knows_meetings and self.scenario.meeting(call.item_id) is None:
            return _not_found(f"No meeting found with id {call.item_id}")
        if not recordings:
            return _not_found(f"No active recording found for meeting_id {call.item_id}")
        if self.settings.active_as_list:
            return success([self._changed(recording_payload(r, now), r, now) for r in recordings])
        return success(self._changed(recording_payload(recordings[0], now), recordings[0], now))

    def _status_filters(self) -> frozenset[str]:
        """Return the statuses that the list accepts as filters."""
        if self.settings.refuse_status_filter:
            return frozenset()
        return ALL_STATUSES - (LATER_STATUSES if self.settings.refuse_later_statuses else set())

    def _changed(self, payload: JsonObject, recording: Recording, now: float) -> JsonObject:
        """Apply the settings about status, expiry and files to a recording."""
        settings = self.settings
        if settings.status_word and payload["status"] == Status.RECORDING:
            payload["status"] = settings.status_word
        if settings.moving_expiry and payload["download_url_expiry"] is not None:
            payload["download_url_expiry"] = timestamp(now + URL_LIFETIME_SECONDS)
        has_tracks = recording.track and payload["download_url"] is not None
        if has_tracks and settings.track_files > 1:
            url = "https://storage.googleapis.com/recordings/?X-Goog-Signature="
            file = {"download_url": f"{url}{CANARY}".ljust(_LONG_URL, "0")}
            files = {f"peer-{number}.webm": file for number in range(settings.track_files)}
            payload["download_url"] = [{"layer_name": "default", "download_urls": files}]
        if has_tracks and settings.track_urls_elsewhere:
            payload["download_url"] = [{"layer_name": "default", "files": ["peer-1.webm"]}]
        if settings.files_url:
            move_urls(payload, recording, settings.files_url)
        return payload

    def file(self, url: str, range_header: str, now: float) -> Response | None:
        """Return the response to a request for the file at *url*; None if it hangs."""
        recording_id = unquote(url.removeprefix(FILES_PREFIX).partition("/")[0])
        recording = self.scenario.recording(recording_id, now)
        return file_response(recording, url, range_header, self.settings.file_fault, now)

    def _in_list(self, payload: JsonObject) -> JsonObject:
        """Show the ids of an item in capitals, if the settings say so."""
        if self.settings.capital_ids:
            for name in _ITEM_IDS & payload.keys():
                payload[name] = str(payload[name]).upper()
            if isinstance(meeting := payload.get("meeting"), dict):
                payload["meeting"] = {**meeting, "id": str(meeting["id"]).upper()}
        return payload

    def _recordings(self, query: Query, now: float) -> JsonResponse:
        page = Page.from_query(query, self.settings.most_recordings)
        wanted = RecordingFilter.from_query(
            query, self._status_filters(), by_creation=self.settings.filter_by_creation
        )
        if self.settings.refuse_status_lists and len(wanted.statuses) > 1:
            raise BadQuery('"status" must be a single value')
        newest_at = now - self.settings.list_lag_seconds
        found = wanted.select(self.scenario, now)
        recordings, paging = page.cut([each for each in found if each.invoked_at <= newest_at])
        payloads = []
        for recording in recordings:
            meeting = self.scenario.meeting(recording.meeting_id)
            payload = recording_in_list(recording, meeting, now, self.settings.meeting_in_list)
            payloads.append(self._in_list(self._changed(payload, recording, now)))
        return JsonResponse(self.settings.list_status, success(payloads, paging).content)

    def _recording(self, call: ApiCall, now: float) -> JsonResponse:
        recording = self.scenario.recording(call.item_id, now)
        if recording is None:
            return _not_found(f"No recording found with id {call.item_id}")
        return success(self._changed(recording_in_full(recording, now), recording, now))

    def _sessions(self, call: ApiCall, query: Query, now: float) -> JsonResponse:
        sessions, paging = Page.from_query(query, self.settings.most_sessions).cut(
            select_sessions(self.scenario, query, now)
        )
        payloads = [self._in_list(self._session_payload(s, call, now)) for s in sessions]
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
        return success([self._in_list(meeting_payload(meeting)) for meeting in meetings], paging)

    def _meeting(self, call: ApiCall) -> JsonResponse:
        meeting = self.scenario.meeting(call.item_id)
        if meeting is None:
            return _not_found(f"No meeting found with id {call.item_id}")
        return success(meeting_payload(meeting))


def _not_found(message: str) -> JsonResponse:
    """Return the 404 of RealtimeKit itself, which differs from the gateway's."""
    return backend_error(HTTPStatus.NOT_FOUND, message)
