"""
Whole lifecycles of recordings, as Prometheus sees them with a scrape every 15 s.

`golden` has a timeline of each lifecycle: the changes at each scrape, then the number of calls.
UPDATE_GOLDEN=1 writes new timelines. Check each line of a new timeline: it must be true, not just
what the exporter showed.
"""

import math
import os
import re
import time

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from rk_exporter.simulator import Recording
from tests.support.building import NOW, Call, Simulation, config, labelled, samples, simulate
from tests.support.timeline import Timeline, time_text


GOLDEN = Path(__file__).parent / "golden"
FIVE_MINUTES = 300.0
HOUR = 3600.0
DAY = 24 * HOUR
# The interval while nothing happens; the whole list is read every six hours.
CALM = 3.5 * HOUR
COUNTERS = (
    "rk_recordings_started_total",
    "rk_recordings_finished_total",
    "rk_recording_transitions_total",
    "rk_recording_start_delay_seconds_sum",
    "rk_recording_upload_delay_seconds_sum",
)


class Watch:
    """A Prometheus server that scrapes the exporter of a *simulation*; *folder* is for files."""

    def __init__(self, simulation: Simulation, folder: Path, *, dropped: Sequence[str]) -> None:
        self.simulation = simulation
        self.timeline = Timeline(dropped=dropped)
        self.last_exposition = ""
        self._folder = folder
        self._at: float | None = None

    async def until(self, last: float, every: float = 15.0) -> None:
        """Scrape *every* few seconds until *last*, in seconds from the start."""
        while self._at is None or self._at < last:
            before = self._at or 0.0
            at = 0.0 if self._at is None else min(before + every, last)
            self.last_exposition = await self.simulation.scrape(at - before)
            self.timeline.add(self.last_exposition, at)
            self._at = at

    async def restart(self, *, is_killed: bool = False) -> None:
        """Replace the exporter by a new one."""
        self.add_event("the exporter is killed and restarted" if is_killed else "restart")
        await self.simulation.restart(is_killed=is_killed)

    def list_meetings(self, *ids: str) -> None:
        """Write the file with the list of meetings."""
        self.add_event(f"the list of meetings is now: {', '.join(ids)}")
        write_meetings(self._folder, *ids)

    def add_event(self, what: str) -> None:
        """Add what happens after a scrape to the timeline."""
        self.timeline.add_event(self._at or 0.0, what)


