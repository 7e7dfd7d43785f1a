"""Read single meetings and recordings, one call each."""

import asyncio
import logging

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from rk_exporter.collector.protocols import Client
from rk_exporter.collector.readings import ReadResult
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MeetingRead:
    """A meeting, and the result of the attempt to read it."""

    meeting: Meeting
    result: ReadResult


@dataclass(frozen=True, slots=True)
class RecordingRead:
    """The result of an attempt to read a recording by its id; None: the API has none."""

    recording_id: str
    outcome: Recording | Failure | None


# None: there is nothing to merge, because the job belongs to the part that keeps the result.
JobResult: TypeAlias = MeetingRead | RecordingRead | None
Job: TypeAlias = Callable[[], Awaitable[JobResult]]


class CallReader:
    """Makes the calls of one pass over the app of that name."""

    def __init__(self, app: str, client: Client, context: PassContext, clock: Clock) -> None:
        self._app = app
        self._client = client
        self._context = context
        self._clock = clock

    async def meeting(self, meeting: Meeting) -> MeetingRead:
        """Return what the call for a meeting shows, or why it failed."""
        try:
            recordings = await self._client.active_recordings(meeting.meeting_id, self._context)
        except ApiError as error:
            logger.debug("%s", error, extra={"app": self._app, "meeting_id": meeting.meeting_id})
            return MeetingRead(meeting, self._failed(meeting, error))
        now = self._clock.wall()
        return MeetingRead(meeting, ReadResult(meeting.meeting_id, now, recordings))

    async def recording(self, recording_id: str) -> RecordingRead:
        """Return what the recording's own endpoint shows."""
        try:
            recording = await self._client.recording(recording_id, self._context)
        except ApiError as error:
            fields = {"app": self._app, "recording_id": recording_id}
            logger.debug("recording could not be read: %s", error, extra=fields)
            return RecordingRead(recording_id, error.failure)
        return RecordingRead(recording_id, recording)

    def _failed(self, meeting: Meeting, error: ApiError) -> ReadResult:
        is_late = asyncio.get_running_loop().time() >= self._context.deadline
        return ReadResult(
            meeting.meeting_id,
            self._clock.wall(),
            error.failure,
            deadline_exceeded=is_late and error.reason is Reason.TIMEOUT,
        )
