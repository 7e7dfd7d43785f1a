"""An account with 5,000 meetings and 10,000 recordings: its exposition at any time of a day."""

from dataclasses import replace
from itertools import chain

from prometheus_client import CollectorRegistry, ProcessCollector

from dashboards.variables import ALL, LATEST_MEETINGS
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.meeting import App, DiscoveryState, Meeting, Reading, Room
from rk_exporter.model.recording import Outcome, Recording, Status, StopReason
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import URL_LIFETIME_SECONDS, KnownRecording
from rk_exporter.tracking.totals import RecordingTotals


MEETINGS = 5000
RECORDINGS = 10_000
FAILED = 500
STUCK = 20
UNRECORDED = 50
_RUNNING = 400
_HOUR, _DAY = 3600.0, 86_400.0
_START_SECONDS, _LENGTH_SECONDS, _UPLOAD_SECONDS = 2.0, 1800.0, 60.0
# Its exporter started 100 days before.
_AGE_SECONDS = 100 * _DAY


class LargeAccount:
    """
    The account, whose day ends at *end* (unix seconds), after which nothing begins.

    The failed recordings have failed within the day, so that all of their alerts fire at its end
    and for an hour.
    """

    def __init__(self, end: float) -> None:
        self._end = end
        self._families = SnapshotFamilies()
        # Queries ask which exporter started last.
        self._process = CollectorRegistry()
        ProcessCollector(registry=self._process)
        self._meetings = [
            Meeting(_uuid(0, number), f"weekly review {number}") for number in range(MEETINGS)
        ]
        self._begins = [self._begin(number) for number in range(RECORDINGS)]
        self._known: dict[int, KnownRecording] = {}

    def exposition(self, now: float) -> bytes:
        """Return the exposition at a time of the day."""
        families = self._families(Snapshot((self._app(now),), now))
        return encode(chain(families, self._process.collect()), Format.TEXT)

    def _begin(self, number: int) -> float:
        """Return when a recording begins: failed ones first, then stuck, running, others."""
        rank = number - FAILED
        if rank < 0:
            return self._end - 22 * _HOUR * (number + 1) / FAILED - 300
        if rank < STUCK:
            return self._end - 900
        if rank < STUCK + _RUNNING:
            return self._end - 0.8 * _LENGTH_SECONDS * (rank - STUCK + 1) / _RUNNING
        return self._end - _LENGTH_SECONDS - 900 - 7 * _DAY * rank / RECORDINGS

    def _app(self, now: float) -> AppSnapshot:
        recordings = tuple(
            self._recording(number, now)
            for number, begin in enumerate(self._begins)
            if begin <= now < begin + _LENGTH_SECONDS + URL_LIFETIME_SECONDS + _DAY
        )
        recorded = {known.meeting.meeting_id for known in recordings if known.recording.in_progress}
        readings = tuple(self._reading(meeting, now, recorded) for meeting in self._meetings)
        by_status = dict.fromkeys(Status, 0)
        for known in recordings:
            by_status[known.recording.status] += 1
        return AppSnapshot(
            app=App("production", "023e105f4ecef8ad9ca31a8372d0c353", "app"),
            readings=readings,
            recordings=recordings,
            up=True,
            deferred=0,
            duration_seconds=1.0,
            discovery=DiscoveryState(last_success_timestamp_seconds=now),
            totals=RecordingTotals(by_status=by_status),
            counters=self._counters(now),
        )

    def _reading(self, meeting: Meeting, now: float, recorded: set[str]) -> Reading:
        number = int(meeting.meeting_id[:8], 16)
        is_live = meeting.meeting_id in recorded or number >= MEETINGS - UNRECORDED
        return Reading(
            meeting=meeting,
            recordings=(),
            last_attempt_timestamp_seconds=now,
            last_success_timestamp_seconds=now,
            room=Room(is_live=is_live, participants=3 if is_live else 0, record_on_start=True),
        )

    def _recording(self, number: int, now: float) -> KnownRecording:
        """Return a recording as the exporter knows it; finished ones are not read again."""
        known = self._known.get(number)
        if known and known.is_finished:
            return known
        recording = self._at(number, now)
        meeting = self._meetings[number % (MEETINGS - UNRECORDED)]
        known = KnownRecording(meeting=meeting, recording=recording, read_at=now)
        if recording.status is Status.UPLOADED:
            known = replace(known, outcome=Outcome.UPLOADED)
        self._known[number] = known
        return known

    def _at(self, number: int, now: float) -> Recording:
        begin = self._begins[number]
        recording = Recording(
            recording_id=_uuid(1, number),
            status=Status.INVOKED,
            session_id=_uuid(2, number),
            output_file_name=f"{_uuid(1, number)}_{begin:.0f}.mp4",
            invoked_timestamp_seconds=begin,
        )
        age = now - begin
        if number < FAILED:
            return replace(recording, status=Status.ERRORED) if age > _UPLOAD_SECONDS else recording
        if number < FAILED + STUCK or age <= _START_SECONDS:
            return recording
        started = replace(recording, started_timestamp_seconds=begin + _START_SECONDS)
        if age <= _LENGTH_SECONDS or number < FAILED + STUCK + _RUNNING:
            return replace(started, status=Status.RECORDING)
        stopped = replace(
            started, status=Status.UPLOADING, stopped_timestamp_seconds=begin + _LENGTH_SECONDS
        )
        if age <= _LENGTH_SECONDS + _UPLOAD_SECONDS:
            return stopped
        return replace(
            stopped,
            status=Status.UPLOADED,
            file_size_bytes=150_000_000,
            reported_duration_seconds=_LENGTH_SECONDS - _START_SECONDS,
            download_url_expiry_timestamp_seconds=begin + _LENGTH_SECONDS + URL_LIFETIME_SECONDS,
            has_download_url=True,
            has_audio_download_url=True,
            stop_reason=StopReason.API_CALL,
        )

    def _counters(self, now: float) -> RecordingCounters:
        """Return counters that grow as steadily as recordings begin."""
        ended = int((now - self._end + _AGE_SECONDS) / (7 * _DAY) * RECORDINGS)
        failed = ended * FAILED // RECORDINGS
        finished = {
            **RecordingCounters().finished,
            Outcome.UPLOADED: ended - failed,
            Outcome.ERRORED: failed,
        }
        return replace(RecordingCounters(), started=ended, finished=finished)


def _uuid(kind: int, number: int) -> str:
    return f"{number:08x}-0000-4000-8000-{kind:012x}"


CHOSEN = {"meeting": _uuid(0, FAILED + STUCK), "recording": ALL}
"""The variables of a dashboard for one recording, which runs."""
SELECTED = {"latest": [_uuid(0, FAILED + STUCK + number) for number in range(LATEST_MEETINGS)]}
"""The values of variables that select several meetings."""
