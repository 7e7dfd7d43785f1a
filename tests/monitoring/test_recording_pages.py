"""The pages of recordings are right without rules, and say why a value is missing."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from dashboards import expressions
from dashboards import recording_queries as one
from dashboards import recordings_queries as many
from dashboards.variables import variables
from tests.support.monitoring.asking import asked, by_label
from tests.support.monitoring.shown import app, meeting, recording
from tests.support.monitoring.simulated import Sample
from tests.support.monitoring.timelines import APP, Series, Target


WARD, NAME = "ward", "Ward round"
UPLOADED = [(1, "INVOKED"), (2, "RECORDING"), (20, "UPLOADING"), (21, "UPLOADED")]
ERRORED = [(2, "INVOKED"), (5, "ERRORED")]
RUNNING = [(30, "INVOKED"), (31, "RECORDING"), (40, "PAUSED"), (45, "RECORDING")]
PAUSED = RUNNING[:3]
NEWEST = ".*"
MINUTE = 60.0


def target(*series: Series, instance: str = "a") -> Target:
    """Return an exporter with the meeting."""
    return Target(instance, [*app(), *meeting(WARD, name=NAME), *series])


def shown(
    promtool: str, promql: str, *targets: Target, chosen: str = NEWEST, minute: float = MINUTE
) -> Sequence[Sample]:
    """Return what the page of one recording shows with the *chosen* recording."""
    chosen_promql = promql.replace("$recording", chosen)
    in_range = chosen_promql.replace("$__range", "1h").replace("$__interval", "1m")
    (samples,) = asked(promtool, in_range, targets, minutes=[minute])
    return samples


def number(promtool: str, promql: str, *targets: Target, chosen: str = NEWEST) -> float | None:
    """Return the number of a tile, or None if it has none."""
    samples = shown(promtool, promql, *targets, chosen=chosen)
    assert len(samples) <= 1, samples
    return samples[0].value if samples else None


def several() -> Target:
    """Return the meeting with a failed recording between two others."""
    return target(
        *recording("old", meeting=WARD, states=UPLOADED),
        *recording("failed", meeting=WARD, states=ERRORED),
        *recording("running", meeting=WARD, states=RUNNING),
    )


@pytest.mark.parametrize(
    ("chosen", "state", "trouble", "duration"),
    [
        (NEWEST, "RECORDING", expressions.FINE, 29 * 60),
        ("running", "RECORDING", expressions.FINE, 29 * 60),
        ("failed", "ERRORED", expressions.FAILED, one.NO_FILE),
        ("old", "UPLOADED", expressions.FINE, 18 * 60),
    ],
)
def test_the_chosen_recording(
    promtool: str, chosen: str, state: str, trouble: int, duration: float
) -> None:
    """The page shows the chosen recording, also an old failed one, and otherwise the newest."""
    (sample,) = shown(promtool, one.state_of_meeting(), several(), chosen=chosen)
    assert sample.labels["meeting_name"] == NAME
    assert sample.value == expressions.STATE_CODES[state]
    assert trouble == number(promtool, one.trouble(), several(), chosen=chosen)
    length = number(promtool, one.duration(), several(), chosen=chosen)
    assert length == pytest.approx(duration, abs=30)
    above = by_label(shown(promtool, one.is_the_one(), several(), chosen=chosen), "recording_id")
    assert {name for name, is_shown in above.items() if is_shown} == {
        "running" if chosen == NEWEST else chosen
    }
    assert above.keys() == {"old", "failed", "running"}


def test_a_recording_that_is_gone(promtool: str) -> None:
    """If the chosen recording is no longer shown, no other one takes its place."""
    (sample,) = shown(promtool, one.state_of_meeting(), several(), chosen="gone")
    assert (sample.labels["meeting_name"], sample.value) == (NAME, one.NO_RECORDING)
    for promql in (one.duration(), one.size(), one.expires_in(), one.times(), one.details()):
        assert not shown(promtool, promql, several(), chosen="gone")


def test_a_meeting_without_a_recording(promtool: str) -> None:
    """The page shows the name of a meeting that has no recording."""
    (sample,) = shown(promtool, one.state_of_meeting(), target())
    assert (sample.labels["meeting_name"], sample.value) == (NAME, one.NO_RECORDING)
    assert number(promtool, one.size(), target()) is None


def test_no_meeting(promtool: str) -> None:
    """All tiles are empty if there is no meeting."""
    nothing = Target("a", [*app()])
    for promql in (one.state_of_meeting(), one.trouble(), one.duration(), one.expires_in()):
        assert not shown(promtool, promql, nothing)


@pytest.mark.parametrize(
    ("series", "duration", "size", "left"),
    [
        pytest.param(
            [*recording("r", meeting=WARD, states=[(30, "INVOKED")])],
            one.NOT_YET,
            one.NOT_YET,
            one.NOT_YET,
            id="not started",
        ),
        pytest.param(
            [*recording("r", meeting=WARD, states=PAUSED)],
            29 * 60,
            one.NOT_YET,
            one.NOT_YET,
            id="running",
        ),
        pytest.param(
            [*recording("r", meeting=WARD, states=ERRORED, size=None)],
            one.NO_FILE,
            one.NO_FILE,
            one.NO_FILE,
            id="failed",
        ),
        pytest.param(
            [*recording("r", meeting=WARD, states=UPLOADED, expires=50)],
            18 * 60,
            20e6,
            -10 * 60,
            id="expired",
        ),
        pytest.param(
            [
                series
                for series in recording("r", meeting=WARD, states=UPLOADED)
                if "download_url" not in series.metric
            ],
            18 * 60,
            20e6,
            one.NO_URL,
            id="own storage",
        ),
        pytest.param(
            [*recording("r", meeting=WARD, states=UPLOADED, size=0, kind="track")],
            18 * 60,
            one.PER_TRACK,
            one.NO_URL,
            id="a file per participant",
        ),
        pytest.param(
            [*recording("r", meeting=WARD, states=UPLOADED, size=0)],
            18 * 60,
            0,
            7 * 86_400 - 39 * 60,
            id="empty file",
        ),
    ],
)
def test_missing_values(
    promtool: str, series: list[Series], duration: float, size: float, left: float
) -> None:
    """A tile without a value says why."""
    for promql, expected in (
        (one.duration(), duration),
        (one.size(), size),
        (one.expires_in(), left),
    ):
        assert number(promtool, promql, target(*series)) == pytest.approx(expected, abs=30)


def minutes_of_events(promtool: str, *targets: Target, chosen: str = NEWEST) -> dict[str, int]:
    """Return the minute of each event in the table of times."""
    samples = shown(promtool, one.times(), *targets, chosen=chosen)
    return {event: round(ms / 60_000) for event, ms in by_label(samples, "event").items()}


def test_times(promtool: str) -> None:
    """The table has the events that happened, also those that only the history shows."""
    found = minutes_of_events(promtool, several(), chosen="old")
    expires = 21 + 7 * 24 * 60
    assert found.pop("Uploaded") in (21, 22)
    assert found == {"Requested": 1, "Started": 2, "Stopped": 20, "Expires": expires}
    failed = minutes_of_events(promtool, several(), chosen="failed")
    assert failed.pop("Failed") in (5, 6)
    assert failed == {"Requested": 2}
    running = minutes_of_events(promtool, several())
    assert running.pop("Paused") in (40, 41)
    assert running == {"Requested": 30, "Started": 31}
    after = shown(promtool, one.times_since(), several(), chosen="old")
    assert by_label(after, "event")["Stopped"] == 18 * 60
    assert by_label(after, "event")["Started"] == 60


def test_changes_before_the_history(promtool: str) -> None:
    """A recording that Prometheus first saw UPLOADED has no time of the upload."""
    late = replace(several(), since=30)
    assert "Uploaded" not in minutes_of_events(promtool, late, chosen="old")


def test_details(promtool: str) -> None:
    """The table has a row for each text, in a fixed order."""
    stopped = recording(
        "r", meeting=WARD, states=UPLOADED, stop_reason="ALL_PEERS_LEFT", kind="composite"
    )
    samples = sorted(shown(promtool, one.details(), target(*stopped)), key=lambda row: row.value)
    assert [(row.labels["field"], row.labels.get("text", "")) for row in samples] == [
        ("App", "telehealth"),
        ("Meeting id", WARD),
        ("Recording id", "r"),
        ("Session id", ""),
        ("File", "r.mp4"),
        ("Kind", "composite"),
        ("Stop reason", "ALL_PEERS_LEFT"),
    ]


def archived(recording_id: str, *, is_saved: bool) -> Series:
    """Return what an exporter says about the copy of a recording."""
    labels = {"rk_app": APP, "meeting_id": WARD, "recording_id": recording_id}
    return Series("rk_recording_archived", labels, [(25, float(is_saved))])


def of_copies(promtool: str, *targets: Target, chosen: str) -> tuple[Sequence[str], object]:
    """Return what the details of a recording say about its copy, and what the table shows."""
    details = shown(promtool, one.details(), *targets, chosen=chosen)
    texts = [row.labels["text"] for row in details if row.labels["field"] == "Copy"]
    return texts, by_label(shown(promtool, one.saved(), *targets), "recording_id")


@pytest.mark.parametrize(
    ("chosen", "texts"),
    [
        ("saved", ["is in the archive"]),
        ("missing", ["is not in the archive"]),
        ("running", []),
    ],
)
def test_copies(promtool: str, chosen: str, texts: Sequence[str]) -> None:
    """The details and the table say whether the archive has the file, as far as it is known."""
    exporter = target(
        *recording("saved", meeting=WARD, states=UPLOADED),
        *recording("missing", meeting=WARD, states=UPLOADED),
        *recording("running", meeting=WARD, states=RUNNING),
        archived("saved", is_saved=True),
        archived("missing", is_saved=False),
    )
    found = of_copies(promtool, exporter, chosen=chosen)
    assert found == (texts, {"saved": 1, "missing": 0})


def test_copies_that_one_exporter_finds(promtool: str) -> None:
    """A recording is in the archive once, if one exporter found it and another one did not."""
    finding, missing = (
        Target(
            name,
            [
                *app(),
                *meeting(WARD, name=NAME),
                *recording("r", meeting=WARD, states=UPLOADED),
                archived("r", is_saved=is_saved),
            ],
        )
        for name, is_saved in (("a", True), ("b", False))
    )
    found = of_copies(promtool, finding, missing, chosen="r")
    assert found == (["is in the archive"], {"r": 1})


def test_without_an_archive(promtool: str) -> None:
    """Without an archive, nothing is said about copies."""
    assert of_copies(promtool, several(), chosen="old") == ([], {})


def test_exporters_that_disagree(promtool: str) -> None:
    """All values are those of the exporter that read the recording last."""
    behind = Target(
        "b",
        [
            *app(),
            *meeting(WARD, name=NAME, people=[(1, 9)]),
            *recording("r", meeting=WARD, states=[(1, "INVOKED"), (4, "ERRORED")], kind="track"),
        ],
        unreadable=[(10, 99)],
    )
    ahead = Target(
        "a",
        [
            *app(),
            *meeting(WARD, name=NAME, people=[(1, 3)]),
            *recording("r", meeting=WARD, states=UPLOADED, size=5),
        ],
    )
    both = (ahead, behind)
    assert expressions.STATE_CODES["UPLOADED"] == number(promtool, one.state(), *both)
    assert number(promtool, one.size(), *both) == 5
    assert number(promtool, one.people(), *both) == 3
    assert "Failed" not in minutes_of_events(promtool, *both)


def choices(promtool: str, *targets: Target) -> list[tuple[str, str]]:
    """Return the texts and values of the variable for the recording, in Grafana's order."""
    *_, variable = (item.build() for item in variables(of_one_meeting=True))
    assert variable.name == "recording"
    promql = str(variable.query).removeprefix("query_result(").removesuffix(")")
    samples = shown(promtool, promql, *targets)
    return sorted(
        ((row.labels["start"], row.labels["recording_id"]) for row in samples), reverse=True
    )


