"""The parts of the API client that the collector uses."""

from datetime import datetime
from typing import Protocol

from rk_exporter.api.results import LiveSession, Page
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.pass_context import PassContext


class RecordingsClient(Protocol):
    """Reads an app's list of recordings."""

    @property
    def max_concurrency(self) -> int:
        """Return how many calls can run at a time."""
        ...

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        since: datetime | None = None,
    ) -> Page[ListedRecording]:
        """Return a page of the recordings in one *status*, or invoked *since* a time."""
        ...


class DiscoveryClient(Protocol):
    """Reads live sessions and the settings of their meetings."""

    async def live_sessions_page(self, page_no: int, context: PassContext) -> Page[LiveSession]:
        """Return a page of the live sessions."""
        ...

    async def record_on_start(self, meeting_id: str, context: PassContext) -> bool | None:
        """Return whether a meeting is recorded from its start on; None if unknown."""
        ...


class Client(RecordingsClient, DiscoveryClient, Protocol):
    """The API client of one app."""

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        """Return the meeting's recordings in progress."""
        ...

    async def recording(self, recording_id: str, context: PassContext) -> Recording | None:
        """Return a recording; None if the API says that there is none."""
        ...

    async def close(self) -> None:
        """Close all connections."""
