"""The PromQL that dashboards and rules share is right without rules, whatever exporters say."""

import pytest

from dashboards import expressions, names, queries, totals, variables
from dashboards.selectors import (
    CHOSEN,
    named,
    newest,
    newest_of_live_meetings,
    of_app,
    of_exporter,
    of_meeting,
    of_process,
    up,
)
from rk_exporter.model.recording import Status
from tests.support.monitoring.asking import QUARTER_MINUTE, asked, by_label
from tests.support.monitoring.shown import app, growing, meeting, read_at, recording
from tests.support.monitoring.timelines import SCRAPINGS, Scraping, Series, Target, Value


STATE = expressions.state_code(CHOSEN)
TROUBLE = expressions.trouble_level(CHOSEN)
NAMES = names.names(CHOSEN)
OFFERED = variables.meetings()
ENDED = "rk_recordings_finished_total"
APP = {"rk_app": "telehealth"}


def started(minute: float) -> Series:
    """Return when a process started."""
    return Series("process_start_time_seconds", {}, [(0, 60 * minute)])


def loaded(minute: float) -> Series:
    """Return when an exporter loaded its configuration."""
    return Series("rk_config_last_reload_success_timestamp_seconds", {}, [(0, 60 * minute)])


def read_before(minute: float, recording_id: str, meeting_id: str = "ward") -> Series:
    """Return that an exporter reads a recording no longer."""

    def last(scrape_at: float) -> float:
        return min(scrape_at, 60 * minute)

    labels = {**APP, "meeting_id": meeting_id, "recording_id": recording_id}
    metric = "rk_recording_last_success_timestamp_seconds"
    return Series(metric, labels, [(0, lambda scrape: last(scrape.at))])


def in_state(recording_id: str, *states: tuple[float, str], size: float = 2e7) -> list[Series]:
    """Return the series of a recording of the meeting "ward"."""
    return [*recording(recording_id, meeting="ward", states=states, size=size)]


@pytest.mark.parametrize("status", Status)
def test_each_state_has_a_code(promtool: str, status: Status) -> None:
    """A recording has one code while it is shown, that of its state."""
    shown = [*app(), *recording("r", meeting="ward", states=[(1, status)], until=4)]
    codes = asked(promtool, STATE, [Target("a", shown)], minutes=[0.5, 3, 5])
    expected = float([*Status].index(status) + 1)
    assert [{}, {"r": expected}, {}] == [by_label(found, "recording_id") for found in codes]


def test_trouble_levels(promtool: str) -> None:
    """The most urgent problem of a recording counts."""
    ended = [(0, "INVOKED"), (1, "RECORDING"), (20, "UPLOADING"), (21, "UPLOADED")]
    shown = [
        *app(),
        *in_state("stuck", (20, "INVOKED")),
        *in_state("soon", (98, "INVOKED")),
        *in_state("stuck upload", *ended[:3]),
        *in_state("upload", *ended[:2], (90, "UPLOADING")),
        *in_state("failed", *ended[:2], (20, "ERRORED")),
        *in_state("empty", *ended, size=10),
        *in_state("empty and expiring", *ended, size=10),
        *in_state("short", (0, "INVOKED"), (1, "RECORDING"), (1.05, "UPLOADED"), size=0),
        *recording("tracks", meeting="ward", states=ended, size=0, kind="track"),
        *in_state("paused", *ended[:2], (20, "PAUSED")),
        *in_state("new word", *ended[:2], (20, "UNKNOWN")),
        *recording("expiring", meeting="ward", states=ended, expires=200),
        *recording("expired", meeting="ward", states=ended, expires=50),
        *in_state("fine", *ended),
        *in_state("runs", *ended[:2]),
    ]
    (levels,) = asked(promtool, TROUBLE, [Target("a", shown)], minutes=[100])
    assert {
        "stuck": expressions.STUCK,
        "soon": expressions.FINE,
        "stuck upload": expressions.STUCK,
        "upload": expressions.FINE,
        "failed": expressions.FAILED,
        "empty": expressions.EMPTY,
        "empty and expiring": expressions.EMPTY,
        "short": expressions.FINE,
        "tracks": expressions.FINE,
        "paused": expressions.CHECK,
        "new word": expressions.CHECK,
        "expiring": expressions.EXPIRES,
        "expired": expressions.FINE,
        "fine": expressions.FINE,
        "runs": expressions.FINE,
    } == by_label(levels, "recording_id")


