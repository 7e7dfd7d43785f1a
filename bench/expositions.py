"""The cost of turning a snapshot into an exposition."""

import statistics
import time

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from prometheus_client import CollectorRegistry
from prometheus_client import exposition as library_text
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics import exposition as library_openmetrics

from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording, Status, StopReason
from rk_exporter.snapshot import AppSnapshot, Snapshot
from rk_exporter.tracking.lifecycle import KnownRecording


RECORDINGS = (10, 100, 1000)
RENDERINGS = 9
# All states, all gauges, both kinds of download, all reasons, and info.
SERIES_PER_RECORDING = 22
_NOW = 1_795_000_000.0


class _Families(CollectorRegistry):
    """Families in the form that the library's encoders take."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> list[Metric]:
        return self._families


@dataclass(frozen=True, slots=True)
class _Costs:
    """Milliseconds, medians; *families* and *text* are the two steps of one exposition."""

    families: float
    text: float
    library_text: float
    library_openmetrics: float


def print_expositions() -> None:
    """Print how long the two steps take, beside the library's encoders."""
    print(
        "exposition, built once per snapshot (every recording with all its fields; medians of "
        f"{RENDERINGS}):\n\n"
        "| recordings | series | bytes | read again | families | text | both "
        "| prometheus_client: text | OpenMetrics |\n"
        "| ---: | ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: |"
    )
    for count in RECORDINGS:
        for all_are_read_again in (False, True):
            _print_costs(count, all_are_read_again=all_are_read_again)
    print()


def _print_costs(count: int, *, all_are_read_again: bool) -> None:
    page = encode(SnapshotFamilies()(snapshot_of(count, 0)), Format.TEXT)
    series = _check(page, count)
    costs = _measure(count, all_are_read_again=all_are_read_again)
    print(
        f"| {count:,} | {series:,} | {len(page) / 1e6:.1f} MB "
        f"| {'all' if all_are_read_again else 'none'} "
        f"| {costs.families:.1f} ms | {costs.text:.1f} ms | {costs.families + costs.text:.1f} ms "
        f"| {costs.library_text:.0f} ms | {costs.library_openmetrics:.0f} ms |"
    )


def _check(page: bytes, count: int) -> int:
    """Return the number of series on the *page*; fail unless it shows all the recordings."""
    series = [line for line in page.decode().splitlines() if not line.startswith("#")]
    of_recordings = sum("recording_id=" in line for line in series)
    if of_recordings != count * SERIES_PER_RECORDING:
        raise AssertionError(f"{of_recordings} series of {count} recordings")
    return len(series)


def _measure(count: int, *, all_are_read_again: bool) -> _Costs:
    build = SnapshotFamilies()
    first = snapshot_of(count, 0)
    list(build(first))
    building, encoding = [], []
    for number in range(1, RENDERINGS + 1):
        if all_are_read_again:
            snapshot = snapshot_of(count, number)
        else:
            snapshot = replace(first, taken_at=_NOW + 15 * number)
        before = time.perf_counter()
        families = list(build(snapshot))
        between = time.perf_counter()
        encode(families, Format.TEXT)
        encoding.append((time.perf_counter() - between) * 1000)
        building.append((between - before) * 1000)
    collected = _Families(families)
    return _Costs(
        families=statistics.median(building),
        text=statistics.median(encoding),
        library_text=_milliseconds(partial(library_text.generate_latest, collected)),
        library_openmetrics=_milliseconds(partial(library_openmetrics.generate_latest, collected)),
    )


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RENDERINGS):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def snapshot_of(count: int, number: int) -> Snapshot:
    """Return the snapshot *number* of a series that are 15 s apart."""
    now = _NOW + 15 * number
    meetings = [
        Meeting(f"{index:08x}-0000-4000-8000-000000000000", "weekly review")
        for index in range(count)
    ]
    only = AppSnapshot(
        app=App("production", "023e105f4ecef8ad9ca31a8372d0c353", "app"),
        readings=tuple(
            Reading(
                meeting=meeting,
                recordings=(),
                last_attempt_timestamp_seconds=now,
                last_success_timestamp_seconds=now,
            )
            for meeting in meetings
        ),
        recordings=tuple(
            KnownRecording(meeting=meeting, recording=_recording(index), read_at=now)
            for index, meeting in enumerate(meetings)
        ),
        up=True,
        deferred=0,
        duration_seconds=1.0,
    )
    return Snapshot((only,), now)


def _recording(index: int) -> Recording:
    return Recording(
        recording_id=f"{index:08x}-0000-4000-8000-000000000001",
        status=Status.UPLOADED,
        session_id=f"{index:08x}-0000-4000-8000-000000000002",
        output_file_name=f"{index:08x}-0000-4000-8000-000000000000_1795356967052.mp4",
        file_size_bytes=20_212_537,
        reported_duration_seconds=3723,
        download_url_expiry_timestamp_seconds=_NOW + 604_800,
        invoked_timestamp_seconds=_NOW - 4000.123,
        started_timestamp_seconds=_NOW - 3998.456,
        stopped_timestamp_seconds=_NOW - 200.789,
        has_download_url=True,
        has_audio_download_url=True,
        stop_reason=StopReason.API_CALL,
    )
