"""The cost of showing finished recordings and of restoring them at the start."""

import math
import tempfile

from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import httpx

from bench.finished_account import LATENCY_SECONDS, MEETINGS
from bench.processes import Running, running
from bench.scraping import ScrapeCosts, exporting, measure_scrapes, scrape, write_config
from rk_exporter.api.pagination import PER_PAGE
from rk_exporter.simulator import Endpoint


SCRAPES = 10
# The baseline: the exporter without finished recordings.
COUNTS = (0, 2000, 10_000)
MOST_RECORDINGS = 100_000
MOST_CPU_SECONDS = 1.5
MOST_MIB = 150.0
PROMISED = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The cost of a number of finished recordings: until all are shown, and per scrape."""

    finished: int
    restore_calls: int
    """Calls to the list until the exporter says that it is ready."""
    restore_cpu_seconds: float
    follow_calls: int
    """Calls for recordings by id, until there are no more."""
    costs: ScrapeCosts

    @property
    def is_met(self) -> bool | None:
        """Return whether the requirement is met; None if nothing is promised for this number."""
        if self.finished != PROMISED:
            return None
        return (
            self.restore_calls <= _most_calls(self.finished)
            and self.costs.cpu_seconds < MOST_CPU_SECONDS
            and self.costs.peak_mib < MOST_MIB
        )


def print_finished() -> None:
    """Print what finished recordings cost."""
    print(
        f"finished recordings shown, of a week in {MEETINGS} meetings, at "
        f"{LATENCY_SECONDS * 1000:.0f} ms latency (a scrape: medians of {SCRAPES}, once nothing is "
        "left to be asked; calls by id: until then):\n\n"
        "| finished | shown | calls to restore | CPU to restore | calls by id | scrape | CPU "
        "| peak memory | gzipped | must | met |"
        "\n| ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | :--- | :--- |"
    )
    measured = [_measure(count, MOST_RECORDINGS) for count in COUNTS]
    for shown in measured:
        print(_row(shown))
    *_, small, large = measured
    print(_growth(small, large))
    # Most of the known recordings have no series.
    print(_row(_measure(COUNTS[-1], PROMISED)))
    print()


def _measure(count: int, max_recordings: int) -> Shown:
    with (
        tempfile.TemporaryDirectory() as folder,
        running("bench.finished_account", str(count)) as simulator,
    ):
        more = {"follow": {"max_recordings": max_recordings}}
        config = write_config(Path(folder), simulator, more=more)
        with exporting(config) as exporter:
            cpu_before = exporter.cpu_seconds()
            restore_calls = _restore(exporter, simulator)
            restore_cpu_seconds = exporter.cpu_seconds() - cpu_before
            follow_calls = _follow_all(exporter, simulator)
            costs = measure_scrapes(exporter, SCRAPES)
            if costs.recordings != min(count, max_recordings):
                raise AssertionError(f"{costs.recordings} of {count:,} recordings are shown")
            return Shown(
                finished=count,
                restore_calls=restore_calls,
                restore_cpu_seconds=restore_cpu_seconds,
                follow_calls=follow_calls,
                costs=costs,
            )


def _restore(exporter: Running, simulator: Running) -> int:
    """Scrape until the exporter is ready; return the number of calls to the list."""
    while httpx.get(f"{exporter.url}/-/ready").status_code != HTTPStatus.OK:
        scrape(exporter)
    return _calls(simulator, Endpoint.RECORDINGS)


def _follow_all(exporter: Running, simulator: Running) -> int:
    """Scrape until no recording is read by id any more; return how many were."""
    earlier = -1
    while (calls := _calls(simulator, Endpoint.RECORDING)) > earlier:
        earlier = calls
        scrape(exporter)
    return calls


def _calls(simulator: Running, endpoint: Endpoint) -> int:
    counts = httpx.get(f"{simulator.url}/simulator/requests").json()["by_endpoint"]
    return int(counts.get(endpoint, 0))


def _most_calls(finished: int) -> int:
    return math.ceil(finished / PER_PAGE) + 1


def _row(shown: Shown) -> str:
    costs, is_met = shown.costs, shown.is_met
    must = (
        f"at most {_most_calls(PROMISED)} calls to restore; under {MOST_CPU_SECONDS} s of CPU a "
        f"scrape, under {MOST_MIB:.0f} MiB"
    )
    cells = (
        f"{shown.finished:,}",
        f"{costs.recordings:,}",
        f"{shown.restore_calls:,}",
        f"{shown.restore_cpu_seconds:.2f} s",
        f"{shown.follow_calls:,}",
        f"{costs.seconds:.2f} s",
        f"{costs.cpu_seconds:.2f} s",
        f"{costs.peak_mib:.0f} MiB",
        f"{costs.bytes / 1000:,.0f} kB",
        "" if is_met is None else must,
        {None: "", True: "yes", False: "NO"}[is_met],
    )
    return f"| {' | '.join(cells)} |"


def _growth(small: Shown, large: Shown) -> str:
    cells = (
        _times(small.finished, large.finished),
        _times(small.costs.recordings, large.costs.recordings),
        _times(small.restore_calls, large.restore_calls),
        _times(small.restore_cpu_seconds, large.restore_cpu_seconds),
        _times(small.follow_calls, large.follow_calls),
        _times(small.costs.seconds, large.costs.seconds),
        _times(small.costs.cpu_seconds, large.costs.cpu_seconds),
        _times(small.costs.peak_mib, large.costs.peak_mib),
        _times(small.costs.bytes, large.costs.bytes),
        "",
        "",
    )
    return f"| {' | '.join(cells)} |"


def _times(small: float, large: float) -> str:
    return f"x {large / small:.1f}" if small else ""
