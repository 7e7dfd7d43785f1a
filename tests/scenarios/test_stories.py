"""
Whatever the API tells of recordings, each is counted once, by how it ended.

A witness hears all that the simulated API answers, and so knows what there was to be seen. What
cannot be seen is a recording that vanishes before any answer shows it, the end of one that vanishes
before any answer shows that, and a state that begins and ends between two answers.
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

from hypothesis import given, settings
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
from tests.support.building import NOW, Call, Stage, config, play_story


LISTED = ("meeting-1", "meeting-2", "meeting-3")
NOT_LISTED = "elsewhere"
SETTLED_SECONDS = 180.0
# The first page of the list is looked at each minute, by the scrape that comes then.
CATCH_UP_SECONDS = 60.0
# How far the API's clock is known where this machine's is wrong.
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
    """What one answer showed of a recording *at* unix seconds; no status: that it was denied."""

    at: float
    status: str | None
    has_started: bool = False


class Witness:
    """Hears what the API answers of each recording."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.sights: dict[str, list[Sight]] = {}
        self.lists_at: list[float] = []
        """When the list of all recordings was told."""
        stage.front.after = self._hear

    def _hear(self, call: Call, body: bytes) -> None:
        now, data = self._stage.now(), json.loads(body).get("data")
        if call.path == "recordings" and "status" not in call.query:
            self.lists_at.append(now)
        if data is None:
            asked_for = call.path.removeprefix("recordings/")
            if asked_for in self.sights:
                self.sights[asked_for].append(Sight(now, None))
            return
        for item in data if isinstance(data, list) else [data]:
            sight = Sight(now, item["status"], item["started_time"] is not None)
            self.sights.setdefault(item["id"], []).append(sight)


class Restart(NamedTuple):
    """A restart *after* so many scrapes, for which some are *missed*."""

    after: int
    missed: int
    is_killed: bool


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a story is watched."""

    interval: float
    read: str
    simulator: Mapping[str, Any]
    ahead_seconds: float = 0.0
    """By how much the exporter's clock is wrong."""
    restarts: Sequence[Restart] = ()
    has_state_file: bool = False


@dataclass
class Process:
    """What one exporter, *begun_at* unix seconds, showed last."""

    begun_at: float
    numbers: Numbers = field(default_factory=dict)

    def total(self, name: str, **labels: str) -> float:
        """Return the sum over the series of a metric that have *labels*."""
        return sum(
            number
            for (its_name, its_labels), number in self.numbers.items()
            if its_name == name and labels.items() <= set(its_labels)
        )

    @property
    def finished(self) -> dict[str, int]:
        """Return how many recordings ended in which way."""
        outcomes = ("uploaded", "errored", "vanished")
        return {
            each: int(self.total("rk_recordings_finished_total", outcome=each)) for each in outcomes
        }

    @property
    def transitions(self) -> dict[tuple[str, str], int]:
        """Return how often each transition was seen, if it was."""
        return {
            (dict(labels)["from"], dict(labels)["to"]): int(number)
            for (name, labels), number in self.numbers.items()
            if name == "rk_recording_transitions_total" and number
        }


class Prometheus:
    """Looks at one exposition after the other: nothing may fall, flap or go back."""

    def __init__(self) -> None:
        self._numbers: Numbers = {}
        self._infos: dict[str, Labels] = {}
        self._gone: set[str] = set()

    def take(self, snapshot: Snapshot, *, is_fresh: bool) -> Numbers:
        """Return the numbers of a snapshot; counters begin at 0 where the exporter is *fresh*."""
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
    """Return in which state each recording is shown."""
    told = [dict(labels) for name, labels in numbers if name == STATUS]
    states = {each["recording_id"]: each["status"] for each in told}
    assert len(states) == len(told)
    return states


