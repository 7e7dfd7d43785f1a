"""Metrics of downloads, which exist only if an app's downloads are verified."""

from collections.abc import Iterator, Sequence

from prometheus_client.metrics_core import Metric

from rk_exporter.downloads.schedule import has_expired
from rk_exporter.metrics.builders import Gauge, LabelSet, counter, gauges, info
from rk_exporter.model.download import DownloadChecks, FileCheck
from rk_exporter.snapshot import AppSnapshot, Snapshot


_Key = tuple[str, str, str, str]
_GAUGES: tuple[Gauge[FileCheck], ...] = (
    Gauge(
        "rk_recording_download_verified",
        "Whether the recording's file could be downloaded in the last check (the first bytes at "
        "the API fields download_url and audio_download_url); absent before the first check and "
        "after the URL has expired.",
        lambda check: check.failure is None,
    ),
    Gauge(
        "rk_recording_download_size_bytes",
        "Size of the file that the storage reported in the last check (header Content-Range); of "
        "a recording of tracks, the sum of its files.",
        lambda check: check.size_bytes,
    ),
    Gauge(
        "rk_recording_download_last_check_timestamp_seconds",
        "When the download was last checked.",
        lambda check: check.checked_at,
    ),
)


class DownloadFamilies:
    """Builds the families of one snapshot after another, with the label sets of the last one."""

    def __init__(self) -> None:
        self._labels: dict[_Key, LabelSet] = {}

    def __call__(self, snapshot: Snapshot) -> Iterator[Metric]:
        """Return the metrics of *snapshot*; none if no app's downloads are verified."""
        if all(app.downloads is None for app in snapshot.apps):
            return
        before, self._labels = self._labels, {}
        checked: list[tuple[LabelSet, FileCheck]] = []
        for key, check in _shown(snapshot):
            labels = before.get(key) or _label_set(key)
            self._labels[key] = labels
            checked.append((labels, check))
        yield from gauges(_GAUGES, checked)
        yield info(
            "rk_recording_download_failure",
            "Why the last check of a download failed.",
            (labels.plus(reason=check.failure.value) for labels, check in checked if check.failure),
        )
        yield from download_counters(snapshot.apps)


def download_counters(apps: Sequence[AppSnapshot]) -> Iterator[Metric]:
    """Return the counters of the checks of those *apps* whose downloads are verified."""
    counted = [
        (LabelSet(rk_app=app.app.name), app.downloads) for app in apps if app.downloads is not None
    ]
    if counted:
        yield from _counters(counted)


def _counters(counted: Sequence[tuple[LabelSet, DownloadChecks]]) -> Iterator[Metric]:
    yield counter(
        "rk_download_checks",
        "Checks of downloads, each of all files of one kind of a recording.",
        ((labels, checks.made) for labels, checks in counted),
    )
    yield counter(
        "rk_download_check_failures",
        "Checks of downloads that failed, by reason.",
        (
            (labels.plus(reason=reason.value), count)
            for labels, checks in counted
            for reason, count in checks.failed.items()
        ),
    )


def _shown(snapshot: Snapshot) -> Iterator[tuple[_Key, FileCheck]]:
    for app in snapshot.apps:
        if app.downloads is None:
            continue
        now, ahead = snapshot.taken_at, app.clock_offset_seconds
        for known in app.recordings:
            if not has_expired(known.recording, now=now, api_ahead_seconds=ahead):
                for check in app.downloads.by_recording.get(known.recording_id, ()):
                    meeting_id = known.meeting.meeting_id
                    yield (app.app.name, meeting_id, known.recording_id, check.kind.value), check


def _label_set(key: _Key) -> LabelSet:
    app, meeting_id, recording_id, kind = key
    return LabelSet(rk_app=app, meeting_id=meeting_id, recording_id=recording_id, kind=kind)
