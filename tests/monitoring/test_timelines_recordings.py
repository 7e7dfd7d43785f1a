"""The alerts about recordings fire, stay and resolve in time at every supported interval."""

import math

from pathlib import Path

import pytest

from tests.support.monitoring.firing import Fires, Silent
from tests.support.monitoring.shown import app, growing, meeting, recording
from tests.support.monitoring.timelines import APP, Series, Target, Timeline, check


DAY = 24 * 60
RUNS = [(6, "INVOKED"), (7, "RECORDING")]
INTERRUPTED = [*RUNS, (20, "UPLOADING"), (22, "UPLOADED")]


@pytest.fixture(scope="module")
def rules(root: Path) -> Path:
    """Return the shipped rules."""
    return root / "dashboards/rules/rk-exporter.rules.yml"


def test_a_start_that_takes_too_long(promtool: str, rules: Path) -> None:
    """One alert fires until the recording starts, also if the exporter moves to another pod."""
    shown = [
        *app(),
        *meeting("ward"),
        *recording("late", meeting="ward", states=[(6, "INVOKED"), (60, "RECORDING")]),
        *recording("quick", meeting="ward", states=RUNS),
    ]
    moved = Timeline(90, [Target("a", shown, until=30), Target("b", shown, since=31)])
    fires = Fires(
        "RealtimeKitRecordingStuckInvoked", begins=6, waits=6, ends=60, counts_from_read=True
    )
    check(promtool, rules, moved, fires)


def test_an_upload_that_takes_too_long(promtool: str, rules: Path) -> None:
    """The alert fires until the file has arrived, however long scrapes are apart."""
    states = [*RUNS, (10, "UPLOADING"), (110, "UPLOADED")]
    timeline = Timeline(
        140,
        [Target("a", [*app(), *meeting("ward"), *recording("r", meeting="ward", states=states)])],
    )
    fires = Fires("RealtimeKitRecordingStuckUploading", begins=10, waits=61, ends=110)
    check(promtool, rules, timeline, fires)


def test_a_pause_that_takes_too_long(promtool: str, rules: Path) -> None:
    """The alert counts from when Prometheus saw the pause, and resolves when it is over."""
    states = [*RUNS, (10, "PAUSED"), (80, "RECORDING")]
    timeline = Timeline(
        110,
        [Target("a", [*app(), *meeting("ward"), *recording("r", meeting="ward", states=states)])],
    )
    fires = Fires("RealtimeKitRecordingPausedTooLong", begins=10, waits=31, ends=80)
    check(promtool, rules, timeline, fires)


def test_a_state_that_is_unknown(promtool: str, rules: Path) -> None:
    """The alert fires after an hour in a state that the exporter does not know."""
    states = [*RUNS, (10, "UNKNOWN"), (110, "UPLOADED")]
    timeline = Timeline(
        140,
        [Target("a", [*app(), *meeting("ward"), *recording("r", meeting="ward", states=states)])],
    )
    fires = Fires("RealtimeKitRecordingStateUnknown", begins=10, waits=61, ends=110)
    check(promtool, rules, timeline, fires)


def test_a_recording_that_runs_for_nearly_a_day(promtool: str, rules: Path) -> None:
    """The alert fires before the time limit, paused or not, until the recording stops."""
    states = [(-1270, "RECORDING"), (50, "PAUSED"), (60, "RECORDING"), (90, "UPLOADING")]
    timeline = Timeline(
        120,
        [Target("a", [*app(), *meeting("ward"), *recording("r", meeting="ward", states=states)])],
    )
    fires = Fires("RealtimeKitRecordingNearTimeLimit", begins=26, waits=1, ends=90)
    check(promtool, rules, timeline, fires)