@dataclass
class Watched:
    """What came of watching a story until it *ended_at* unix seconds."""

    ended_at: float
    recordings: Mapping[str, Recording]
    """Those of the meetings in the list that were in the API's list at a scrape."""
    sights: Mapping[str, Sequence[Sight]]
    lists_at: Sequence[float]
    processes: Sequence[Process]


def watch(story: Scenario, context: Terms, seconds: float) -> Watched:
    """Return what came of scraping a story for so many *seconds*."""
    meeting_ids = [each.id for each in story.meetings() if each.id != NOT_LISTED]
    restarts = {each.after: each for each in context.restarts}
    count = math.ceil(seconds / context.interval)

    async def scenario(stage: Stage) -> Watched:
        stage.ahead_seconds = context.ahead_seconds
        witness, prometheus = Witness(stage), Prometheus()
        recordings: dict[str, Recording] = {}
        processes: list[Process] = []
        is_fresh, after = True, 0.0
        for number in range(count):
            snapshot = await stage.look(after)
            if is_fresh:
                processes.append(Process(stage.scraped_at))
            processes[-1].numbers = prometheus.take(snapshot, is_fresh=is_fresh)
            for now in (stage.scraped_at, stage.now()):
                recordings |= {each.id: each for each in story.recordings(now)}
            is_fresh, after = False, context.interval
            restart = restarts.get(number)
            if restart:
                await stage.restart(is_killed=restart.is_killed)
                is_fresh = not context.has_state_file
                after *= 1 + restart.missed
        listed = {id_: each for id_, each in recordings.items() if each.meeting_id in meeting_ids}
        sights = {id_: each for id_, each in witness.sights.items() if id_ in listed}
        return Watched(stage.now(), listed, sights, witness.lists_at, processes)

    with tempfile.TemporaryDirectory() as folder:
        file = {"state__file": str(Path(folder) / "state.json")} if context.has_state_file else {}
        # Enough, and quicker to set up than what is usual here.
        configuration = config(
            meeting_ids=meeting_ids, api__read=context.read, api__budget="20000", **file
        )
        return play_story(scenario, story, configuration=configuration, **context.simulator)


@dataclass
class Truth:
    """What the counters have to say; sums are in seconds."""

    started: int = 0
    start_seconds: float = 0.0
    finished: Counter[str] = field(default_factory=Counter)
    upload_seconds: float = 0.0
    transitions: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, recording: Recording, sights: Sequence[Sight], *, is_inherited: bool) -> None:
        """Count what *sights* show of a recording; the first of an *inherited* one counts not."""
        shown = [each for each in sights if each.status]
        states = [each.status or "" for each in shown]
        self.transitions.update((was, now) for was, now in pairwise(states) if was != now)
        inherited = shown[:1] if is_inherited else []
        started = next((each for each in shown if each.has_started), None)
        if started and started not in inherited:
            self.started += 1
            self.start_seconds += (recording.started_at or math.nan) - recording.invoked_at
        end = next((each for each in sights if each.status not in ONWARDS), None)
        if end and end not in inherited:
            self.finished[ENDED.get(end.status or "", "vanished")] += 1
            if end.status == "UPLOADED":
                self.upload_seconds += end.at - (recording.stopped_at or math.nan)


def truth_of(watched: Watched, process: Process, until: float = math.inf) -> Truth:
    """Return what a process has to count that is there *until* another takes its place."""
    truth = Truth()
    # Until it has seen the list, a process takes nothing for new.
    listed_at = min(each for each in watched.lists_at if each >= process.begun_at)
    for recording_id, all_sights in watched.sights.items():
        sights = [each for each in all_sights if process.begun_at <= each.at < until]
        if sights:
            recording = watched.recordings[recording_id]
            is_inherited = recording.invoked_at <= listed_at
            truth.add(recording, sights, is_inherited=is_inherited)
    return truth


