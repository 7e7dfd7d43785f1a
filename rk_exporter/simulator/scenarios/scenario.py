"""The interface between the simulated API and the scenarios that it answers from."""

import math

from collections.abc import Sequence
from typing import Protocol

from rk_exporter.simulator.scenarios.model import Meeting, Recording, Session


class Scenario(Protocol):
    """
    The content of a simulated account at any time *now*.

    Lists of recordings and sessions are sorted from newest to oldest.
    """

    @property
    def longest_seconds(self) -> float:
        """The longest time that a recording can be in progress; older ones need no check."""
        ...

    def meetings(self) -> Sequence[Meeting]:
        """Return all meetings, oldest first."""
        ...

    def meeting(self, meeting_id: str) -> Meeting | None:
        """Return one meeting."""
        ...

    def recordings(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Recording]:
        """Return the recordings invoked from *since* to *now*, of one meeting or of all."""
        ...

    def active(
        self, meeting_id: str, now: float, linger_seconds: float = 0.0
    ) -> Sequence[Recording]:
        """Return a meeting's recordings in progress or ended less than *linger_seconds* ago."""
        ...

    def recording(self, recording_id: str, now: float) -> Recording | None:
        """Return one recording, if it exists at *now*."""
        ...

    def sessions(
        self, now: float, *, meeting_id: str | None = None, since: float = -math.inf
    ) -> Sequence[Session]:
        """Return the sessions started from *since* to *now*, of one meeting or of all."""
        ...

    def session(self, session_id: str, now: float) -> Session | None:
        """Return one session, if it has started by *now*."""
        ...
