"""What users see of recordings: each that is known, and what became of all of them."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.metrics_core import Metric

from rk_exporter.lives import has_labels
from rk_exporter.metric_families import Labels, counter, gauge, gauges, histogram, info
from rk_exporter.metric_tables import RECORDING_AGE, RECORDING_GAUGES, ReadRecording
from rk_exporter.recordings import Recording, Status, StopReason
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tally import Tally


def recording_families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of the recordings in *snapshot*."""
    read = [each for app in snapshot.apps for each in _read(app, now=snapshot.taken_at)]
    shown = [(labels, each.recording) for labels, each in read]
    yield _status(shown)
    yield from gauges(RECORDING_GAUGES, read)
    yield _download_available(shown)
    yield _stop_reason(shown)
    yield _info(shown)


def tally_families(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return the metric families of what became of the recordings of *apps*."""
    tallies = [({"app": app.app.name}, app.tally) for app in apps]
    yield counter(
        "rk_recordings_started",
        "Recordings that began to record (API field started_time), each counted once when that "
        "became known.",
        ((labels, tally.started) for labels, tally in tallies),
    )
    yield counter(
        "rk_recordings_finished",
        "Recordings that ended, each counted once: uploaded, errored, or vanished, which is that "
        "the API no longer knows it.",
        (
            ({**labels, "outcome": outcome.value}, count)
            for labels, tally in tallies
            for outcome, count in tally.finished.items()
        ),
    )
    yield counter(
        "rk_recording_transitions",
        "Recordings that were in one state at a reading, and in another at the next (API field "
        "status).",
        (
            ({**labels, "from": before.value, "to": after.value}, count)
            for labels, tally in tallies
            for before, onwards in tally.transitions.items()
            for after, count in onwards.items()
        ),
    )
    yield counter(
        "rk_recordings_dropped",
        "Recordings that are no longer shown since there were more than follow.max_recordings.",
        ((labels, tally.dropped) for labels, tally in tallies),
    )
    yield from _delays(tallies)


def _delays(tallies: Sequence[tuple[Labels, Tally]]) -> Iterator[Metric]:
    yield histogram(
        "rk_recording_start_delay_seconds",
        "From when a recording was asked for until it began (API fields invoked_time, "
        "started_time).",
        ((labels, tally.start_delay) for labels, tally in tallies),
    )
    yield histogram(
        "rk_recording_upload_delay_seconds",
        "From when a recording stopped (API field stopped_time) until it was first seen UPLOADED: "
        "an upper bound, since the API does not tell when that was; by as much too long as lay "
        "between the two readings, usually a scrape interval, a minute where none saw it end.",
        ((labels, tally.upload_delay) for labels, tally in tallies),
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
