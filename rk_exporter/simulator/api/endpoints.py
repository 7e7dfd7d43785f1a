"""The endpoints of the API and their paths."""

import re

from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import unquote


class Endpoint(StrEnum):
    """The endpoints that the simulator serves; the request log counts calls by these names."""

    APPS = "apps"
    """All apps of the account; the setting `apps` names them."""
    ACTIVE_RECORDING = "active_recording"
    """The meeting's recording in progress; 404 if there is none."""
    RECORDINGS = "recordings"
    """All recordings. Filters: `meeting_id`, `status`, `search`, `expired`, `start_time`, `end_time`; order: `sort_order`."""  # noqa: E501 - a row of a table
    RECORDING = "recording"
    """One recording, with the reasons why it started and stopped."""
    SESSIONS = "sessions"
    """All sessions. Filters: `associated_id`, `status`, `start_time`, `end_time`."""
    SESSION = "session"
    """One session."""
    MEETINGS = "meetings"
    """All meetings. Filters: `search`, `status`."""
    MEETING = "meeting"
    """One meeting."""
    ACTIVE_SESSION = "active_session"
    """The meeting's live session; 404 if there is none."""
    UNKNOWN = "unknown"
    """Any other path; the gateway returns 404."""


API_PREFIX = "/client/v4/"
ACCOUNT_PREFIX = f"{API_PREFIX}accounts/ACCOUNT/realtime/kit/"
"""The common beginning of all paths; the simulator accepts any account."""
APP_PREFIX = f"{ACCOUNT_PREFIX}APP/"
"""The beginning of the paths of an app; the simulator accepts any app."""
APPS_PATH = "apps"
"""The path of the list of apps below the prefix of the account."""
PATHS = {
    Endpoint.ACTIVE_RECORDING: "recordings/active-recording/MEETING",
    Endpoint.RECORDINGS: "recordings",
    Endpoint.RECORDING: "recordings/RECORDING",
    Endpoint.SESSIONS: "sessions",
    Endpoint.SESSION: "sessions/SESSION",
    Endpoint.MEETINGS: "meetings",
    Endpoint.MEETING: "meetings/MEETING",
    Endpoint.ACTIVE_SESSION: "meetings/MEETING/active-session",
}
"""The path of each endpoint of an app below its prefix; a word in upper case is an id."""


@dataclass(frozen=True, slots=True)
class ApiCall:
    """A parsed call: the endpoint, and the id in the path if there is one."""

    endpoint: Endpoint
    app_id: str = ""
    item_id: str = ""


_UNKNOWN_CALL = ApiCall(Endpoint.UNKNOWN)
_ID = "[A-Za-z0-9_-]+"
_APPS_PATH = re.compile(ACCOUNT_PREFIX.replace("ACCOUNT", _ID) + APPS_PATH)
_APP_PATH = re.compile(APP_PREFIX.replace("ACCOUNT", _ID).replace("APP", f"({_ID})") + "(.+)")
_TEMPLATES = tuple((endpoint, path.split("/")) for endpoint, path in PATHS.items())


def parse_path(path: str) -> ApiCall:
    """Find the endpoint of a *path*, which is percent-encoded because ids may contain slashes."""
    if _APPS_PATH.fullmatch(path):
        return ApiCall(Endpoint.APPS)
    match = _APP_PATH.fullmatch(path)
    if match is None:
        return _UNKNOWN_CALL
    app_id, parts = match[1], [unquote(part) for part in match[2].split("/")]
    for endpoint, template in _TEMPLATES:
        if len(template) == len(parts):
            pairs = tuple(zip(parts, template, strict=True))
            if all(part and (name.isupper() or part == name) for part, name in pairs):
                ids = [part for part, name in pairs if name.isupper()]
                return ApiCall(endpoint, app_id, ids[0] if ids else "")
    return _UNKNOWN_CALL