@pytest.mark.parametrize("order", [1, -1])
def test_two_states_of_one_recording(promtool: str, order: int) -> None:
    """A recording counts once, in the state that was read last, and so does its trouble."""
    behind = [*app(), *in_state("r", (1, "INVOKED"), (2, "RECORDING")), read_before(5, "r")]
    current = [*app(), *in_state("r", (1, "INVOKED"), (2, "RECORDING"), (9, "ERRORED"))]
    targets = [Target("a", behind), Target("b", current)][::order]
    expected = {STATE: 6, TROUBLE: expressions.FAILED}
    expected |= {expressions.in_state(CHOSEN, "RECORDING|PAUSED"): 0}
    for promql, value in expected.items():
        (found,) = asked(promtool, promql, targets, minutes=[12])
        assert {"r": value} == by_label(found, "recording_id")


def test_two_values_of_one_recording(promtool: str) -> None:
    """A recording has the size that was read last, and a meeting the people counted last."""
    size, people = "rk_recording_file_size_bytes", "rk_meeting_live_participants"
    old_count = Series("rk_discovery_last_success_timestamp_seconds", APP, [(0, 60.0)])
    states = [(1, "UPLOADING")]
    older = [*app(), old_count, *meeting("ward", people=[(0, 9)])]
    older += [*recording("r", meeting="ward", states=states, size=500), read_before(3, "r")]
    newer = [*app(), *meeting("ward", people=[(0, 2)])]
    newer += recording("r", meeting="ward", states=states, size=100)
    targets = [Target("a", older), Target("b", newer)]
    assert [[100]] == numbers(promtool, newest(of_meeting(size)), targets)
    assert [[2]] == numbers(promtool, newest_of_live_meetings(of_meeting(people)), targets)


def test_two_states_in_totals(promtool: str) -> None:
    """A recording that two exporters know in two states is one in progress, not two."""

    def known(**numbers: float) -> list[Series]:
        return [
            Series("rk_recordings", {**APP, "status": status}, [(0, numbers.get(status, 0))])
            for status in Status
        ]

    targets = [
        Target("a", [*app(), *known(RECORDING=1, ERRORED=3)]),
        Target("b", [*app(), *known(UPLOADING=1, ERRORED=3)]),
    ]
    for statuses, expected in (
        ("INVOKED|RECORDING|PAUSED|UPLOADING", 1),
        ("ERRORED", 3),
        ("PAUSED", 0),
    ):
        (found,) = asked(promtool, f"sum({queries.in_states(statuses)})", targets, minutes=[5])
        assert [expected] == [sample.value for sample in found]


def test_an_exporter_that_cannot_read(promtool: str) -> None:
    """Totals are those of the exporter that can read the API, whichever started last."""

    def known(number: float, *, can_read: float, start: float) -> list[Series]:
        recordings = Series("rk_recordings", {**APP, "status": "RECORDING"}, [(0, number)])
        return [*app(), recordings, Series("rk_up", APP, [(0, can_read)]), started(start)]

    targets = [
        Target("a", known(5, can_read=0, start=3)),
        Target("b", known(2, can_read=1, start=1)),
    ]
    (found,) = asked(promtool, f"sum({queries.in_states('RECORDING')})", targets, minutes=[5])
    assert [2] == [sample.value for sample in found]


def test_two_clusters(promtool: str) -> None:
    """Exporters with the same job and address in two clusters are two, and so are their apps."""

    def cluster(name: str, state: str) -> Target:
        ids = f"of {name}"
        shown = [
            *app(),
            *meeting(ids, name=f"Round {name}"),
            *recording(ids, meeting=ids, states=[(1, state)]),
            Series("rk_recordings", {**APP, "status": "RECORDING"}, [(0, 1)]),
        ]
        return Target("same", shown, labels={"cluster": name})

    targets = [cluster("eu", "RECORDING"), cluster("us", "ERRORED")]
    (codes,) = asked(promtool, named(STATE), targets, minutes=[5])
    assert {"Round eu": 2, "Round us": 6} == by_label(codes, "meeting_name")
    (total,) = asked(promtool, f"sum({queries.in_states('RECORDING')})", targets, minutes=[5])
    assert [2] == [sample.value for sample in total]


