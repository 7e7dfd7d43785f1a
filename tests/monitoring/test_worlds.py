"""Every query and every rule works in every world, and no figure depends on what else is there."""

import math
import re
import time

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import pytest

from tests.support.monitoring import every_state
from tests.support.monitoring.answers import Answer, Labels, ask, merged, options
from tests.support.monitoring.disagreeing import DESCRIBING, STATES
from tests.support.monitoring.grafana import INTERVAL_SECONDS, legend
from tests.support.monitoring.recorded import record
from tests.support.monitoring.replay import OTHERS_ALERTS, started_worlds
from tests.support.monitoring.series import OF_DOWNLOADS, OF_OPTIONS
from tests.support.monitoring.servers import Prometheus, eventually
from tests.support.monitoring.target_labels import TARGET_LABELS
from tests.support.monitoring.views import ELSEWHERE
from tests.support.monitoring.worlds import PLAIN, WORLDS, World
from tests.support.programs import Monitoring


CHOSEN = {"meeting": every_state.WHOLE_LIFE, "recording": ".*"}
IDS = ("rk_app", "meeting_id", "recording_id")
# About the time that the scenario takes.
ENDS_IN_SECONDS = 20
OF_TARGETS = {*TARGET_LABELS, "job", "instance", "cluster", "env", "namespace"}
NEEDS_RULES = re.compile(r"\bALERTS\b|\b(?:app|rk):\w+:")
# This dashboard is about exporters, so it shows each of them.
EXPORTER_DASHBOARD = "RealtimeKit / Exporter"
# Each world keeps a processor busy. The last one contains most of what is in the others.
WORLDS_OF = {Monitoring.DEBIAN: (PLAIN, WORLDS[-1]), Monitoring.BUILT: WORLDS}
PAIRS = [(monitoring, world) for monitoring in Monitoring for world in WORLDS_OF[monitoring]]


def in_worlds(pairs: Sequence[tuple[Monitoring, World]]) -> pytest.MarkDecorator:
    """
    Run a test in worlds of both versions of Prometheus, of one version after the other.

    pytest groups tests by the number of their pair, and starts servers again when the version
    changes. So no world of Prometheus 3 may have the number of one of Prometheus 2.
    """
    assert [*PAIRS[: len(WORLDS_OF[Monitoring.DEBIAN])]] == [
        pair for pair in pairs if pair[0] is Monitoring.DEBIAN
    ]
    return pytest.mark.parametrize(
        ("monitoring", "world"),
        pairs,
        indirect=["monitoring"],
        scope="session",
        ids=[f"{monitoring.value}-{world}" for monitoring, world in pairs],
    )


in_all_worlds = in_worlds(PAIRS)
in_worlds_with_rules = in_worlds([pair for pair in PAIRS if pair[1].has_rules])
in_prometheus_3 = pytest.mark.parametrize(
    "monitoring", [Monitoring.BUILT], indirect=True, scope="session", ids=["prometheus3"]
)
in_worlds_with_different_apps = in_worlds([pair for pair in PAIRS if not pair[1].twice])


@dataclass(frozen=True, slots=True)
class Asked:
    """The answers of a world to all queries, with all values and with those of the plain world."""

    everything: Sequence[Answer]
    home: Sequence[Answer]

    @property
    def all(self) -> Sequence[Answer]:
        """Return all answers."""
        return [*self.everything, *self.home]


@pytest.fixture(scope="module")
def servers(
    monitoring: Monitoring, prometheus: str, root: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Prometheus]]:
    """Start a Prometheus in each world, and let them scrape the whole scenario."""
    folder = tmp_path_factory.mktemp("worlds")
    (folder / "exporter").mkdir()
    expositions = record(folder / "exporter", time.time() + ENDS_IN_SECONDS)
    with started_worlds(
        prometheus, folder, root, worlds=WORLDS_OF[monitoring], expositions=expositions
    ) as servers:
        for world, server in servers.items():
            wait_until_settled(world, server)
        yield servers


def wait_until_settled(world: str, server: Prometheus) -> None:
    """Wait until no figure and no alert will change that depends on how long something is true."""
    # Some panels show what has been true for a minute.
    old = "last_over_time(rk_meetings[5m] offset 65s)"
    # Ended recordings are counted minute by minute.
    ended = "max by (rk_app, outcome) (rk_recordings_finished_total)"
    before = "last_over_time(rk_recordings_finished_total[5m] offset 65s)"
    changed = f"{ended} != max by (rk_app, outcome) ({before})"
    pending = 'ALERTS{alertname=~"RealtimeKit.+", alertstate="pending"}'
    eventually(
        lambda: bool(server.query(old)) and not (server.query(changed) or server.query(pending)),
        what=f"{world} is settled",
        details=lambda: str(server.query(pending)),
        after_seconds=60,
    )


