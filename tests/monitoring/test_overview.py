"""The tiles and the table of the overview are right without rules, and admit what is unknown."""

from collections.abc import Sequence

import pytest

from dashboards import expressions
from dashboards import overview_queries as overview
from dashboards.overview_alerts import most_severe
from dashboards.queries import read_last
from tests.support.monitoring.asking import asked, by_label
from tests.support.monitoring.shown import app, meeting, recording
from tests.support.monitoring.timelines import Series, Target


DAY_MINUTES = 24 * 60
ENDED = [(1, "INVOKED"), (2, "RECORDING"), (20, "UPLOADING"), (21, "UPLOADED")]
ZEROES = {
    "stuck": overview.STUCK_NOW,
    "failed": overview.FAILED_TODAY,
    "unrecorded": overview.UNRECORDED_NOW,
    "expiring": overview.EXPIRING_SOON.replace("$within", "86400"),
}


def shown_by(
    promtool: str, promql: str, *targets: Target, minutes: Sequence[float] = (30,)
) -> list[float | None]:
    """Return the number of a tile at each of the *minutes*, or None if the tile says unknown."""
    found = asked(promtool, promql, targets, minutes=minutes)
    assert all(len(samples) <= 1 for samples in found), found
    return [samples[0].value if samples else None for samples in found]


def watching(name: str = "telehealth", *, discovers: bool = True) -> list[Series]:
    """Return an app with one meeting in which nothing happens."""
    return [*app(name, discovers=discovers), *meeting(f"{name} ward", app=name)]


def troubles(promtool: str, *series: Series, minute: float = 30) -> dict[str, float]:
    """Return the trouble of each meeting."""
    targets = [Target("a", [*app(), *series])]
    (found,) = asked(promtool, overview.most_urgent(), targets, minutes=[minute])
    return {**by_label(found, "meeting_id")}


def test_watched_meetings(promtool: str) -> None:
    """Meetings of all apps count, and those of an app with two exporters once."""
    both = [Target("a", watching()), Target("b", [*watching(), *watching("school")])]
    assert [2] == shown_by(promtool, overview.WATCHING, *both)


def test_no_exporter(promtool: str) -> None:
    """The tile does not say that 0 meetings are watched if there is no exporter."""
    other = Target("node", [Series("node_load1", {}, [(0, 1)])], job="node")
    assert [overview.NO_DATA] == shown_by(promtool, overview.WATCHING, other)


def test_an_exporter_that_is_down(promtool: str) -> None:
    """One exporter that is down shows if nobody else reads its app, and only then."""
    down = Target("a", watching(), down=[(20, 99)])
    alone = [down, Target("b", watching("school"))]
    minutes = [10, 30]
    assert [2, overview.NO_DATA] == shown_by(promtool, overview.WATCHING, *alone, minutes=minutes)
    spared = [down, Target("b", watching())]
    assert [1, 1] == shown_by(promtool, overview.WATCHING, *spared, minutes=minutes)


def test_a_removed_app(promtool: str) -> None:
    """An app that is no longer in the configuration is not missing."""
    removed = [*app("old", until=20), *meeting("old ward", app="old", until=20)]
    target = Target("a", [*removed, *watching()])
    assert [2, 1] == shown_by(promtool, overview.WATCHING, target, minutes=[10, 30])


def test_an_api_that_fails(promtool: str) -> None:
    """The tile says first that calls fail, and then that the data are old."""
    target = Target("a", watching(), unreadable=[(20, 99)])
    expected = [1, overview.REFUSED, overview.OLD_DATA]
    assert expected == shown_by(promtool, overview.WATCHING, target, minutes=[10, 25, 40])


@pytest.mark.parametrize("tile", ZEROES)
def test_a_zero_is_true(promtool: str, tile: str) -> None:
    """A tile shows 0 while all apps are read, and nothing when one could not be read for long."""
    targets = [Target("a", watching()), Target("b", watching("school"), unreadable=[(20, 99)])]
    assert [0, None] == shown_by(promtool, ZEROES[tile], *targets, minutes=[10, 40])
    down = [Target("a", watching()), Target("b", watching("school"), down=[(20, 99)])]
    assert [0, None] == shown_by(promtool, ZEROES[tile], *down, minutes=[10, 30])


