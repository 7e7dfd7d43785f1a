"""
What users see: a snapshot as metric families.

The families are built afresh from each snapshot by pure functions. Absent is not zero: what was
not measured gives no sample (Prometheus, "Writing exporters", "Failed scrapes").
"""

import platform

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rk_exporter import __version__
from rk_exporter.metric_tables import (
    AGE,
    APP_GAUGES,
    DISCOVERY_GAUGES,
    FILE_GAUGES,
    MEETING_GAUGES,
    POLICY_GAUGES,
    RECORDING_GAUGES,
    ROOM_GAUGES,
    SPENDING_GAUGES,
    Gauge,
    ReadRecording,
)
from rk_exporter.recordings import Reading, Recording, Snapshot, Status


T = TypeVar("T")
Labels = dict[str, str]


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of *snapshot*, always all of them and in the same order."""
    recordings = list(_recordings(snapshot))
    yield _recording_status(recordings)
    yield from _gauges(RECORDING_GAUGES, recordings)
    yield _expires_in(recordings, now=snapshot.taken_at)
    yield _recording_info(recordings)
    readings = [
        ({"app": app.app.name, "meeting_id": reading.meeting.meeting_id}, reading)
        for app in snapshot.apps
        for reading in app.readings
    ]
    yield _meeting_info(readings)
    yield from _gauges(MEETING_GAUGES, readings)
    rooms = [(labels, reading.room) for labels, reading in readings if reading.room]
    yield from _gauges(ROOM_GAUGES, rooms)
    apps = [({"app": app.app.name}, app) for app in snapshot.apps]
    yield from _gauges(APP_GAUGES, apps)
    discoveries = [(labels, app.discovery) for labels, app in apps if app.discovery]
    yield from _gauges(DISCOVERY_GAUGES, discoveries)
    spendings = [(labels, app.spending) for labels, app in apps if app.spending]
    yield from _gauges(SPENDING_GAUGES, spendings)
    policies = [
        ({**labels, "policy": policy.policy}, policy)
        for labels, spending in spendings
        for policy in spending.policies
    ]
    yield from _gauges(POLICY_GAUGES, policies)
    yield from _gauges(
        FILE_GAUGES,
        [({**labels, "file": file.path}, file) for labels, app in apps for file in app.files],
    )
    yield _app_info(snapshot)
    yield _build_info()


def _recordings(snapshot: Snapshot) -> Iterator[tuple[Labels, ReadRecording]]:
    for app in snapshot.apps:
        for reading in app.readings:
            as_of = reading.last_success_timestamp_seconds or snapshot.taken_at
            for recording in reading.recordings or ():
                labels = {
                    "app": app.app.name,
                    "meeting_id": reading.meeting.meeting_id,
                    "recording_id": recording.recording_id,
                }
                yield labels, ReadRecording(recording, as_of)


def _recording_status(recordings: Iterable[tuple[Labels, ReadRecording]]) -> Metric:
    return _gauge(
        "rk_recording_status",
        "1 for the state that the recording is in (API field status), 0 for the others; UNKNOWN "
        "is any that the API does not document. " + AGE,
        (
            ({**labels, "status": status.value}, read.recording.status is status)
            for labels, read in recordings
            for status in Status
        ),
    )


def _expires_in(recordings: Iterable[tuple[Labels, ReadRecording]], *, now: float) -> Metric:
    def remaining(recording: Recording) -> float | None:
        expiry = recording.download_url_expiry_timestamp_seconds
        return None if expiry is None else expiry - now

    return _gauge(
        "rk_recording_download_url_expires_in_seconds",
        "Time until the download URL expires (API field download_url_expiry), negative after it. "
        + AGE,
        ((labels, remaining(read.recording)) for labels, read in recordings),
    )


def _recording_info(recordings: Iterable[tuple[Labels, ReadRecording]]) -> Metric:
    return _info(
        "rk_recording",
        f"The recording's session and file (API fields session_id, output_file_name). {AGE}",
        (
            {
                **labels,
                "session_id": read.recording.session_id or "",
                "output_file_name": read.recording.output_file_name or "",
            }
            for labels, read in recordings
        ),
    )


def _meeting_info(readings: Iterable[tuple[Labels, Reading]]) -> Metric:
    return _info(
        "rk_meeting",
        "The meeting's name in the configuration, in a file or of its session; its id without one.",
        ({**labels, "name": reading.meeting.name} for labels, reading in readings),
    )


def _app_info(snapshot: Snapshot) -> Metric:
    return _info(
        "rk_app",
        "The app's account and id, and how its recordings are read.",
        (
            {
                "app": app.app.name,
                "account_id": app.app.account_id,
                "app_id": app.app.app_id,
                "read": app.read_mode.value,
            }
            for app in snapshot.apps
        ),
    )


def _build_info() -> Metric:
    return _info(
        "rk_exporter_build",
        "The exporter's version.",
        [{"version": __version__, "python_version": platform.python_version()}],
    )


def _gauges(gauges: Iterable[Gauge[T]], measured: Sequence[tuple[Labels, T]]) -> Iterator[Metric]:
    for gauge in gauges:
        samples = ((labels, gauge.value(each)) for labels, each in measured)
        yield _gauge(gauge.name, gauge.documentation, samples)


def _gauge(name: str, documentation: str, samples: Iterable[tuple[Labels, float | None]]) -> Metric:
    """Return a gauge with a sample for each value that is not None."""
    family = Metric(name, documentation, "gauge")
    family.samples = [
        Sample(name, labels, float(value)) for labels, value in samples if value is not None
    ]
    return family


def _info(name: str, documentation: str, labels: Iterable[Labels]) -> Metric:
    family = Metric(name, documentation, "info")
    family.samples = [Sample(f"{name}_info", each, 1.0) for each in labels]
    return family