def test_choices_of_recordings(promtool: str) -> None:
    """The first choice is the newest recording. The others are listed by their start."""
    at = [datetime.fromtimestamp(60 * minute, UTC) for minute in (30, 2, 1)]
    texts = [f"{moment:%Y-%m-%d %H:%M} UTC" for moment in at]
    expected = [("newest", NEWEST), *zip(texts, ["running", "failed", "old"], strict=True)]
    assert expected == choices(promtool, several())
    assert choices(promtool, target()) == [("newest", NEWEST)]


def test_a_choice_without_a_time(promtool: str) -> None:
    """A recording whose times the API reports wrongly can be chosen by its id."""
    without = [
        series
        for series in recording("r", meeting=WARD, states=RUNNING)
        if "timestamp" not in series.metric or "last_success" in series.metric
    ]
    assert choices(promtool, target(*without)) == [("r", "r"), ("newest", NEWEST)]
    assert number(promtool, one.state(), target(*without)) == expressions.STATE_CODES["RECORDING"]


def test_the_longest_recordings(promtool: str) -> None:
    """There is one bar for each of the ten longest, also for two recordings of one meeting."""
    running = [
        series
        for minute in range(1, 13)
        for series in recording(
            f"{minute:08}-id", meeting=WARD, states=[(minute, "INVOKED"), (minute + 1, "RECORDING")]
        )
    ]
    other = [*meeting("other", name="Other"), *recording("o", meeting="other", states=PAUSED)]
    found = by_label(shown(promtool, many.running_longest(), target(*running)), "bar")
    assert [*found] == [f"{NAME} {minute:08}" for minute in range(1, 11)]
    assert [*found.values()] == sorted(found.values(), reverse=True)
    two = target(*recording("x", meeting=WARD, states=RUNNING), *other)
    assert {NAME, "Other"} == by_label(shown(promtool, many.running_longest(), two), "bar").keys()
    assert not shown(promtool, many.running_longest(), target())


