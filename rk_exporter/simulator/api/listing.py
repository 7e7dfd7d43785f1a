"""Query parameters, filters and pages of lists."""

import math

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self, TypeAlias, TypeVar

from rk_exporter.simulator.api.responses import JsonObject
from rk_exporter.simulator.api.settings import SimulatorSettings
from rk_exporter.simulator.scenarios.model import (
    IN_PROGRESS,
    Meeting,
    Recording,
    Session,
    Status,
)
from rk_exporter.simulator.scenarios.scenario import Scenario


Query: TypeAlias = Mapping[str, Sequence[str]]
"""Query parameters with all values of each."""

MAX_PER_PAGE = 100
DEFAULT_PER_PAGE = 25

ALL_STATUSES = frozenset(status.value for status in Status)
LATER_STATUSES = frozenset({"ERRORED", "PAUSED"})
"""Statuses that older descriptions of the API do not list as filters."""

_Item = TypeVar("_Item")


class BadQuery(ValueError):
    """A query parameter that the API rejects."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a list; the first page has number 1."""

    number: int
    size: int

    @classmethod
    def from_query(cls, query: Query, largest: int = MAX_PER_PAGE) -> Self:
        """Read page_no and per_page, which is at most *largest*."""
        # The minimum of both is 0 in the schema; page 0 is treated as page 1.
        number = _integer(query, "page_no", 1, lowest=0, highest=10**9)
        size = _integer(query, "per_page", DEFAULT_PER_PAGE, lowest=1, highest=largest)
        return cls(max(1, number), size)

    def cut(self, items: Sequence[_Item]) -> tuple[Sequence[_Item], JsonObject]:
        """Return the items of the page and its `paging`; offsets start at 1 and are inclusive."""
        start = (self.number - 1) * self.size
        page = items[start : start + self.size]
        paging: JsonObject = {
            "total_count": len(items),
            "start_offset": start + 1 if page else 0,
            "end_offset": start + len(page) if page else 0,
        }
        return page, paging


@dataclass(frozen=True, slots=True)
class RecordingFilter:
    """The filters of the list of recordings."""

    meeting_id: str | None
    search: str
    statuses: frozenset[str]
    expired: bool | None
    since: float
    until: float
    by_creation: bool
    ascending: bool

    @classmethod
    def from_query(
        cls, query: Query, allowed_statuses: frozenset[str], *, by_creation: bool = False
    ) -> Self:
        """Read the filters; *allowed_statuses* is empty if the list has no status filter."""
        statuses = _list(query, "status") | _list(query, "status[]")
        if statuses and not allowed_statuses:
            raise BadQuery('"status" is not allowed')
        if statuses - allowed_statuses:
            raise BadQuery(f'"status" must be one of {", ".join(sorted(allowed_statuses))}')
        _choice(query, "sort_by", {"invokedTime"}, "invokedTime")
        return cls(
            meeting_id=last_value(query, "meeting_id") or None,
            search=_search(query),
            statuses=statuses,
            expired=_flag(query, "expired"),
            since=_moment(query, "start_time", -math.inf),
            until=_moment(query, "end_time", math.inf),
            by_creation=by_creation,
            ascending=_choice(query, "sort_order", {"ASC", "DESC"}, "DESC") == "ASC",
        )

    def select(self, scenario: Scenario, now: float) -> Sequence[Recording]:
        """Return the matching recordings in the requested order."""
        since = -math.inf if self.by_creation else self.since
        if self.statuses and self.statuses <= IN_PROGRESS:
            since = max(since, now - scenario.longest_seconds)
        found = scenario.recordings(now, meeting_id=self.meeting_id, since=since)
        if self.by_creation:
            created = {m.id: m.created_at for m in scenario.meetings()}
            found = [r for r in found if self.since <= created[r.meeting_id] <= self.until]
        elif self.until < now:
            found = [recording for recording in found if recording.invoked_at <= self.until]
        if self.statuses:
            found = [recording for recording in found if recording.status(now) in self.statuses]
        if self.search:
            matching = {m.id for m in scenario.meetings() if _matches(m, self.search)}
            found = [recording for recording in found if recording.meeting_id in matching]
        if self.expired is not None:
            found = [
                recording for recording in found if _is_expired(recording, now) == self.expired
            ]
        return found[::-1] if self.ascending else found


def select_apps(settings: SimulatorSettings, query: Query) -> Sequence[tuple[str, str]]:
    """Return the id and the name of the apps that match the filters in *query*, oldest first."""
    search = _search(query)
    pairs = (entry.strip().partition("=") for entry in settings.apps.split(",") if entry.strip())
    found = [(app_id, name or app_id) for app_id, _, name in pairs]
    found = [pair for pair in found if search in pair[1].casefold()]
    return found[::-1] if _choice(query, "sort_order", {"ASC", "DESC"}, "ASC") == "DESC" else found


def select_sessions(scenario: Scenario, query: Query, now: float) -> Sequence[Session]:
    """Return the sessions that match the filters in *query*, newest first."""
    status = _choice(query, "status", {"LIVE", "ENDED"}, None)
    since = _moment(query, "start_time", -math.inf)
    until = _moment(query, "end_time", math.inf)
    found = scenario.sessions(now, meeting_id=last_value(query, "associated_id") or None)
    return [
        session
        for session in found
        if since <= session.started_at <= until
        and (status is None or session.is_live(now) == (status == "LIVE"))
    ]


def select_meetings(scenario: Scenario, query: Query) -> Sequence[Meeting]:
    """Return the meetings that match the filters in *query*."""
    status = _choice(query, "status", {"ACTIVE", "INACTIVE"}, None)
    search = _search(query)
    return [
        meeting
        for meeting in scenario.meetings()
        if _matches(meeting, search) and (status is None or meeting.active == (status == "ACTIVE"))
    ]


def _matches(meeting: Meeting, search: str) -> bool:
    """Return whether the id or title of a meeting contains *search*, which is case-folded."""
    return search in meeting.id.casefold() or search in meeting.title.casefold()


def _is_expired(recording: Recording, now: float) -> bool:
    """Return whether the file can no longer be downloaded from RealtimeKit's bucket."""
    expires_at = recording.url_expires_at(now)
    return recording.status(now) == Status.UPLOADED and expires_at is not None and expires_at <= now


def last_value(query: Query, name: str) -> str | None:
    """Return the last value of a parameter, or None if it is missing."""
    values = query.get(name)
    return values[-1] if values else None


def _search(query: Query) -> str:
    """Return the text to search for, case-folded."""
    return (last_value(query, "search") or "").casefold()


def _list(query: Query, name: str) -> frozenset[str]:
    """
    Return the values of a parameter, which may be repeated or separated by commas.

    The API's description shows commas; its Python SDK repeats the key.
    """
    return frozenset(part for value in query.get(name, ()) for part in value.split(",") if part)


def _integer(query: Query, name: str, default: int, *, lowest: int, highest: int) -> int:
    """Read an integer; "2.0" is valid, because the API declares the parameters as numbers."""
    text = last_value(query, name)
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
    """Read one of several words."""
    text = last_value(query, name)
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
    """Read an ISO 8601 time, in UTC if it has no offset, as unix seconds."""
    text = last_value(query, name)
    if text is None:
        return default
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadQuery(f'"{name}" must be a valid ISO 8601 date') from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
