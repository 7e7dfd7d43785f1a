"""Reloads of the configuration, through the whole exporter in virtual time."""

import asyncio
import json
import tempfile

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from hypothesis import given, settings
from hypothesis import strategies as st

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.simulator import Recording, Session
from rk_exporter.snapshot import AppSnapshot
from tests.support.building import (
    BASE_URL,
    NOW,
    Call,
    Simulation,
    by_meeting,
    config,
    labelled,
    samples,
    scripted,
    simulate,
    value,
)


MEETINGS = ["a", "b", "c", "d"]
# Tokens and their users; the last two are of one user.
USERS = {"t0": "u0", "t1": "u1", "t2": "u2", "t3": "u1"}
APPS = ["x", "y", "z"]


def recordings() -> list[Recording]:
    """Return recordings that come and go all the time, and some that have ended before."""
    return [
        scripted(
            meeting_id,
            invoked_at=(begin := NOW - 300.0 + 50.0 * number + 7.0 * turn),
            started_at=begin + 2.0,
            paused=(),
            stopped_at=begin + 40.0 + turn,
            uploaded_at=begin + 55.0,
        )
        for turn, meeting_id in enumerate(MEETINGS)
        for number in range(40)
    ]


@dataclass(frozen=True, slots=True)
class PlannedApp:
    """An entry of `apps`."""

    token: str
    name: str | None = None
    meetings: tuple[str, ...] = ("a", "b")
    discover: bool = False
    read: str = "auto"

    def entry(self, app_id: str, groups: Mapping[str, str | None]) -> dict[str, object]:
        group, user = {}, USERS[self.token]
        if groups[user]:
            group = {"budget_group": groups[user]}
        return {
            "app_id": app_id,
            **({"name": self.name} if self.name else {}),
            "api_token_env": self.token.upper(),
            "meetings": {"ids": [*self.meetings], "discover": str(self.discover).lower()},
            "read": self.read,
            **group,
        }


@dataclass(frozen=True, slots=True)
class Plan:
    """A configuration."""

    apps: Mapping[str, PlannedApp]
    groups: Mapping[str, str | None] = field(default_factory=lambda: dict.fromkeys(USERS.values()))
    budget: int = 100
    stale_after: str = "5m"
    max_recordings: int = 1000

    def load(self) -> Config:
        used: set[str] = set()
        apps = []
        for app_id, app in self.apps.items():
            # Names must differ.
            name = None if app.name in used else app.name
            used |= {name} if name else set()
            apps.append(replace(app, name=name).entry(app_id, self.groups))
        document = {
            "account_id": "account",
            "api": {"base_url": BASE_URL, "budget": str(self.budget)},
            "scrape": {"min_interval": "0s", "stale_after": self.stale_after},
            "follow": {"max_recordings": str(self.max_recordings)},
            "apps": apps,
        }
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "rk.yml"
            path.write_text(json.dumps(document))
            return load(path, {}, {token.upper(): token for token in USERS})


def limits(configuration: Config) -> dict[str, int]:
    """Return the limit of each user."""
    by_group: dict[str | None, int] = {}
    for app in configuration.apps:
        by_group[app.budget_group] = app.budget
    return {
        USERS[app.token.current().reveal()]: by_group[app.budget_group]
        for app in configuration.apps
    }


