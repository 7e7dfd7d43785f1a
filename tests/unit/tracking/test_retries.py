"""When recordings are read again that could not be read by their ids."""

from collections.abc import Callable

import pytest

from rk_exporter.tracking.retries import Retries
from tests.support.building import NOW


@pytest.mark.parametrize(
    ("failures", "pause"), [(1, 15.0), (2, 30.0), (3, 60.0), (8, 1920.0), (9, 3600.0), (20, 3600.0)]
)
def test_pauses_double(failures: int, pause: float) -> None:
    """Each failure doubles the pause of its recording, up to an hour; others do not wait."""
    retries = Retries()
    for number in range(failures):
        retries.fail("a", now=NOW - failures + number + 1)
    moments = (NOW - 1, NOW, NOW + pause - 1, NOW + pause, NOW + pause + 1)
    # Before NOW the clock was set back.
    assert [False, True, True, False, False] == [
        retries.is_waiting("a", now=moment) for moment in moments
    ]
    assert not retries.is_waiting("b", now=NOW)


def test_an_answer_confirms_another_one() -> None:
    """Only an answer a minute after the first one confirms it, and nothing is read in between."""
    retries = Retries()
    assert not retries.confirms_missing("a", now=NOW)
    assert not retries.confirms_missing("b", now=NOW + 30)
    assert [True, True, False] == [
        retries.is_waiting("a", now=NOW + seconds) for seconds in (0, 59, 60)
    ]
    assert not retries.confirms_missing("a", now=NOW + 59)
    assert retries.confirms_missing("a", now=NOW + 60)
    assert not retries.confirms_missing("b", now=NOW + 60)


def test_a_clock_that_was_set_back() -> None:
    """If the clock was set back, the minute begins again then."""
    retries = Retries()
    assert not retries.confirms_missing("a", now=NOW)
    assert not retries.confirms_missing("a", now=NOW - 100)
    assert not retries.confirms_missing("a", now=NOW - 41)
    assert retries.confirms_missing("a", now=NOW - 40)


@pytest.mark.parametrize(
    ("forget", "is_waiting", "is_confirmed"),
    [
        # The failure counts for 15 s; a denial, for a minute.
        (lambda retries: retries.exists("b"), (True, True), True),
        (lambda retries: retries.forget("a"), (False, False), False),
        (lambda retries: retries.forget("b"), (True, True), True),
        (lambda retries: retries.exists("a"), (True, False), False),
        (lambda retries: retries.forget_failures(), (True, True), True),
    ],
    ids=["another exists", "the recording", "another one", "it exists", "all failures"],
)
def test_what_is_forgotten(
    forget: Callable[[Retries], object], is_waiting: tuple[bool, bool], *, is_confirmed: bool
) -> None:
    """A recording that is there needs no second answer, and one without failures does not wait."""
    retries = Retries()
    assert not retries.confirms_missing("a", now=NOW)
    forget(retries)
    assert is_waiting == tuple(retries.is_waiting("a", now=NOW + after) for after in (0, 50))
    assert is_confirmed == retries.confirms_missing("a", now=NOW + 60)


def test_all_failures_are_forgotten() -> None:
    """If the failures were not about single recordings, none waits, and pauses begin again."""
    retries = Retries()
    for _ in range(5):
        retries.fail("a", now=NOW)
    retries.forget_failures()
    assert not retries.is_waiting("a", now=NOW + 1)
    retries.fail("a", now=NOW)
    assert [True, False] == [retries.is_waiting("a", now=NOW + after) for after in (14, 15)]