def test_meetings_that_nobody_records(promtool: str) -> None:
    """Live meetings count if they should record from the start."""
    live = meeting("live", people=[(5, 3)], record_on_start=True)
    by_choice = meeting("choice", people=[(5, 3)], record_on_start=False)
    target = Target("a", [*watching(), *live, *by_choice])
    assert [0, 1] == shown_by(promtool, overview.UNRECORDED_NOW, target, minutes=[3, 30])
    calm = Target("a", [*watching(), *meeting("c", people=[(5, 3)], record_on_start=False)])
    assert [0] == shown_by(promtool, overview.UNRECORDED_NOW, calm)


def test_live_meetings_are_unknown(promtool: str) -> None:
    """The tile does not say 0 if one of the apps is read without discovery."""
    targets = [Target("a", watching()), Target("b", watching("school", discovers=False))]
    assert [None] == shown_by(promtool, overview.UNRECORDED_NOW, *targets)


def test_stuck_recordings(promtool: str) -> None:
    """Recordings count that do not start, and those whose upload does not end."""
    ids = {
        "start": [(10, "INVOKED")],
        "soon": [(68, "INVOKED")],
        "upload": [(1, "INVOKED"), (2, "RECORDING"), (5, "UPLOADING")],
    }
    recordings = [
        series
        for name, states in ids.items()
        for series in recording(name, meeting="telehealth ward", states=states)
    ]
    target = Target("a", [*watching(), *recordings])
    assert [1, 2] == shown_by(promtool, overview.STUCK_NOW, target, minutes=[20, 70])


def test_failed_recordings(promtool: str) -> None:
    """Failures of 24 hours count, also those that happened before the exporter started."""
    before = recording("before", meeting="telehealth ward", states=[(2, "ERRORED")])
    seen = recording(
        "seen",
        meeting="telehealth ward",
        states=[(1, "INVOKED"), (2, "RECORDING"), (90, "ERRORED")],
    )
    target = Target("a", [*watching(), *before, *seen])
    day = DAY_MINUTES
    minutes = [1, 30, 100, day + 30, day + 100]
    assert [0, 1, 2, 1, 0] == shown_by(promtool, overview.FAILED_TODAY, target, minutes=minutes)


def test_expiring_files(promtool: str) -> None:
    """Files count that expire within the chosen time."""
    soon = recording("soon", meeting="telehealth ward", states=ENDED, expires=90)
    later = recording("later", meeting="telehealth ward", states=ENDED, expires=300)
    target = Target("a", [*watching(), *soon, *later])
    for hours, number in ((1, 0), (3, 1), (24, 2)):
        promql = overview.EXPIRING_SOON.replace("$within", str(3600 * hours))
        assert [number] == shown_by(promtool, promql, target, minutes=[25]), hours


def test_troubles_of_meetings(promtool: str) -> None:
    """A meeting has the most urgent trouble of its recordings, or one of its own."""
    people = [(5, 3)]
    shown = [
        *meeting("calm"),
        *meeting("unrecorded", people=people, record_on_start=True),
        *meeting("by choice", people=people, record_on_start=False),
        *meeting("failed"),
        *recording("f", meeting="failed", states=[(1, "INVOKED"), (2, "ERRORED")]),
        *recording("g", meeting="failed", states=[(3, "INVOKED"), (4, "RECORDING")]),
        *meeting("expires"),
        *recording("e", meeting="expires", states=ENDED, expires=100),
    ]
    assert {
        "calm": expressions.FINE,
        "unrecorded": overview.UNRECORDED,
        "by choice": expressions.FINE,
        "failed": expressions.FAILED,
        "expires": expressions.EXPIRES,
    } == troubles(promtool, *shown)


