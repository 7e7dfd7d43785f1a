import tempfile

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.metrics_core import GaugeMetricFamily, Metric

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.metrics.builders import LabelSet, counter, histogram
from rk_exporter.metrics.exposition import Format
from rk_exporter.metrics.new_series import NewSeries
from rk_exporter.simulator import Fault
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.counters import Histogram
from tests.support.building import (
    ACCOUNT,
    NOW,
    Setup,
    config,
    labelled,
    run,
    samples,
    scripted,
    setup,
    value,
)


FAILURES = "rk_api_request_failures_total"
REQUESTS = "rk_api_requests_total"
STARTED = "rk_recordings_started_total"
SNAPSHOTS_WITH_OLD_VALUE = 2
Values = Mapping[str, float]


def increase(values: Iterable[float]) -> float:
    """Return by how much Prometheus says that a series with these samples has grown."""
    first, *others = values
    grown, before = 0.0, first
    for number in others:
        grown += number - before if number >= before else number
        before = number
    return grown


class Server:
    """A Prometheus server, which remembers the samples of each series."""

    def __init__(self) -> None:
        self.scraped: dict[str, list[float]] = defaultdict(list)

    def scrape(self, text: Values) -> None:
        for series, number in text.items():
            self.scraped[series].append(number)

    @property
    def increases(self) -> dict[str, float]:
        return {series: increase(values) for series, values in self.scraped.items()}


def family(counts: Values) -> Metric:
    return counter("events", "help", [(LabelSet(kind=kind), n) for kind, n in counts.items()])


def shown(family: Metric) -> dict[str, float]:
    return {sample.labels["kind"]: sample.value for sample in family.samples}


class Process:
    """An exporter's process that counts events of some kinds from *restored* values on."""

    def __init__(self, restored: Values) -> None:
        self.counts = dict(restored)
        self._new = NewSeries()
        self._new.begin([family(restored)])

    def scrape(self, *servers: Server) -> None:
        """Answer scrapes that share a snapshot."""
        snapshot = Snapshot((), 0.0)
        for server in servers:
            (answer,) = self._new.with_old_values(snapshot, [family(self.counts)])
            server.scrape(shown(answer))


KINDS = st.sampled_from("abc")
COUNTS = st.dictionaries(KINDS, st.integers(0, 9))
# Each step: what happens, and whether both servers scrape.
STEPS = st.lists(st.tuples(COUNTS, st.booleans()), max_size=12)
# What one process after the other sees, and whether a process keeps the counts of the one before.
LIVES = st.lists(st.tuples(STEPS, st.booleans()), min_size=1, max_size=3)


