"""
Each recording that the API shows is counted once, by its outcome.

An answer log records all answers of the simulated API. No answer shows a recording that vanishes
before the first one, an end after which the recording vanishes before the next one, and a state
that starts and ends between two answers.
"""

import json
import math
import tempfile

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.simulator import (
    DEMO_PACE,
    GeneratedScenario,
    MeetingInList,
    Phase,
    Recording,
    Scenario,
    ScriptedScenario,
    Status,
)
from rk_exporter.snapshot import Snapshot
from tests.support.building import NOW, Call, Simulation, config, simulate_scenario


LISTED = ("meeting-1", "meeting-2", "meeting-3")
NOT_LISTED = "elsewhere"
SETTLED_SECONDS = 180.0
# The first scrape of each minute reads the first page of the list.
CATCH_UP_SECONDS = 60.0
# How exactly the exporter knows the API's clock if this machine's clock is wrong.
CLOCK_SECONDS = 2.5
ENDED = {"UPLOADED": "uploaded", "ERRORED": "errored"}
ONWARDS = {
    "INVOKED": {"RECORDING", "PAUSED", "UPLOADING", *ENDED},
    "RECORDING": {"PAUSED", "UPLOADING", *ENDED},
    "PAUSED": {"RECORDING", "UPLOADING", *ENDED},
    "UPLOADING": {*ENDED},
}
NEXT = {
    Status.INVOKED: (Status.RECORDING, Status.ERRORED),
    Status.RECORDING: (Status.UPLOADING, Status.PAUSED, Status.ERRORED),
    Status.PAUSED: (Status.RECORDING, Status.UPLOADING, Status.ERRORED),
    Status.UPLOADING: (Status.UPLOADED, Status.ERRORED),
}

STATUS = "rk_recording_status"
GAUGES = frozenset({STATUS, "rk_recording", "rk_meeting_active_recordings"})

Labels = tuple[tuple[str, str], ...]
Numbers = dict[tuple[str, Labels], float]


class Sight(NamedTuple):
    """What one answer showed of a recording *at* unix seconds; no status: it does not exist."""

    at: float
    status: str | None
    has_started: bool = False


class AnswerLog:
    """Records what the API's answers show of each recording."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.sights: dict[str, list[Sight]] = {}
        self.lists_at: list[float] = []
        """When the API answered with the list of all recordings."""
        simulation.proxy.after = self._record

    def _record(self, call: Call, body: bytes) -> None:
        now, data = self._simulation.now(), json.loads(body).get("data")
        if call.path == "recordings" and "status" not in call.query:
            self.lists_at.append(now)
            settings = self._simulation.simulator.settings
            self._simulation.simulator.settings = settings.changed("list_lag_seconds", "0")
        if data is None:
            asked_for = call.path.removeprefix("recordings/")
            if asked_for in self.sights:
                self.sights[asked_for].append(Sight(now, None))
            return
        for item in data if isinstance(data, list) else [data]:
            sight = Sight(now, item["status"], item["started_time"] is not None)
            self.sights.setdefault(item["id"], []).append(sight)


class Restart(NamedTuple):
    """A restart *after* this number of scrapes; some scrapes are *missed*."""

    after: int
    missed: int
    is_killed: bool


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """The conditions under which a scenario is scraped."""

    interval: float
    read: str
    simulator: Mapping[str, Any]
    ahead_seconds: float = 0.0
    """How far the exporter's clock is ahead."""
    restarts: Sequence[Restart] = ()
    has_state_file: bool = False