def test_the_most_urgent_recordings(promtool: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows are those with the most urgent problems, and of equal ones the newest."""
    monkeypatch.setattr(many, "ROWS", 2)
    promql = many.most_urgent()
    found = by_label(shown(promtool, promql, several()), "recording_id")
    assert found == {"failed": expressions.FAILED, "running": expressions.FINE}


def test_latest_recording_of_each_meeting(promtool: str) -> None:
    """Meetings of one name differ in the history, which has one row for each."""
    twin = [
        *meeting("twin-id-of-more-characters", name=NAME),
        *recording("t", meeting="twin-id-of-more-characters", states=PAUSED),
    ]
    alone = by_label(shown(promtool, many.state_of_latest(), several()), "meeting_name")
    assert alone == {NAME: expressions.STATE_CODES["RECORDING"]}
    both = Target("a", [*several().series, *twin])
    found = by_label(shown(promtool, many.state_of_latest(), both), "meeting_name")
    assert found == {
        f"{NAME} ward": expressions.STATE_CODES["RECORDING"],
        f"{NAME} twin-id-": expressions.STATE_CODES["PAUSED"],
    }
    sizes = by_label(shown(promtool, many.sizes_of_meetings(), both), "meeting_name")
    assert sizes == {f"{NAME} ward": 40e6}
