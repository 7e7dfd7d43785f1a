import math

from dataclasses import replace

import pytest

from rk_exporter.downloads.schedule import due_at, is_due, needs_reading
from rk_exporter.model.download import CheckFailure, FileCheck, FileKind
from rk_exporter.model.recording import Recording, Status


HOUR = 3600.0
NOW = 1_795_000_000.0
EXPIRES_AT = NOW + 7 * 24 * HOUR
RECORDING = Recording(
    recording_id="r",
    status=Status.UPLOADED,
    has_download_url=True,
    download_url_expiry_timestamp_seconds=EXPIRES_AT,
)


def check(at: float = NOW, failures: int = 0, kind: FileKind = FileKind.COMPOSITE) -> FileCheck:
    failure = CheckFailure.GONE if failures else None
    return FileCheck(recording_id="r", kind=kind, checked_at=at, failure=failure, failures=failures)


@pytest.mark.parametrize("status", sorted(set(Status) - {Status.UPLOADED}))
def test_other_states(status: Status) -> None:
    """Only a recording that is UPLOADED is checked."""
    assert math.inf == due_at(replace(RECORDING, status=status), ())


def test_first_check() -> None:
    """A recording that was never checked is due immediately."""
    assert is_due(RECORDING, (), now=NOW)


def test_without_a_url() -> None:
    """A recording without a download URL, e.g. in a bucket of one's own, is never due."""
    for has_url in (False, None):
        assert not is_due(replace(RECORDING, has_download_url=has_url), (), now=NOW)


def test_audio_that_comes_later() -> None:
    """A kind of file that was not there in the last check is due immediately."""
    both = replace(RECORDING, has_audio_download_url=True)
    assert is_due(both, (check(),), now=NOW + 1)
    assert not is_due(both, (check(), check(kind=FileKind.AUDIO)), now=NOW + 1)


def test_tracks() -> None:
    """The files of tracks are one kind."""
    tracks = replace(RECORDING, is_track=True)
    assert is_due(tracks, (check(),), now=NOW + 1)
    assert not is_due(tracks, (check(kind=FileKind.TRACK),), now=NOW + 1)


def test_moments_of_a_good_file() -> None:
    """A good file is checked once a day, and 24 hours and an hour before the expiry."""
    moments, checks = [], (check(),)
    while (moment := due_at(RECORDING, checks)) < EXPIRES_AT:
        moments.append((moment - NOW) / HOUR)
        checks = (check(moment),)
    assert [23.5, 47.0, 70.5, 94.0, 117.5, 141.0, 144.0, 167.0] == moments


def test_clock_of_the_api() -> None:
    """The expiry is by the API's clock, so an hour before it is another moment here."""
    late = (check(EXPIRES_AT - 10 * HOUR),)
    assert EXPIRES_AT - HOUR - 300 == due_at(RECORDING, late, api_ahead_seconds=300.0)


def test_after_failures() -> None:
    """A failed check is repeated soon, and then less and less often."""
    pauses = [due_at(RECORDING, (check(failures=n),)) - NOW for n in (1, 2, 3, 20)]
    assert [240.0, 480.0, 960.0, 6 * HOUR] == pauses


def test_after_the_expiry() -> None:
    """An expired URL is not requested, whatever the last check said."""
    assert not is_due(RECORDING, (), now=EXPIRES_AT)
    assert not is_due(RECORDING, (check(failures=1),), now=EXPIRES_AT + 1)
    assert is_due(RECORDING, (), now=EXPIRES_AT - 1)
    assert not is_due(RECORDING, (), now=EXPIRES_AT - 1, api_ahead_seconds=2.0)


def test_clock_set_back() -> None:
    """A check in the future does not put off the next one."""
    assert is_due(RECORDING, (check(NOW + HOUR),), now=NOW)


def test_no_expiry() -> None:
    """Without an expiry the file is checked once a day."""
    recording = replace(RECORDING, download_url_expiry_timestamp_seconds=None)
    assert NOW + 23.5 * HOUR == due_at(recording, (check(),))


@pytest.mark.parametrize(
    ("checks", "now", "expected"),
    [
        ((), NOW, True),
        ((check(),), NOW + 23.5 * HOUR, False),  # the list will bring the URL
        ((check(),), NOW + 29.4 * HOUR, False),
        ((check(),), NOW + 29.6 * HOUR, True),
        ((check(failures=1),), NOW + 300.0, False),
        ((check(failures=1),), NOW + 361.0, True),
        ((check(EXPIRES_AT - 2 * HOUR),), EXPIRES_AT - HOUR + 60, False),
        ((check(EXPIRES_AT - 2 * HOUR),), EXPIRES_AT - HOUR + 121, True),
        ((), EXPIRES_AT, False),
    ],
)
def test_reading_by_id(checks: tuple[FileCheck, ...], now: float, *, expected: bool) -> None:
    """A recording is read by its id only if no list can bring its URL in time."""
    assert expected == needs_reading(RECORDING, checks, now=now, list_seconds=6 * HOUR)