def test_a_recording_that_breaks_off(promtool: str, rules: Path) -> None:
    """A critical alert fires while people are in the meeting, and then a warning."""
    people = [(5, 3), (60, None)]
    timeline = Timeline(
        90,
        [
            Target(
                "a",
                [
                    *app(),
                    *meeting("ward", people=people),
                    *recording(
                        "r", meeting="ward", states=INTERRUPTED, stop_reason="INTERNAL_ERROR"
                    ),
                    *meeting("stopped", people=people),
                    *recording("s", meeting="stopped", states=INTERRUPTED, stop_reason="API_CALL"),
                ],
            )
        ],
    )
    name = "RealtimeKitRecordingInterrupted"
    critical = Fires(name, begins=20, waits=1, ends=60, labels={"severity": "critical"})
    warning = Fires(name, begins=60, waits=1, labels={"severity": "warning"})
    check(promtool, rules, timeline, critical, warning, Silent(name, {"meeting_id": "stopped"}))


def test_a_recording_that_is_replaced(promtool: str, rules: Path) -> None:
    """The critical alert resolves when another recording starts, and stays away after its end."""
    people = [(5, 3)]
    again = [(40, "INVOKED"), (41, "RECORDING"), (60, "UPLOADING"), (61, "UPLOADED")]
    timeline = Timeline(
        120,
        [
            Target(
                "a",
                [
                    *app(),
                    *meeting("ward", people=people),
                    *recording("r", meeting="ward", states=[*RUNS, (20, "ERRORED")]),
                    *recording("again", meeting="ward", states=again, stop_reason="API_CALL"),
                ],
            )
        ],
    )
    name = "RealtimeKitRecordingInterrupted"
    critical = Fires(name, begins=20, waits=1, ends=40, labels={"severity": "critical"})
    check(promtool, rules, timeline, critical, Silent(name, {"severity": "warning"}))


def test_an_almost_empty_file(promtool: str, rules: Path) -> None:
    """The alert fires until the recording ended a day ago."""
    states = [(-DAY - 60, "INVOKED"), (-DAY - 59, "RECORDING"), (-DAY + 60, "UPLOADED")]
    timeline = Timeline(
        90,
        [
            Target(
                "a",
                [
                    *app(),
                    *meeting("ward"),
                    *recording("empty", meeting="ward", states=states, size=0),
                    *recording("fine", meeting="ward", states=states),
                    *recording("tracks", meeting="ward", states=states, size=0, kind="track"),
                ],
            )
        ],
    )
    check(
        promtool,
        rules,
        timeline,
        Fires("RealtimeKitRecordingEmptyFile", begins=0, waits=5, ends=59, lags=1),
    )


def test_files_that_are_deleted(promtool: str, rules: Path) -> None:
    """Before the expiry one alert fires, after it another one, without a time between."""
    states = [(-600, "INVOKED"), (-599, "RECORDING"), (-500, "UPLOADED")]
    timeline = Timeline(
        120,
        [
            Target(
                "a",
                [
                    *app(),
                    *meeting("ward"),
                    *recording("first", meeting="ward", states=states, expires=60),
                    *recording("later", meeting="ward", states=states, expires=3 * DAY),
                ],
            )
        ],
    )
    soon = Fires("RealtimeKitDownloadURLExpiringSoon", begins=0, waits=15, ends=59, lags=1)
    expired = Fires("RealtimeKitDownloadURLExpired", begins=54, waits=5)
    check(promtool, rules, timeline, soon, expired)


def test_a_file_that_was_deleted_yesterday(promtool: str, rules: Path) -> None:
    """The alert resolves a day after the expiry."""
    states = [(-8 * DAY, "INVOKED"), (-8 * DAY, "RECORDING"), (-8 * DAY, "UPLOADED")]
    shown = recording("r", meeting="ward", states=states, expires=60 - DAY)
    timeline = Timeline(90, [Target("a", [*app(), *meeting("ward"), *shown])])
    check(
        promtool,
        rules,
        timeline,
        Fires("RealtimeKitDownloadURLExpired", begins=0, waits=5, ends=59, lags=1),
    )


