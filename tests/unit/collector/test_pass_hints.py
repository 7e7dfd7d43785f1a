from collections.abc import Awaitable, Callable, Sequence

from rk_exporter.collector.app_parts import AppParts
from rk_exporter.collector.hints import Hints
from rk_exporter.collector.pass_hints import PassHints
from rk_exporter.collector.planner import Hinted
from rk_exporter.model.meeting import Meeting, Reading, ReadMode
from rk_exporter.model.recording import Recording, Status
from tests.support import virtual_time
from tests.support.app_parts import app_parts
from tests.support.building import NOW, VirtualClock


UPPER = "182BD5E5-6E1A-4FE4-A799-AA6D9A6AB26E"
MEETINGS = [Meeting(name, name) for name in ("a", UPPER, "c", "d")]
READINGS = [Reading(meeting=meeting) for meeting in MEETINGS]


def with_parts(steps: Callable[[AppParts], Awaitable[None]]) -> None:
    """Run *steps* with the parts of an app whose meetings showed `r` and `s`, and no longer do."""

    async def run_steps() -> None:
        parts = app_parts("app", VirtualClock(), ReadMode.ACTIVE_RECORDING)
        parts.tracker.set_meetings(MEETINGS)
        for meeting, key in zip(MEETINGS, "rs", strict=False):
            recording = Recording(
                recording_id=key, status=Status.RECORDING, invoked_timestamp_seconds=NOW
            )
            parts.tracker.observe_meeting(meeting, [recording])
            parts.tracker.observe_meeting(meeting, [])
        await steps(parts)

    virtual_time.run(run_steps())


def names(readings: Sequence[Reading]) -> list[str]:
    return [reading.meeting.meeting_id for reading in readings]


def ids(hinted: Hinted) -> list[str]:
    return [
        target.meeting_id if isinstance(target, Meeting) else target.recording_id
        for target in hinted.targets
    ]


def test_off() -> None:
    """Without webhooks nothing is due by a hint."""

    async def steps(parts: AppParts) -> None:
        hints = PassHints(None, parts.tracker)
        assert not hints.is_discovery_due
        assert not hints.is_recordings_list_due
        assert not hints.has_recording("r")
        assert hints.readings(READINGS, []) == []
        assert hints.targets(READINGS, now=NOW) == Hinted([])
        hints.settle(meeting_ids=["a"], recording_ids=["r"])

    with_parts(steps)


def test_readings() -> None:
    """Hinted meetings are due in any spelling of their ids, unless they are due already."""

    async def steps(parts: AppParts) -> None:
        hints = Hints()
        for name in ("a", UPPER.lower(), "d", "elsewhere"):
            hints.add_meeting(name)
        of_pass = PassHints(hints, parts.tracker)
        assert names(of_pass.readings(READINGS, READINGS[2:])) == ["a", UPPER]
        assert names(of_pass.readings(READINGS, [])) == ["a", UPPER, "d"]

    with_parts(steps)


def test_targets() -> None:
    """They are read in the order of their events; a recording only if its end is not known."""

    async def steps(parts: AppParts) -> None:
        hints = Hints()
        for add, key in (
            (hints.add_recording, "s"),
            (hints.add_meeting, "d"),
            (hints.add_recording, "unknown"),
            (hints.add_meeting, UPPER),
            (hints.add_meeting, "elsewhere"),
            (hints.add_recording, "r"),
        ):
            add(key)
        parts.tracker.observe_failure("r")
        of_pass = PassHints(hints, parts.tracker)
        hinted = of_pass.targets(READINGS, now=NOW)
        # A recording that has just failed waits.
        assert (ids(hinted), hinted.is_first) == (["s", "d", UPPER], True)
        assert ids(of_pass.targets(READINGS, now=NOW + 60)) == ["s", "d", UPPER, "r"]
        assert ids(of_pass.targets(READINGS[:2], now=NOW)) == ["s", UPPER]
        assert (of_pass.has_recording("s"), of_pass.has_recording("d")) == (True, False)

    with_parts(steps)


def test_turns() -> None:
    """In two of four passes, what is hinted comes first."""

    async def steps(parts: AppParts) -> None:
        hints, firsts = Hints(), []
        for _ in range(8):
            hints.add_meeting("a")
            of_pass = PassHints(hints, parts.tracker)
            firsts.append(of_pass.targets(READINGS, now=NOW).is_first)
            of_pass.settle(meeting_ids=["a"], recording_ids=[])
        assert firsts == [True, True, False, False] * 2

    with_parts(steps)


def test_settled() -> None:
    """What a pass has read is no longer due, but what was hinted since is."""

    async def steps(parts: AppParts) -> None:
        hints = Hints()
        for name in ("a", UPPER, "c"):
            hints.add_meeting(name)
        for key in ("r", "s"):
            hints.add_recording(key)
        hints.add_discovery()
        hints.add_recordings_list()
        of_pass = PassHints(hints, parts.tracker)
        assert (of_pass.is_discovery_due, of_pass.is_recordings_list_due) == (True, True)
        hints.add_meeting("c")
        of_pass.settle(meeting_ids=[UPPER, "c"], recording_ids=["r"])
        pending = hints.pending
        assert ([*pending.meetings], [*pending.recordings]) == (["a", "c"], ["s"])
        # The sessions were not listed, but the list of recordings was hurried.
        assert (pending.discovery is None, pending.recordings_list is None) == (False, True)
        of_pass = PassHints(hints, parts.tracker)
        of_pass.has_discovered = True
        of_pass.settle(meeting_ids=[], recording_ids=[])
        assert hints.pending.discovery is None
        assert [*hints.pending.meetings] == ["a", "c"]

    with_parts(steps)
