"""Meetings and recordings that an event has made due, until they were read."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from rk_exporter.model.ids import canonical


@dataclass(frozen=True, slots=True)
class PendingHints:
    """The hints at the start of a pass: the number of each, by id, in the order of arrival."""

    meetings: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    """By canonical meeting id."""
    recordings: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    discovery: int | None = None
    """The number of the hint to list the live sessions, if there is one."""
    recordings_list: int | None = None
    """The number of the hint to look at the app's list of recordings, if there is one."""
    is_first: bool = True
    """Whether hints come before the rest of the urgent queue, if there is one call for both."""


class Hints:
    """
    The hints for one app.

    However often an event repeats a hint, it asks for one read. There is at most one for each
    known meeting and one for each recording of these, so their number is bounded.
    """

    def __init__(self) -> None:
        self._number = 0
        self._meetings: dict[str, int] = {}
        self._recordings: dict[str, int] = {}
        self._discovery: int | None = None
        self._recordings_list: int | None = None
        self._passes = 0

    @property
    def pending(self) -> PendingHints:
        """Return the hints that were not followed yet."""
        return PendingHints(
            meetings=dict(self._meetings),
            recordings=dict(self._recordings),
            discovery=self._discovery,
            recordings_list=self._recordings_list,
            # Not in every other pass: a pass with one call takes it from the urgent queue so often.
            is_first=self._passes // 2 % 2 == 0,
        )

    def add_meeting(self, meeting_id: str) -> None:
        """Make a meeting due."""
        self._meetings[canonical(meeting_id)] = self._next()

    def add_recording(self, recording_id: str) -> None:
        """Make a recording due that its meeting has stopped showing."""
        self._recordings[recording_id] = self._next()

    def add_discovery(self) -> None:
        """Make the list of live sessions due."""
        self._discovery = self._next()

    def add_recordings_list(self) -> None:
        """Make the app's list of recordings due: it has those that no meeting shows any more."""
        self._recordings_list = self._next()

    def keep_meetings(self, known: Collection[str]) -> None:
        """Drop the hints for meetings that are not among the *known* canonical ids."""
        self._meetings = {key: value for key, value in self._meetings.items() if key in known}

    def settle(
        self,
        pending: PendingHints,
        *,
        meetings: Collection[str],
        recordings: Collection[str],
        has_discovered: bool,
    ) -> None:
        """
        Drop those *pending* hints whose *meetings* (canonical ids) and *recordings* were read.

        The hint to look at the list of recordings was passed on. A hint that was repeated since may
        be about a later change, so it stays.
        """
        self._passes += 1
        self._meetings = _without(self._meetings, pending.meetings, meetings)
        self._recordings = _without(self._recordings, pending.recordings, recordings)
        if has_discovered and self._discovery == pending.discovery:
            self._discovery = None
        if self._recordings_list == pending.recordings_list:
            self._recordings_list = None

    def _next(self) -> int:
        self._number += 1
        return self._number


def _without(
    hints: dict[str, int], pending: Mapping[str, int], read: Collection[str]
) -> dict[str, int]:
    return {
        key: number
        for key, number in hints.items()
        if key not in read or pending.get(key) != number
    }