Course: TypeAlias = Callable[[Watch], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class Lifecycle:
    """A subject, the *recordings* of a lifecycle, and the *course* of the scrapes."""

    about: str
    recordings: Sequence[Recording]
    course: Course
    others: Sequence[Recording] = ()
    """Recordings of meetings that are not in the list."""
    meetings: tuple[str, ...] = ("meeting-1",)
    settings: Mapping[str, Any] = field(default_factory=dict)
    simulator: Mapping[str, Any] = field(default_factory=dict)
    has_list_file: bool = False
    """Whether a file lists the meetings."""
    has_state_file: bool = False
    ahead_seconds: float = 0.0
    """How far the exporter's clock is ahead."""


def until(last: float) -> Course:
    """Return a course of scrapes every 15 s."""
    return lambda watch: watch.until(last)


def days(*parts: tuple[float, float], last: float) -> Course:
    """Return a course of scrapes every 15 s in its *parts*, and rarely between them."""

    async def course(watch: Watch) -> None:
        for begin, end in ((0.0, 180.0), *parts):
            await watch.until(begin, CALM)
            await watch.until(end)
        await watch.until(last, CALM)

    return course


def recording(
    name: str = "first",
    meeting_id: str = "meeting-1",
    *,
    paused: Sequence[tuple[float, float | None]] = (),
    details: Mapping[str, Any] | None = None,
    **moments: float,
) -> Recording:
    """Return a recording; its *moments*, like invoked and vanishes, are in seconds."""
    fields: dict[str, Any] = {f"{moment}_at": NOW + at for moment, at in moments.items()}
    fields["paused"] = [(NOW + begin, None if end is None else NOW + end) for begin, end in paused]
    names = {"id": name, "session_id": f"session-of-{name}", "output_file_name": f"{name}.mp4"}
    return Recording.scripted(meeting_id, **{**names, **fields, **(details or {})})


def usual(name: str = "first", later: float = 0.0, **changes: Any) -> Recording:
    """Return a recording without problems, *later* seconds after the usual one."""
    moments = {"invoked": 20.0, "started": 22.0, "stopped": 82.0, "uploaded": 112.0}
    changes |= {moment: at + later for moment, at in moments.items()}
    return recording(name, **changes)


def slow() -> Recording:
    """Return a recording that is seen in every state."""
    return recording(invoked=25, started=35, paused=[(65, 95)], stopped=125, uploaded=155)


# The scrapes after which a slow recording is in each state.
STATES = {"INVOKED": 30.0, "RECORDING": 45.0, "PAUSED": 75.0, "UPLOADING": 135.0, "UPLOADED": 165.0}
ERRORED = recording(invoked=20, started=22, errored=82)
VANISHED = recording(invoked=20, started=22, vanishes=82)
OVERLAPPING = (
    recording("first", invoked=20, started=22, stopped=97, uploaded=112),
    recording("second", invoked=35, started=38, stopped=67, uploaded=77),
    recording("third", invoked=50, started=51, errored=142),
)
IN_TWO_MEETINGS = (
    usual("ended", meeting_id="of-the-ended"),
    recording("running", "of-the-running", invoked=20, started=22, stopped=262, uploaded=277),
)
# Enough recordings to fill the first page of the list.
CROWD = tuple(
    usual(f"other-{number}", 100 + number / 10, meeting_id="elsewhere") for number in range(100)
)


def restarted(*times: float, is_killed: bool = False) -> Course:
    """Return a course in which the exporter is restarted after the scrapes at some *times*."""

    async def course(watch: Watch) -> None:
        for at in times:
            await watch.until(at)
            await watch.restart(is_killed=is_killed)
        await watch.until(210)

    return course


async def down(watch: Watch) -> None:
    """Restart the exporter, with a pause of ten minutes."""
    await watch.until(45)
    await watch.restart()
    await watch.until(660, every=615)
    await watch.until(720)


async def removed(watch: Watch) -> None:
    """Remove two meetings from the list, and add them again."""
    await watch.until(150)
    watch.list_meetings("stays")
    await watch.until(210)
    watch.list_meetings("of-the-running", "stays", "of-the-ended")
    await watch.until(330)


async def removed_for_good(watch: Watch) -> None:
    """Remove a meeting from the list."""
    await watch.until(150)
    watch.list_meetings("stays")
    await watch.until(180)


LIFECYCLES = {
    "happy": Lifecycle(
        about="A recording is invoked, records, and is uploaded.",
        recordings=[usual()],
        course=until(180),
    ),
    "paused and resumed": Lifecycle(
        about="A recording is paused twice, the second time between two scrapes. Its length "
        "includes pauses until the API reports the length without them.",
        recordings=[
            recording(
                invoked=20, started=22, paused=[(40, 70), (77, 83)], stopped=112, uploaded=127
            )
        ],
        course=until(180),
    ),
    "errored while INVOKED": Lifecycle(
        about="No worker is found: the recording never starts.",
        recordings=[recording(invoked=20, errored=82)],
        course=until(180),
    ),
    "errored while RECORDING": Lifecycle(
        about="A recording fails.", recordings=[ERRORED], course=until(180)
    ),
    "errored while PAUSED": Lifecycle(
        about="A recording fails while it is paused.",
        recordings=[recording(invoked=20, started=22, paused=[(40, None)], errored=82)],
        course=until(180),
    ),
    "errored while UPLOADING": Lifecycle(
        about="The file cannot be uploaded, and the API no longer reports its size.",
        recordings=[recording(invoked=20, started=22, stopped=52, errored=82)],
        course=until(180),
    ),
    "very short": Lifecycle(
        about="A recording under 5 s ends ERRORED. It starts and ends between two scrapes: the "
        "list shows it with the next poll, a minute later, and the scrape after that its reason.",
        recordings=[recording(invoked=31, started=33, errored=36)],
        course=until(180),
    ),
    "zero-byte file": Lifecycle(
        about="The file is empty, and the API says that it is 0 seconds long.",
        recordings=[usual(details={"file_size_bytes": 0, "zero_duration": True})],
        course=until(180),
    ),
    "no bucket": Lifecycle(
        about="Without RealtimeKit's bucket there is no URL: it is shown for 7 days after its end, "
        "which is follow.retain.",
        recordings=[usual(details={"bucket_enabled": False})],
        course=days((8 * DAY, 8 * DAY + 120), last=8 * DAY + HOUR),
    ),
    "own bucket": Lifecycle(
        about="The file goes to the customer's own bucket alone: there is no URL.",
        recordings=[usual(details={"bucket_enabled": False, "storage_type": "aws"})],
        course=until(180),
    ),
    "track": Lifecycle(
        about="Each participant has a file, and the API reports no total size.",
        recordings=[usual(details={"track": True, "output_file_name": "first_{{peer_id}}.webm"})],
        course=until(180),
    ),
    "several in parallel, all counted": Lifecycle(
        about="Three recordings of a meeting overlap, and the API shows all of them.",
        recordings=OVERLAPPING,
        course=until(180),
        simulator={"active_as_list": True},
    ),
    "several in parallel, newest shown": Lifecycle(
        about="Three recordings of a meeting overlap, and the API shows the newest. The others are "
        "read by their ids at first, and then the list shows them each minute.",
        recordings=OVERLAPPING,
        course=until(180),
    ),
    "ten in a row": Lifecycle(
        about="A meeting is recorded ten times; each recording has its own series.",
        recordings=[usual(f"no-{number}", 105.0 * number) for number in range(10)],
        course=until(1200),
    ),
    "more than can be shown": Lifecycle(
        about="At most two finished recordings are shown: those whose URLs expire first. Those in "
        "progress are always shown.",
        recordings=[usual(f"no-{number}", 105.0 * number) for number in range(4)],
        course=until(600),
        settings={"follow__max_recordings": "2"},
    ),
    "URL expires": Lifecycle(
        about="A recording leaves a day after its URL has expired, 7 days after it stopped.",
        recordings=[usual()],
        course=days((7 * DAY, 7 * DAY + 120), (8 * DAY, 8 * DAY + 120), last=8 * DAY + HOUR),
    ),
    "two URLs expire together": Lifecycle(
        about="Two recordings of one meeting leave at the same scrape.",
        recordings=[usual(), usual("second", 3)],
        course=days((8 * DAY, 8 * DAY + 120), last=8 * DAY + HOUR),
    ),
    "URL refreshed": Lifecycle(
        about="The URL is refreshed after a day and an hour. The recording is no longer on the "
        "first page of the list: the next read of the whole list, each 7 hours here, shows "
        "that.",
        recordings=[usual(url_refreshed=DAY + HOUR)],
        others=CROWD,
        course=days((8 * DAY + HOUR, 8 * DAY + HOUR + 60), last=8 * DAY + 2 * HOUR),
    ),
    "URL refreshed, list seldom read": Lifecycle(
        about="The URL is refreshed after a day, and the whole list is read once a month: it shows "
        "when the recording is read, because the URL seems to have 24 hours left.",
        recordings=[usual(url_refreshed=DAY)],
        others=CROWD,
        course=days((6 * DAY, 6 * DAY + 120), (8 * DAY, 8 * DAY + 60), last=8 * DAY + HOUR),
        settings={"follow__reread_interval": "30d"},
    ),
    "stuck in INVOKED": Lifecycle(
        about="A recording waits for a day for a worker that never comes.",
        recordings=[recording(invoked=20, errored=DAY + 20)],
        course=days((DAY, DAY + 60), last=DAY + HOUR),
    ),
    "vanished while RECORDING": Lifecycle(
        about="The room was empty, so the recording is discarded: the API answers 404.",
        recordings=[VANISHED],
        course=until(180),
    ),
    "vanished after UPLOADED": Lifecycle(
        about="A recording is deleted two days after its upload. It has been counted, and is shown "
        "until it is read, when its URL has 24 hours left.",
        recordings=[usual(vanishes=2 * DAY)],
        course=days((6 * DAY, 6 * DAY + 240), last=7 * DAY + HOUR),
    ),
    "clock ahead": Lifecycle(
        about="The exporter's clock is 5 minutes ahead. All measurements are right within "
        "half a second; only the read times use the wrong clock.",
        recordings=[slow()],
        course=days((6 * DAY - 400, 6 * DAY + 500), (7 * DAY, 7 * DAY + 240), last=7 * DAY + HOUR),
        ahead_seconds=FIVE_MINUTES,
    ),
    "clock behind": Lifecycle(
        about="The exporter's clock is 5 minutes behind. All measurements are right within "
        "half a second; only the read times use the wrong clock.",
        recordings=[slow()],
        course=days((6 * DAY - 400, 6 * DAY + 500), (7 * DAY, 7 * DAY + 240), last=7 * DAY + HOUR),
        ahead_seconds=-FIVE_MINUTES,
    ),
    "UPLOADING hidden": Lifecycle(
        about="A meeting does not show UPLOADING recordings. The recording is read by its id at "
        "first, and then the list shows it each minute.",
        recordings=[recording(invoked=20, started=22, stopped=82, uploaded=412)],
        course=until(480),
        simulator={"uploading_is_active": False},
    ),
    "UPLOADING hidden, then errored": Lifecycle(
        about="A meeting does not show UPLOADING recordings, and the upload fails.",
        recordings=[recording(invoked=20, started=22, stopped=52, errored=82)],
        course=until(180),
        simulator={"uploading_is_active": False},
    ),
    "removed": Lifecycle(
        about="Two meetings leave the list; one is recorded, and one was: their "
        "recordings leave too. Back in the list, the meeting shows the first immediately, the "
        "list shows the other at the next poll; each is counted once.",
        recordings=IN_TWO_MEETINGS,
        course=removed,
        meetings=("of-the-running", "stays", "of-the-ended"),
        has_list_file=True,
    ),
    "removed, finished kept": Lifecycle(
        about="Two meetings leave the list; one is recorded, and one was: with "
        "follow.keep_removed the finished recording stays.",
        recordings=IN_TWO_MEETINGS,
        course=removed,
        meetings=("of-the-running", "stays", "of-the-ended"),
        settings={"follow__keep_removed": "true"},
        has_list_file=True,
    ),
    "removed with two": Lifecycle(
        about="A meeting with two finished recordings leaves the list.",
        recordings=[usual("one", meeting_id="leaves"), usual("two", 3, meeting_id="leaves")],
        course=removed_for_good,
        meetings=("leaves", "stays"),
        has_list_file=True,
    ),
    "down": Lifecycle(
        about="While the exporter is down, a recording ends, and another starts and ends. The "
        "state file shows that neither was counted.",
        recordings=[usual(), usual("second", 200)],
        course=down,
        has_state_file=True,
    ),
    "down, nothing kept": Lifecycle(
        about="While the exporter is down, a recording ends, and another starts and ends: both are "
        "shown, but not counted, because they may have been counted already.",
        recordings=[usual(), usual("second", 200)],
        course=down,
    ),
    "killed in every state": Lifecycle(
        about="The exporter is killed after each state that it has shown. It saved each state "
        "before it showed it.",
        recordings=[slow()],
        course=restarted(*STATES.values(), is_killed=True),
        has_state_file=True,
    ),
}
LIFECYCLES |= {
    f"{name}, by list": replace(
        LIFECYCLES[name],
        about=f"{LIFECYCLES[name].about} The list of recordings in progress is read.",
        settings={"api__read": "list"},
    )
    for name in ("happy", "errored while RECORDING", "vanished while RECORDING")
}
LIFECYCLES |= {
    f"restarted after {status}": Lifecycle(
        about=f"The exporter is restarted when the recording is {status}. With a state file the "
        "counters continue.",
        recordings=[slow()],
        course=restarted(at),
        has_state_file=True,
    )
    for status, at in STATES.items()
}
LIFECYCLES |= {
    f"restarted after {status}, nothing kept": Lifecycle(
        about=f"The exporter is restarted when the recording is {status}. The counters start at 0, "
        "and earlier events are not counted again.",
        recordings=[slow()],
        course=restarted(at),
    )
    for status, at in STATES.items()
}


def write_meetings(folder: Path, *ids: str) -> Path:
    """Write the list of meetings to a file with an old timestamp."""
    path = folder / "meetings.txt"
    path.write_text("\n".join(ids))
    moment = time.time() - 60
    os.utime(path, (moment, moment))
    return path


def watched(lifecycle: Lifecycle, folder: Path) -> Watch:
    """Scrape a *lifecycle*; return the Prometheus server."""
    settings: dict[str, Any] = {**lifecycle.settings, "meeting_ids": list(lifecycle.meetings)}
    if lifecycle.has_list_file:
        file = write_meetings(folder, *lifecycle.meetings)
        settings |= {"meeting_ids": [], "meetings__files": [str(file)]}
    if lifecycle.has_state_file:
        settings["state__file"] = str(folder / "state.json")
    dropped = ["rk_app"] if len(lifecycle.meetings) > 1 else ["rk_app", "meeting_id"]

    async def steps(simulation: Simulation) -> Watch:
        simulation.clock.ahead_seconds = lifecycle.ahead_seconds
        watch = Watch(simulation, folder, dropped=dropped)
        await lifecycle.course(watch)
        return watch

    return simulate(
        steps,
        *lifecycle.recordings,
        *lifecycle.others,
        meetings=lifecycle.meetings,
        configuration=config(**settings),
        **{"linger_seconds": 0.0, **lifecycle.simulator},
    )


def event_lines(lifecycle: Lifecycle) -> list[str]:
    """Return the events of a *lifecycle*, as lines."""
    lines = [f"# {lifecycle.about}"]
    for recording in lifecycle.recordings:
        moments = [
            f"{phase.status.value} {time_text(phase.at - NOW)}" for phase in recording.phases
        ]
        if recording.url_refreshed_at is not None:
            moments.append(f"URL refreshed {time_text(recording.url_refreshed_at - NOW)}")
        if recording.vanishes_at < math.inf:
            moments.append(f"vanished {time_text(recording.vanishes_at - NOW)}")
        lines.append(f"# {recording.id}: {', '.join(moments)}")
    return lines


def calls_made(calls: Sequence[Call]) -> str:
    """Return the number of calls to each endpoint, as a line."""
    kinds = Counter(re.sub(r"^recordings/(active-recording)?.*", r"by \1", c.path) for c in calls)
    paths = {
        "of a meeting": "by active-recording",
        "of a recording": "by ",
        "of the list": "recordings",
    }
    return "# calls: " + ", ".join(f"{kinds[path]} {name}" for name, path in paths.items())


@pytest.mark.parametrize("name", LIFECYCLES)
def test_golden_timeline(tmp_path: Path, name: str) -> None:
    """Prometheus sees each lifecycle as in the reviewed timeline."""
    lifecycle = LIFECYCLES[name]
    watch = watched(lifecycle, tmp_path)
    calls = calls_made(watch.simulation.proxy.calls)
    lines = [*event_lines(lifecycle), "", *watch.timeline.lines, "", calls]
    text = "".join(f"{line}\n" for line in lines)
    golden = GOLDEN / f"{name.replace(',', '').replace(' ', '-')}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(text)
    assert golden.read_text() == text


def test_no_other_timelines() -> None:
    """Each golden timeline belongs to a lifecycle."""
    names = {name.replace(",", "").replace(" ", "-") for name in LIFECYCLES}
    assert names == {path.stem for path in GOLDEN.iterdir()}


@pytest.mark.parametrize("name", [name for name in LIFECYCLES if "by list" in name])
def test_counters_by_list(tmp_path: Path, name: str) -> None:
    """Both read modes count the same."""
    by_list = watched(LIFECYCLES[name], tmp_path)
    one_by_one = watched(LIFECYCLES[name.removesuffix(", by list")], tmp_path)
    assert COUNTERS
    for counter in COUNTERS:
        found = samples(by_list.last_exposition, counter)
        assert found
        assert found == samples(one_by_one.last_exposition, counter)


@pytest.mark.parametrize("is_killed", [False, True], ids=["restarted", "killed"])
@pytest.mark.parametrize("status", STATES)
def test_no_sign_of_a_restart(tmp_path: Path, status: str, *, is_killed: bool) -> None:
    """With a state file, a restart changes nothing else in the timeline."""
    course = restarted(STATES[status], is_killed=is_killed)
    lifecycle = Lifecycle(about="", recordings=[slow()], course=course, has_state_file=True)
    undisturbed = Lifecycle(about="", recordings=[slow()], course=until(210))
    lines = [line for line in watched(lifecycle, tmp_path).timeline.lines if "#" not in line]
    assert watched(undisturbed, tmp_path).timeline.lines == lines


def test_late_answer() -> None:
    """A late answer of the list does not replace a newer answer of a meeting."""
    meetings = [f"meeting-{number}" for number in range(10)]
    # At 60 s the list is requested, and shows some recordings as INVOKED. It takes 4 s, in
    # which two connections read the meetings, one after the other.
    recordings = [
        usual(meeting_id, 32.0 + number, meeting_id=meeting_id, details={"id": meeting_id})
        for number, meeting_id in enumerate(meetings)
    ]

    async def steps(simulation: Simulation) -> str:
        simulation.proxy.delayed = lambda call: 4.0 if call.path == "recordings" else 0.5
        return await simulation.last_scrape(20)

    text = simulate(
        steps,
        *recordings,
        configuration=config(meeting_ids=meetings),
        linger_seconds=0.0,
        workers_per_app=3,
    )
    moves = labelled(text, "rk_recording_transitions_total")
    assert 10 <= sum(number for _, number in moves)
    assert [] == [labels for labels, number in moves if number and labels["to"] == "INVOKED"]


def test_whole_list_after_a_failure_at_the_start(tmp_path: Path) -> None:
    """With a state file, a list that fails at the start is read whole some hours later."""

    async def steps(simulation: Simulation) -> list[float]:
        watch = Watch(simulation, tmp_path, dropped=())
        await watch.until(300)
        await simulation.restart()
        simulation.proxy.delayed = lambda call: 6.0 if call.path == "recordings" else 0.0
        await watch.until(600)
        simulation.proxy.delayed = lambda _: 0.0
        await watch.until(900)
        await watch.until(DAY, CALM)
        found = labelled(
            watch.last_exposition, "rk_recording_download_url_expiry_timestamp_seconds"
        )
        return [number - NOW for _, number in found]

    refreshed = simulate(
        steps,
        usual(url_refreshed=HOUR),
        *CROWD,
        configuration=config(state__file=str(tmp_path / "state.json")),
        linger_seconds=0.0,
    )
    assert [HOUR + 7 * DAY] == refreshed
