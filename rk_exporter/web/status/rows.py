"""The rows of the status: which meetings and recordings have one, and which come first."""

import heapq

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from rk_exporter.metrics.meetings import ReadMeeting, read_meetings
from rk_exporter.model.download import FileCheck
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.lifecycle import KnownRecording, ended_at
from rk_exporter.tracking.ranking import began_at
from rk_exporter.web.status.document import Download, RecordingStatus, Row
from rk_exporter.web.status.problems import (
    RANKS,
    Moment,
    Problem,
    is_capturing,
    knows_live_meetings,
    meeting_problems,
    recording_problems,
)


_IN_PROGRESS, _FAILED, _LIVE, _FINISHED, _IDLE = range(5)


@dataclass(frozen=True, slots=True)
class Candidate:
    """The subject of a row: a *known* recording, or only the *meeting* that was *read*."""

    app: AppSnapshot
    meeting: Meeting
    read: ReadMeeting | None
    known: KnownRecording | None
    problems: tuple[Problem, ...]

    @property
    def order(self) -> tuple[int, int, float]:
        """Return the position among all rows: problems first, then what goes on now."""
        problem = RANKS[self.problems[0]] if self.problems else len(RANKS)
        return (problem, *self._order_of_recording())

    def _order_of_recording(self) -> tuple[int, float]:
        known = self.known
        if known is None:
            room = self.read and self.read.reading.room
            return (_LIVE if room and room.is_live else _IDLE), 0.0
        if known.recording.in_progress:
            return _IN_PROGRESS, -began_at(known)
        return (_FAILED if known.has_failed else _FINISHED), -ended_at(known)


def candidates(app: AppSnapshot, now: float) -> list[Candidate]:
    """Return all rows of an app, in no order."""
    moment = Moment(now, app.clock_offset_seconds)
    read = {read.reading.meeting.meeting_id: read for _, read in read_meetings(app)}
    with_recordings = [
        Candidate(
            app,
            known.meeting,
            read.get(known.meeting.meeting_id),
            known,
            tuple(recording_problems(known, moment, _checks(app, known))),
        )
        for known in app.recordings
    ]
    return with_recordings + list(_meetings(app, read.values(), moment))


def _meetings(app: AppSnapshot, read: Iterable[ReadMeeting], moment: Moment) -> Iterator[Candidate]:
    """Return the meetings that have no recording, or a problem of their own."""
    recorded = {known.meeting.meeting_id for known in app.recordings}
    captured = {
        known.meeting.meeting_id for known in app.recordings if is_capturing(known.recording)
    }
    are_live_known = knows_live_meetings(app.discovery, moment.now)
    for meeting in read:
        reading, meeting_id = meeting.reading, meeting.reading.meeting.meeting_id
        problems = tuple(
            meeting_problems(
                reading,
                is_unrecorded=are_live_known
                and meeting_id not in captured
                and not any(map(is_capturing, reading.recordings or ())),
                is_due=app.last_pass_timestamp_seconds is not None,
                now=moment.now,
            )
        )
        if problems or meeting_id not in recorded:
            yield Candidate(app, reading.meeting, meeting, None, problems)


def first(
    found: Sequence[Candidate], problem: Problem | None, *, most: int
) -> tuple[int, list[Candidate]]:
    """Return how many rows have the *problem*, and the first of them; None is any or none."""
    matching = [row for row in found if problem is None or problem in row.problems]
    return len(matching), heapq.nsmallest(most, matching, key=lambda row: row.order)


def count_problems(found: Iterable[Candidate]) -> dict[str, int]:
    """Return how many rows have each problem."""
    counts = Counter(problem for row in found for problem in row.problems)
    return {problem.value: counts[problem] for problem in Problem}


def row(candidate: Candidate, now: float) -> Row:
    """Return a row of the document."""
    read, known = candidate.read, candidate.known
    reading = read.reading if read else None
    failure = reading.failure if reading else None
    last_success = (
        known.read_at if known else reading.last_success_timestamp_seconds if reading else None
    )
    is_counted = read is not None and read.reading.recordings is not None
    return Row(
        app=candidate.app.app.name,
        meeting_id=candidate.meeting.meeting_id,
        meeting_name=candidate.meeting.name,
        meeting_up=reading.up if reading else None,
        active_recordings=read.in_progress if read and is_counted else None,
        live_participants=reading.room.participants if reading and reading.room else None,
        recording=_recording(known, candidate.app, now) if known else None,
        last_success_timestamp_seconds=last_success,
        age_seconds=None if last_success is None else max(0.0, now - last_success),
        problems=list(candidate.problems),
        failure_reason=failure.reason.value if failure else None,
        failure=failure.explanation if failure else None,
        remedy=REMEDIES[failure.reason] if failure else None,
    )


def _checks(app: AppSnapshot, known: KnownRecording) -> Sequence[FileCheck]:
    return app.downloads.by_recording.get(known.recording_id, ()) if app.downloads else ()


def _is_archived(app: AppSnapshot, known: KnownRecording) -> bool | None:
    copies = app.archive.copies if app.archive else None
    return copies.has(known.recording_id) if copies else None


def _recording(known: KnownRecording, app: AppSnapshot, now: float) -> RecordingStatus:
    recording, read = known.recording, Moment(now, app.clock_offset_seconds).read(known)
    return RecordingStatus(
        recording_id=recording.recording_id,
        state=recording.status.value,
        kind=recording.kind.value,
        outcome=known.outcome and known.outcome.value,
        session_id=recording.session_id,
        output_file_name=recording.output_file_name,
        invoked_timestamp_seconds=recording.invoked_timestamp_seconds,
        started_timestamp_seconds=recording.started_timestamp_seconds,
        stopped_timestamp_seconds=recording.stopped_timestamp_seconds,
        duration_seconds=read.duration_seconds,
        file_size_bytes=recording.file_size_bytes,
        download_url_expiry_timestamp_seconds=recording.download_url_expiry_timestamp_seconds,
        download_url_expires_in_seconds=read.expires_in_seconds,
        stop_reason=recording.stop_reason and recording.stop_reason.value,
        downloads=[
            Download(
                kind=check.kind.value,
                is_verified=check.failure is None,
                failure_reason=check.failure and check.failure.value,
                size_bytes=check.size_bytes,
                last_check_timestamp_seconds=check.checked_at,
            )
            for check in _checks(app, known)
        ],
        is_archived=_is_archived(app, known),
    )
