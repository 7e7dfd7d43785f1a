"""Lists: the query parameters they take, their filters and their pages."""

import math

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TypeAlias, TypeVar

from rk_exporter.simulator.answers import JsonObject
from rk_exporter.simulator.story import UNDER_WAY, Meeting, Recording, Session, Status, Story


Query: TypeAlias = Mapping[str, Sequence[str]]
"""Query parameters, each with all its values."""

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 25

# Older descriptions of the API do not list these two as filters.
LATER_STATUSES = frozenset({"ERRORED", "PAUSED"})

_Item = TypeVar("_Item")


class BadQuery(ValueError):
    """A query parameter that the API refuses."""


@dataclass(frozen=True, slots=True)
class Page:
    """Which part of a list is wanted; the first page is number 1."""

    number: int
    size: int

    @classmethod
    def from_query(cls, query: Query) -> Self:
        """Read page_no and per_page."""
        # The schema's minimum of both is 0; a page 0 is taken for the first.
        number = _integer(query, "page_no", 1, lowest=0, highest=10**9)
        size = _integer(query, "per_page", DEFAULT_PER_PAGE, lowest=1, highest=MAX_PER_PAGE)
        return cls(max(1, number), size)

    def cut(self, items: Sequence[_Item]) -> tuple[Sequence[_Item], JsonObject]:
        """Return the page's items and its `paging`, whose offsets count from 1 and include both."""
        start = (self.number - 1) * self.size
        shown = items[start : start + self.size]
        paging: JsonObject = {
            "total_count": len(items),
            "start_offset": start + 1 if shown else 0,
            "end_offset": start + len(shown) if shown else 0,
        }
        return shown, paging


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """What the list of recordings is narrowed down to."""

    meeting_id: str | None
    search: str
    statuses: frozenset[str]
    expired: bool | None
    since: float
    until: float
    ascending: bool

    @classmethod
    def from_query(cls, query: Query, allowed_statuses: frozenset[str]) -> Self:
        """Read the filters of the list of recordings."""
        statuses = _list(query, "status") | _list(query, "status[]")
        if statuses and not allowed_statuses:
            raise BadQuery('"status" is not allowed')
        if statuses - allowed_statuses:
            raise BadQuery(f'"status" must be one of {", ".join(sorted(allowed_statuses))}')
        _choice(query, "sort_by", {"invokedTime"}, "invokedTime")
        return cls(
            meeting_id=_text(query, "meeting_id") or None,
            search=(_text(query, "search") or "").casefold(),
            statuses=statuses,
            expired=_flag(query, "expired"),
            since=_moment(query, "start_time", -math.inf),
            until=_moment(query, "end_time", math.inf),
            ascending=_choice(query, "sort_order", {"ASC", "DESC"}, "DESC") == "ASC",
        )

    def select(self, story: Story, now: float) -> Sequence[Recording]:
        """Return the recordings that pass, in the order asked for."""
        since = self.since
        if self.statuses and self.statuses <= UNDER_WAY:
            since = max(since, now - story.longest_seconds)
        found = story.recordings(now, meeting_id=self.meeting_id, since=since)
        if self.until < now:
            found = [recording for recording in found if recording.invoked_at <= self.until]
        if self.statuses:
            found = [recording for recording in found if recording.status(now) in self.statuses]
        if self.search:
            matching = {m.id for m in story.meetings() if matches(m, self.search)}
            found = [recording for recording in found if recording.meeting_id in matching]
        if self.expired is not None:
            found = [
                recording for recording in found if _is_expired(recording, now) == self.expired
            ]
        return found[::-1] if self.ascending else found


def select_sessions(story: Story, query: Query, now: float) -> Sequence[Session]:
    """Return the sessions that pass the filters in *query*, newest first."""
    status = _choice(query, "status", {"LIVE", "ENDED"}, None)
    since = _moment(query, "start_time", -math.inf)
    until = _moment(query, "end_time", math.inf)
    found = story.sessions(now, meeting_id=_text(query, "associated_id") or None)
    return [
        session
        for session in found
        if since <= session.started_at <= until
        and (status is None or session.is_live(now) == (status == "LIVE"))
    ]


def select_meetings(story: Story, query: Query) -> Sequence[Meeting]:
    """Return the meetings that pass the filters in *query*."""
    status = _choice(query, "status", {"ACTIVE", "INACTIVE"}, None)
    search = (_text(query, "search") or "").casefold()
    return [
        meeting
        for meeting in story.meetings()
        if matches(meeting, search) and (status is None or meeting.active == (status == "ACTIVE"))
    ]


def matches(meeting: Meeting, search: str) -> bool:
    """Tell whether *search* (folded) is a part of a meeting's id or title."""
    return search in meeting.id.casefold() or search in meeting.title.casefold()


def _is_expired(recording: Recording, now: float) -> bool:
    """Tell whether its file can no longer be fetched from RealtimeKit's bucket."""
    expires_at = recording.url_expires_at(now)
    return recording.status(now) == Status.UPLOADED and expires_at is not None and expires_at <= now


def _text(query: Query, name: str) -> str | None:
    """Return the last value of a parameter."""
    values = query.get(name)
    return values[-1] if values else None


def _list(query: Query, name: str) -> frozenset[str]:
    """
    Return a parameter's values, be they repeated or separated by commas.

    The API's description says commas, its Python SDK repeats the key.
    """
    return frozenset(part for value in query.get(name, ()) for part in value.split(",") if part)


def _integer(query: Query, name: str, default: int, *, lowest: int, highest: int) -> int:
    """Read a whole number; "2.0" is one, since the parameters are declared as numbers."""
    text = _text(query, name)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not lowest <= number <= highest or number != int(number):
        raise BadQuery(f'"{name}" must be an integer from {lowest} to {highest}')
    return int(number)


def _choice(query: Query, name: str, choices: set[str], default: str | None) -> str | None:
    """Read one of a few words."""
    text = _text(query, name)
    if text is None:
        return default
    if text not in choices:
        raise BadQuery(f'"{name}" must be one of {", ".join(sorted(choices))}')
    return text


def _flag(query: Query, name: str) -> bool | None:
    """Read true or false."""
    word = _choice(query, name, {"true", "false"}, None)
    return None if word is None else word == "true"


def _moment(query: Query, name: str, default: float) -> float:
    """Read an ISO 8601 time as unix seconds; without an offset it is UTC."""
    text = _text(query, name)
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(f'"{name}" must be a valid ISO 8601 date') from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
