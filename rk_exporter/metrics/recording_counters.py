"""Counters of what becomes of recordings."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.builders import LabelSet, counter, histogram
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.counters import RecordingCounters


def counter_families(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return the counters and histograms of the recordings of *apps*."""
    counted = [(LabelSet(rk_app=app.app.name), app.counters) for app in apps]
    yield counter(
        "rk_recordings_started",
        "Recordings that started to record (API field started_time), each counted once.",
        ((labels, counters.started) for labels, counters in counted),
    )
    yield counter(
        "rk_recordings_finished",
        "Recordings that ended, each counted once: uploaded, errored, upload_failed (ERRORED after "
        "the recording had stopped or was UPLOADING), or vanished (unknown to the API).",
        (
            (labels.plus(outcome=outcome.value), count)
            for labels, counters in counted
            for outcome, count in counters.finished.items()
        ),
    )
    yield counter(
        "rk_recording_transitions",
        "State changes of recordings between two reads (API field status).",
        (
            (labels.plus(**{"from": before.value, "to": after.value}), count)
            for labels, counters in counted
            for before, onwards in counters.transitions.items()
            for after, count in onwards.items()
        ),
    )
    yield counter(
        "rk_recordings_dropped",
        "Recordings that the exporter has forgotten because it knows more than 100,000 of the app.",
        ((labels, counters.dropped) for labels, counters in counted),
    )
    yield from _recorded(counted)
    yield from _delays(counted)


def _recorded(counted: Sequence[tuple[LabelSet, RecordingCounters]]) -> Iterator[Metric]:
    yield counter(
        "rk_recorded_seconds",
        "Length of the uploaded recordings (API field recording_duration; if absent or 0, "
        "stopped_time minus started_time), each counted once when it is UPLOADED.",
        (
            (labels.plus(kind=kind.value), seconds)
            for labels, counters in counted
            for kind, seconds in counters.recorded_seconds.items()
        ),
    )
    yield counter(
        "rk_recorded_bytes",
        "Size of the files of uploaded recordings (API field file_size), each counted once when "
        "the recording is UPLOADED.",
        (
            (labels.plus(kind=kind.value), size)
            for labels, counters in counted
            for kind, size in counters.recorded_bytes.items()
        ),
    )


def _delays(counted: Sequence[tuple[LabelSet, RecordingCounters]]) -> Iterator[Metric]:
    yield histogram(
        "rk_recording_start_delay_seconds",
        "Time from the request for a recording to its start (API fields invoked_time, "
        "started_time).",
        ((labels, counters.start_delay) for labels, counters in counted),
    )
    yield histogram(
        "rk_recording_upload_delay_seconds",
        "Time from the end of a recording (API field stopped_time) to the first read that showed "
        "it UPLOADED. The API does not report when that happened, so the value is too long by at "
        "most the time between two reads: usually a scrape interval, a minute for recordings that "
        "no read saw ending.",
        ((labels, counters.upload_delay) for labels, counters in counted),
    )