@dataclass
class Process:
    """The last exposition of one exporter, started at *begun_at* (unix seconds)."""

    begun_at: float
    numbers: Numbers = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of the metric's series that have *labels*."""
        return sum(
            number
            for (its_name, its_labels), number in self.numbers.items()
            if its_name == name and labels.items() <= set(its_labels)
        )

    @property
    def finished(self) -> dict[str, int]:
        """Return the number of recordings by outcome."""
        # Which of the two failures it is depends on the states that the exporter has seen.
        outcomes = {
            "uploaded": ["uploaded"],
            "errored": ["errored", "upload_failed"],
            "vanished": ["vanished"],
        }
        return {
            outcome: sum(
                int(self.total("rk_recordings_finished_total", outcome=name)) for name in names
            )
            for outcome, names in outcomes.items()
        }

    @property
    def transitions(self) -> dict[tuple[str, str], int]:
        """Return the number of each transition that was seen."""
        return {
            (dict(labels)["from"], dict(labels)["to"]): int(number)
            for (name, labels), number in self.numbers.items()
            if name == "rk_recording_transitions_total" and number
        }


class Prometheus:
    """Checks one exposition after the other: no counter may fall, no series may flap."""

    def __init__(self) -> None:
        self._numbers: Numbers = {}
        self._infos: dict[str, Labels] = {}
        self._gone: set[str] = set()

    def check(self, snapshot: Snapshot, *, is_fresh: bool) -> Numbers:
        """Return the numbers of a snapshot; counters start at 0 if the exporter is *fresh*."""
        numbers = {
            (sample.name, tuple(sample.labels.items())): sample.value
            for family in SnapshotFamilies()(snapshot)
            if family.name in GAUGES or family.type in {"counter", "histogram"}
            for sample in family.samples
            if sample.value or family.name != STATUS
        }
        if not is_fresh:
            fallen = {
                series: number
                for series, number in self._numbers.items()
                if series[0].endswith(("_total", "_count", "_sum", "_bucket"))
                and numbers.get(series, -1.0) < number
            }
            assert {} == fallen
        for name, labels in numbers:
            if name == "rk_recording_info":
                recording_id = dict(labels)["recording_id"]
                assert self._infos.setdefault(recording_id, labels) == labels
        self._check_states(statuses(numbers))
        self._numbers = numbers
        return numbers

    def _check_states(self, states: Mapping[str, str]) -> None:
        before = statuses(self._numbers)
        for recording_id, status in states.items():
            was = before.get(recording_id, status)
            assert status == was or status in ONWARDS.get(was, ())
        self._gone |= before.keys() - states.keys()
        assert set() == self._gone & states.keys()


def statuses(numbers: Numbers) -> dict[str, str]:
    """Return the state of each recording."""
    shown = [dict(labels) for name, labels in numbers if name == STATUS]
    states = {labels["recording_id"]: labels["status"] for labels in shown}
    assert len(states) == len(shown)
    return states


@dataclass
class Watched:
    """The result of scraping a scenario until *ended_at* (unix seconds)."""

    ended_at: float
    recordings: Mapping[str, Recording]
    """Recordings of listed meetings that were in the API's list at a scrape."""
    sights: Mapping[str, Sequence[Sight]]
    lists_at: Sequence[float]
    processes: Sequence[Process]


def watch(scenario: Scenario, conditions: Conditions, seconds: float) -> Watched:
    """Return the result of scraping a scenario for this number of *seconds*."""
    meeting_ids = [meeting.id for meeting in scenario.meetings() if meeting.id != NOT_LISTED]
    restarts = {restart.after: restart for restart in conditions.restarts}
    count = math.ceil(seconds / conditions.interval)

    async def watching(simulation: Simulation) -> Watched:
        simulation.clock.ahead_seconds = conditions.ahead_seconds
        answer_log, prometheus = AnswerLog(simulation), Prometheus()
        recordings: dict[str, Recording] = {}
        processes: list[Process] = []
        is_fresh, after = True, 0.0
        for number in range(count):
            snapshot = await simulation.scrape_snapshot(after)
            if is_fresh:
                processes.append(Process(simulation.scraped_at))
            processes[-1].numbers = prometheus.check(snapshot, is_fresh=is_fresh)
            for now in (simulation.scraped_at, simulation.now()):
                recordings |= {recording.id: recording for recording in scenario.recordings(now)}
            is_fresh, after = False, conditions.interval
            restart = restarts.get(number)
            if restart:
                await simulation.restart(is_killed=restart.is_killed)
                is_fresh = not conditions.has_state_file
                after *= 1 + restart.missed
        listed = {
            id_: recording
            for id_, recording in recordings.items()
            if recording.meeting_id in meeting_ids
        }
        sights = {id_: sights for id_, sights in answer_log.sights.items() if id_ in listed}
        return Watched(simulation.now(), listed, sights, answer_log.lists_at, processes)

    with tempfile.TemporaryDirectory() as folder:
        file = (
            {"state__file": str(Path(folder) / "state.json")} if conditions.has_state_file else {}
        )
        # This budget is enough, and quicker to set up than the usual one.
        configuration = config(
            meeting_ids=meeting_ids, api__read=conditions.read, api__budget="20000", **file
        )
        return simulate_scenario(
            watching, scenario, configuration=configuration, **conditions.simulator
        )


