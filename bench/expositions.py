"""What it takes to turn a snapshot into an exposition."""

import statistics
import time

from collections.abc import Callable
from functools import partial

from prometheus_client.metrics_core import Metric

from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.families import families
from rk_exporter.model.meeting import App, Meeting, Reading
from rk_exporter.model.recording import Recording, Status
from rk_exporter.snapshot import AppSnapshot, Snapshot


RECORDINGS = (10, 100, 1000)
RENDERINGS = 9


def print_expositions() -> None:
    """Print how long families and encodings take."""
    print(
        "exposition, built once for each snapshot (every recording with all its fields; medians):"
        "\n\n| recordings | families | text | OpenMetrics | bytes |"
        "\n| ---: | ---: | ---: | ---: | ---: |"
    )
    for count in RECORDINGS:
        snapshot = _snapshot(count)
        built = _build(snapshot)
        building = _milliseconds(partial(_build, snapshot))
        text, openmetrics = (_milliseconds(partial(encode, built, form)) for form in Format)
        size = len(encode(built, Format.OPENMETRICS)) / 1000
        print(
            f"| {count:,} | {building:.1f} ms | {text:.1f} ms | {openmetrics:.1f} ms "
            f"| {size:,.0f} kB |"
        )
    print()


def _build(snapshot: Snapshot) -> list[Metric]:
    return list(families(snapshot))


def _milliseconds(work: Callable[[], object]) -> float:
    times = []
    for _ in range(RENDERINGS):
        begun = time.perf_counter()
        work()
        times.append((time.perf_counter() - begun) * 1000)
    return statistics.median(times)


def _snapshot(count: int) -> Snapshot:
    now = time.time()
    readings = tuple(
        Reading(
            meeting=Meeting(f"{number:08x}-0000-4000-8000-000000000000", "weekly review"),
            recordings=(
                Recording(
                    recording_id=f"{number:08x}-0000-4000-8000-000000000001",
                    status=Status.UPLOADED,
                    session_id=f"{number:08x}-0000-4000-8000-000000000002",
                    output_file_name=f"{number:08x}-0000-4000-8000-000000000000_1795356967052.mp4",
                    file_size_bytes=20_212_537,
                    reported_duration_seconds=3723,
                    download_url_expiry_timestamp_seconds=now + 604_800,
                    invoked_timestamp_seconds=now - 4000.123,
                    started_timestamp_seconds=now - 3998.456,
                    stopped_timestamp_seconds=now - 200.789,
                ),
            ),
            last_attempt_timestamp_seconds=now,
            last_success_timestamp_seconds=now,
        )
        for number in range(count)
    )
    app = App("production", "023e105f4ecef8ad9ca31a8372d0c353", "app")
    only = AppSnapshot(app=app, readings=readings, up=True, deferred=0, duration_seconds=1.0)
    return Snapshot((only,), now)
