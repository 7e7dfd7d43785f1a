"""Discovery alone: the list of live sessions, and what is known of rooms."""

import asyncio
import logging

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from rk_exporter.api.results import LiveSession, Page, Paging
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.session_walk import SessionWalk
from rk_exporter.model.errors import ApiError, ClientError, ConnectFailed, NotFound, ServerError
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import DiscoveryState, Meeting, Reading, Room
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.remedies import SLOW_SESSIONS_REMEDY
from rk_exporter.ratelimit.limiter import RateLimitWait
from tests.support import virtual_time
from tests.support.building import NOW, VirtualClock, pass_context, run
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
        self,
        after: float = 0.0,
        *,
        calls_per_second: float = 2.0,
        is_hinted: bool = False,
        most_calls: int = 100,
    ) -> bool:
        """List the sessions *after* a pause, if that is due."""
        await asyncio.sleep(after)
        return await self.discovery.refresh(
            pass_context(),
            calls_per_second=calls_per_second,
            is_hinted=is_hinted,
            most_calls=most_calls,
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


class Endless(list[str]):
    """Live meetings on each page that is asked for, always others."""

    def __init__(self) -> None:
        super().__init__()
        self.shown = 0

    def __len__(self) -> int:
        return 10**7

    def __getitem__(self, part: Any) -> Any:
        begin = self.shown
        self.shown += part.stop - part.start
        return [f"m{number}" for number in range(begin, self.shown)]


class Repeated(Endless):
    """The same live meetings on each page."""

    def __getitem__(self, part: Any) -> Any:
        return ["a", "b"]


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

    def test_calls_that_were_made(self) -> None:
        """A call that the rate limiter does not allow is not one of those that were made."""
        walk = SessionWalk()

        async def fetch(page_no: int) -> Page[LiveSession]:
            if page_no == 3:
                raise RateLimitWait
            return Page((), (str(page_no),), Paging(total_count=9, end_offset=page_no))

        assert not run(walk.go_on(fetch, most_calls=9))
        assert (2, 2) == (walk.calls, walk.page_count)

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
        """It takes as many calls as the last list that is complete."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            assert sessions.discovery.usual_calls == 1
            for live, usual in (("abcde", 3), ("ab", 1), ("abcd", 2), ("", 1)):
                sessions.client.live = live
                await sessions.refresh(30.0)
                assert sessions.discovery.usual_calls == usual
            sessions.client.live = "abcdef"
            assert not await sessions.refresh(30.0, most_calls=2)
            assert sessions.discovery.usual_calls == 1

        with_sessions(steps)


LISTED_AT_80 = DiscoveryState(None, NOW + 80)


class TestUnreadable:
    """A list with sessions that cannot be read."""

    def test_some(self) -> None:
        """It adds what can be read, and ends a meeting only when that was not seen for long."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            sessions.client.are_sessions_readable = False
            sessions.client.live = "ac"
            seen = []
            for _ in range(12):
                await sessions.refresh(30.0)
                room = sessions.discovery.room("b")
                assert room
                seen.append(room.is_live)
                assert sessions.names == "abc"
                assert sessions.discovery.state.up
            # It is missing since the 30th second.
            assert seen == [True] * 11 + [False]

        with_sessions(steps, "ab")

    def test_all(self) -> None:
        """If none can be read, the list has failed, and the next one is tried as late."""

        async def steps(sessions: Sessions) -> None:
            await sessions.refresh()
            sessions.client.are_sessions_readable = False
            sessions.client.live = ""
            await sessions.refresh(30.0)
            failure = sessions.discovery.state.failure
            assert failure
            assert Reason.INVALID_RESPONSE is failure.reason
            assert sessions.discovery.room("a") == Room(is_live=True, participants=2)
            sessions.client.are_sessions_readable = True
            assert not await sessions.refresh(28.9)
            assert await sessions.refresh(0.1)
            assert sessions.discovery.room("a") == Room(is_live=False)

        with_sessions(steps, "a")


@pytest.mark.parametrize(("title", "expected"), [(None, "Round"), ("Ward", "Ward")])
def test_name(title: str | None, expected: str) -> None:
    """A session without a name does not take the meeting's name away."""

    async def steps(sessions: Sessions) -> None:
        sessions.discovery.add_recorded([Meeting("a", "Round")])
        sessions.client.title_of = lambda _: title
        await sessions.refresh()
        assert [Meeting("a", expected)] == [*sessions.discovery.meetings]

    with_sessions(steps, "a")


class TestPieces:
    """A list for which one pass has too few calls."""

    def test_goes_on(self) -> None:
        """The next passes go on where the calls ended, and what is found is known at once."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            assert not await sessions.refresh(most_calls=2)
            assert (sessions.names, sessions.discovery.state.up) == ("abcd", False)
            assert sessions.discovery.room("a") is None
            # Half of the calls: two calls, four seconds, each.
            assert not await sessions.refresh(39.9, calls_per_second=0.1)
            assert len(sessions.client.called) == 2
            assert not await sessions.refresh(0.1, calls_per_second=0.1, most_calls=2)
            assert sessions.names == "abcdefgh"
            assert not await sessions.refresh(40.0, calls_per_second=0.1, most_calls=2)
            assert sessions.names == "abcdefghi"
            assert sessions.discovery.state == LISTED_AT_80
            assert (len(sessions.client.called), sessions.discovery.usual_calls) == (5, 5)
            assert sessions.discovery.room("a") == Room(is_live=True, participants=2)
            # The first pages of the next list count at once, too.
            sessions.client.live = "xyzabcdefghi"
            assert not await sessions.refresh(100.0, most_calls=1)
            assert sessions.discovery.room("x") == Room(is_live=True, participants=2)

        with_sessions(steps, "abcdefghi")

    def test_rate_limiter(self) -> None:
        """It also goes on where the rate limiter stopped it, in the next pass."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            allowed = iter([True, True, False, True])
            sessions.client.problem_of = lambda _: None if next(allowed) else RateLimitWait()
            assert not await sessions.refresh()
            assert sessions.names == "abcd"
            await sessions.refresh(2.0)
            assert sessions.names == "abcde"
            assert sessions.discovery.state == DiscoveryState(None, NOW + 2)

        with_sessions(steps, "abcde")

    def test_moves(self) -> None:
        """A session that moves between two pages is there once; what is missing once stays."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            await sessions.refresh()
            # "c" moves to the page that was read.
            assert not await sessions.refresh(30.0, most_calls=1)
            sessions.client.live = "acdef"
            await sessions.refresh(1.0)
            assert sessions.names == "abcdef"
            for name in "bcf":
                room = sessions.discovery.room(name)
                assert room
                assert room.is_live

        with_sessions(steps, "abcde")

    @pytest.mark.parametrize(
        ("problem", "calls"), [(ServerError("no"), 1), (ClientError("no"), 3)], ids=repr
    )
    def test_failure(self, problem: ApiError, calls: int) -> None:
        """After a failure it goes on, too, unless the failure may be about the page."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            problems = iter([None, None, problem])
            sessions.client.problem_of = lambda _: next(problems)
            await sessions.refresh()
            assert sessions.names in {"abcd", ""}
            assert sessions.discovery.state == DiscoveryState(problem.failure)
            sessions.fail(None)
            sessions.client.called = []
            await sessions.refresh(30.0)
            assert len(sessions.client.called) == calls
            assert sessions.names == "abcde"
            assert sessions.discovery.state.up

        with_sessions(steps, "abcde")

    def test_event(self) -> None:
        """An event waits for a list that begins after it: its meeting may be on a page before."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            assert not await sessions.refresh(most_calls=1)
            assert not await sessions.refresh(1.0, is_hinted=True)
            assert await sessions.refresh(2.0, is_hinted=True)

        with_sessions(steps, "abcd")

    @pytest.mark.parametrize(("pause_seconds", "calls"), [(301.0, 2), (301.1, 3)])
    def test_long_pause(self, pause_seconds: float, calls: int) -> None:
        """Pages that are too old are read again."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 2
            await sessions.refresh(most_calls=1)
            await sessions.refresh(pause_seconds)
            assert len(sessions.client.called) == calls

        with_sessions(steps, "abcd")

    def test_too_slow(self, caplog: pytest.LogCaptureFixture) -> None:
        """If a list takes longer than it is valid, discovery is down; the log says what to do."""
        caplog.set_level(logging.INFO, logger="rk_exporter")

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 1
            states = []
            for _ in range(11):
                await sessions.refresh(60.0, most_calls=1)
                states.append((sessions.discovery.state.up, sessions.discovery.state.is_late))
            # The first list took 7 pages and 360 s; the next one begins 60 s later.
            assert states == [(False, False)] * 6 + [(False, True)] * 5
            await sessions.refresh(60.0)
            assert sessions.discovery.state == DiscoveryState(None, NOW + 720)
            assert sessions.discovery.state.up

        with_sessions(steps, "abcdefg")
        assert lines(caplog, "collector.discovery") == [
            (
                "WARNING",
                "live sessions are listed too slowly, so new live meetings are found late",
                {"app": "app", "pages": 7, "remedy": SLOW_SESSIONS_REMEDY},
            ),
            ("INFO", "live sessions are listed in time again", {"app": "app"}),
        ]

    def test_no_calls(self) -> None:
        """A list that no pass has calls for is too late, too."""

        async def steps(sessions: Sessions) -> None:
            sessions.fail(RateLimitWait())
            for _ in range(6):
                assert not await sessions.refresh(60.0)
            assert not sessions.discovery.state.is_late
            assert not await sessions.refresh(1.0)
            assert sessions.discovery.state == DiscoveryState(is_late=True)

        with_sessions(steps, "a")

    def test_first_list_is_too_slow(self, caplog: pytest.LogCaptureFixture) -> None:
        """While the first list goes on, the log has its pages so far."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.sessions_per_page = 1
            for _ in range(7):
                await sessions.refresh(60.0, most_calls=1)

        with_sessions(steps, "abcdefghi")
        ((_, _, fields),) = lines(caplog, "collector.discovery")
        assert 7 == fields["pages"]

    def test_endless(self, caplog: pytest.LogCaptureFixture) -> None:
        """A list that never ends fails after 10,000 sessions, and is left alone for a while."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.live = Endless()
            for _ in range(3):
                await sessions.refresh(most_calls=40)
                await asyncio.sleep(40.0)
            assert len(sessions.client.called) == 100
            failure = sessions.discovery.state.failure
            assert failure
            assert failure.explanation == "the list of live sessions does not end"
            assert len([*sessions.discovery.meetings]) == 10_000
            await sessions.refresh(500.0, is_hinted=True)
            assert len(sessions.client.called) == 100
            await sessions.refresh(60.0)
            assert len(sessions.client.called) == 200
            assert len([*sessions.discovery.meetings]) == 10_000

        with_sessions(steps)
        ((level, _, fields),) = lines(caplog, "collector.discovery")
        assert (level, fields["reason"]) == ("WARNING", "invalid_response")

    def test_repeated_page(self) -> None:
        """A page that repeats ends the list, also if another pass has read it."""

        async def steps(sessions: Sessions) -> None:
            sessions.client.live = Repeated()
            for _ in range(2):
                assert sessions.discovery.state == DiscoveryState()
                await sessions.refresh(1.0, most_calls=1)
            assert sessions.discovery.state == DiscoveryState(None, NOW + 2)

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
