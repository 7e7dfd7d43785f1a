"""Discovery alone: the list of live sessions, and what is known of rooms."""

import asyncio

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rk_exporter.collector.discovery import Discovery
from rk_exporter.model.errors import ApiError, ConnectFailed, NotFound, ServerError
from rk_exporter.model.meeting import DiscoveryState, Meeting, Reading, Room
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.limiter import RateLimitWait
from tests.support import virtual_time
from tests.support.building import NOW, VirtualClock, pass_context
from tests.support.log_lines import lines
from tests.support.one_app import Client


def unsent() -> ApiError:
    error = ConnectFailed("no connection")
    error.opened_connection = False
    return error


class Sessions:
    """The discovery of an app."""

    def __init__(self, live: str) -> None:
        self.client = Client()
        self.client.live = live
        self.discovery = Discovery(
            "app", self.client, clock=VirtualClock(), stale_after_seconds=300.0
        )

    async def refresh(
        self, after: float = 0.0, *, calls_per_second: float = 2.0, is_hinted: bool = False
    ) -> bool:
        """List the sessions *after* a pause, if that is due."""
        await asyncio.sleep(after)
        return await self.discovery.refresh(
            pass_context(), calls_per_second=calls_per_second, is_hinted=is_hinted
        )

    def fail(self, problem: ApiError | RateLimitWait | None) -> None:
        self.client.problem_of = lambda _: problem

    @property
    def names(self) -> str:
        """The meetings that are known."""
        return "".join(meeting.meeting_id for meeting in self.discovery.meetings)

    async def settings(self) -> list[str]:
        """Read the settings that are due, and return the calls."""
        self.client.called = []
        for job in self.discovery.settings_jobs(pass_context()):
            await job()
        return self.client.called


def with_sessions(steps: Callable[[Sessions], Awaitable[None]], live: str = "") -> None:
    """Run *steps* with meetings that people are in."""

    async def run_steps() -> None:
        await steps(Sessions(live))

    virtual_time.run(run_steps())


def reading(name: str, *statuses: Status, read_at: float | None = NOW) -> Reading:
    """Return a reading of a meeting with recordings in some states; None: never read."""
    recordings = tuple(Recording(recording_id=status, status=status) for status in statuses)
    return Reading(
        meeting=Meeting(name, name),
        recordings=None if read_at is None else recordings,
        last_success_timestamp_seconds=read_at,
    )


class TestDue:
    """When the sessions are listed."""

    def test_interval(self) -> None:
        """They are listed each half minute, minus a second, and when an event asks for it."""

        async def steps(sessions: Sessions) -> None:
            assert await sessions.refresh() is True
            assert await sessions.refresh(28.9) is False
            assert await sessions.refresh(0.1) is True
            assert await sessions.refresh(1.0) is False
            assert await sessions.refresh(is_hinted=True) is True
            assert await sessions.refresh(0.5, is_hinted=True, calls_per_second=100.0) is True
            assert len(sessions.client.called) == 4

        with_sessions(steps)

    @pytest.mark.parametrize(("live", "seconds"), [("a", 40.0), ("abcde", 120.0)])
    def test_small_budget(self, live: str, seconds: float) -> None:
        """They take half of the calls at most, however many pages there are."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            await sessions.refresh()
            for is_hinted in (False, True):
                options: dict[str, Any] = {"calls_per_second": 0.05, "is_hinted": is_hinted}
                assert not await sessions.refresh(seconds - 0.1, **options)
                assert await sessions.refresh(0.1, **options)

        with_sessions(steps, live)

    @pytest.mark.parametrize(
        ("problem", "has_tried", "is_due"),
        [(ServerError("no"), True, False), (unsent(), True, True), (RateLimitWait(), False, True)],
        ids=repr,
    )
    def test_failure(
        self, problem: ApiError | RateLimitWait, *, has_tried: bool, is_due: bool
    ) -> None:
        """A failure is repeated as late; without a call or a connection, in the next pass."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            sessions.fail(problem)
            assert await sessions.refresh(30.0) is has_tried
            failure = problem.failure if isinstance(problem, ApiError) else None
            assert sessions.discovery.state == DiscoveryState(failure, NOW)
            assert sessions.discovery.is_due(calls_per_second=2.0, is_hinted=False) is is_due
            assert sessions.names == "a"
            sessions.fail(None)
            assert await sessions.refresh(30.0)
            assert sessions.discovery.state == DiscoveryState(None, NOW + 60)

        with_sessions(steps, "a")

    def test_usual_calls(self) -> None:
        """It takes as many calls as the last list; one that was not finished, at least as many."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            assert sessions.discovery.usual_calls == 1
            for live, usual in (("abcde", 3), ("ab", 1), ("abcd", 2), ("", 1)):
                sessions.client.live = live
                await sessions.refresh(30.0)
                assert sessions.discovery.usual_calls == usual
            sessions.client.live = "abcdef"
            called = iter([None, None, RateLimitWait()])
            sessions.client.problem_of = lambda _: next(called)
            assert not await sessions.refresh(30.0)
            assert sessions.discovery.usual_calls == 3

        with_sessions(steps)


class TestMeetings:
    """The meetings that are known."""

    @pytest.mark.parametrize(("per_page", "lists"), [(100, 1), (2, 2)])
    def test_one_that_is_missing(self, per_page: int, lists: int) -> None:
        """If there are several pages, a session may have moved, so one list is not enough."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = per_page
            await sessions.refresh()
            sessions.client.live = "bcd"
            for _ in range(lists):
                room = sessions.discovery.room("a")
                assert room
                assert room.is_live
                await sessions.refresh(30.0)
            room = sessions.discovery.room("a")
            assert room
            assert not room.is_live
            # It ended when the last of these lists was made.
            ended_at = NOW + 30 * lists
            sessions.discovery.forget_ended([reading("a", read_at=ended_at - 1)])
            assert sessions.names == "abcd"
            sessions.discovery.forget_ended([reading("a", read_at=ended_at)])
            assert sessions.names == "bcd"

        with_sessions(steps, "abcd")

    def test_one_that_returns(self) -> None:
        """A meeting that people return to has not ended."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            for live in ("", "a"):
                sessions.client.live = live
                await sessions.refresh(30.0)
            sessions.discovery.forget_ended([reading("a", read_at=NOW + 90)])
            assert sessions.names == "a"
            assert [meeting.name for meeting in sessions.discovery.meetings] == ["title a"]

        with_sessions(steps, "a")

    def test_recorded(self) -> None:
        """A meeting from the list of recordings is over when its recording is."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            sessions.discovery.add_recorded([Meeting("a", "other"), Meeting("b", "b")])
            assert [meeting.name for meeting in sessions.discovery.meetings] == ["title a", "b"]
            for status in (Status.RECORDING, Status.UPLOADING):
                sessions.discovery.forget_ended([reading("b", Status.UPLOADED, status)])
                assert sessions.names == "ab"
            sessions.discovery.forget_ended(
                [reading("a", read_at=NOW + 90), reading("b", Status.UPLOADED)]
            )
            assert sessions.names == "a"

        with_sessions(steps, "a")

    def test_never_read(self) -> None:
        """A meeting that ended and cannot be read is dropped after `stale_after`."""

        async def steps(sessions: Sessions) -> None:
            sessions.discovery.add_recorded([Meeting("b", "b")])
            sessions.discovery.forget_ended([reading("b", read_at=None)])
            await asyncio.sleep(300)
            sessions.discovery.forget_ended([reading("b", read_at=None)])
            assert sessions.names == "b"
            await asyncio.sleep(0.1)
            sessions.discovery.forget_ended([reading("b", read_at=None)])
            assert sessions.names == ""

        with_sessions(steps)