@dataclass
class Truth:
    """The right values of the counters; sums are in seconds."""

    started: int = 0
    start_seconds: float = 0.0
    finished: Counter[str] = field(default_factory=Counter)
    upload_seconds: float = 0.0
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, recording: Recording, sights: Sequence[Sight], *, is_inherited: bool) -> None:
        """Count what *sights* show of a recording, except the first sight of an *inherited* one."""
        shown = [sight for sight in sights if sight.status]
        states = [sight.status or "" for sight in shown]
        self.transitions.update((was, now) for was, now in pairwise(states) if was != now)
        inherited = shown[:1] if is_inherited else []
        started = next((sight for sight in shown if sight.has_started), None)
        if started and started not in inherited:
            self.started += 1
            self.start_seconds += (recording.started_at or math.nan) - recording.invoked_at
        ends = [sight for sight in sights if sight.status not in ONWARDS]
        # One 404 may come from a replica that lags behind. Only a second one counts.
        is_denied_once = [sight.status for sight in ends] == [None]
        end = next(iter(ends), None)
        if end and end not in inherited and not is_denied_once:
            self.finished[ENDED.get(end.status or "", "vanished")] += 1
            if end.status == "UPLOADED":
                self.upload_seconds += end.at - (recording.stopped_at or math.nan)


def truth_of(watched: Watched, process: Process, until: float = math.inf) -> Truth:
    """Return what a process must count if it runs *until* another one replaces it."""
    truth = Truth()
    # Until a process has read the list, no recording counts as new.
    listed_at = min(at for at in watched.lists_at if at >= process.begun_at)
    for recording_id, all_sights in watched.sights.items():
        sights = [sight for sight in all_sights if process.begun_at <= sight.at < until]
        if sights:
            recording = watched.recordings[recording_id]
            is_inherited = recording.invoked_at <= listed_at
            truth.add(recording, sights, is_inherited=is_inherited)
    return truth


def check_counts(watched: Watched, *, ahead_seconds: float) -> None:
    """Check that each process has counted exactly what it saw."""
    begins = [process.begun_at for process in watched.processes]
    for process, until in zip(watched.processes, [*begins[1:], math.inf], strict=True):
        truth = truth_of(watched, process, until)
        assert truth.started == process.total("rk_recordings_started_total")
        assert truth.finished == Counter(process.finished)
        assert truth.transitions == process.transitions
        delay = "rk_recording_start_delay_seconds"
        assert truth.started == process.total(f"{delay}_count")
        assert process.total(f"{delay}_sum") == pytest.approx(truth.start_seconds, abs=0.1)
        delay = "rk_recording_upload_delay_seconds"
        uploaded = truth.finished["uploaded"]
        assert uploaded == process.total(f"{delay}_count")
        tolerance = 0.1 + (CLOCK_SECONDS * uploaded if ahead_seconds else 0.0)
        assert process.total(f"{delay}_sum") == pytest.approx(truth.upload_seconds, abs=tolerance)