class Watcher:
    """Checks all calls and everything that is shown, over scrapes and reloads."""

    def __init__(self, simulation: Simulation, first: Config) -> None:
        self.simulation = simulation
        self.calls: list[tuple[float, str]] = []
        self.counters: dict[str, Any] = {}
        self.series: dict[str, float] = {}
        self.configuration = first
        # The app that had each name last.
        self.owners = {app.app.name: app.app.app_id for app in first.apps}
        simulation.proxy.before = self.count

    def count(self, call: Call) -> None:
        """Check that a call is within the limit of its user."""
        (user,) = {
            USERS[app.token.current().reveal()]
            for app in self.configuration.apps
            if app.app.app_id == call.app_id
        }
        now = self.simulation.now()
        self.calls.append((now, user))
        recent = sum(at > now - 300.0 and other == user for at, other in self.calls)
        assert recent <= limits(self.configuration)[user]

    def check(self, text: str) -> None:
        """Check that no counter has gone back, and that the series are of one configuration."""
        names = {app.app.name for app in self.configuration.apps}
        for metric in ("rk_app_info", "rk_meetings", "rk_exporter_internal_errors_total"):
            assert names == {labels["rk_app"] for labels, _ in labelled(text, metric)}
        called = {labels["rk_app"] for labels, _ in labelled(text, "rk_api_malformed_fields_total")}
        assert names == called
        assert 0 == sum(number for _, number in labelled(text, "rk_exporter_internal_errors_total"))
        ids = {app.app.name: app.app.app_id for app in self.configuration.apps}
        series = {}
        for line in text.splitlines():
            name, _, number = line.rpartition(" ")
            if not line.startswith("#") and "rk_app=" in name and is_counter(name):
                series[name] = float(number)
        before = {key: least for key, least in self.series.items() if key in series}
        for key, least in before.items():
            label = key.partition('rk_app="')[2].partition('"')[0]
            if self.ids_before.get(label) == ids[label]:
                assert series[key] >= least, key
        self.series, self.ids_before = series, ids

    ids_before: dict[str, str] = {}  # noqa: RUF012 # replaced, never changed

    async def reload(self, plan: Plan) -> None:
        """Reload, and check that readings, recordings and counters are kept."""
        before = {app.app.app_id: app for app in self.simulation.exporter.collector.snapshot.apps}
        configuration = plan.load()
        running = asyncio.create_task(self.simulation.exporter.collector.scrape(9.5))
        await asyncio.sleep(0)
        change = asyncio.create_task(self.simulation.reload(configuration))
        snapshot = await running
        await change
        # The scrape that was under way shows the configuration that it began with, as a whole.
        names = [app.app.name for app in self.configuration.apps]
        others = [app.app.name for app in configuration.apps]
        assert [app.app.name for app in snapshot.apps] in (names, others)
        self.configuration = configuration
        for app in self.simulation.exporter.collector.snapshot.apps:
            name, app_id = app.app.name, app.app.app_id
            if earlier := before.get(app_id):
                check_kept(earlier, app)
                if name == earlier.app.name or self.owners.get(name, app_id) == app_id:
                    check_counters_kept(earlier, app)
                else:
                    assert 0 == app.counters.started == sum(app.counters.finished.values())
        self.owners |= {app.app.name: app.app.app_id for app in configuration.apps}


def is_counter(name: str) -> bool:
    return name.partition("{")[0].endswith(("_total", "_count", "_bucket", "_sum"))


def check_counters_kept(before: AppSnapshot, after: AppSnapshot) -> None:
    """Check that the counters of an app that stays do not go back."""
    assert after.counters.started >= before.counters.started
    assert sum(after.counters.finished.values()) >= sum(before.counters.finished.values())


def check_kept(before: AppSnapshot, after: AppSnapshot) -> None:
    """Check that an app that stays loses nothing of the meetings that stay."""
    readings = {reading.meeting.meeting_id: reading for reading in before.readings}
    for reading in after.readings:
        earlier = readings.get(reading.meeting.meeting_id)
        if earlier is not None and earlier.last_success_timestamp_seconds is not None:
            # A pass may have ended in between.
            assert reading.last_success_timestamp_seconds is not None
            assert reading.last_success_timestamp_seconds >= earlier.last_success_timestamp_seconds
            assert (reading.recordings is None) <= (earlier.recordings is None)


NAMES = st.sampled_from([None, "first", "second"])
PLANNED = st.builds(
    PlannedApp,
    token=st.sampled_from([*USERS]),
    name=NAMES,
    meetings=st.lists(st.sampled_from(MEETINGS), min_size=1, unique=True).map(tuple),
    discover=st.booleans(),
    read=st.sampled_from(["auto", "list", "active-recording"]),
)
PLANS = st.builds(
    Plan,
    apps=st.dictionaries(st.sampled_from(APPS), PLANNED, min_size=1),
    groups=st.fixed_dictionaries(
        dict.fromkeys(sorted(set(USERS.values())), st.sampled_from([None, "g", "h"]))
    ),
    budget=st.sampled_from([15, 40, 300]),
    stale_after=st.sampled_from(["1m", "5m"]),
    max_recordings=st.sampled_from([1, 1000]),
)