class TestValues:
    def test_known_series(self) -> None:
        """A series whose old value is known keeps it when others begin."""
        new = NewSeries()
        new.begin([family({"a": 3})])
        new.begin([family({"a": 5, "b": 1})])
        (answer,) = new.with_old_values(Snapshot((), 0.0), [family({"a": 7, "b": 2})])
        assert {"a": 3, "b": 1} == shown(answer)

    @given(lives=LIVES)
    def test_nothing_is_lost(self, lives: list[tuple[list[tuple[Values, bool]], bool]]) -> None:
        """
        Whatever is counted when, Prometheus's increase is the number of events.

        This is so if each process answers two more scrapes before it ends. The counts of a process
        begin with those of the one before it, which it may have saved, or at 0.
        """
        server, truth, saved = Server(), defaultdict[str, float](float), dict[str, float]()
        for steps, is_saved in lives:
            process = Process(saved if is_saved else {})
            for events, is_scraped in steps:
                for kind, count in events.items():
                    process.counts[kind] = process.counts.get(kind, 0.0) + count
                    truth[kind] += count
                if is_scraped:
                    process.scrape(server)
            for _ in range(1 + SNAPSHOTS_WITH_OLD_VALUE):
                process.scrape(server)
            saved = process.counts
        assert dict(truth) == server.increases

    @given(steps=STEPS)
    def test_two_servers(self, steps: list[tuple[Values, bool]]) -> None:
        """Two servers that take turns, or share a snapshot, both count everything."""
        servers, process = (Server(), Server()), Process({})
        truth = defaultdict[str, float](float)
        for number, (events, is_shared) in enumerate(steps):
            for kind, count in events.items():
                process.counts[kind] = process.counts.get(kind, 0.0) + count
                truth[kind] += count
            if is_shared:
                process.scrape(*servers)
            else:
                process.scrape(servers[number % 2])
                process.scrape(servers[(number + 1) % 2])
        for number in range(2 * (1 + SNAPSHOTS_WITH_OLD_VALUE)):
            process.scrape(servers[number % 2])
        assert [dict(truth)] * 2 == [server.increases for server in servers]

    def test_known_series_are_current(self) -> None:
        """A series that two snapshots have shown is never behind."""
        new, texts = NewSeries(), []
        for number in range(1, 6):
            (answer,) = new.with_old_values(Snapshot((), number), [family({"a": number})])
            texts.append(shown(answer)["a"])
        assert [0, 0, 3, 4, 5] == texts

    def test_formats_of_a_snapshot_agree(self) -> None:
        """Both formats of a snapshot have the same values, and count as one."""
        new = NewSeries()
        values = [
            shown(answer)["a"]
            for snapshot in (Snapshot((), 1), Snapshot((), 2), Snapshot((), 3))
            for _ in Format
            for answer in new.with_old_values(snapshot, [family({"a": 7})])
        ]
        assert [0, 0, 0, 0, 7, 7] == values

    def test_series_that_comes_back(self) -> None:
        """The series of an app that was removed and added again is new once more."""
        new, texts = NewSeries(), []
        for number, counts in enumerate([{"a": 1}] * 3 + [{}] + [{"a": 2}] * 3):
            if number == 3:
                new.begin([])
            (answer,) = new.with_old_values(Snapshot((), number), [family(counts)])
            texts.append(shown(answer).get("a"))
        assert [0, 0, 1, None, 0, 0, 2] == texts

    def test_whole_histogram(self) -> None:
        """All series of a histogram are held back together, so that it is consistent."""
        new, counted = NewSeries(), Histogram((1.0,), (2, 3), 9.0)
        texts = []
        for number in range(3):
            delays = histogram("delay", "help", [(LabelSet(), counted)])
            (answer,) = new.with_old_values(Snapshot((), number), [delays])
            texts.append([sample.value for sample in answer.samples])
        assert [[0, 0, 0, 0], [0, 0, 0, 0], [2, 5, 5, 9]] == texts

    def test_series_with_the_same_labels(self) -> None:
        """Series with the same labels have old values of their own, also within a histogram."""
        new, counted = NewSeries(), Histogram((1.0,), (2, 3), 9.0)
        grown = [
            counter("started", "help", [(LabelSet(), 4)]),
            counter("dropped", "help", [(LabelSet(), 6)]),
            histogram("delay", "help", [(LabelSet(), counted.observe(7.0))]),
        ]
        new.begin(
            [
                counter("started", "help", [(LabelSet(), 3)]),
                histogram("delay", "help", [(LabelSet(), counted)]),
            ]
        )
        answers = new.with_old_values(Snapshot((), 1), grown)
        assert [[3], [0], [2, 5, 5, 9]] == [
            [sample.value for sample in answer.samples] for answer in answers
        ]

    def test_gauges_are_current(self) -> None:
        """Values that do not count are shown as they are."""
        gauge = GaugeMetricFamily("some", "help", value=3)
        (answer,) = NewSeries().with_old_values(Snapshot((), 1), [gauge])
        assert 3 == answer.samples[0].value


