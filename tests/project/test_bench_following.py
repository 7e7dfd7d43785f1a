"""The benchmark of following recordings: its counts and its limits."""

from dataclasses import replace

import pytest

from bench.finished import COUNTS, PROMISED, Shown
from bench.finished_account import finished_scenario
from bench.following import Case, Followed, followed, hours_row
from bench.scraping import ScrapeCosts
from rk_exporter.model.meeting import ReadMode
from rk_exporter.simulator import Recording, ScriptedScenario, Status
from tests.support.fleet import STARTS_AT, Course, run_fleet


SHOWN = Shown(
    finished=PROMISED,
    restore_calls=21,
    restore_cpu_seconds=9.0,
    follow_calls=300,
    costs=ScrapeCosts(
        recordings=PROMISED, seconds=9.0, cpu_seconds=1.49, peak_mib=149.0, bytes=10**6
    ),
)


def scripted(*, after: float, seconds: float) -> Recording:
    """Return a recording, invoked *after* this time in seconds and uploaded *seconds* later."""
    begun = STARTS_AT + after
    return Recording.scripted(
        "meeting-1",
        invoked_at=begun,
        started_at=begun + 2,
        stopped_at=begun + seconds - 5,
        uploaded_at=begun + seconds,
    )


def test_recordings_that_end_during_the_course() -> None:
    """Only recordings that end in the simulated time count, and the calls for them."""
    scenario = ScriptedScenario(
        recordings=[
            scripted(after=-900.0, seconds=600.0),
            scripted(after=50.0, seconds=100.0),
            scripted(after=350.0, seconds=4000.0),
        ]
    )
    case = Case(ReadMode.ACTIVE_RECORDING, shows_uploading=True)
    settings = {**case.course.settings, "api.budget": "100000"}
    course = Course(settings=settings, seconds=600.0, simulator=case.course.simulator)

    outcome = run_fleet(scenario, course)
    result = followed(scenario, outcome.requests, course.total_seconds)

    assert Followed(ended=1, calls=1) == result
    assert "| 1 | 1 | 1.00 |" in hours_row(case, outcome, result)


@pytest.mark.parametrize(
    ("ended", "calls", "is_met"), [(10, 30, True), (10, 31, False), (0, 0, False)]
)
def test_calls_for_each(ended: int, calls: int, is_met: bool) -> None:  # noqa: FBT001 # a column
    """At most three calls per recording meet the limit; without recordings it is not met."""
    assert is_met is Followed(ended, calls).is_met


def test_limits_for_finished_recordings() -> None:
    """Exceeding any limit fails, and the limits apply only to the promised number of recordings."""
    costs = SHOWN.costs
    assert PROMISED in COUNTS
    assert SHOWN.is_met is True
    assert replace(SHOWN, finished=10_000).is_met is None
    for missed in (
        replace(SHOWN, restore_calls=22),
        replace(SHOWN, costs=replace(costs, cpu_seconds=1.5)),
        replace(SHOWN, costs=replace(costs, peak_mib=150.0)),
    ):
        assert missed.is_met is False


def test_finished_account() -> None:
    """All recordings of the account are uploaded, and no URL expires within the hour."""
    recordings = finished_scenario(200, STARTS_AT).recordings(STARTS_AT)

    assert 200 == len({recording.id for recording in recordings})
    assert {Status.UPLOADED} == {recording.status(STARTS_AT) for recording in recordings}
    expiries = [recording.url_expires_at(STARTS_AT) for recording in recordings]
    assert all(at is not None and at > STARTS_AT + 3600 for at in expiries)
