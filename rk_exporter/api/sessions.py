"""Parsers of live sessions and of a setting of their meetings."""

from rk_exporter.api import schema
from rk_exporter.api.envelope import unwrap
from rk_exporter.api.fields import (
    ABSENT,
    ParseIssues,
    boolean,
    count,
    label,
    present_identifier,
    text,
)
from rk_exporter.api.pages import parse_page
from rk_exporter.api.results import LiveSession, Page, Parsed


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


def parse_record_on_start(status: int, body: bytes) -> Parsed[bool | None]:
    """
    Return the setting `record_on_start` in the answer of "Fetch a meeting", or None if unknown.

    Raises ApiError unless the answer is a documented success; NotFound if there is no such meeting.
    """
    item, _ = unwrap(status, body, schema.meeting)
    issues = ParseIssues()
    raw = ABSENT if item is None else item.record_on_start
    return issues.parsed(issues.read("record_on_start", raw, boolean))