def two_apps(*names: str) -> Config:
    """Return a configuration of apps with these names; each has a meeting."""
    apps = "".join(
        f"  - {{name: {name}, app_id: {app_id}, meetings: {{ids: [meeting-1]}}}}\n"
        for app_id, name in zip("ab", names, strict=False)
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rk.yml"
        path.write_text(
            f"account_id: {ACCOUNT}\napi: {{budget: 100000, read: active-recording}}\n"
            f"scrape: {{min_interval: 0s}}\napps:\n{apps}"
        )
        return load(path, {}, {TOKEN_VARIABLE: "simulated"})


async def scrapes(system: Setup, count: int = 3) -> list[str]:
    texts = []
    for _ in range(count):
        system.time.now += 15
        texts.append((await system.get()).text)
    return texts


def increases(texts: list[str], name: str) -> dict[str, float]:
    """Return how much each series of a metric has grown, if it has."""
    server = Server()
    for text in texts:
        server.scrape(samples(text, name))
    return {series: grown for series, grown in server.increases.items() if grown}


def by_app(text: str) -> dict[str, float]:
    """Return how many recordings of each app have started."""
    return {labels["rk_app"]: number for labels, number in labelled(text, STARTED)}


class TestExporter:
    @pytest.mark.parametrize(
        ("fault", "reason", "code"),
        [
            (Fault.RATE_LIMITED, "rate_limited", "429"),
            (Fault.UNAUTHORIZED, "auth", "401"),
            (Fault.SERVER_ERROR, "server_error", "500"),
        ],
    )
    def test_first_pass(self, fault: Fault, reason: str, code: str) -> None:
        """A failure in the first pass of a process counts, by its reason and its code."""
        system = setup(scripted())

        async def steps() -> list[str]:
            system.simulator.inject("*", fault)
            return await scrapes(system)

        texts = run(steps())
        counted = [(labels["reason"], n) for labels, n in labelled(texts[-1], FAILURES) if n]
        assert {reason} == {name for name, _ in counted}
        assert sum(n for _, n in counted) == sum(increases(texts, FAILURES).values()) > 0
        codes = increases(texts, REQUESTS)
        assert [f'code="{code}"' in series for series in codes] == [True] * len(codes) != []
        durations = increases(texts, "rk_api_request_duration_seconds_count")
        assert sum(codes.values()) == sum(durations.values())

    def test_new_code_after_hours(self) -> None:
        """The first response with a new status counts, however old the process is."""
        system = setup(scripted())

        async def steps() -> list[str]:
            before = await scrapes(system, 5)
            assert 'code="502"' not in before[-1]
            system.simulator.inject("meeting-1", Fault.BAD_GATEWAY, times=1)
            return before + await scrapes(system)

        grown = increases(run(steps()), REQUESTS)
        assert [1] == [number for series, number in grown.items() if 'code="502"' in series]

    def test_new_app(self) -> None:
        """A failure in the first pass over an app that a reload has added counts."""
        system = setup(scripted(), configuration=two_apps("first"))

        async def steps() -> list[str]:
            await scrapes(system)
            system.simulator.inject("*", Fault.SERVER_ERROR)
            await system.exporter.change(system.exporter.prepare(two_apps("first", "second")))
            return await scrapes(system)

        texts = run(steps())
        grown = increases(texts, FAILURES)
        of_second = sum(number for series, number in grown.items() if '"second"' in series)
        counted = [n for labels, n in labelled(texts[-1], FAILURES) if labels["rk_app"] == "second"]
        assert of_second == sum(counted) > 0

    def test_renamed_app(self) -> None:
        """The recordings that an app counted under its old name do not count again."""
        system = setup(
            scripted(invoked_at=NOW + 20, started_at=NOW + 22), configuration=two_apps("old")
        )

        async def steps() -> list[str]:
            before = await scrapes(system)
            assert 1 == value(before[-1], STARTED)
            await system.exporter.change(system.exporter.prepare(two_apps("new")))
            return await scrapes(system, 6)

        texts = run(steps())
        assert ['{rk_app="new"}'] == list(samples(texts[0], STARTED))
        assert {} == increases(texts, STARTED)

    @pytest.mark.parametrize(
        ("reloads", "expected"),
        [
            ([("b", "a")], {"a": 0, "b": 0}),
            ([("b", "c")], {"b": 0, "c": 1}),
            # The names are free in between, but Prometheus still has their series.
            ([("c", "b"), ("c", "a"), ("b", "a")], {"a": 0, "b": 0}),
            # It gets its own name back.
            ([("c", "b"), ("a", "b")], {"a": 1, "b": 1}),
            ([("a", "b")], {"a": 1, "b": 1}),
        ],
        ids=["swap", "name of a renamed app", "three reloads", "there and back", "no change"],
    )
    def test_name_of_another_app(
        self, reloads: list[tuple[str, str]], expected: dict[str, int]
    ) -> None:
        """A name that another app had begins at 0: that is a reset, and nothing counts twice."""
        system = setup(
            scripted(invoked_at=NOW + 20, started_at=NOW + 22), configuration=two_apps("a", "b")
        )

        async def steps() -> list[str]:
            texts = await scrapes(system)
            assert {"a": 1, "b": 1} == by_app(texts[-1])
            for names in reloads:
                await system.exporter.change(system.exporter.prepare(two_apps(*names)))
                texts += await scrapes(system)
            return texts

        texts = run(steps())
        assert expected == by_app(texts[-1])
        assert {'{rk_app="a"}': 1, '{rk_app="b"}': 1} == increases(texts, STARTED)

    def test_restored_counts(self, tmp_path: Path) -> None:
        """What ended while no process ran counts, and what an earlier process counted does not."""
        begin = NOW + 600
        recordings = [
            scripted(invoked_at=NOW + 20, started_at=NOW + 22),
            scripted(
                invoked_at=begin,
                started_at=begin + 2,
                paused=(),
                stopped_at=begin + 20,
                uploaded_at=begin + 30,
            ),
        ]
        configuration = replace(config(), state_file=tmp_path / "state.json")

        async def life(begin: float) -> list[str]:
            system = setup(*recordings, configuration=configuration)
            system.time.now = begin
            texts = await scrapes(system)
            await system.exporter.close()
            return texts

        first, second = run(life(NOW)), run(life(NOW + 900))
        assert [1, 1, 1, 2] == [value(text, STARTED) for text in (first[-1], *second)]
        assert [1] == [*increases(second, STARTED).values()]

    def test_process_metrics_are_current(self) -> None:
        """The metrics of the process are those of every other program."""
        text = run(scrapes(setup(scripted()), 1))[0]
        seconds = value(text, "process_cpu_seconds_total")
        assert seconds is not None
        assert seconds > 0
