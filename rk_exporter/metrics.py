"""
What users see: a snapshot as metric families.

The families are built afresh from each snapshot by pure functions. Absent is not zero: what was
not measured gives no sample (Prometheus, "Writing exporters", "Failed scrapes").
"""

import platform

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric
from prometheus_client.samples import Sample

from rk_exporter import __version__
from rk_exporter.recordings import AppSnapshot, Reading, Recording, Snapshot, Status


Labels = dict[str, str]

_AGE = "As old as rk_meeting_last_success_timestamp_seconds."


@dataclass(frozen=True, slots=True)
class _RecordingRow:
    """A recording with its labels, which all its samples share."""

    labels: Labels
    recording: Recording
    as_of: float
    """Unix seconds of the reading, for values that grow while nobody looks."""


RecordingValue = Callable[[Recording, float], float | None]

_RECORDING_GAUGES: tuple[tuple[str, str, RecordingValue], ...] = (
    (
        "rk_recording_file_size_bytes",
        f"Size of the recording's file (API field file_size). {_AGE}",
        lambda recording, _: recording.file_size_bytes,
    ),
    (
        "rk_recording_duration_seconds",
        "Length of the recording (API field recording_duration; where that is absent or 0, "
        "stopped_time or the time of the reading, minus started_time). " + _AGE,
        lambda recording, as_of: recording.duration_seconds(as_of=as_of),
    ),
    (
        "rk_recording_download_url_expiry_timestamp_seconds",
        f"When the download URL expires (API field download_url_expiry). {_AGE}",
        lambda recording, _: recording.download_url_expiry_timestamp_seconds,
    ),
    (
        "rk_recording_invoked_timestamp_seconds",
        f"When the recording was asked for (API field invoked_time). {_AGE}",
        lambda recording, _: recording.invoked_timestamp_seconds,
    ),
    (
        "rk_recording_started_timestamp_seconds",
        f"When the recording began (API field started_time). {_AGE}",
        lambda recording, _: recording.started_timestamp_seconds,
    ),
    (
        "rk_recording_stopped_timestamp_seconds",
        f"When the recording ended (API field stopped_time). {_AGE}",
        lambda recording, _: recording.stopped_timestamp_seconds,
    ),
)

_MEETING_GAUGES: tuple[tuple[str, str, Callable[[Reading], float | None]], ...] = (
    (
        "rk_meeting_active_recordings",
        "The meeting's recordings that are INVOKED, RECORDING, PAUSED or UPLOADING; 0 where the "
        "API says that there is none. " + _AGE,
        lambda reading: (
            None
            if reading.recordings is None
            else sum(recording.in_progress for recording in reading.recordings)
        ),
    ),
    (
        "rk_meeting_up",
        "Whether the last attempt to read the meeting succeeded; having no recording is a success.",
        lambda reading: reading.up,
    ),
    (
        "rk_meeting_last_success_timestamp_seconds",
        "When the meeting was last read.",
        lambda reading: reading.last_success_timestamp_seconds,
    ),
)

_APP_GAUGES: tuple[tuple[str, str, Callable[[AppSnapshot], float | None]], ...] = (
    (
        "rk_up",
        "Whether the last pass could reach the API and was let in: at least one call succeeded.",
        lambda app: app.up,
    ),
    (
        "rk_meetings",
        "Meetings in the list.",
        lambda app: len(app.readings),
    ),
    (
        "rk_meetings_deferred",
        "Meetings that the last pass did not read, for want of time.",
        lambda app: app.deferred,
    ),
    (
        "rk_scrape_duration_seconds",
        "How long the last pass over the app's meetings took.",
        lambda app: app.duration_seconds,
    ),
)


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Return the metric families of *snapshot*, always all of them and in the same order."""
    rows = list(_recording_rows(snapshot))
    yield _recording_status(rows)
    for name, documentation, value in _RECORDING_GAUGES:
        yield _gauge(
            name, documentation, ((row.labels, value(row.recording, row.as_of)) for row in rows)
        )
    yield _expires_in(rows, now=snapshot.taken_at)
    yield _recording_info(rows)
    readings = [
        ({"app": app.app.name, "meeting_id": reading.meeting.meeting_id}, reading)
        for app in snapshot.apps
        for reading in app.readings
    ]
    yield _meeting_info(readings)
    for name, documentation, meeting_value in _MEETING_GAUGES:
        yield _gauge(
            name, documentation, ((labels, meeting_value(each)) for labels, each in readings)
        )
    apps = [({"app": app.app.name}, app) for app in snapshot.apps]
    for name, documentation, app_value in _APP_GAUGES:
        yield _gauge(name, documentation, ((labels, app_value(each)) for labels, each in apps))
    yield _app_info(snapshot)
    yield _build_info()


def _recording_rows(snapshot: Snapshot) -> Iterator[_RecordingRow]:
    for app in snapshot.apps:
        for reading in app.readings:
            as_of = reading.last_success_timestamp_seconds or snapshot.taken_at
            for recording in reading.recordings or ():
                labels = {
                    "app": app.app.name,
                    "meeting_id": reading.meeting.meeting_id,
                    "recording_id": recording.recording_id,
                }
                yield _RecordingRow(labels, recording, as_of)


def _recording_status(rows: Iterable[_RecordingRow]) -> Metric:
    return _gauge(
        "rk_recording_status",
        "1 for the state that the recording is in (API field status), 0 for the others; UNKNOWN "
        "is any that the API does not document. " + _AGE,
        (
            ({**row.labels, "status": status.value}, row.recording.status is status)
            for row in rows
            for status in Status
        ),
    )


def _expires_in(rows: Iterable[_RecordingRow], *, now: float) -> Metric:
    def remaining(recording: Recording) -> float | None:
        expiry = recording.download_url_expiry_timestamp_seconds
        return None if expiry is None else expiry - now

    return _gauge(
        "rk_recording_download_url_expires_in_seconds",
        "Time until the download URL expires (API field download_url_expiry), negative after it. "
        + _AGE,
        ((row.labels, remaining(row.recording)) for row in rows),
    )


def _recording_info(rows: Iterable[_RecordingRow]) -> Metric:
    return _info(
        "rk_recording",
        f"The recording's session and file (API fields session_id, output_file_name). {_AGE}",
        (
            {
                **row.labels,
                "session_id": row.recording.session_id or "",
                "output_file_name": row.recording.output_file_name or "",
            }
            for row in rows
        ),
    )


def _meeting_info(readings: Iterable[tuple[Labels, Reading]]) -> Metric:
    return _info(
        "rk_meeting",
        "The meeting's name in the configuration; its id where it has none.",
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