def test_a_meeting_that_cannot_be_read(promtool: str) -> None:
    """A meeting is unread after a while, also if it never could be read."""
    labels = {"rk_app": "telehealth", "meeting_id": "broken"}
    up = Series("rk_meeting_up", labels, [(0, 1), (10, 0)])
    read_at = Series(
        "rk_meeting_last_success_timestamp_seconds",
        labels,
        [(0, lambda scrape: min(scrape.at, 600.0))],
    )
    broken = [*meeting("broken"), up, read_at]
    for minute, level in ((5, 0), (15, 0), (25, overview.UNREAD)):
        assert {"broken": level} == troubles(promtool, *broken, minute=minute)
    never = Series(read_at.metric, labels, [(0, None)])
    assert {"broken": overview.UNREAD} == troubles(promtool, *broken[:-1], never, minute=15)


def test_old_failures_are_no_trouble(promtool: str) -> None:
    """A failure of yesterday no longer comes first, but a recording that is still stuck does."""
    shown = [
        *meeting("failed"),
        *recording("f", meeting="failed", states=[(1, "INVOKED"), (2, "ERRORED")]),
        *meeting("stuck"),
        *recording("s", meeting="stuck", states=[(1, "INVOKED")]),
        *meeting("paused"),
        *recording("p", meeting="paused", states=[(1, "RECORDING"), (2, "PAUSED")]),
    ]
    expected = {"stuck": expressions.STUCK, "paused": expressions.CHECK}
    today = {"failed": expressions.FAILED, **expected}
    assert today == troubles(promtool, *shown, minute=60)
    assert {**expected, "failed": 0} == troubles(promtool, *shown, minute=DAY_MINUTES + 60)


def test_rows_of_the_table(promtool: str) -> None:
    """The table has a limited number of rows: those with troubles, then the latest."""
    calm = [series for n in range(overview.ROWS) for series in meeting(f"calm {n}")]
    shown = [
        *app(),
        *calm,
        *meeting("failed"),
        *recording("f", meeting="failed", states=[(1, "INVOKED"), (2, "ERRORED")]),
        *meeting("latest"),
        *recording("l", meeting="latest", states=ENDED),
    ]
    (found,) = asked(promtool, overview.most_urgent(), [Target("a", shown)], minutes=[30])
    rows = by_label(found, "meeting_id")
    assert len(rows) == overview.ROWS
    assert rows["failed"] == expressions.FAILED
    assert rows["latest"] == expressions.FINE


def test_values_of_the_latest_recording(promtool: str) -> None:
    """A row shows the recording that was requested last, also if an earlier one ends later."""
    shown = [
        *app(),
        *meeting("ward"),
        *recording("first", meeting="ward", states=[(1, "INVOKED"), (2, "RECORDING")]),
        *recording("second", meeting="ward", states=[(10, "INVOKED"), (12, "RECORDING")]),
    ]
    promql = overview.of_latest(read_last("rk_recording_duration_seconds"))
    (found,) = asked(promtool, promql, [Target("a", shown)], minutes=[20])
    (sample,) = found
    assert 7 * 60 < sample.value <= 8 * 60


def alert(name: str, severity: str, **labels: str) -> Series:
    """Return an alert that fires."""
    state = {"alertname": f"RealtimeKit{name}", "alertstate": "firing", "severity": severity}
    return Series("ALERTS", {**state, **labels}, [(0, 1)])


def test_alerts(promtool: str) -> None:
    """Alerts have the names of their meetings, or the ids of meetings that have left."""
    shown = [
        *watching(),
        alert("RecordingErrored", "warning", rk_app="telehealth", meeting_id="telehealth ward"),
        alert("RecordingErrored", "critical", rk_app="telehealth", meeting_id="gone"),
        alert("ExporterDown", "page"),
    ]
    (found,) = asked(promtool, most_severe(), [Target("a", shown)], minutes=[5])
    assert {"telehealth ward": 2, "gone": 3, "": 0} == by_label(found, "meeting_name")
    assert {"RecordingErrored", "ExporterDown"} == {sample.labels["alert"] for sample in found}
