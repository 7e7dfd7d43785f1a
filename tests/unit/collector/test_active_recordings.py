import asyncio
import logging
import math
import time

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from prometheus_client import CollectorRegistry

from rk_exporter.api.client import PassContext, RealtimeKit
from rk_exporter.api.connection import Connection
from rk_exporter.collector.active_recordings import ActiveRecordingsLister, ListResult
from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App
from rk_exporter.model.recording import Status
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import LimitsByToken, RateLimiter
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.simulator import Fault, MeetingInList, Recording, ScriptedScenario, Simulator
from tests.support.building import (
    ACCOUNT,
    APP,
    BASE_URL,
    NOW,
    Call,
    Front,
    Time,
    free_throttle,
    in_process,
    life,
)
from tests.support.virtual_time import run


TOKEN = Secret("simulated")
HOUR = 3600.0
STATUSES = ["INVOKED", "RECORDING", "PAUSED", "UPLOADING"]


class Shelf:
    """A simulator's list of recordings, and who reads it."""

    def __init__(
        self,
        *recordings: Recording,
        limiter: RateLimiter | None = None,
        workers: int = 8,
        **simulator_options: Any,
    ) -> None:
        self.time = Time()
        self.simulator = Simulator(
            ScriptedScenario(recordings=recordings),
            clock=self.time,
            **{"rate_limit": 0, "latency_seconds": 0.05, **simulator_options},
        )
        self.front = Front(self.simulator)
        self.list = ActiveRecordingsLister(app="production", clock=self.time)
        metrics = ApiCallMetrics(["production"], registry=CollectorRegistry())
        self._readers = [
            RealtimeKit(
                App("production", ACCOUNT, APP),
                base_url=BASE_URL,
                connection=Connection(in_process(self.front)),
                limiter=limiter or free_throttle(),
                observer=metrics.of("production"),
                server_clock=ServerClock(time.time),
            )
            for _ in range(workers)
        ]

    async def read(self, timeout_seconds: float = 5.0) -> ListResult:
        """Read the list."""
        deadline = asyncio.get_running_loop().time() + 9.0
        try:
            return await self.list.read(
                self._readers, PassContext(TOKEN, deadline, timeout_seconds)
            )
        finally:
            for reader in self._readers:
                await reader.close()

    async def reads(self, count: int) -> list[ListResult]:
        """Read the list so many times."""
        return [await self.read() for _ in range(count)]

    def statuses(self) -> list[str | None]:
        """Return the status that each call since the last time asked for."""
        return [call.query.get("status") for call in self.front.take()]


def recorded(listing: ListResult) -> dict[str, list[Status]]:
    """Return the states of each meeting's recordings in progress."""
    return {
        meeting_id: [each.status for each in recordings]
        for meeting_id, recordings in sorted(listing.by_meeting().items())
    }


def in_each_state() -> Sequence[Recording]:
    """Return recordings of meetings that are called by their states."""
    states = {
        "a-invoked": 0,
        "b-recording": 10,
        "c-paused": 35,
        "d-uploading": 70,
        "e-uploaded": 200,
    }
    lives = [
        life(
            meeting_id,
            invoked_at=NOW - ago,
            started_at=NOW - ago + 2,
            paused=[(NOW - ago + 30, NOW - ago + 40)],
            stopped_at=NOW - ago + 60,
            uploaded_at=NOW - ago + 100,
        )
        for meeting_id, ago in states.items()
    ]
    errored = Recording.scripted("f-errored", invoked_at=NOW - 50, errored_at=NOW - 40)
    return [*lives, errored]


IN_PROGRESS = {
    "a-invoked": [Status.INVOKED],
    "b-recording": [Status.RECORDING],
    "c-paused": [Status.PAUSED],
    "d-uploading": [Status.UPLOADING],
}