@pytest.mark.parametrize(
    "promql",
    [STATE, TROUBLE, named(STATE), queries.LIVE_UNRECORDED, queries.in_states("PAUSED"), up()],
    ids=["state", "trouble", "named", "unrecorded", "totals", "up"],
)
def test_two_pods_at_one_address(promtool: str, promql: str) -> None:
    """No query fails while a target has series of the old pod and of the new one."""
    recordings = Series("rk_recordings", {**APP, "status": "PAUSED"}, [(0, 1)])
    shown = [
        *app(),
        *meeting("ward", people=[(0, 2)]),
        *meeting("live", people=[(0, 2)]),
        *in_state("r", (1, "PAUSED")),
        recordings,
    ]
    targets = [Target("same", shown, labels={"pod": pod}) for pod in ("old", "new")]
    (found,) = asked(promtool, f"count({promql})", targets, minutes=[5])
    assert found[0].value == (2 if promql == up() else 1)


def test_two_names_of_a_meeting(promtool: str) -> None:
    """A meeting has the name of the exporter that started last."""
    targets = [
        Target("a", [*app(), *meeting("ward", name="Old"), started(1)]),
        Target("b", [*app(), *meeting("ward", name="New"), started(3)]),
        Target("c", [*app(), *meeting("ward", name="Older"), started(0.5)]),
    ]
    (found,) = asked(promtool, NAMES, targets, minutes=[5])
    assert {"New": 1} == by_label(found, "meeting_name")
    (offered,) = asked(promtool, OFFERED, targets, minutes=[5])
    assert ["New"] == [*by_label(offered, "meeting_name")]


def test_names_without_a_start(promtool: str) -> None:
    """A meeting has the name of the latest configuration if no system reports a process's start."""
    gone = Series("process_start_time_seconds", {}, [])
    targets = [
        Target("a", [*app(), *meeting("ward", name="Old"), gone, loaded(1)]),
        Target("b", [*app(), *meeting("ward", name="New"), gone, loaded(3)]),
        Target("c", [*app(), *meeting("ward", name="Older"), gone, loaded(0.5)]),
    ]
    for promql in (NAMES, OFFERED):
        (found,) = asked(promtool, promql, targets, minutes=[5])
        assert ["New"] == [*by_label(found, "meeting_name")]


def test_a_meeting_without_a_name(promtool: str) -> None:
    """A recording whose meeting has no name is shown with the meeting's id."""
    info = {**APP, "meeting_id": "ward", "meeting_name": "Ward"}
    shown = [*app(), *meeting("ward", name="Ward"), Series("rk_meeting_info", info, [])]
    shown += [*recording("r", meeting="ward", states=[(1, "PAUSED")])]
    (found,) = asked(promtool, named(STATE), [Target("a", shown)], minutes=[5])
    assert {"ward": 3} == by_label(found, "meeting_name")


def test_names_of_now_in_a_history(promtool: str) -> None:
    """A renamed meeting has its present name at earlier times, too."""
    old = {**APP, "meeting_id": "ward", "meeting_name": "Old"}
    new = {**old, "meeting_name": "New"}
    shown = [
        *app(),
        *meeting("ward", name="Old"),
        *in_state("r", (1, "PAUSED")),
        Series("rk_meeting_info", old, [(0, 1), (5, None)]),
        Series("rk_meeting_info", new, [(5, 1)]),
    ]
    history = f"count by (meeting_name) ({names.with_names(CHOSEN, STATE)})"
    found = asked(promtool, history, [Target("a", shown)], minutes=[4, 7])
    assert [{"Old": 1}, {"New": 1}] == [by_label(at, "meeting_name") for at in found]


def unrecorded(promtool: str, *targets: list[Series], minute: float = 10) -> set[str]:
    """Return the meetings whose people are not recorded."""
    places = [Target(f"exporter {number}", shown) for number, shown in enumerate(targets)]
    (found,) = asked(promtool, queries.LIVE_UNRECORDED, places, minutes=[minute])
    return {*by_label(found, "meeting_id")}


