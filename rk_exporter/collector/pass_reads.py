"""What one pass reads of single meetings and recordings, and with which results."""

import asyncio

from functools import partial

from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.pass_hints import PassHints
from rk_exporter.collector.readings import ReadResult
from rk_exporter.collector.work_queue import Job
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Meeting
from rk_exporter.ratelimit.pass_context import PassContext


class PassReads:
    """Reads meetings and recordings by their ids, and keeps the results of the pass."""

    def __init__(self, parts: AppParts, context: PassContext, hints: PassHints) -> None:
        self._parts = parts
        self._context = context
        self._hints = hints
        self.results: dict[str, ReadResult] = {}
        """The result for each meeting that was read, by its id."""
        self.recordings: dict[str, Failure | None] = {}
        """The failure, if any, of each recording that was read by its id."""

    async def read_meeting(self, meeting: Meeting) -> list[Job]:
        """Read a meeting; return jobs for the recordings that it has stopped showing."""
        parts, context, meeting_id = self._parts, self._context, meeting.meeting_id
        try:
            recordings = await parts.client.active_recordings(meeting_id, context)
        except ApiError as error:
            is_late = asyncio.get_running_loop().time() >= context.deadline
            self.results[meeting_id] = ReadResult(
                parts.clock.wall(),
                error.failure,
                deadline_exceeded=is_late and error.reason is Reason.TIMEOUT,
            )
            return []
        self.results[meeting_id] = ReadResult(parts.clock.wall(), recordings)
        missing = parts.tracker.observe_meeting(meeting, recordings)
        return [partial(self.read_recording, recording_id) for recording_id in missing]

    async def read_recording(self, recording_id: str) -> None:
        """Read a recording by its id, unless a later answer has shown it already."""
        parts, now = self._parts, self._parts.clock.wall()
        is_hinted = self._hints.has_recording(recording_id) and recording_id not in self.recordings
        if parts.tracker.due_one(recording_id, now=now, is_hinted=is_hinted) is not None:
            await self._read_by_id(recording_id, self._context)

    async def read_for_check(self, verifier: DownloadVerifier, recording_id: str) -> None:
        """Read a recording whose download URL a check needs, if that need not wait for long."""
        context = self._context.hurried(asyncio.get_running_loop().time())
        await self._read_by_id(recording_id, context)
        verifier.was_read(recording_id)

    async def _read_by_id(self, recording_id: str, context: PassContext) -> None:
        parts, tracker = self._parts, self._parts.tracker
        try:
            recording = await parts.client.recording(recording_id, context)
        except ApiError as error:
            tracker.observe_failure(recording_id)
            self.recordings[recording_id] = error.failure
            return
        self.recordings[recording_id] = None
        if recording is None:
            tracker.observe_missing(recording_id)
        else:
            tracker.observe_details(recording)