@settings(max_examples=40)
@given(st.lists(st.tuples(PLANS, st.integers(0, 12)), min_size=2, max_size=6))
def test_any_sequence(steps: list[tuple[Plan, int]]) -> None:
    """
    Whatever is reloaded, also during scrapes, nothing that stays is lost.

    No counter goes back, no user makes more calls than the limit, the readings of meetings that
    stay are kept, and each scrape shows one configuration.
    """
    (first, count), *others = steps

    async def run(simulation: Simulation) -> None:
        watcher = Watcher(simulation, configuration)
        for text in await simulation.scrapes(count):
            watcher.check(text)
        for plan, scrapes in others:
            await watcher.reload(plan)
            for _ in range(scrapes):
                watcher.check(await simulation.scrape())

    configuration = first.load()
    simulate(
        run,
        *recordings(),
        meetings=MEETINGS,
        sessions=[Session("s", "a", NOW - 90.0)],
        configuration=configuration,
        token=tuple(USERS),
        users=USERS,
        latency_seconds=0.05,
    )


def plan(*meetings: str, **changes: Any) -> Plan:
    return Plan({"x": PlannedApp("t0", meetings=meetings or ("a", "b"), **changes)})


def shown(exporter: Exporter) -> str:
    """Return what the exporter shows without another pass."""
    return encode(exporter.families(exporter.collector.snapshot), Format.TEXT).decode()


def reloaded(before: Plan, after: Plan, *, scrapes: int = 8) -> tuple[str, str, str]:
    """Return what is shown before a reload, immediately after it, and by the next scrape."""

    async def run(simulation: Simulation) -> tuple[str, str, str]:
        first = await simulation.last_scrape(scrapes)
        await simulation.reload(after.load())
        return first, shown(simulation.exporter), await simulation.scrape()

    return simulate(
        run,
        *recordings(),
        meetings=MEETINGS,
        configuration=before.load(),
        token=tuple(USERS),
        users=USERS,
    )


class TestApps:
    def test_new_name(self) -> None:
        """A new name moves the series of an app; the recordings' counters go on under it."""
        before, after, _ = reloaded(plan(name="old"), plan(name="new"))
        started = samples(before, "rk_recordings_started_total")['{rk_app="old"}']
        assert started > 0
        assert {'{rk_app="new"}': started} == samples(after, "rk_recordings_started_total")
        assert 'rk_app="old"' not in after
        statuses = samples(before, "rk_recording_status").items()
        moved = {series.replace('"old"', '"new"'): number for series, number in statuses}
        assert moved == samples(after, "rk_recording_status")
        calls = labelled(after, "rk_api_requests_total")
        assert calls
        assert 0 == sum(number for _, number in calls)

    def test_swapped_names(self) -> None:
        """If two apps swap their names, no series goes on with the counts of the other app."""
        apps = {"x": PlannedApp("t0", "one", ("a",)), "y": PlannedApp("t0", "two", ("b", "c"))}
        swapped = {"x": PlannedApp("t0", "two", ("a",)), "y": PlannedApp("t0", "one", ("b", "c"))}
        before, after, _ = reloaded(Plan(apps), Plan(swapped))
        old, new = (samples(text, "rk_recordings_started_total") for text in (before, after))
        assert min(old.values()) > 0
        assert {'{rk_app="one"}': 0, '{rk_app="two"}': 0} == new
        old, new = (samples(text, "rk_meeting_active_recordings") for text in (before, after))
        renamed = {"one": "two", "two": "one"}
        assert old == {
            series.replace(f'rk_app="{name}"', f'rk_app="{renamed[name]}"'): number
            for series, number in new.items()
            for name in renamed
            if f'rk_app="{name}"' in series
        }

    def test_added_and_removed(self) -> None:
        """The series of a removed app vanish; those of a new app exist from the start."""
        _, after, scraped = reloaded(plan(), Plan({"y": PlannedApp("t1", meetings=("c",))}))
        for text in (after, scraped):
            assert 'rk_app="x"' not in text
            assert 0 == value(text, "rk_exporter_internal_errors_total", rk_app="y")
            assert 0 == value(text, "rk_api_request_failures_total", rk_app="y", reason="auth",
                              api_endpoint="active-recording")  # fmt: skip
        assert 1 == value(scraped, "rk_up", rk_app="y")

    def test_removed_for_a_moment(self) -> None:
        """An app that is removed and added again starts again: it counts nothing twice."""

        async def run(simulation: Simulation) -> tuple[str, str]:
            before = await simulation.last_scrape(8)
            for _ in range(2):
                await simulation.reload(Plan({"y": PlannedApp("t1")}).load())
                await simulation.reload(plan().load())
            return before, await simulation.last_scrape(2)

        before, after = simulate(
            run,
            *recordings(),
            meetings=MEETINGS,
            configuration=plan().load(),
            token=tuple(USERS),
            users=USERS,
        )
        assert value(before, "rk_recordings_started_total")
        assert (value(after, "rk_recordings_started_total") or 0) <= 2
        assert 1 == value(after, "rk_up")