def test_two_exporters_that_disagree(promtool: str, rules: Path) -> None:
    """The exporter that read a recording last decides, so only one alert fires, or none."""
    stale = [
        *app(),
        *meeting("ward"),
        *recording("r", meeting="ward", states=[(6, "INVOKED"), (60, "RECORDING")]),
    ]
    fresh = [*app(), *meeting("ward"), *recording("r", meeting="ward", states=RUNS)]
    timeline = Timeline(
        90, [Target("old", stale, unreadable=[(6.5, 90)]), Target("new", fresh, since=5)]
    )
    check(promtool, rules, timeline, Silent("RealtimeKitRecordingStuckInvoked"))


@pytest.mark.parametrize("removed", ["app", "meeting"])
def test_what_somebody_removes(removed: str, promtool: str, rules: Path) -> None:
    """Alerts about an app or a meeting end with the scrape that no longer shows it."""
    until = 40.0
    ward = [
        *meeting("ward", people=[(2, 3)], record_on_start=True, until=until),
        *recording("stuck", meeting="round", states=[(2, "INVOKED")], until=until),
        *recording("failed", meeting="round", states=[(2, "ERRORED")], until=until),
        *meeting("round", until=until),
    ]
    timeline = Timeline(
        75, [Target("a", [*app(until=until if removed == "app" else math.inf), *ward])]
    )
    check(
        promtool,
        rules,
        timeline,
        Fires("RealtimeKitMeetingNotRecorded", begins=2, waits=5, ends=40),
        Fires(
            "RealtimeKitRecordingStuckInvoked", begins=2, waits=6, ends=40, counts_from_read=True
        ),
        Fires("RealtimeKitRecordingErrored", begins=2, waits=1, ends=40),
    )


def finished(outcome: str, *minutes: float) -> Series:
    """Return the counter of recordings that ended in these minutes."""
    return Series(
        "rk_recordings_finished_total",
        {"rk_app": APP, "outcome": outcome},
        growing(*minutes),
    )


def test_many_recordings_that_fail(promtool: str, rules: Path) -> None:
    """The alert fires about a bad hour, and resolves within an hour after the last failure."""
    failed = finished("errored", *range(60, 90, 5))
    uploaded = finished("uploaded", *range(2, 60, 10), *range(100, 400, 10))
    timeline = Timeline(400, [Target("a", [*app(), failed, uploaded])])
    fires = Fires("RealtimeKitRecordingErrorRatioHigh", begins=65, waits=5, ends=130, lags=20)
    check(promtool, rules, timeline, fires)


def test_few_recordings_of_which_many_fail(promtool: str, rules: Path) -> None:
    """A site with a recording every hour gets the alert, without a break, until one succeeds."""
    failed = finished("errored", 200, 260, 320)
    uploaded = finished("uploaded", 20, 80, 140, 380, 440, 500, 560)
    timeline = Timeline(620, [Target("a", [*app(), failed, uploaded])])
    fires = Fires("RealtimeKitRecordingErrorRatioHigh", begins=260, waits=5, ends=365, lags=15)
    check(promtool, rules, timeline, fires)


def test_starts_that_are_late(promtool: str, rules: Path) -> None:
    """The alert fires until the late starts are an hour old."""
    late, name = growing(20, 22, 24), "rk_recording_start_delay_seconds"
    buckets = [
        Series(f"{name}_bucket", {"rk_app": APP, "le": le}, steps)
        for le, steps in (("5.0", [(0, 0)]), ("60.0", late), ("+Inf", late))
    ]
    started = Series("rk_recordings_started_total", {"rk_app": APP}, late)
    timeline = Timeline(120, [Target("a", [*app(), *buckets, started])])
    check(
        promtool,
        rules,
        timeline,
        Fires("RealtimeKitStartDelayHigh", begins=24, waits=5, ends=70, lags=14),
    )