def check_sums(watched: Watched) -> None:
    """Check that all processes together count nothing twice."""
    truth = truth_of(watched, watched.processes[0])
    started = sum(process.total("rk_recordings_started_total") for process in watched.processes)
    assert started <= truth.started
    finished = sum((Counter(process.finished) for process in watched.processes), Counter[str]())
    assert finished <= truth.finished


def check_ends(watched: Watched, conditions: Conditions) -> None:
    """Check that every end that an answer could show was seen soon, and is shown."""
    away = sum(restart.missed for restart in conditions.restarts)
    soon = CATCH_UP_SECONDS + (2 + away) * conditions.interval
    last_process = watched.processes[-1]
    states = statuses(last_process.numbers)
    for recording_id, recording in watched.recordings.items():
        end = recording.phases[-1]
        ends_at = min(end.at, recording.vanishes_at)
        if ends_at + soon > watched.ended_at:
            continue
        sights = watched.sights.get(recording_id, [])
        if recording.vanishes_at == math.inf:
            assert states[recording_id] == end.status
            seen_at = min(sight.at for sight in sights if sight.status == end.status)
            assert seen_at <= max(end.at, NOW) + soon
        elif any(sight.at >= last_process.begun_at for sight in sights):
            assert sights[-1].status not in ONWARDS


@st.composite
def recording_strategy(draw: st.DrawFn, name: str) -> Recording:
    """Draw a recording; times are in tenths of a second."""
    at = draw(st.integers(-600, 2400))
    status, phases = Status.INVOKED, [Phase(Status.INVOKED, NOW + at / 10)]
    while status in NEXT:
        at += draw(st.integers(1, 600))
        status = draw(st.sampled_from(NEXT[status]))
        phases.append(Phase(status, NOW + at / 10))
    began = round((phases[0].at - NOW) * 10)
    vanishes = draw(st.none() | st.integers(began + 1, at + 900))
    meeting_id = draw(st.sampled_from([*LISTED, NOT_LISTED]))
    is_track = draw(st.booleans())
    return Recording(
        id=name,
        meeting_id=meeting_id,
        session_id=f"session-of-{name}",
        phases=tuple(phases),
        output_file_name=f"{meeting_id}_1795000000000" + (".webm" if is_track else ".mp4"),
        track=is_track,
        bucket_enabled=draw(st.booleans()),
        vanishes_at=math.inf if vanishes is None else NOW + vanishes / 10,
    )


@st.composite
def scenario_recordings(draw: st.DrawFn) -> list[Recording]:
    """Draw up to eight recordings in four meetings; three of these are in the list."""
    return [
        draw(recording_strategy(f"recording-{number}")) for number in range(draw(st.integers(0, 8)))
    ]


VANISHES = Recording(
    id="recording",
    meeting_id=LISTED[0],
    session_id="session",
    phases=(Phase(Status.INVOKED, NOW), Phase(Status.ERRORED, NOW + 0.1)),
    output_file_name="recording.mp4",
    vanishes_at=NOW + 0.1,
)
RESTART = st.builds(
    Restart, after=st.integers(0, 40), missed=st.integers(0, 6), is_killed=st.booleans()
)
CONDITIONS = st.builds(
    Conditions,
    interval=st.sampled_from([5.0, 15.0, 60.0])
    | st.integers(50, 600).map(lambda tenths: tenths / 10),
    read=st.sampled_from(["active-recording", "list"]),
    ahead_seconds=st.sampled_from([0.0, 0.0, 300.0, -300.0]),
    simulator=st.fixed_dictionaries(
        {
            "linger_seconds": st.sampled_from([0.0, 20.0]),
            "uploading_is_active": st.booleans(),
            "active_as_list": st.booleans(),
            "meeting_in_list": st.sampled_from(MeetingInList),
        }
    ),
)


