"""The jobs of one pass, by what they read."""

from collections.abc import Sequence
from functools import partial

from rk_exporter.collector.app_parts import AppParts, AppState
from rk_exporter.collector.check_reads import ids_to_read
from rk_exporter.collector.pass_hints import PassHints
from rk_exporter.collector.pass_reads import PassReads
from rk_exporter.collector.planner import plan
from rk_exporter.collector.work_queue import Job
from rk_exporter.model.meeting import Meeting, Reading
from rk_exporter.ratelimit.pass_context import PassContext


class PassJobs:
    """Makes the jobs that are due now, each of which takes one call or a few."""

    def __init__(
        self, parts: AppParts, before: AppState, hints: PassHints, reads: PassReads
    ) -> None:
        self._parts = parts
        self._before = before
        self._hints = hints
        self._reads = reads

    def reads(self, waiting: Sequence[Reading] = ()) -> list[Job]:
        """Return jobs that read the *waiting* meetings and the recordings that are due."""
        tracker, now = self._parts.tracker, self._parts.clock.wall()
        targets = plan(
            waiting,
            now=now,
            overdue=tracker.due(now=now),
            in_progress=tracker.in_progress(),
            urgent_first=self._before.urgent_first,
            hinted=self._hints.targets(waiting, now=now),
        )
        return [
            partial(self._reads.read_meeting, target)
            if isinstance(target, Meeting)
            else partial(self._reads.read_recording, target.recording_id)
            for target in targets
        ]

    def checks(self) -> list[Job]:
        """Return jobs that read recordings whose download URLs are needed for a check."""
        parts = self._parts
        verifier = parts.verifier
        if verifier is None:
            return []
        recordings = self._before.snapshot.recordings
        keys = ids_to_read(verifier, recordings, parts.backfill)
        return [partial(self._reads.read_for_check, verifier, key) for key in keys]

    def backfill(self, context: PassContext) -> list[Job]:
        """Return the job that polls the list of recordings."""
        parts, backfill = self._parts, self._parts.backfill
        if backfill is None or not backfill.is_due(calls_per_second=parts.calls_per_second):
            return []
        return [partial(backfill.poll, context)]

    def settings(self, context: PassContext) -> list[Job]:
        """Return jobs that read the settings of live meetings."""
        discovery = self._parts.discovery
        return discovery.settings_jobs(context) if discovery else []
