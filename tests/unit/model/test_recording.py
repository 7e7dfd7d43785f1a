import pytest

from rk_exporter.model.recording import Recording, Status


def recording(status: Status = Status.RECORDING, **fields: float) -> Recording:
    return Recording(recording_id="recording-1", status=status, **fields)  # type: ignore[arg-type] # floats only


def test_reported_duration() -> None:
    """The duration in the API's answer wins over the timestamps."""
    reported = recording(
        reported_duration_seconds=47,
        started_timestamp_seconds=100,
        stopped_timestamp_seconds=200,
    )
    assert 47 == reported.duration_seconds(as_of=1000)


def test_timestamps_replace_a_duration_of_zero() -> None:
    """The timestamps replace a reported 0, as in the vendor's own sample of 47 seconds."""
    reported = recording(
        Status.UPLOADED,
        reported_duration_seconds=0,
        started_timestamp_seconds=100,
        stopped_timestamp_seconds=147,
    )
    assert 47 == reported.duration_seconds(as_of=1000)


@pytest.mark.parametrize("status", [Status.RECORDING, Status.PAUSED])
def test_duration_grows_while_recording(status: Status) -> None:
    """The duration of a running recording grows until the time of the reading."""
    assert 25 == recording(status, started_timestamp_seconds=100).duration_seconds(as_of=125)


def test_duration_of_a_recording_ahead_of_our_clock() -> None:
    """The duration is not negative, even if our clock is behind the API's."""
    assert 0 == recording(started_timestamp_seconds=100).duration_seconds(as_of=90)


@pytest.mark.parametrize("status", [Status.INVOKED, Status.ERRORED, Status.UPLOADED])
def test_unknown_duration_is_none(status: Status) -> None:
    """The duration is None if neither the API nor the timestamps give one."""
    assert recording(status).duration_seconds(as_of=100) is None
    assert recording(status, started_timestamp_seconds=50).duration_seconds(as_of=100) is None


def test_duration_reported_as_zero_without_timestamps() -> None:
    """A reported 0 without timestamps stays 0."""
    assert 0 == recording(Status.ERRORED, reported_duration_seconds=0).duration_seconds(as_of=1)


@pytest.mark.parametrize("status", Status)
def test_in_progress(status: Status) -> None:
    """Recordings are in progress until they have ended; in an unknown state until they stop."""
    ended = {Status.UPLOADED, Status.ERRORED}
    assert (status not in ended) == recording(status).in_progress
    ended.add(Status.UNKNOWN)
    assert (status not in ended) == recording(status, stopped_timestamp_seconds=9.0).in_progress