class TestMeetings:
    def test_readings(self) -> None:
        """Meetings that stay keep their readings; new ones are read by the next scrape."""
        before, after, scraped = reloaded(plan("a", "b"), plan("b", "c"))
        name = "rk_meeting_last_success_timestamp_seconds"
        assert {"b": by_meeting(before, name)["b"]} == by_meeting(after, name)
        assert {"b", "c"} == by_meeting(scraped, name).keys()

    @pytest.mark.parametrize("keep", [False, True])
    def test_discover_off(self, *, keep: bool) -> None:
        """Without discovery, recordings of meetings that are not listed vanish; others stay."""
        after = plan("a", discover=False) if not keep else plan(*MEETINGS)
        before, shown, _ = reloaded(plan("a", discover=True), after)
        everything = {labels["meeting_id"] for labels, _ in labelled(before, "rk_recording_status")}
        now = {labels["meeting_id"] for labels, _ in labelled(shown, "rk_recording_status")}
        assert {*MEETINGS} == everything
        assert ({*MEETINGS} if keep else {"a"}) == now

    def test_limit_of_recordings(self) -> None:
        """Another limit counts immediately."""
        one = Plan(plan().apps, max_recordings=1)
        before, after, _ = reloaded(plan(), one)
        assert 0 == value(before, "rk_recordings_hidden")
        assert (value(after, "rk_recordings_hidden") or 0) > 0


def test_fresh_readings_are_not_reused_for_new_meetings() -> None:
    """After a reload, a scrape within scrape.min_interval reads the new meetings."""

    async def run(simulation: Simulation) -> str:
        await simulation.scrape()
        await simulation.reload(config(meeting_ids=["a", "b"], scrape__min_interval="60s"))
        return await simulation.scrape(1.0)

    text = simulate(
        run, meetings=MEETINGS, configuration=config(meeting_ids=["a"], scrape__min_interval="60s")
    )
    assert {"a": 1.0, "b": 1.0} == by_meeting(text, "rk_meeting_up")


def test_no_leak() -> None:
    """Apps that come and go leave nothing behind: no task, no connection, no place for them."""

    async def run(simulation: Simulation) -> None:
        tasks = len(asyncio.all_tasks())
        for number in range(200):
            await simulation.reload(Plan({f"app-{number}": PlannedApp("t0")}).load())
            if number % 10 == 0:
                await simulation.scrape()
        await asyncio.sleep(30)
        assert tasks == len(asyncio.all_tasks())
        exporter = simulation.exporter
        assert 1 == len(exporter.parts)
        text = await simulation.scrape()
        assert 1 == len(labelled(text, "rk_exporter_internal_errors_total"))
        children = exporter._metrics.internal_errors._metrics  # noqa: SLF001 # also hidden ones
        assert 2 >= len(children)
        apps = {app for app, _ in exporter._metrics.calls._in_use}  # noqa: SLF001 # also hidden ones
        assert 2 >= len(apps)
        assert 1 >= exporter._clients._apps_without  # noqa: SLF001

    simulate(
        run,
        meetings=MEETINGS,
        configuration=plan().load(),
        token=tuple(USERS),
        users=USERS,
    )


@pytest.mark.parametrize("changes", [{"meeting_ids": ["a", "b"]}, {"meetings__discover": "true"}])
def test_older_recordings_of_another_meeting(changes: dict[str, Any]) -> None:
    """A meeting that is added is shown with all its recordings, as after a restart."""
    older = Recording.scripted(
        "b",
        invoked_at=NOW - 9000,
        started_at=NOW - 8990,
        stopped_at=NOW - 8900,
        uploaded_at=NOW - 8800,
    )
    newer = [
        Recording.scripted("a", invoked_at=NOW - 8000 + number, errored_at=NOW - 7000 + number)
        for number in range(150)
    ]

    async def steps(simulation: Simulation) -> list[float | None]:
        texts = [await simulation.last_scrape(3)]
        await simulation.reload(config(**{"meeting_ids": ["a"], **changes}))
        texts.append(await simulation.last_scrape(5))
        return [value(text, "rk_recordings", status="UPLOADED") for text in texts]

    shown = simulate(
        steps, older, *newer, meetings=["a", "b"], configuration=config(meeting_ids=["a"])
    )
    assert [0, 1] == shown
