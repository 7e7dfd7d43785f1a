"""What users see of recordings: each that is known, and what became of all of them."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.builders import Gauge, Labels, counter, gauge, gauges, histogram, info
from rk_exporter.model.recording import Recording, Status, StopReason
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.counters import RecordingCounters
from rk_exporter.tracking.lifecycle import has_labels


RECORDING_AGE = "As old as rk_recording_last_success_timestamp_seconds."


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRecording:
    """
    A recording as it was read; times are in unix seconds.

    Its own timestamps are by the API's clock, so what is measured against them is as well.
    """

    recording: Recording
    read_at: float
    api_read_at: float
    api_now: float

    @property
    def expires_in_seconds(self) -> float | None:
        """Return how long its download URL is good for, negative after that."""
        expires_at = self.recording.download_url_expiry_timestamp_seconds
        return None if expires_at is None else expires_at - self.api_now


RECORDING_GAUGES: tuple[Gauge[ReadRecording], ...] = (
    Gauge(
        "rk_recording_file_size_bytes",
        f"Size of the recording's file (API field file_size). {RECORDING_AGE}",
        lambda read: read.recording.file_size_bytes,
    ),
    Gauge(
        "rk_recording_duration_seconds",
        "Length of the recording (API field recording_duration; where that is absent or 0, "
        "stopped_time or the time of the reading, minus started_time). " + RECORDING_AGE,
        lambda read: read.recording.duration_seconds(as_of=read.api_read_at),
    ),
    Gauge(
        "rk_recording_download_url_expiry_timestamp_seconds",
        f"When the download URL expires (API field download_url_expiry). {RECORDING_AGE}",
        lambda read: read.recording.download_url_expiry_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_download_url_expires_in_seconds",
        "Time until the download URL expires (API field download_url_expiry), negative after it. "
        + RECORDING_AGE,
        lambda read: read.expires_in_seconds,
    ),
    Gauge(
        "rk_recording_invoked_timestamp_seconds",
        f"When the recording was asked for (API field invoked_time). {RECORDING_AGE}",
        lambda read: read.recording.invoked_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_started_timestamp_seconds",
        f"When the recording began (API field started_time). {RECORDING_AGE}",
        lambda read: read.recording.started_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_stopped_timestamp_seconds",
        f"When the recording ended (API field stopped_time). {RECORDING_AGE}",
        lambda read: read.recording.stopped_timestamp_seconds,
    ),
    Gauge(
        "rk_recording_last_success_timestamp_seconds",
        "When the recording was last read. One that has ended is read every few hours only.",
        lambda read: read.read_at,
    ),
)


def recording_families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of the recordings in *snapshot*."""
    read = [each for app in snapshot.apps for each in _read(app, now=snapshot.taken_at)]
    shown = [(labels, each.recording) for labels, each in read]
    yield _status(shown)
    yield from gauges(RECORDING_GAUGES, read)
    yield _download_available(shown)
    yield _stop_reason(shown)
    yield _info(shown)


def counter_families(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return the metric families of what became of the recordings of *apps*."""
    tallies = [({"app": app.app.name}, app.counters) for app in apps]
    yield counter(
        "rk_recordings_started",
        "Recordings that began to record (API field started_time), each counted once when that "
        "became known.",
        ((labels, counters.started) for labels, counters in tallies),
    )
    yield counter(
        "rk_recordings_finished",
        "Recordings that ended, each counted once: uploaded, errored, or vanished, which is that "
        "the API no longer knows it.",
        (
            ({**labels, "outcome": outcome.value}, count)
            for labels, counters in tallies
            for outcome, count in counters.finished.items()
        ),
    )
    yield counter(
        "rk_recording_transitions",
        "Recordings that were in one state at a reading, and in another at the next (API field "
        "status).",
        (
            ({**labels, "from": before.value, "to": after.value}, count)
            for labels, counters in tallies
            for before, onwards in counters.transitions.items()
            for after, count in onwards.items()
        ),
    )
    yield counter(
        "rk_recordings_dropped",
        "Recordings that are no longer shown since there were more than follow.max_recordings.",
        ((labels, counters.dropped) for labels, counters in tallies),
    )
    yield from _delays(tallies)


def _delays(tallies: Sequence[tuple[Labels, RecordingCounters]]) -> Iterator[Metric]:
    yield histogram(
        "rk_recording_start_delay_seconds",
        "From when a recording was asked for until it began (API fields invoked_time, "
        "started_time).",
        ((labels, counters.start_delay) for labels, counters in tallies),
    )
    yield histogram(
        "rk_recording_upload_delay_seconds",
        "From when a recording stopped (API field stopped_time) until it was first seen UPLOADED: "
        "an upper bound, since the API does not tell when that was; by as much too long as lay "
        "between the two readings, usually a scrape interval, a minute where none saw it end.",
        ((labels, counters.upload_delay) for labels, counters in tallies),
    )


def _read(app: AppSnapshot, *, now: float) -> Iterator[tuple[Labels, ReadRecording]]:
    offset = app.clock_offset_seconds
    for known in app.recordings:
        labels = {
            "app": app.app.name,
            "meeting_id": known.meeting.meeting_id,
            "recording_id": known.recording_id,
        }
        yield (
            labels,
            ReadRecording(
                recording=known.recording,
                read_at=known.read_at,
                api_read_at=known.read_at + offset,
                api_now=now + offset,
            ),
        )


def _status(shown: Iterable[tuple[Labels, Recording]]) -> Metric:
    return gauge(
        "rk_recording_status",
        "1 for the state that the recording is in (API field status), 0 for the others; UNKNOWN "
        "is any that the API does not document. " + RECORDING_AGE,
        (
            ({**labels, "status": status.value}, recording.status is status)
            for labels, recording in shown
            for status in Status
        ),
    )


def _download_available(shown: Iterable[tuple[Labels, Recording]]) -> Metric:
    return gauge(
        "rk_recording_download_available",
        "Whether the API gives a URL to download the file: composite is the recording (API field "
        "download_url), audio its sound alone (audio_download_url). " + RECORDING_AGE,
        (
            ({**labels, "kind": kind}, is_there)
            for labels, recording in shown
            for kind, is_there in (
                ("composite", recording.has_download_url),
                ("audio", recording.has_audio_download_url),
            )
        ),
    )


def _stop_reason(shown: Iterable[tuple[Labels, Recording]]) -> Metric:
    return gauge(
        "rk_recording_stop_reason",
        "1 for what ended the recording (API field stop_reason), 0 for the others; UNKNOWN is any "
        "that the API does not document. Told of recordings whose end was seen.",
        (
            ({**labels, "reason": reason.value}, recording.stop_reason is reason)
            for labels, recording in shown
            if recording.stop_reason is not None
            for reason in StopReason
        ),
    )


def _info(shown: Iterable[tuple[Labels, Recording]]) -> Metric:
    return info(
        "rk_recording",
        "The recording's session and file (API fields session_id, output_file_name), and its kind: "
        "composite, or track where each participant has a file. " + RECORDING_AGE,
        (
            {
                **labels,
                "session_id": recording.session_id or "",
                "output_file_name": recording.output_file_name or "",
                "kind": "track" if recording.is_track else "composite",
            }
            for labels, recording in shown
            if has_labels(recording)
        ),
    )