@pytest.fixture(scope="module")
def asked(
    monitoring: Monitoring, servers: Mapping[str, Prometheus], root: Path
) -> Mapping[str, Asked]:
    """Ask all worlds all queries of the dashboards, about the same moment."""
    now = time.time() - 1
    return {
        world.name: Asked(
            ask(servers[world.name], root, now, chosen=CHOSEN, selected={}),
            ask(servers[world.name], root, now, chosen=CHOSEN, selected=world.home),
        )
        for world in WORLDS_OF[monitoring]
    }


def check(problems: Iterable[str]) -> None:
    """Fail with all problems, each once."""
    found = dict.fromkeys(problems)
    assert not found, "\n" + "\n".join(sorted(found))


@in_all_worlds
def test_no_query_fails(world: World, asked: Mapping[str, Asked]) -> None:
    """No join finds several series for one, whichever variables are selected."""
    check(
        f"{answer.question.place}: {answer.error}"
        for answer in asked[world.name].all
        if answer.error
    )


@in_all_worlds
def test_every_query_has_data(world: World, asked: Mapping[str, Asked]) -> None:
    """No query needs rules, except those about alerts and objectives."""
    check(
        answer.question.place
        for answer in asked[world.name].all
        if not answer.series
        # The recorded exporter has none of the options; test_panels_of_options.py is about them.
        and not OF_OPTIONS.search(answer.question.promql)
        and not OF_DOWNLOADS.search(answer.question.promql)
        and (world.has_rules or not NEEDS_RULES.search(answer.question.promql))
        # A target may have no cluster.
        and answer.question.label != "cluster"
    )


@in_all_worlds
def test_no_row_is_shown_twice(world: World, asked: Mapping[str, Asked]) -> None:
    """A table has one row for each app, meeting or recording, and two series have two legends."""
    problems: list[str] = []
    for answers in (asked[world.name].everything, asked[world.name].home):
        for panel, of_panel in groupby(answers, key=lambda answer: answer.panel):
            problems += [f"{panel} has {twice}" for twice in shown_twice([*of_panel])]
    check(problems)


def shown_twice(answers: Sequence[Answer]) -> Iterator[str]:
    """Yield what a panel shows twice."""
    if answers[0].question.panel == "table":
        place = answers[0].panel
        rows = Counter(identity(place, row) for row in merged(answers))
        for key, count in rows.items():
            if count > 1:
                yield f"{count} rows of {dict(key)}"
        return
    for answer in answers:
        legends = Counter(legend(answer.question.shown, series.labels) for series in answer.current)
        for shown, count in legends.items():
            if count > 1 and answer.question.panel:
                yield f"{count} series {shown!r} in {answer.question.place}"


def identity(place: str, row: Mapping[str, str | float]) -> frozenset[tuple[str, str | float]]:
    """Return what a row of a table is about. Labels that describe it do not distinguish rows."""
    hidden = {*DESCRIBING, *(label for label, _ in STATES.values())}
    if not place.startswith(EXPORTER_DASHBOARD):
        hidden |= OF_TARGETS - {"cluster"}
    return frozenset(
        (label, value)
        for label, value in row.items()
        if label not in hidden and not label.startswith("Value #")
    )


@in_all_worlds
def test_variables(world: World, asked: Mapping[str, Asked]) -> None:
    """Variables offer each meeting once, under its name, and select it by its id."""
    problems: list[str] = []
    for answer in asked[world.name].all:
        if answer.question.panel or "annotation" in answer.question.place:
            continue
        found = options(answer)
        place = answer.question.place
        if len(found) < len(answer.series):
            problems.append(f"{place} offers {len(found)} of {len(answer.series)} values")
        for kind, texts in zip(("text", "value"), zip(*found, strict=True), strict=False):
            twice = [text for text, count in Counter(texts).items() if count > 1]
            problems += [f"{place} offers the {kind} {text!r} twice" for text in twice]
        if place.endswith("$meeting"):
            cut = [text for text, _ in found if world.end_of_names not in text]
            problems += [f"{place} offers {text!r}" for text in cut]
    check(problems)


@in_all_worlds
def test_one_number_in_each_tile(world: World, asked: Mapping[str, Asked]) -> None:
    """Tiles that show one number have one series."""
    check(
        f"{answer.question.place} has {len(answer.current)} series"
        for answer in asked[world.name].all
        if answer.question.panel == "stat"
        and (world.has_rules or not NEEDS_RULES.search(answer.question.promql))
        and not answer.question.place.startswith(EXPORTER_DASHBOARD)
        and len(answer.current) != 1
    )


@in_all_worlds
def test_the_same_figures(world: World, asked: Mapping[str, Asked]) -> None:
    """What dashboards show about an exporter does not depend on what else Prometheus has."""
    different = [
        difference
        for plain, other in zip(asked[PLAIN.name].home, asked[world.name].home, strict=True)
        if is_comparable(world, plain)
        for difference in differences(world, plain, other)
    ]
    check(different)


@in_worlds_with_different_apps
def test_the_same_figures_without_a_selection(world: World, asked: Mapping[str, Asked]) -> None:
    """The choice "All" shows our exporters, and no other jobs."""
    different = [
        difference
        for plain, other in zip(asked[PLAIN.name].home, asked[world.name].everything, strict=True)
        if is_comparable(world, plain)
        for difference in differences(world, plain, other)
    ]
    check(different)


