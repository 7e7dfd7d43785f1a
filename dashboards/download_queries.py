"""PromQL for checks of downloads; the exporter that checked a file last is right."""

from dashboards.queries import read_last
from dashboards.recording_queries import of_the_one
from dashboards.recordings_queries import ROWS
from dashboards.scope import BY_RECORDING, Select
from dashboards.selectors import (
    CHOSEN,
    named,
    nonzero,
    of_app,
    of_meeting,
    of_recording,
    once,
)
from dashboards.totals import counted


BY_FILE = f"{BY_RECORDING}, kind"
_IN_EXPORTER = f"{CHOSEN.recording_in_exporter}, kind"
_CHECKED_AT = "rk_recording_download_last_check_timestamp_seconds"
_FAILURE = "rk_recording_download_failure_info"


def result() -> str:
    """Return for each file of the recording 1 if it could be downloaded, with the reason if not."""
    verified = _last(of_recording, "rk_recording_download_verified")
    good = f'label_replace({verified} == 1, "reason", "-", "", "")'
    return of_the_one(f"{good}\nor on ({BY_FILE})\n0 * {_reasons(of_recording)}")


def size() -> str:
    """Return the size of each file of the recording, as the storage reports it."""
    return of_the_one(_last(of_recording, "rk_recording_download_size_bytes"))


def checked_at() -> str:
    """Return when each file of the recording was checked."""
    return of_the_one(_last(of_recording, _CHECKED_AT))


def broken() -> str:
    """Return files that cannot be downloaded, with the reason and the meeting's name."""
    return named(f"topk({ROWS}, {_reasons(of_meeting)})")


def of_broken(metric: str) -> str:
    """Return a metric of checks of the files that cannot be downloaded."""
    return f"{_last(of_meeting, metric)}\nand on ({BY_FILE})\n{of_meeting(_FAILURE)}"


def reported_sizes() -> str:
    """Return the sizes that the API reports of recordings with a file that cannot be downloaded."""
    # Only the recording itself has a size in the API.
    broken_files = once(BY_FILE, of_meeting(_FAILURE, 'kind="composite"'))
    sizes = read_last("rk_recording_file_size_bytes")
    return f"{broken_files}\n* on ({BY_RECORDING}) group_left ()\n{sizes}"


def succeeded() -> str:
    """Return how many checks succeeded in each interval."""
    made, failed = (
        f"sum({counted(of_app(f'rk_download_{name}_total'))})"
        for name in ("checks", "check_failures")
    )
    return f"{made} - {failed}"


def failures() -> str:
    """Return how many checks failed in each interval, by reason."""
    return nonzero(counted(of_app("rk_download_check_failures_total")), "reason")


def _last(select: Select, metric: str) -> str:
    return once(BY_FILE, _without_older(select, select(metric)))


def _reasons(select: Select) -> str:
    """Return 1 for each file that cannot be downloaded, with the reason."""
    return once(f"{BY_FILE}, reason", _without_older(select, select(_FAILURE)))


def _without_older(select: Select, promql: str) -> str:
    """Omit what exporters say of files that another exporter has checked later."""
    at = select(_CHECKED_AT)
    older = f"{once(_IN_EXPORTER, at)} < on ({BY_FILE}) group_left () {once(BY_FILE, at)}"
    return f"({promql}\nunless on ({_IN_EXPORTER})\n({older}))"
