"""The live sessions of an app, and the meetings that they make live."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from rk_exporter.api.results import LiveSession


# An API that has a new session on each page, without an end, must not keep the exporter busy.
MOST_SESSIONS = 10_000


@dataclass(frozen=True, slots=True)
class LiveMeeting:
    """A meeting with at least one live session; *participants* are those of all its sessions."""

    meeting_id: str
    name: str | None
    participants: int | None


class LiveSessions:
    """
    The sessions that are live, as far as the lists so far say it.

    A session that a list does not have may still be live: it may have moved to another page, or it
    may be the one that cannot be read. So it stays for another list, or for a while.
    """

    def __init__(self) -> None:
        self._sessions: dict[str, LiveSession] = {}
        self._overlooked: set[str] = set()
        self._missing_since: dict[str, float] = {}
        self.meetings: Mapping[str, LiveMeeting] = {}
        """The meetings of the sessions, by their ids."""

    def add(self, found: Mapping[str, LiveSession]) -> None:
        """Add what a list that has not ended has *found*; only a whole one drops sessions."""
        for session_id, session in found.items():
            # With a list that never ends, there would be more and more.
            if session_id in self._sessions or len(self._sessions) < MOST_SESSIONS:
                self._sessions[session_id] = session
        self.meetings = live_meetings(self._sessions.values())

    def update(self, listed: Mapping[str, LiveSession], *, has_pages: bool) -> None:
        """
        Take over the sessions that a whole list has.

        If the list *has_pages*, a session may move to a page that was already read. So one that is
        missing for the first time counts as live.
        """
        overlooked = self._sessions.keys() - listed.keys() - self._overlooked
        self._overlooked = overlooked if has_pages else set()
        self._missing_since = {}
        self._keep(listed, self._overlooked)

    def update_in_part(
        self, listed: Mapping[str, LiveSession], *, now: float, keep_seconds: float
    ) -> None:
        """
        Take over the sessions of a list in which some cannot be read: any may be one of those.

        So the missing ones stay for *keep_seconds*, but not for as long as there are such lists.
        """
        missing = self._sessions.keys() - listed.keys()
        since = {key: self._missing_since.get(key, now) for key in missing}
        self._missing_since = {key: at for key, at in since.items() if now - at <= keep_seconds}
        self._overlooked = set()
        self._keep(listed, self._missing_since)

    def _keep(self, listed: Mapping[str, LiveSession], kept: Iterable[str]) -> None:
        """Take the *listed* sessions, and keep others by their ids."""
        self._sessions = {**listed, **{key: self._sessions[key] for key in kept}}
        self.meetings = live_meetings(self._sessions.values())


def seen_again(before: LiveSession | None, session: LiveSession) -> LiveSession:
    """Return a *session* that may be on two pages of a list; what is unknown replaces nothing."""
    if before is None:
        return session
    is_unknown = session.participants is None
    return replace(
        session,
        meeting_name=session.meeting_name or before.meeting_name,
        participants=before.participants if is_unknown else session.participants,
    )


def live_meetings(sessions: Iterable[LiveSession]) -> dict[str, LiveMeeting]:
    """
    Return the meetings of *sessions*, by their ids, whatever the order of the sessions is.

    A meeting may have several live sessions, for example one that people have left but that has not
    ended. Its people are those of all of them, and its name is the first in the order of their ids.
    """
    meetings: dict[str, LiveMeeting] = {}
    for session in sorted(sessions, key=lambda session: session.session_id):
        key = session.meeting_id
        before = meetings.get(key, LiveMeeting(key, None, None))
        known = [n for n in (before.participants, session.participants) if n is not None]
        name = before.name or session.meeting_name
        meetings[key] = LiveMeeting(key, name, sum(known) if known else None)
    return meetings