@in_prometheus_3
def test_numbers_of_two_clusters(asked: Mapping[str, Asked]) -> None:
    """The choice "All" counts the recordings of all clusters, although their apps have one name."""
    (world,) = (world for world in WORLDS if world.twice)
    check(
        f"{plain.question.place} has {found}, not {expected}"
        for plain, other in zip(asked[PLAIN.name].home, asked[world.name].everything, strict=True)
        if plain.question.place.startswith("RealtimeKit / Overview")
        and plain.question.panel in ("stat", "bargauge")
        and plain.question.unit == "short"
        # A negative number stands for a text.
        and total(plain) >= 0
        and (expected := 2 * total(plain)) != (found := total(other))
    )


def total(answer: Answer) -> float:
    """Return the sum of an answer."""
    return sum(series.last or 0.0 for series in answer.current)


def is_comparable(world: World, plain: Answer) -> bool:
    """Return whether a world must give the answer of the plain one."""
    if plain.question.label == "cluster":
        return False
    if not world.has_rules and NEEDS_RULES.search(plain.question.promql):
        return False
    is_one = len({shown.labels["instance"] for shown in world.shown}) == 1
    return is_one or not (
        plain.question.label == "instance" or plain.question.place.startswith(EXPORTER_DASHBOARD)
    )


def differences(world: World, plain: Answer, other: Answer) -> Iterator[str]:
    """Yield how an answer differs from that of the plain world."""
    expected, found = (
        {key(one, series.labels): series.last for series in answer.current}
        for one, answer in ((PLAIN, plain), (world, other))
    )
    place = plain.question.place
    # A subquery looks at points with an interval between them.
    grid = INTERVAL_SECONDS if f":{INTERVAL_SECONDS:.0f}s]" in plain.question.promql else 0.0
    for labels in expected.keys() - found.keys():
        yield f"{place} lacks {dict(labels)}"
    for labels in found.keys() - expected.keys():
        yield f"{place} has also {dict(labels)}"
    for labels in expected.keys() & found.keys():
        if not is_close(expected[labels], found[labels], within_seconds=grid):
            yield f"{place} has {found[labels]}, not {expected[labels]}, for {dict(labels)}"


def key(world: World, labels: Labels) -> frozenset[tuple[str, str]]:
    """Return the labels that a series has in all worlds."""
    return frozenset(
        (label, value)
        for label, value in world.plain(labels).items()
        if label not in OF_TARGETS and value
    )


def is_close(expected: float | None, found: float | None, *, within_seconds: float = 0.0) -> bool:
    """Return whether two numbers are equal, except for the time between two scrapes or points."""
    if expected is None or found is None:
        return expected is found
    if math.isnan(expected) or math.isnan(found):
        return math.isnan(expected) and math.isnan(found)
    return math.isclose(expected, found, rel_tol=0.05, abs_tol=0.05 + within_seconds)


@in_worlds_with_rules
def test_the_same_alerts(world: World, servers: Mapping[str, Prometheus]) -> None:
    """The same alerts fire in all worlds, once for each cluster."""
    expected = alerts_of(PLAIN, servers[PLAIN.name])
    if world.twice:
        expected = Counter({alert: 2 * count for alert, count in expected.items()})

    def found() -> Counter[frozenset[tuple[str, str]]]:
        return alerts_of(world, servers[world.name])

    eventually(
        lambda: found() == expected,
        what="the same alerts fire",
        details=lambda: f"missing: {expected - found()}\nnot expected: {found() - expected}",
    )


def alerts_of(world: World, server: Prometheus) -> Counter[frozenset[tuple[str, str]]]:
    """Return our alerts that fire in a world, with their labels in the plain world."""
    firing = server.query('ALERTS{alertname=~"RealtimeKit.+", alertstate="firing"}')
    # Alerts about exporters fire once for each of them.
    found = {
        (
            frozenset(
                (label, value.removeprefix(ELSEWHERE))
                for label, value in key(world, sample["metric"])
            ),
            frozenset((k, v) for k, v in sample["metric"].items() if k != "instance"),
        )
        for sample in firing
    }
    return Counter(alert for alert, _ in found)


@in_worlds_with_rules
def test_no_rule_fails(world: World, servers: Mapping[str, Prometheus]) -> None:
    """Every rule is healthy in every world, and no text of an alert is broken."""
    rules = servers[world.name].rules()
    assert [] == [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]
    texts = [
        text
        for rule in rules
        for alert in rule.get("alerts", [])
        for text in alert["annotations"].values()
    ]
    assert texts
    broken = re.compile(r"<error|<no value>|\{\{(?! \$labels\.x)")
    assert [] == [text for text in texts if broken.search(text)]


@in_all_worlds
def test_no_alerts_of_others(world: World, asked: Mapping[str, Asked]) -> None:
    """Alerts of other teams are shown nowhere."""
    assert [] == [
        answer.question.place
        for answer in asked[world.name].all
        for series in answer.series
        if series.labels.get("alertname") in OTHERS_ALERTS
    ]