class TestByStatus:
    """One status per call."""

    def test_idle_app(self) -> None:
        """Four calls tell that nothing is recorded, whatever there was before."""
        shelf = Shelf(life(invoked_at=NOW - 200, uploaded_at=NOW - 100))
        listing = run(shelf.read())
        assert (listing.by_meeting(), listing.is_complete) == ({}, True)
        wanted = {"path", "status", "page_no", "per_page", "start_time"}
        calls = [{"path": each.path, **each.query} for each in shelf.front.calls]
        assert [{key: call[key] for key in wanted & call.keys()} for call in calls] == [
            {"path": "recordings", "status": status, "page_no": "1", "per_page": "100"}
            for status in STATUSES
        ]
        assert shelf.list.usual_calls == 4

    def test_each_state(self) -> None:
        """Recordings in progress are found in their states; what has ended is not."""
        listing = run(Shelf(*in_each_state()).read())
        assert recorded(listing) == IN_PROGRESS
        assert listing.is_complete

    @pytest.mark.parametrize("workers", [1, 8])
    def test_pages_of_a_hundred(self, workers: int) -> None:
        """250 recordings in one state take three pages, and the other states one each."""
        names = [f"meeting-{number:03}" for number in range(250)]
        shelf = Shelf(*[life(name, invoked_at=NOW - 1) for name in names], workers=workers)
        shelf.time.now = NOW + 10
        listing = run(shelf.read())
        assert recorded(listing) == {name: [Status.RECORDING] for name in names}
        assert listing.is_complete
        pages = [int(call.query["page_no"]) for call in shelf.front.calls]
        assert sorted(pages) == [1, 1, 1, 1, 2, 3]
        assert shelf.list.usual_calls == 6

    @pytest.mark.parametrize("meeting_in_list", MeetingInList)
    def test_ways_to_tell_the_meeting(self, meeting_in_list: MeetingInList) -> None:
        """The meeting is told by itself, by its id, or by the name of the file."""
        uuid = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
        shelf = Shelf(life("abcdef-ghijkl"), life(uuid), meeting_in_list=meeting_in_list)
        assert recorded(run(shelf.read())) == {
            uuid: [Status.INVOKED],
            "abcdef-ghijkl": [Status.INVOKED],
        }

    def test_several_of_one_meeting(self) -> None:
        """All recordings of a meeting are its own, the newest first, whichever call tells them."""
        old, new = life(id="old"), life(id="new", invoked_at=NOW + 65, started_at=NOW + 66)
        shelf = Shelf(old, new)
        shelf.time.now = NOW + 65
        recordings = run(shelf.read()).by_meeting()["meeting-1"]
        assert [(each.recording_id, each.status) for each in recordings] == [
            ("new", Status.INVOKED),
            ("old", Status.UPLOADING),
        ]

    def test_recording_that_moves_on(self) -> None:
        """A recording that two calls tell of is there once, in its later state."""
        shelf = Shelf(life(), workers=1)

        def move_on(call: Call) -> None:
            shelf.time.now += {"RECORDING": 5, "PAUSED": 30}.get(call.query["status"], 0)

        shelf.front.before = move_on
        assert recorded(run(shelf.read())) == {"meeting-1": [Status.PAUSED]}

    def test_undocumented_state(self) -> None:
        """What is in a state that nobody knows is shown, and is no reason to do without filters."""
        shelf = Shelf(life())
        shelf.simulator.inject("*", Fault.UNKNOWN_STATUS)
        assert recorded(run(shelf.reads(2))[1]) == {"meeting-1": [Status.UNKNOWN]}
        assert shelf.statuses() == STATUSES * 2

    @pytest.mark.parametrize(
        ("fault", "reason"),
        [
            (Fault.SERVER_ERROR, Reason.SERVER_ERROR),
            (Fault.HTML, Reason.INVALID_RESPONSE),
            (Fault.GATEWAY_NOT_FOUND, Reason.NOT_FOUND),
            (Fault.HANG, Reason.TIMEOUT),
        ],
    )
    def test_failure(self, fault: Fault, reason: Reason) -> None:
        """Where a call fails, what was found is there, the rest is unknown and is not asked for."""

        async def read() -> tuple[ListResult, int]:
            shelf = Shelf(*in_each_state(), workers=1)

            def fail(call: Call) -> None:
                if call.query["status"] == "PAUSED":
                    shelf.simulator.inject("*", fault)

            shelf.front.before = fail
            listing = await shelf.read()
            assert shelf.statuses() == STATUSES[:3]
            shelf.simulator.clear()
            shelf.front.before = lambda _: None
            assert (await shelf.read()).is_complete
            return listing, shelf.list.usual_calls

        listing, usual_calls = run(read())
        assert listing.failure
        assert (listing.failure.reason, listing.is_complete) == (reason, False)
        assert list(recorded(listing)) == ["a-invoked", "b-recording"]
        assert usual_calls == 4