def test_people_without_a_recording(promtool: str) -> None:
    """A live meeting counts unless a recording of it runs."""

    def live(name: str, *states: tuple[float, str]) -> list[Series]:
        shown = [*meeting(name, people=[(0, 3)])]
        return [*shown, *(recording(name, meeting=name, states=states) if states else [])]

    shown = [
        *app(),
        *live("no recording"),
        *live("invoked", (1, "INVOKED")),
        *live("recording", (1, "RECORDING")),
        *live("paused", (1, "RECORDING"), (2, "PAUSED")),
        *live("new word", (1, "UNKNOWN")),
        *live("uploading", (1, "RECORDING"), (2, "UPLOADING")),
        *live("uploaded", (1, "RECORDING"), (2, "UPLOADED")),
        *live("failed", (1, "RECORDING"), (2, "ERRORED")),
        *meeting("empty", people=[(0, 0)]),
        *meeting("not live"),
        *meeting("unread", people=[(0, 3)], active=[]),
    ]
    assert {"no recording", "uploading", "uploaded", "failed"} == unrecorded(promtool, shown)


def test_an_exporter_that_still_sees_a_recording(promtool: str) -> None:
    """People count although an exporter that reads no longer believes that they are recorded."""
    runs: list[tuple[float, str]] = [(1, "RECORDING")]
    stale = [*app(), *meeting("ward", people=[(0, 3)])]
    stale += [*recording("r", meeting="ward", states=runs), read_before(3, "r")]
    ended = recording("r", meeting="ward", states=[*runs, (4, "UPLOADING")])
    current = [*app(), *meeting("ward", people=[(0, 3)]), *ended]
    assert {"ward"} == unrecorded(promtool, stale, current)
    assert set() == unrecorded(promtool, stale)


def test_a_recording_that_ends_with_its_meeting(promtool: str) -> None:
    """People count only if they were counted after the recording ended, at any interval."""
    counted_at = Series(
        "rk_discovery_last_success_timestamp_seconds",
        APP,
        [(0, read_at), (5, 300.0), (9, read_at)],
    )
    states = [(1, "RECORDING"), (6, "UPLOADING"), (7, "UPLOADED")]
    shown = [*app(), counted_at, *meeting("ward", people=[(0, 3)])]
    shown += [*recording("r", meeting="ward", states=states)]
    assert set() == unrecorded(promtool, shown, minute=8)
    assert {"ward"} == unrecorded(promtool, shown, minute=10)


def test_people_who_have_just_come(promtool: str) -> None:
    """A meeting does not count in its first minute, because a recording takes a moment."""
    shown = [*app(), *meeting("ward", people=[(5, 3)])]
    assert set() == unrecorded(promtool, shown, minute=5.5)
    assert {"ward"} == unrecorded(promtool, shown, minute=7)


def test_only_meetings_that_must_be_recorded_are_missed(promtool: str) -> None:
    """The figure that warns leaves out meetings without record_on_start."""
    shown = [
        *app(),
        *meeting("must", people=[(0, 1)], record_on_start=True),
        *meeting("need not", people=[(0, 1)], record_on_start=False),
    ]
    (found,) = asked(promtool, queries.MISSED, [Target("a", shown)], minutes=[5])
    assert {"must": 1} == by_label(found, "meeting_id")


def ends(outcome: str, *minutes: float, first: float = 0) -> Series:
    """Return a counter that grows in these minutes."""
    steps: list[tuple[float, Value]] = [
        (minute, first + number) for minute, number in _steps(growing(*minutes))
    ]
    return Series(ENDED, {**APP, "outcome": outcome}, steps)


def _steps(steps: object) -> list[tuple[float, float]]:
    return [(minute, number) for minute, number in steps]  # type: ignore[attr-defined]


@pytest.mark.parametrize("scraping", SCRAPINGS, ids=str)
@pytest.mark.parametrize("step_minutes", [1, 5, 30])
def test_bars_lose_no_event(promtool: str, scraping: Scraping, step_minutes: int) -> None:
    """The bars over a time add up to the events in it, at any scrape interval and zoom."""
    events = (21, 34, 35.5, 47, 63.2, 88)
    shown = [*app(), ends("uploaded", *events), ends("errored", 50, first=7)]
    promql = totals.counted(of_app(ENDED), f"{step_minutes}m")
    times = [float(minute) for minute in range(step_minutes, 121, step_minutes)]
    bars = asked(promtool, promql, [Target("a", shown)], minutes=times, scraping=scraping)
    by_outcome = [by_label(bar, "outcome") for bar in bars]
    for outcome, expected in (("uploaded", len(events)), ("errored", 1)):
        assert expected == sum(bar.get(outcome, 0) for bar in by_outcome)
        assert all(bar.get(outcome, 0) >= 0 for bar in by_outcome)


