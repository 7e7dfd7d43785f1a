"""Parsers of live sessions and of the settings of meetings."""

from rk_exporter.api import schema
from rk_exporter.api.envelope import unwrap
from rk_exporter.api.fields import ParseIssues, boolean, count, label, present_identifier, text
from rk_exporter.api.pages import parse_page
from rk_exporter.api.results import LiveSession, MeetingSettings, Page, Parsed


_LIVE = "LIVE"


def parse_sessions_page(status: int, body: bytes) -> Parsed[Page[LiveSession]]:
    """
    Return the live sessions in the answer of "Fetch all sessions".

    Sessions without a usable id or meeting are skipped and counted.

    Raises ApiError unless the answer is a documented success.
    """
    data, raw_paging = unwrap(status, body, schema.sessions_page)
    sessions = data.sessions if isinstance(data, schema.Sessions) else data
    return parse_page(sessions or (), raw_paging, schema.session, _live_session)


def _live_session(
    session_id: str, item: schema.SessionItem, issues: ParseIssues
) -> LiveSession | None:
    if issues.read("status", item.status, text) not in {None, _LIVE}:
        return None
    meeting_id = issues.read("associated_id", item.associated_id, present_identifier)
    if meeting_id is None:
        return None
    name = issues.read("meeting_display_name", item.meeting_display_name, label)
    participants = issues.read("live_participants", item.live_participants, count)
    return LiveSession(session_id, meeting_id, name, participants)


def parse_meeting(status: int, body: bytes) -> Parsed[MeetingSettings]:
    """
    Return the settings in the answer of "Fetch a meeting".

    Raises ApiError unless the answer is a documented success; NotFound if there is no such meeting.
    """
    item, _ = unwrap(status, body, schema.meeting)
    if item is None:
        return Parsed(MeetingSettings(None))
    issues = ParseIssues()
    record_on_start = issues.read("record_on_start", item.record_on_start, boolean)
    return issues.parsed(MeetingSettings(record_on_start))