class TestUnfiltered:
    """Where the API does not filter by status, all of the last 25 hours."""

    SINCE = "2026-11-17T10:06:40Z"

    def check(
        self, shelf: Shelf, first: Sequence[str | None], log: pytest.LogCaptureFixture
    ) -> str:
        """Read three times, of which the first takes those calls, and return what was logged."""
        for number, listing in enumerate(run(shelf.reads(3))):
            assert recorded(listing) == IN_PROGRESS, number
            assert listing.is_complete
        calls = shelf.front.calls
        assert [call.query.get("status") for call in calls] == [*first, None, None]
        assert {call.query["start_time"] for call in calls if "status" not in call.query} == {
            self.SINCE
        }
        assert shelf.list.usual_calls == 1
        (record,) = (
            each for each in log.records if each.name == "rk_exporter.collector.active_recordings"
        )
        assert (record.levelno, record.__dict__["app"]) == (logging.WARNING, "production")
        return record.getMessage()

    def test_refused_filters(self, caplog: pytest.LogCaptureFixture) -> None:
        """An API that refuses one of the states is asked for all, and the log says so."""
        shelf = Shelf(*in_each_state(), workers=1, refuse_later_statuses=True)
        message = self.check(shelf, ["INVOKED", "RECORDING", "PAUSED", None], caplog)
        assert message == (
            "recordings cannot be listed by status (the API answered 400): for an hour all of the "
            "last 25 hours are listed"
        )

    def test_refused_for_an_hour(self) -> None:
        """After an hour the states are tried again: one odd answer does not cost for ever."""
        shelf = Shelf(*in_each_state(), workers=1, refuse_later_statuses=True)

        async def reads() -> None:
            for later in (0, 3599, 1):
                shelf.time.now += later
                await shelf.read()

        run(reads())
        tries = ["INVOKED", "RECORDING", "PAUSED", None]
        assert shelf.statuses() == [*tries, None, *tries]

    @pytest.mark.parametrize(("workers", "tries"), [(1, 1), (2, 2), (8, 4)])
    def test_no_filter_at_all(
        self, workers: int, tries: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An API that refuses all states costs a call for each worker, once."""
        shelf = Shelf(*in_each_state(), workers=workers, refuse_status_filter=True)
        assert "the API answered 400" in self.check(shelf, [*STATUSES[:tries], None], caplog)

    def test_ignored_filter(self, caplog: pytest.LogCaptureFixture) -> None:
        """An API that ignores the state is found out by what it returns."""
        shelf = Shelf(*in_each_state(), workers=1)
        shelf.front.ignored = frozenset({"status"})
        assert "the API ignores the status" in self.check(shelf, ["INVOKED", None], caplog)

    def test_ignored_filter_and_a_long_history(self) -> None:
        """An API that ignores the state is not asked for all recordings that ever were."""
        month = 30 * 24 * HOUR
        tracker = [
            life(f"old-{number}", invoked_at=NOW - month - number, uploaded_at=NOW - month)
            for number in range(500)
        ]
        shelf = Shelf(*tracker, *in_each_state(), workers=1)
        shelf.front.ignored = frozenset({"status"})
        listing = run(shelf.read())
        assert recorded(listing) == IN_PROGRESS
        assert shelf.statuses() == ["INVOKED", None]

    def test_window(self) -> None:
        """What was invoked within 25 hours is found, on however many pages, and nothing older."""
        names = [f"meeting-{number:03}" for number in range(250)]
        young = [life(name, invoked_at=NOW - 24.9 * HOUR, stopped_at=NOW) for name in names]
        shelf = Shelf(*young, life("old", invoked_at=NOW - 26 * HOUR), refuse_status_filter=True)
        shelf.time.now = NOW + 1
        listing = run(shelf.reads(2))[1]
        assert sorted(listing.by_meeting()) == names
        assert shelf.statuses() == [*STATUSES, *[None] * 6]
        assert shelf.list.usual_calls == 3

    def test_refused_as_well(self) -> None:
        """An API that refuses that too has failed, and may answer the next time."""
        shelf = Shelf(*in_each_state())

        async def read() -> list[ListResult]:
            shelf.simulator.inject("*", Fault.BAD_REQUEST)
            first = await shelf.read()
            shelf.simulator.clear()
            return [first, await shelf.read()]

        refused, answered = run(read())
        assert refused.failure
        assert (refused.failure.reason, refused.by_meeting()) == (Reason.CLIENT_ERROR, {})
        assert recorded(answered) == IN_PROGRESS


class TestHeldBack:
    """A list for which the budget does not suffice."""

    def play(self, scenario: Callable[[Shelf], Awaitable[None]], **options: Any) -> None:
        """Let a scenario happen in virtual time, with a budget of one call in 10 s."""

        async def act() -> None:
            clock = asyncio.get_running_loop().time
            limiter = RateLimiter(
                LimitsByToken(reserve_ratio=0.0, monotonic=clock),
                token=TOKEN,
                budget=30,
                clock=clock,
                monotonic=clock,
            )
            # Half a minute is saved up: three calls, and the next is due in ten seconds.
            await asyncio.sleep(30)
            limiter.begin_pass(TOKEN, interval_seconds=24.0, max_wait_seconds=1.0)
            await scenario(Shelf(*in_each_state(), limiter=limiter, **options))

        run(act())

    @pytest.mark.parametrize("workers", [1, 8])
    def test_midway(self, workers: int) -> None:
        """What was found until then is there; of what was not there nothing is known."""

        async def scenario(shelf: Shelf) -> None:
            listing = await shelf.read()
            assert recorded(listing) == dict(list(IN_PROGRESS.items())[:3])
            assert (listing.is_held_back, listing.failure) == (True, None)
            assert not listing.is_complete
            assert shelf.statuses() == STATUSES[:3]

        self.play(scenario, workers=workers)

    def test_usual_calls(self) -> None:
        """Half of the list does not tell that the list takes fewer calls."""

        async def scenario(shelf: Shelf) -> None:
            await shelf.read()
            assert shelf.list.usual_calls >= 4

        self.play(scenario)

    def test_unfiltered(self) -> None:
        """Where the budget ends after it was found out that filters are refused, all is open."""

        async def scenario(shelf: Shelf) -> None:
            listing = await shelf.read()
            assert (listing.by_meeting(), listing.is_held_back) == ({}, True)
            assert shelf.list.usual_calls >= 4

        self.play(scenario, refuse_status_filter=True)


def test_patience_of_a_call() -> None:
    """A call is given up in time for others, and at the end of the pass at the latest."""

    async def deadlines() -> list[float]:
        return [PassContext(TOKEN, at, 5.0).call_deadline() for at in (2.0, 9.0, math.inf)]

    assert run(deadlines()) == [2.0, 5.0, 5.0]