def test_bars_of_a_new_series(promtool: str) -> None:
    """A counter that appears within a bar counts from its first sample."""
    labels = {**APP, "outcome": "uploaded"}
    new = Series(ENDED, labels, [(11, 40), (12, 41), (13, 43)])
    bars = asked(
        promtool,
        totals.counted(of_app(ENDED), "10m"),
        [Target("a", [*app(), new])],
        minutes=[10, 20, 30],
    )
    assert [{}, {"uploaded": 3}, {"uploaded": 0}] == [by_label(bar, "outcome") for bar in bars]


def test_bars_over_a_restart_and_an_outage(promtool: str) -> None:
    """A restart counts from 0, and an outage neither invents events nor takes any back."""
    labels = {**APP, "outcome": "uploaded"}
    counter = Series(ENDED, labels, [(0, 40), (12, 41), (25, 2), (27, 3), (70, 5)])
    bars = asked(
        promtool,
        f"sum({totals.counted(of_app(ENDED), '10m')})",
        [Target("a", [*app(), counter], down=[(32, 62)])],
        minutes=[20, 30, 40, 50, 60, 70, 80, 90],
    )
    found = [bar[0].value if bar else None for bar in bars]
    assert [1, 3, 0, None, None, 0, 2, 0] == found


def failure_rate(promtool: str, *targets: Target, minute: float = 90) -> list[float]:
    """Return the share of the failed among the recordings of the last hour."""
    failed, all_ = (
        f"sum({queries.ended_within('1h', outcomes)})"
        for outcomes in (totals.FAILURES, totals.ENDS)
    )
    (found,) = asked(promtool, f"{failed} / ({all_} > 0)", targets, minutes=[minute])
    return [sample.value for sample in found]


@pytest.mark.parametrize("scraping", [Scraping(15, None), Scraping(60, 2)], ids=str)
def test_ended_recordings_without_rules(promtool: str, scraping: Scraping) -> None:
    """The number of ended recordings is whole, in a process that has run for minutes or hours."""
    shown = [*app(), ends("uploaded", 5, 6, 70, 71, 72), ends("errored", 80)]
    for minute, uploaded, failed in ((10, 2, 0), (60, 2, 0), (100, 3, 1), (150, 0, 0)):
        for outcomes, expected in (("uploaded", uploaded), (totals.FAILURES, failed)):
            promql = f"sum({queries.ended_within('1h', outcomes)})"
            (found,) = asked(
                promtool, promql, [Target("a", shown)], minutes=[minute], scraping=scraping
            )
            assert [expected] == [sample.value for sample in found], (minute, outcomes)


def test_failure_rate(promtool: str) -> None:
    """The failure rate is that of the hour, and absent if nothing ended."""
    shown = [*app(), ends("uploaded", 5, 40, 50, 60), ends("errored", 70), ends("upload_failed")]
    assert [pytest.approx(0.25)] == failure_rate(promtool, Target("a", shown))
    assert [] == failure_rate(promtool, Target("a", shown), minute=170)


def test_two_outcomes_of_one_recording(promtool: str) -> None:
    """A recording that failed in two ways, according to two exporters, failed once."""
    targets = [
        Target("a", [*app(), ends("uploaded", 40), ends("errored", 50), ends("upload_failed")]),
        Target("b", [*app(), ends("uploaded", 40), ends("errored"), ends("upload_failed", 50)]),
    ]
    assert [pytest.approx(0.5)] == failure_rate(promtool, *targets)


def growth(promtool: str, *targets: Target, scraping: Scraping) -> float:
    """Return the sum of the bars of an app's ended recordings in two hours."""
    promql = f"sum({totals.growth_of_apps(CHOSEN, of_app(ENDED), '5m', more='outcome')})"
    times = [float(minute) for minute in range(5, 125, 5)]
    bars = asked(promtool, promql, targets, minutes=times, scraping=scraping)
    return sum(sample.value for bar in bars for sample in bar)


EVENTS = (21, 34, 35.5, 47, 63.2, 88)


