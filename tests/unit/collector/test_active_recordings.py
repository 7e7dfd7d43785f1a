import asyncio
import logging
import math

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from prometheus_client import CollectorRegistry

from rk_exporter.api.calls import ApiCaller
from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.connection import ConnectionPool
from rk_exporter.api.connection_pool import ClientPool
from rk_exporter.api.results import Page, Paging
from rk_exporter.collector.active_recordings import ActiveRecordingsLister, ListResult
from rk_exporter.metrics.api_calls import ApiCallMetrics
from rk_exporter.model import recording
from rk_exporter.model.errors import (
    ApiError,
    ClientError,
    ConnectFailed,
    Intercepted,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import App, ListedRecording, Meeting
from rk_exporter.model.recording import Status
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.simulator import Fault, MeetingInList, Recording, ScriptedScenario, Simulator
from tests.support.building import (
    ACCOUNT,
    APP,
    BASE_URL,
    NOW,
    ApiProxy,
    Call,
    Time,
    free_limiter,
    in_process,
    pass_context,
    scripted,
)
from tests.support.log_lines import lines
from tests.support.virtual_time import run


TOKEN = Secret("simulated")
BROKEN = ServerError("the API answered 500")
HOUR = 3600.0
STATUSES = ["INVOKED", "RECORDING", "PAUSED", "UPLOADING"]


class ListHarness:
    """A simulated list of recordings, with a lister that reads it."""

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
        self.proxy = ApiProxy(self.simulator)
        metrics = ApiCallMetrics(CollectorRegistry())
        self._client = RealtimeKitClient(
            ApiCaller(
                App("production", ACCOUNT, APP),
                base_url=BASE_URL,
                pool=ConnectionPool(ClientPool(in_process(self.proxy)), size=workers),
                limiter=limiter or free_limiter(),
                observer=metrics.of("production"),
                server_clock=ServerClock(Clock()),
            )
        )
        self.list = ActiveRecordingsLister("production", self._client, clock=self.time)

    async def read(self, timeout_seconds: float = 5.0) -> ListResult:
        """Read the list."""
        now = asyncio.get_running_loop().time()
        context = pass_context(
            token=TOKEN,
            deadline=now + 9.0,
            call_timeout_seconds=timeout_seconds,
            wait_until=now + 1.0,
            interval_seconds=24.0,
        )
        try:
            return await self.list.read(context)
        finally:
            await self._client.close()

    async def reads(self, count: int) -> list[ListResult]:
        """Read the list *count* times."""
        return [await self.read() for _ in range(count)]

    def statuses(self) -> list[str | None]:
        """Return the status filter of each call since the last time."""
        return [call.query.get("status") for call in self.proxy.new_calls()]


def recorded(result: ListResult) -> dict[str, list[Status]]:
    """Return the states of each meeting's recordings in progress."""
    return {
        meeting_id: [recording.status for recording in recordings]
        for meeting_id, recordings in sorted(result.by_meeting().items())
    }


def in_each_state() -> Sequence[Recording]:
    """Return a recording in each state, in a meeting named after the state."""
    states = {
        "a-invoked": 0,
        "b-recording": 10,
        "c-paused": 35,
        "d-uploading": 70,
        "e-uploaded": 200,
    }
    recordings = [
        scripted(
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
    return [*recordings, errored]


IN_PROGRESS = {
    "a-invoked": [Status.INVOKED],
    "b-recording": [Status.RECORDING],
    "c-paused": [Status.PAUSED],
    "d-uploading": [Status.UPLOADING],
}


class TestByStatus:
    """One status per call."""

    def test_idle_app(self) -> None:
        """Four calls show that nothing is recorded, whatever has ended before."""
        harness = ListHarness(scripted(invoked_at=NOW - 200, uploaded_at=NOW - 100))
        result = run(harness.read())
        assert (result.by_meeting(), result.is_complete) == ({}, True)
        wanted = {"path", "status", "page_no", "per_page", "start_time"}
        calls = [{"path": call.path, **call.query} for call in harness.proxy.calls]
        assert [{key: call[key] for key in wanted & call.keys()} for call in calls] == [
            {"path": "recordings", "status": status, "page_no": "1", "per_page": "100"}
            for status in STATUSES
        ]
        assert harness.list.usual_calls == 4

    def test_each_state(self) -> None:
        """Recordings in progress are found in their states; finished recordings are not."""
        result = run(ListHarness(*in_each_state()).read())
        assert recorded(result) == IN_PROGRESS
        assert result.is_complete

    @pytest.mark.parametrize("workers", [1, 8])
    def test_pages_of_a_hundred(self, workers: int) -> None:
        """250 recordings in one state take three pages, and the other states one each."""
        names = [f"meeting-{number:03}" for number in range(250)]
        harness = ListHarness(
            *[scripted(name, invoked_at=NOW - 1) for name in names], workers=workers
        )
        harness.time.now = NOW + 10
        result = run(harness.read())
        assert recorded(result) == {name: [Status.RECORDING] for name in names}
        assert result.is_complete
        pages = [int(call.query["page_no"]) for call in harness.proxy.calls]
        assert sorted(pages) == [1, 1, 1, 1, 2, 3]
        assert harness.list.usual_calls == 6

    @pytest.mark.parametrize("meeting_in_list", MeetingInList)
    def test_meeting_of_a_recording(self, meeting_in_list: MeetingInList) -> None:
        """The API names the meeting by an object, by its id, or in the name of the file."""
        uuid = "497f6eca-6276-4993-bfeb-53cbbbba6f08"
        harness = ListHarness(
            scripted("abcdef-ghijkl"), scripted(uuid), meeting_in_list=meeting_in_list
        )
        assert recorded(run(harness.read())) == {
            uuid: [Status.INVOKED],
            "abcdef-ghijkl": [Status.INVOKED],
        }

    def test_several_of_one_meeting(self) -> None:
        """A meeting has all of its recordings, newest first, whichever call shows them."""
        old, new = scripted(id="old"), scripted(id="new", invoked_at=NOW + 65, started_at=NOW + 66)
        harness = ListHarness(old, new)
        harness.time.now = NOW + 65
        recordings = run(harness.read()).by_meeting()["meeting-1"]
        assert [(recording.recording_id, recording.status) for recording in recordings] == [
            ("new", Status.INVOKED),
            ("old", Status.UPLOADING),
        ]

    def test_order(self) -> None:
        """The newest recording of a meeting is first; one of an unknown time is last."""
        listed = [
            ListedRecording(
                Meeting("m", "m"),
                recording.Recording(
                    recording_id=str(at), status=Status.RECORDING, invoked_timestamp_seconds=at
                ),
            )
            for at in (None, 1.0, 3.0, 2.0)
        ]
        (found,) = ListResult(listed).by_meeting().values()
        assert [one.recording_id for one in found] == ["3.0", "2.0", "1.0", "None"]

    def test_long_recording(self) -> None:
        """A recording in progress is found however long ago it was invoked."""
        harness = ListHarness(
            scripted(
                invoked_at=NOW - 50 * HOUR,
                started_at=NOW - 50 * HOUR,
                paused=[],
                stopped_at=None,
                uploaded_at=None,
            )
        )
        assert recorded(run(harness.read())) == {"meeting-1": [Status.RECORDING]}

    def test_recording_that_moves_on(self) -> None:
        """A recording that two calls show is found once, in its later state."""
        harness = ListHarness(scripted(), workers=1)

        def move_on(call: Call) -> None:
            harness.time.now += {"RECORDING": 5, "PAUSED": 30}.get(call.query["status"], 0)

        harness.proxy.before = move_on
        assert recorded(run(harness.read())) == {"meeting-1": [Status.PAUSED]}

    def test_undocumented_state(self) -> None:
        """A recording in an undocumented state is shown, and the filters stay in use."""
        harness = ListHarness(scripted())
        harness.simulator.inject("*", Fault.UNKNOWN_STATUS)
        assert recorded(run(harness.reads(2))[1]) == {"meeting-1": [Status.UNKNOWN]}
        assert harness.statuses() == STATUSES * 2

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
        """If a call fails, earlier results are kept, and no more calls are made."""

        async def read() -> tuple[ListResult, int]:
            harness = ListHarness(*in_each_state(), workers=1)

            def fail(call: Call) -> None:
                if call.query["status"] == "PAUSED":
                    harness.simulator.inject("*", fault)

            harness.proxy.before = fail
            result = await harness.read()
            assert harness.statuses() == STATUSES[:3]
            harness.simulator.clear()
            harness.proxy.before = lambda _: None
            assert (await harness.read()).is_complete
            return result, harness.list.usual_calls

        result, usual_calls = run(read())
        assert result.failure
        assert (result.failure.reason, result.is_complete) == (reason, False)
        assert list(recorded(result)) == ["a-invoked", "b-recording"]
        assert usual_calls == 4


class TestUnfiltered:
    """If the API does not filter by status, all recordings of the last 25 hours are read."""

    def check(
        self, harness: ListHarness, first: Sequence[str | None], log: pytest.LogCaptureFixture
    ) -> str:
        """Read three times, check the calls of the *first* read, and return the log message."""
        for number, result in enumerate(run(harness.reads(3))):
            assert recorded(result) == IN_PROGRESS, number
            assert result.is_complete
        calls = harness.proxy.calls
        assert [call.query.get("status") for call in calls] == [*first, None, None]
        assert not any("start_time" in call.query for call in calls)
        assert harness.list.usual_calls == 1
        ((level, message, fields),) = lines(log, "collector.active_recordings")
        assert (level, fields) == ("WARNING", {"app": "production"})
        return message

    def test_refused_filters(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the API rejects one status, all recordings are listed, and the log says so."""
        harness = ListHarness(*in_each_state(), workers=1, refuse_later_statuses=True)
        message = self.check(harness, ["INVOKED", "RECORDING", "PAUSED", None], caplog)
        assert message == (
            "recordings cannot be listed by status (the API answered 400); listing all recordings "
            "of the last 25 hours for one hour"
        )

    def test_refused_for_an_hour(self) -> None:
        """After an hour the filters are tried again, so one unusual answer does not last."""
        harness = ListHarness(*in_each_state(), workers=1, refuse_later_statuses=True)

        async def reads() -> None:
            for later in (0, 3599, 1):
                harness.time.now += later
                await harness.read()

        run(reads())
        tries = ["INVOKED", "RECORDING", "PAUSED", None]
        assert harness.statuses() == [*tries, None, *tries]

    @pytest.mark.parametrize(("workers", "tries"), [(1, 1), (2, 2), (8, 4)])
    def test_no_filter_at_all(
        self, workers: int, tries: int, caplog: pytest.LogCaptureFixture
    ) -> None:
        """An API that rejects all filters costs one call per worker, once."""
        harness = ListHarness(*in_each_state(), workers=workers, refuse_status_filter=True)
        assert "the API answered 400" in self.check(harness, [*STATUSES[:tries], None], caplog)

    def test_ignored_filter(self, caplog: pytest.LogCaptureFixture) -> None:
        """An API that ignores the filter is recognised by its answer."""
        harness = ListHarness(*in_each_state(), workers=1)
        harness.proxy.ignored = frozenset({"status"})
        message = self.check(harness, ["INVOKED", None], caplog)
        assert "by status (the API ignores the status filter); listing" in message

    @pytest.mark.parametrize(("others", "statuses"), [(1, STATUSES), (2, ["INVOKED", None])])
    def test_other_states_on_a_page(self, others: int, statuses: list[str | None]) -> None:
        """Half of a page may have moved on; but most of a page shows that there is no filter."""
        invoked, *_ = in_each_state()
        moved = [
            scripted(f"meeting-{number}", invoked_at=NOW - 10, started_at=NOW - 8)
            for number in range(others)
        ]
        harness = ListHarness(invoked, *moved, workers=1)

        def ignore_first(call: Call) -> None:
            is_first = call.query.get("status") == "INVOKED"
            harness.proxy.ignored = frozenset({"status"} if is_first else ())

        harness.proxy.before = ignore_first
        run(harness.read())
        assert statuses == harness.statuses()

    def test_ignored_filter_and_a_long_history(self) -> None:
        """If the API ignores the filter, only recent recordings are listed."""
        month = 30 * 24 * HOUR
        tracker = [
            scripted(f"old-{number}", invoked_at=NOW - month - number, uploaded_at=NOW - month)
            for number in range(500)
        ]
        harness = ListHarness(*tracker, *in_each_state(), workers=1)
        harness.proxy.ignored = frozenset({"status"})
        result = run(harness.read())
        assert recorded(result) == IN_PROGRESS
        assert harness.statuses() == ["INVOKED", None]

    def test_window(self) -> None:
        """All recordings of the last 25 hours are found, on all pages, and no older ones."""
        names = [f"meeting-{number:03}" for number in range(250)]
        young = [scripted(name, invoked_at=NOW - 24.9 * HOUR, stopped_at=NOW) for name in names]
        harness = ListHarness(
            *young, scripted("old", invoked_at=NOW - 26 * HOUR), refuse_status_filter=True
        )
        harness.time.now = NOW + 1
        result = run(harness.reads(2))[1]
        assert sorted(result.by_meeting()) == names
        assert harness.statuses() == [*STATUSES, *[None] * 6]
        assert harness.list.usual_calls == 3

    def test_wrong_order(self) -> None:
        """If the API ignores the order, the whole list is read, and nothing is missed."""
        old = [
            scripted(f"old-{number}", invoked_at=NOW - 99 * HOUR - number, uploaded_at=NOW - HOUR)
            for number in range(250)
        ]
        harness = ListHarness(*old, *in_each_state(), refuse_status_filter=True)
        harness.proxy.changed = {"sort_order": "ASC"}
        result = run(harness.read())
        assert recorded(result) == IN_PROGRESS
        assert result.is_complete

    def test_endless_list(self) -> None:
        """A list that does not reach the age within a hundred pages is a failure, not complete."""
        names = [f"meeting-{number:04}" for number in range(1001)]
        recordings = [scripted(name, invoked_at=NOW - 1) for name in names]
        harness = ListHarness(*recordings, refuse_status_filter=True, most_recordings=10)
        result = run(harness.read(timeout_seconds=60.0))
        assert result.failure
        assert (result.failure.reason, result.is_complete) == (Reason.CLIENT_ERROR, False)
        assert result.failure.explanation == "the list of recordings has too many pages"
        assert result.page_count == 100

    def test_refused_as_well(self) -> None:
        """If the API rejects that as well, the read fails, and the next one tries again."""
        harness = ListHarness(*in_each_state())

        async def read() -> list[ListResult]:
            harness.simulator.inject("*", Fault.BAD_REQUEST)
            first = await harness.read()
            harness.simulator.clear()
            return [first, await harness.read()]

        refused, answered = run(read())
        assert refused.failure
        assert (refused.failure.reason, refused.by_meeting()) == (Reason.CLIENT_ERROR, {})
        assert recorded(answered) == IN_PROGRESS


class TestRateLimited:
    """A list that takes more calls than the budget has."""

    def run_steps(self, steps: Callable[[ListHarness], Awaitable[None]], **options: Any) -> None:
        """Run *steps* in virtual time, with a budget of one call per 10 s."""

        async def run_steps() -> None:
            clock = asyncio.get_running_loop().time
            budget = SlidingWindowBudget(30, now=clock(), reserve_ratio=0.0)
            limiter = RateLimiter(BudgetGroup(budget, monotonic=clock), token=TOKEN)
            # Half a minute is saved up: three calls, and the next one in ten seconds.
            await asyncio.sleep(30)
            await steps(ListHarness(*in_each_state(), limiter=limiter, **options))

        run(run_steps())

    @pytest.mark.parametrize("workers", [1, 8])
    def test_midway(self, workers: int) -> None:
        """Earlier results are kept; whether there are other recordings is unknown."""

        async def steps(harness: ListHarness) -> None:
            result = await harness.read()
            assert recorded(result) == dict(list(IN_PROGRESS.items())[:3])
            assert (result.is_rate_limited, result.failure) == (True, None)
            assert not result.is_complete
            assert harness.statuses() == STATUSES[:3]

        self.run_steps(steps, workers=workers)

    def test_usual_calls(self) -> None:
        """An incomplete list does not lower the number of calls that a list takes."""

        async def steps(harness: ListHarness) -> None:
            await harness.read()
            assert harness.list.usual_calls >= 4

        self.run_steps(steps)

    def test_unfiltered(self) -> None:
        """If the budget ends after the filters are rejected, nothing is known."""

        async def steps(harness: ListHarness) -> None:
            result = await harness.read()
            assert (result.by_meeting(), result.is_rate_limited) == ({}, True)
            assert harness.list.usual_calls >= 4

        self.run_steps(steps, refuse_status_filter=True)


def test_call_deadline() -> None:
    """A call times out early enough for other calls, and never after the end of the pass."""
    deadlines = [pass_context(deadline=at).call_deadline(1.0) for at in (2.0, 9.0, math.inf)]
    assert deadlines == [2.0, 6.0, 6.0]


class Lists(RealtimeKitClient):
    """An empty list of recordings; its calls may fail."""

    max_concurrency = 1
    recordings_per_page = 100

    def __init__(self) -> None:
        self.problem: ApiError | RateLimitWait | None = None
        self.statuses: list[Status | None] = []
        self.calls = math.inf
        """How many pages there are calls for; the list has no end then."""
        self.refused_size = 0
        """A size of pages that the API refuses."""

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        on_call: Callable[[], object] = lambda: None,
    ) -> Page[ListedRecording]:
        del context, on_call
        self.statuses.append(status)
        if self.problem:
            raise self.problem
        if self.recordings_per_page == self.refused_size:
            if status:
                raise ClientError("the API answered 400")
            self.recordings_per_page //= 2
        if math.isinf(self.calls):
            return Page((), (), None)
        if len(self.statuses) > self.calls:
            raise RateLimitWait
        return Page((), (str(page_no),), Paging(10**6, 100 * page_no))


class Failing:
    """A lister whose list fails as long as there is a *problem*."""

    def __init__(self) -> None:
        self.time, self.client = Time(), Lists()
        self.list = ActiveRecordingsLister("production", self.client, clock=self.time)

    def read(self, *problems: ApiError | RateLimitWait | None) -> bool:
        """Read the list with each of these problems, and return whether it counts as failing."""

        async def reads() -> None:
            for problem in problems:
                self.client.problem = problem
                await self.list.read(pass_context())

        run(reads())
        return self.list.is_failing

    def compare(self, *, others_succeed: bool) -> bool:
        """Compare it with single calls, and return whether it still counts as failing."""
        self.list.compare(others_succeed=others_succeed)
        return self.list.is_failing


def unsent() -> ApiError:
    error = ConnectFailed("no connection")
    error.opened_connection = False
    return error


class TestFailing:
    """When the list fails, so that single calls may help."""

    def test_three_in_a_row(self) -> None:
        """Three failures in a row are enough; they count for ten minutes."""
        failing = Failing()
        assert not failing.read(BROKEN, BROKEN, None, BROKEN, BROKEN)
        assert failing.read(BROKEN)
        failing.time.now += 599.9
        assert failing.read()
        failing.time.now += 0.1
        assert not failing.read()
        # The next three are needed again.
        assert not failing.read(BROKEN, BROKEN)
        assert failing.read(BROKEN)

    @pytest.mark.parametrize(
        "other", [Unauthorized("no"), Intercepted("no"), RateLimited("no"), None], ids=repr
    )
    def test_failure_of_everything(self, other: ApiError | None) -> None:
        """A failure that single calls would share does not count, and ends a row."""
        failing = Failing()
        assert not failing.read(BROKEN, BROKEN, other, BROKEN, BROKEN)
        assert failing.read(BROKEN)

    def test_not_sent(self) -> None:
        """A call that found no connection says nothing about the list."""
        failing = Failing()
        assert not failing.read(*[unsent()] * 5, BROKEN, unsent(), BROKEN, unsent())
        assert failing.read(BROKEN)

    def test_single_calls_succeed(self) -> None:
        """When single calls succeed for the first time, the list is tried once more."""
        failing = Failing()
        assert failing.read(BROKEN, BROKEN, BROKEN)
        assert not failing.compare(others_succeed=True)
        assert failing.read(BROKEN)
        # It is not the reason of failures elsewhere.
        assert failing.compare(others_succeed=True)
        failing.time.now += 600
        assert not failing.read(None)
        assert failing.read(BROKEN, BROKEN, BROKEN)
        assert not failing.compare(others_succeed=True)

    def test_single_calls_fail(self) -> None:
        """When single calls fail, too, the list is not the reason, and may fail as often again."""
        failing = Failing()
        assert failing.read(BROKEN, BROKEN, BROKEN)
        assert not failing.compare(others_succeed=False)
        assert not failing.read(BROKEN, BROKEN)
        assert failing.read(BROKEN)
        assert not failing.compare(others_succeed=True)
        assert failing.read(BROKEN)
        assert not failing.compare(others_succeed=False)
        assert not failing.read(BROKEN, BROKEN)

    @pytest.mark.parametrize("others_succeed", [False, True])
    def test_nothing_to_compare(self, *, others_succeed: bool) -> None:
        """While the list does not fail, single calls show nothing about it."""
        failing = Failing()
        failing.read(BROKEN, BROKEN)
        assert not failing.compare(others_succeed=others_succeed)
        assert failing.read(BROKEN)
        assert not failing.compare(others_succeed=True)

    def test_result(self) -> None:
        """The result has the failure, and whether it may say something about the list."""
        failing = Failing()

        async def reads() -> list[ListResult]:
            results = []
            for problem in (BROKEN, unsent(), RateLimitWait(), None):
                failing.client.problem = problem
                results.append(await failing.list.read(pass_context()))
            return results

        assert run(reads()) == [
            ListResult(failure=BROKEN.failure),
            ListResult(failure=unsent().failure, was_sent=False),
            ListResult(is_rate_limited=True),
            ListResult(page_count=4),
        ]

    @pytest.mark.parametrize(("calls", "usual"), [(0, 4), (3, 4), (4, 5), (7, 8)])
    def test_calls_that_it_takes(self, calls: int, usual: int) -> None:
        """A list for which the calls were not enough takes at least one more."""
        failing = Failing()
        failing.client.calls = calls
        failing.read(None)
        assert failing.list.usual_calls == usual

    def test_size_of_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """If it was the size of the pages that the API refused, the filters stay in use."""
        failing = Failing()
        failing.client.refused_size = 100
        failing.read(None)
        assert failing.client.statuses == [Status.INVOKED, None]
        failing.client.statuses = []
        failing.read(None)
        assert [str(status) for status in failing.client.statuses] == STATUSES
        assert lines(caplog, "collector.active_recordings") == []

    def test_log(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each failure has a debug message with the present name of the app."""
        caplog.set_level(logging.DEBUG, logger="rk_exporter")
        failing = Failing()
        failing.read(BROKEN)
        failing.list.rename("renamed")
        failing.read(BROKEN)
        assert lines(caplog, "collector.active_recordings", least=logging.DEBUG) == [
            ("DEBUG", "the API answered 500", {"app": app}) for app in ("production", "renamed")
        ]
