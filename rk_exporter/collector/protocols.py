"""What the collector needs of the API's client."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol, TypeAlias

from rk_exporter.api.results import LiveSession, MeetingSettings, Page
from rk_exporter.model.meeting import ListedRecording
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.pass_context import PassContext


class RecordingsPageReader(Protocol):
    """The part of the API's client that it needs."""

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


class DiscoveryReader(Protocol):
    """The part of the API's client that it needs."""

    async def live_sessions_page(self, page_no: int, context: PassContext) -> Page[LiveSession]:
        """Return a page of the live sessions."""
        ...

    async def meeting_settings(self, meeting_id: str, context: PassContext) -> MeetingSettings:
        """Return the settings of a meeting."""
        ...


class Reader(RecordingsPageReader, DiscoveryReader, Protocol):
    """The API's client."""

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        """Return the meeting's recordings."""
        ...

    async def recording(self, recording_id: str, context: PassContext) -> Recording | None:
        """Return a recording."""
        ...

    async def close(self) -> None:
        """Close all connections."""


Job: TypeAlias = Callable[[], Awaitable[None]]