@pytest.mark.parametrize("scraping", [Scraping(15, None), *SCRAPINGS[::3]], ids=str)
def test_two_exporters_see_each_event_once(promtool: str, scraping: Scraping) -> None:
    """An event that the second exporter sees later, in another bar, counts once."""
    late = tuple(minute + 1.5 for minute in EVENTS)
    targets = [
        Target("a", [*app(), ends("uploaded", *EVENTS), started(0)]),
        Target("b", [*app(), ends("uploaded", *late, first=40), started(1)]),
    ]
    assert len(EVENTS) == growth(promtool, *targets, scraping=scraping)
    assert len(EVENTS) == growth(promtool, *targets[::-1], scraping=scraping)


@pytest.mark.parametrize("scraping", [Scraping(15, None), Scraping(60, None)], ids=str)
@pytest.mark.parametrize("kept", [True, False], ids=["with a state file", "without"])
def test_pods_that_follow_each_other(promtool: str, scraping: Scraping, *, kept: bool) -> None:
    """What the old pod counted counts, and the new pod counts from its first sample."""
    first = 3 if kept else 0
    new = [(50.0, float(first)), (63.2, first + 1.0), (88.0, first + 2.0)]
    labels = {**APP, "outcome": "uploaded"}
    targets = [
        Target("old", [*app(), ends("uploaded", *EVENTS[:3])], until=49),
        Target("new", [*app(), Series(ENDED, labels, new), started(50)], since=50),
    ]
    assert 5 == growth(promtool, *targets, scraping=scraping)
    promql = f"sum({queries.ended_within('2h', 'uploaded')})"
    assert [[5]] == numbers(promtool, promql, targets, minute=110, scraping=scraping)


def test_a_pod_that_leaves_beside_another_exporter(promtool: str) -> None:
    """What the pod counted in its last minutes counts once, because the other counted it, too."""
    targets = [
        Target("a", [*app(), ends("uploaded", *EVENTS)], until=48),
        Target("b", [*app(), ends("uploaded", *EVENTS), started(1)]),
    ]
    for order in (1, -1):
        found = growth(promtool, *targets[::order], scraping=Scraping(15, None))
        assert len(EVENTS) == found


def test_an_exporter_that_fails_beside_another(promtool: str) -> None:
    """
    The other exporter counts after a quarter of an hour, and an outage does not look like events.

    A shorter outage hides nothing, because the exporter then shows what it has counted.
    """
    for down in ((20, 25), (40, 62), (65, 110)):
        targets = [
            Target("a", [*app(), ends("uploaded", *EVENTS, first=50)], down=[down]),
            Target("b", [*app(), ends("uploaded", *EVENTS), started(1)]),
        ]
        lost = [minute for minute in EVENTS if down == (40, 62) and 40 < minute < 55]
        found = growth(promtool, *targets, scraping=Scraping(15, None))
        assert len(EVENTS) - len(lost) == found, down


def node_exporter(**target: object) -> Target:
    """Return another program's target, with metrics that all programs have."""
    memory = Series("process_resident_memory_bytes", {}, [(0, 1e12)])
    return Target("node", [memory, started(0)], job="node", **target)  # type: ignore[arg-type]


def test_targets_of_other_programs(promtool: str) -> None:
    """A dead node_exporter beside ours changes nothing."""
    memory = Series("process_resident_memory_bytes", {}, [(0, 5e7)])
    targets = [Target("a", [*app(), memory]), node_exporter(down=[(3, 99)])]
    assert [[1.0]] == numbers(promtool, f"min({up()})", targets)
    targets = [Target("a", [*app(), memory]), node_exporter()]
    ours = of_process("process_resident_memory_bytes")
    assert [[5e7]] == numbers(promtool, f"max({ours})", targets)
    assert [[1e12]] == numbers(
        promtool, f"max({of_exporter('process_resident_memory_bytes')})", targets
    )


def test_a_dead_exporter(promtool: str) -> None:
    """One of ours that no longer answers counts as down, although it shows nothing now."""
    targets = [Target("a", [*app()]), Target("b", [*app()], down=[(3, 99)]), node_exporter()]
    assert [[0.0]] == numbers(promtool, f"min({up()})", targets)
    assert [[2.0]] == numbers(promtool, f"count({up()})", targets)


def numbers(
    promtool: str,
    promql: str,
    targets: list[Target],
    *,
    minute: float = 30,
    scraping: Scraping = QUARTER_MINUTE,
) -> list[list[float]]:
    """Return the values of an expression, by default after half an hour."""
    found = asked(promtool, promql, targets, minutes=[minute], scraping=scraping)
    return [[sample.value for sample in samples] for samples in found]