def watch_to_the_end(recordings: Sequence[Recording], conditions: Conditions) -> Watched:
    """Return the result of scraping until some minutes after the last event."""
    scenario = ScriptedScenario(meetings=[*LISTED, NOT_LISTED], recordings=recordings)
    end = max((recording.phases[-1].at - NOW for recording in recordings), default=0.0)
    away = sum(restart.missed for restart in conditions.restarts)
    watched = watch(scenario, conditions, end + SETTLED_SECONDS + (3 + away) * conditions.interval)
    assert 0 == watched.processes[-1].total("rk_meeting_active_recordings")
    return watched


@settings(max_examples=60)
@given(scenario_recordings(), CONDITIONS)
def test_each_recording_is_counted_once(
    recordings: list[Recording], conditions: Conditions
) -> None:
    """Each recording that an answer showed has one outcome, and the sums are right."""
    watched = watch_to_the_end(recordings, conditions)
    check_counts(watched, ahead_seconds=conditions.ahead_seconds)
    check_ends(watched, conditions)


@settings(max_examples=10)
@given(st.integers(0, 10_000), CONDITIONS)
# A recording that changes its state between two calls of the first list.
@example(
    7588,
    Conditions(
        interval=5.0, read="list", simulator={"linger_seconds": 0.0, "uploading_is_active": False}
    ),
)
def test_generated_scenarios_are_counted(seed: int, conditions: Conditions) -> None:
    """The events of a busy account are counted as the API shows them."""
    scenario = GeneratedScenario(seed, 2, NOW, DEMO_PACE)
    watched = watch(scenario, conditions, 600.0)
    check_counts(watched, ahead_seconds=conditions.ahead_seconds)
    check_ends(watched, conditions)


@settings(max_examples=40)
@given(scenario_recordings(), CONDITIONS, st.sampled_from([10, 30, 3600]))
def test_first_list_that_lacks_recordings(
    recordings: list[Recording], conditions: Conditions, lag_seconds: int
) -> None:
    """Recordings from before the start do not count, although only the second list has them."""
    # How exactly the API's time is known decides about a recording that comes with the start.
    assume(not any(-2 * CLOCK_SECONDS < item.invoked_at - NOW <= 1 for item in recordings))
    # If this machine's clock is behind, it decides: the API's time is not sure at the start.
    ahead_seconds = abs(conditions.ahead_seconds)
    simulator = {**conditions.simulator, "list_lag_seconds": lag_seconds}
    conditions = replace(conditions, simulator=simulator, ahead_seconds=ahead_seconds)
    watched = watch_to_the_end(recordings, conditions)
    check_counts(watched, ahead_seconds=ahead_seconds)


@settings(max_examples=40)
@given(scenario_recordings(), CONDITIONS, st.lists(RESTART, max_size=3))
def test_restarts_with_a_state_file(
    recordings: list[Recording], conditions: Conditions, restarts: list[Restart]
) -> None:
    """With a state file, restarts change no counter."""
    conditions = replace(conditions, restarts=restarts, has_state_file=True)
    watched = watch_to_the_end(recordings, conditions)
    assert 1 == len(watched.processes)
    check_counts(watched, ahead_seconds=conditions.ahead_seconds)
    check_ends(watched, conditions)


@settings(max_examples=40)
@given(scenario_recordings(), CONDITIONS, st.lists(RESTART, max_size=3))
@example(
    [VANISHES],
    Conditions(interval=5.0, read="active-recording", simulator={}),
    [Restart(after=1, missed=0, is_killed=False)],
)
def test_restarts_without_a_state_file(
    recordings: list[Recording], conditions: Conditions, restarts: list[Restart]
) -> None:
    """Without a state file, nothing is counted twice, and each process counts what it sees."""
    conditions = replace(conditions, restarts=restarts)
    watched = watch_to_the_end(recordings, conditions)
    check_counts(watched, ahead_seconds=conditions.ahead_seconds)
    check_sums(watched)
    check_ends(watched, conditions)
