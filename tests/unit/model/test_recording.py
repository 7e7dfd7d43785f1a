import pytest

from rk_exporter.model.recording import Recording, Status


def recording(status: Status = Status.RECORDING, **fields: float) -> Recording:
    return Recording(recording_id="recording-1", status=status, **fields)  # type: ignore[arg-type] # floats only


def test_reported_duration_counts_first() -> None:
    """What the API reports is the duration, whatever the timestamps say."""
    each = recording(
        reported_duration_seconds=47,
        started_timestamp_seconds=100,
        stopped_timestamp_seconds=200,
    )
    assert 47 == each.duration_seconds(as_of=1000)


def test_duration_of_zero_is_corrected_by_timestamps() -> None:
    """The vendor's own sample reports 0 for a recording of 47 seconds: the timestamps count."""
    each = recording(
        Status.UPLOADED,
        reported_duration_seconds=0,
        started_timestamp_seconds=100,
        stopped_timestamp_seconds=147,
    )
    assert 47 == each.duration_seconds(as_of=1000)


@pytest.mark.parametrize("status", [Status.RECORDING, Status.PAUSED])
def test_duration_grows_while_it_records(status: Status) -> None:
    """A recording that has not ended is as long as it has lasted at the time of the reading."""
    assert 25 == recording(status, started_timestamp_seconds=100).duration_seconds(as_of=125)


def test_duration_of_a_recording_ahead_of_our_clock() -> None:
    """A clock that is behind the API's makes no negative duration."""
    assert 0 == recording(started_timestamp_seconds=100).duration_seconds(as_of=90)


@pytest.mark.parametrize("status", [Status.INVOKED, Status.ERRORED, Status.UPLOADED])
def test_unknown_duration_is_none(status: Status) -> None:
    """Where neither the API nor the timestamps tell a duration there is none."""
    assert recording(status).duration_seconds(as_of=100) is None
    assert recording(status, started_timestamp_seconds=50).duration_seconds(as_of=100) is None


def test_duration_reported_as_zero_without_timestamps() -> None:
    """A reported 0 that nothing corrects stays 0."""
    assert 0 == recording(Status.ERRORED, reported_duration_seconds=0).duration_seconds(as_of=1)


@pytest.mark.parametrize("status", Status)
def test_in_progress(status: Status) -> None:
    """Recordings are in progress until they are UPLOADED or ERRORED."""
    ended = {Status.UPLOADED, Status.ERRORED, Status.UNKNOWN}
    assert (status not in ended) == recording(status).in_progress