class TestRooms:
    """What is known of a meeting's room."""

    def test_valid(self) -> None:
        """It is known for `stale_after` seconds, which a reload may change."""

        async def steps(sessions: Sessions) -> None:
            assert sessions.discovery.room("a") is None
            await sessions.refresh()
            live = Room(is_live=True, participants=2)
            assert sessions.discovery.room("a") == live
            assert sessions.discovery.room("b") == Room(is_live=False)
            await asyncio.sleep(300)
            assert sessions.discovery.room("a") == live
            await asyncio.sleep(0.1)
            assert sessions.discovery.room("a") is None
            sessions.discovery.change("app", stale_after_seconds=301.0)
            assert sessions.discovery.room("a") == live

        with_sessions(steps, "a")

    def test_settings(self) -> None:
        """The settings of live meetings are read once, and are known until they are over."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            sessions.discovery.add_recorded([Meeting("b", "b")])
            assert await sessions.settings() == ["settings a"]
            assert sessions.discovery.room("a") == Room(
                is_live=True, participants=2, record_on_start=True
            )
            await asyncio.sleep(3600)
            assert await sessions.settings() == []
            sessions.client.live = ""
            await sessions.refresh()
            sessions.discovery.forget_ended([reading("a", read_at=NOW + 3600)])
            assert sessions.discovery.room("a") == Room(is_live=False)
            sessions.client.live = "a"
            await sessions.refresh(30.0)
            assert await sessions.settings() == ["settings a"]

        with_sessions(steps, "a")

    @pytest.mark.parametrize(
        ("problem", "seconds"),
        [(NotFound("no"), None), (ServerError("no"), 600.0), (unsent(), 0.0)],
        ids=repr,
    )
    def test_settings_that_fail(self, problem: ApiError, seconds: float | None) -> None:
        """They are read again after ten minutes; in the next pass, if there was no connection."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            sessions.fail(problem)
            await sessions.settings()
            sessions.fail(None)
            if seconds is None:
                await asyncio.sleep(1e6)
                assert await sessions.settings() == []
                return
            await asyncio.sleep(seconds)
            assert await sessions.settings() == []
            await asyncio.sleep(0.1)
            assert await sessions.settings() == ["settings a"]

        with_sessions(steps, "a")


def test_new_name(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the present name of the app."""

    async def steps(sessions: Sessions) -> None:
        sessions.discovery.change("renamed", stale_after_seconds=300.0)
        sessions.fail(ServerError("no"))
        await sessions.refresh()

    with_sessions(steps)
    ((_, _, fields),) = lines(caplog, "collector.discovery")
    assert fields["app"] == "renamed"
