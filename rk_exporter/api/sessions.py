"""
The API's answers, parsed once: a status and a body go in, what they say or an ApiError comes out.

A malformed field loses itself and nothing else: it is left out, and its name is told.
"""

from rk_exporter.api import schema as shapes
from rk_exporter.api.envelope import unwrap
from rk_exporter.api.fields import ParseIssues, boolean, count, label, text
from rk_exporter.api.pagination import _identified, _paging, _present_identifier
from rk_exporter.api.results import LiveSession, MeetingSettings, SessionsPage


_LIVE = "LIVE"


def parse_sessions_page(status: int, body: bytes) -> SessionsPage:
    """
    Return the live ones of what "Fetch all sessions" answered; live ones were asked for.

    A session without a usable id or meeting is left out and counted.

    Raises ApiError for any answer that is not a documented success.
    """
    data, paging = unwrap(status, body, shapes.sessions_page)
    sessions = data.sessions if isinstance(data, shapes.Sessions) else data
    issues = ParseIssues()
    found = _identified(sessions or (), shapes.session, issues)
    live = []
    for session_id, item in dict(found).items():
        if issues.read("status", item.status, text) not in {None, _LIVE}:
            continue
        meeting_id = issues.read("associated_id", item.associated_id, _present_identifier)
        if meeting_id is None:
            continue
        name = issues.read("meeting_display_name", item.meeting_display_name, label)
        participants = issues.read("live_participants", item.live_participants, count)
        live.append(LiveSession(session_id, meeting_id, name, participants))
    return SessionsPage(
        tuple(live),
        tuple(session_id for session_id, _ in found),
        issues.read("paging", paging, _paging),
        tuple(issues.malformed_fields),
    )


def parse_meeting(status: int, body: bytes) -> MeetingSettings:
    """
    Return what "Fetch a meeting" answered; a 404 says that there is no such meeting: NotFound.

    Raises ApiError for any answer that is not a documented success.
    """
    item, _ = unwrap(status, body, shapes.meeting)
    if item is None:
        return MeetingSettings(None)
    issues = ParseIssues()
    record_on_start = issues.read("record_on_start", item.record_on_start, boolean)
    return MeetingSettings(record_on_start, tuple(issues.malformed_fields))