def check_counts(watched: Watched, *, ahead_seconds: float) -> None:
    """Check that each process has counted what it saw, and nothing else."""
    begins = [each.begun_at for each in watched.processes]
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
    """Check that all processes together count nothing more than once."""
    truth = truth_of(watched, watched.processes[0])
    started = sum(each.total("rk_recordings_started_total") for each in watched.processes)
    assert started <= truth.started
    finished = sum((Counter(each.finished) for each in watched.processes), Counter[str]())
    assert finished <= truth.finished


def check_ends(watched: Watched, context: Terms) -> None:
    """Check that all was seen that was there to be seen, soon, and is shown as it ended."""
    away = sum(each.missed for each in context.restarts)
    soon = CATCH_UP_SECONDS + (2 + away) * context.interval
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
            seen_at = min(each.at for each in sights if each.status == end.status)
            assert seen_at <= max(end.at, NOW) + soon
        elif any(each.at >= last_process.begun_at for each in sights):
            assert sights[-1].status not in ONWARDS


@st.composite
def lives(draw: st.DrawFn, name: str) -> Recording:
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
def recordings_of_a_story(draw: st.DrawFn) -> list[Recording]:
    """Draw up to eight recordings in four meetings, of which three are in the list."""
    return [draw(lives(f"recording-{number}")) for number in range(draw(st.integers(0, 8)))]


RESTART = st.builds(
    Restart, after=st.integers(0, 40), missed=st.integers(0, 6), is_killed=st.booleans()
)
TERMS = st.builds(
    Terms,
    interval=st.sampled_from([5.0, 15.0, 60.0]) | st.integers(50, 600).map(lambda each: each / 10),
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


def watch_to_the_end(recordings: Sequence[Recording], context: Terms) -> Watched:
    """Return what came of scraping until all has happened, and some minutes more."""
    story = ScriptedScenario(meetings=[*LISTED, NOT_LISTED], recordings=recordings)
    end = max((each.phases[-1].at - NOW for each in recordings), default=0.0)
    away = sum(each.missed for each in context.restarts)
    watched = watch(story, context, end + SETTLED_SECONDS + (3 + away) * context.interval)
    assert 0 == watched.processes[-1].total("rk_meeting_active_recordings")
    return watched


@settings(max_examples=60)
@given(recordings_of_a_story(), TERMS)
def test_each_recording_is_counted_once(recordings: list[Recording], context: Terms) -> None:
    """Each recording that any answer showed has one outcome, and the sums are the story's."""
    watched = watch_to_the_end(recordings, context)
    check_counts(watched, ahead_seconds=context.ahead_seconds)
    check_ends(watched, context)


@settings(max_examples=10)
@given(st.integers(0, 10_000), TERMS)
def test_improvised_stories_are_counted(seed: int, context: Terms) -> None:
    """What a lively account tells is counted as it is told."""
    story = GeneratedScenario(seed, 2, NOW, DEMO_PACE)
    watched = watch(story, context, 600.0)
    check_counts(watched, ahead_seconds=context.ahead_seconds)
    check_ends(watched, context)


@settings(max_examples=40)
@given(recordings_of_a_story(), TERMS, st.lists(RESTART, max_size=3))
def test_restarts_with_a_state_file(
    recordings: list[Recording], context: Terms, restarts: list[Restart]
) -> None:
    """With a state file all is counted as if there had been one exporter all the time."""
    context = replace(context, restarts=restarts, has_state_file=True)
    watched = watch_to_the_end(recordings, context)
    assert 1 == len(watched.processes)
    check_counts(watched, ahead_seconds=context.ahead_seconds)
    check_ends(watched, context)


@settings(max_examples=40)
@given(recordings_of_a_story(), TERMS, st.lists(RESTART, max_size=3))
def test_restarts_without_a_state_file(
    recordings: list[Recording], context: Terms, restarts: list[Restart]
) -> None:
    """Without one nothing is counted twice; what begins and ends within a process is counted."""
    context = replace(context, restarts=restarts)
    watched = watch_to_the_end(recordings, context)
    check_counts(watched, ahead_seconds=context.ahead_seconds)
    check_sums(watched)
    check_ends(watched, context)
