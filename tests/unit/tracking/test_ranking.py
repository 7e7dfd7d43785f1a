from typing import Any

import pytest

from rk_exporter.model.recording import Outcome, Status
from rk_exporter.tracking.lifecycle import KnownRecording
from rk_exporter.tracking.ranking import began_at, is_empty, rank
from tests.support.building import NOW
from tests.support.known import known


HOUR = 3600.0


def finished(
    status: Status = Status.UPLOADED, *, outcome: Outcome | None = None, **fields: Any
) -> KnownRecording:
    """Return a recording that has ended, with a file."""
    ended = {"has_download_url": True, "stopped_timestamp_seconds": NOW}
    return known(status=status, outcome=outcome, **{**ended, **fields})


def expiring(seconds: float, **fields: Any) -> KnownRecording:
    return finished(download_url_expiry_timestamp_seconds=NOW + seconds, **fields)


def test_order() -> None:
    """Problems come first, then those that expire next, then the newest."""
    in_order = [
        finished(Status.ERRORED, stopped_timestamp_seconds=NOW),
        finished(Status.UNKNOWN, outcome=Outcome.UPLOAD_FAILED, stopped_timestamp_seconds=NOW - 5),
        finished(Status.ERRORED, stopped_timestamp_seconds=NOW - 10),
        expiring(90 * HOUR, file_size_bytes=0.0, reported_duration_seconds=60.0),
        finished(has_download_url=False, stopped_timestamp_seconds=NOW - 20),
        expiring(-HOUR),
        expiring(HOUR),
        expiring(2 * HOUR),
        finished(stopped_timestamp_seconds=NOW),
        finished(stopped_timestamp_seconds=NOW - 1),
    ]
    ranks = [rank(recording) for recording in in_order]
    assert sorted(ranks) == ranks
    assert len(set(ranks)) == len(ranks)


@pytest.mark.parametrize(
    ("size", "seconds", "expected"),
    [
        (5999.0, 6.0, True),
        (6000.0, 6.0, False),
        (0.0, 5.0, False),
        (0.0, 5.001, True),
        (0.0, 0.0, False),
        (None, 60.0, False),
        (0.0, None, False),
    ],
)
def test_empty_files(size: float | None, seconds: float | None, *, expected: bool) -> None:
    """A file is empty if a recording of more than 5 s has less than 1000 bytes per second."""
    fields: dict[str, Any] = {"file_size_bytes": size, "reported_duration_seconds": seconds}
    assert expected == is_empty(finished(**fields).recording)
    assert not is_empty(finished(**fields, is_track=True).recording)


def test_no_problem() -> None:
    """Files that the alert about empty files leaves out are no problem: tracks, short ones."""
    usual = rank(expiring(HOUR, file_size_bytes=1e6, reported_duration_seconds=60.0))
    for fields in (
        {"file_size_bytes": 0.0, "reported_duration_seconds": 60.0, "is_track": True},
        {"file_size_bytes": 0.0, "reported_duration_seconds": 5.0},
        {"file_size_bytes": None, "reported_duration_seconds": 60.0},
        {"has_download_url": None},
    ):
        assert usual == rank(expiring(HOUR, **fields))


def test_beginning() -> None:
    """A recording begins with its invocation, or with the earliest time that is known."""
    nothing: dict[str, Any] = {"stopped_timestamp_seconds": None}
    started = {**nothing, "started_timestamp_seconds": NOW - 5}
    assert NOW == began_at(known(status=Status.INVOKED, **nothing))
    assert NOW - 5 == began_at(known(status=Status.RECORDING, **started))
    invoked = {**started, "invoked_timestamp_seconds": NOW - 7}
    assert NOW - 7 == began_at(known(status=Status.RECORDING, **invoked))
