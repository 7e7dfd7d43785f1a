import asyncio
import logging

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.pagination import PER_PAGE, PageSizeChanged
from rk_exporter.api.results import Page, Paging
from rk_exporter.collector import backfill
from rk_exporter.collector.backfill import Backfill
from rk_exporter.model.errors import (
    ApiError,
    ApiTimeout,
    ConnectFailed,
    InvalidResponse,
    RateLimited,
    ServerError,
    TlsFailed,
    Unauthorized,
    Unreachable,
)
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.remedies import REMEDIES
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.simulator import Fault
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.tracker import RecordingTracker
from tests.support import virtual_time
from tests.support.building import (
    NOW,
    Call,
    Simulation,
    VirtualClock,
    config,
    pass_context,
    scripted,
    simulate,
    value,
)
from tests.support.log_lines import lines


T = TypeVar("T")

MEETING = Meeting("meeting-1", "meeting-1")
DAY = 86_400.0
HOUR = 3600.0


def invoked(at: float, recording_id: str | None = None) -> Recording:
    """Return a recording that was invoked, and failed, *at* seconds after NOW."""
    return Recording(
        recording_id=recording_id or f"recording-{at}",
        status=Status.ERRORED,
        invoked_timestamp_seconds=NOW + at,
        started_timestamp_seconds=NOW + at,
    )


def older(count: int) -> list[Recording]:
    """Return *count* recordings from before NOW, newest first."""
    return [invoked(-1.0 - number, f"old-{number}") for number in range(count)]


class Pages(RealtimeKitClient):
    """A list of recordings in pages; any page may fail."""

    def __init__(self, recordings: list[Recording]) -> None:
        self.recordings = recordings
        self.asked: list[int] = []
        self.per_page = PER_PAGE
        """A page that is refused from the next call on halves it."""
        self.largest = PER_PAGE
        self.seconds = self.waits_seconds = 0.0
        """How long the API takes, and before that the rate limiter."""
        self.problem_of: Callable[[int], Exception | None] = lambda _: None

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        on_call: Callable[[], object] = lambda: None,
    ) -> Page[ListedRecording]:
        """Return a page of the list."""
        assert status is None
        await asyncio.sleep(self.waits_seconds)
        on_call()
        self.asked.append(page_no)
        if self.per_page > self.largest:
            self.per_page //= 2
            raise PageSizeChanged
        await self._answer(context)
        problem = self.problem_of(page_no)
        if problem:
            raise problem
        end = page_no * self.per_page
        shown = self.recordings[end - self.per_page : end]
        return Page(
            tuple(ListedRecording(MEETING, recording) for recording in shown),
            tuple(recording.recording_id for recording in shown),
            Paging(len(self.recordings), min(end, len(self.recordings))),
            self.per_page,
        )

    async def _answer(self, context: PassContext) -> None:
        try:
            async with asyncio.timeout_at(context.call_deadline(asyncio.get_running_loop().time())):
                await asyncio.sleep(self.seconds)
        except TimeoutError:
            raise ApiTimeout("no answer") from None


class Poller:
    """The backfill of one app, in virtual time that begins at NOW."""

    def __init__(
        self,
        recordings: list[Recording],
        *,
        newest_ids: tuple[str, ...] = (),
        retain_seconds: float = 7 * DAY,
        max_recordings: int = 1000,
        reread_seconds: float = 6 * HOUR,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.pages = Pages(recordings)
        rules = FollowRules(
            retain_seconds=retain_seconds,
            max_recordings=max_recordings,
            reread_seconds=reread_seconds,
            keep_removed=False,
            longest_pause_seconds=225.0,
        )
        self.tracker = RecordingTracker(
            "app-1", rules, clock=self.now, server_clock=ServerClock(self.now)
        )
        self.tracker.set_meetings([MEETING])
        self.backfill = Backfill(
            "app-1", self.pages, self.tracker, clock=VirtualClock(), newest_ids=newest_ids
        )

    def now(self) -> float:
        """Return unix seconds."""
        return NOW + self._loop.time()

    def is_restored(self) -> bool:
        """Return whether recordings from before the start are shown, or cannot be read."""
        return self.backfill.is_restored

    @property
    def all_shown(self) -> Sequence[KnownRecording]:
        return self.tracker.shown(oldest=0.0).recordings

    @property
    def shown(self) -> list[str]:
        return [known.recording_id for known in self.all_shown]

    def new_pages(self) -> list[int]:
        """Return the numbers of the pages that were requested since the last time."""
        asked, self.pages.asked = self.pages.asked, []
        return asked

    def fail(self, *errors: Exception | None) -> None:
        """Let the next calls fail with these *errors*, None for a success; later calls succeed."""
        coming = iter(errors)
        self.pages.problem_of = lambda _: next(coming, None)

    async def poll(self, after: float = 0.0, *, timeout_seconds: float = 9.5) -> list[int]:
        """Poll the list *after* a pause, and return the pages that were requested."""
        await asyncio.sleep(after)
        await self.backfill.poll(pass_context(deadline=self._loop.time() + timeout_seconds))
        return self.new_pages()

    def is_due(self, calls_per_second: float = 2.0) -> bool:
        """Return whether to poll the list now, with a budget of so many calls."""
        return self.backfill.is_due(calls_per_second=calls_per_second)

    async def due_after(self, calls_per_second: float = 2.0) -> float:
        """Wait until the list is due, and return how many seconds that took."""
        seconds = 0.0
        while not self.is_due(calls_per_second) and seconds < 1e5:
            await asyncio.sleep(1)
            seconds += 1
        return seconds

    async def poll_when_due(self, **options: Any) -> list[int]:
        """Poll the list as soon as it is due."""
        await self.due_after()
        return await self.poll(**options)


def with_poller(
    steps: Callable[[Poller], Awaitable[T]], recordings: list[Recording], **options: Any
) -> T:
    """Run *steps* with a list of *recordings*, newest first; return their result."""

    async def run_steps() -> T:
        return await steps(Poller(recordings, **options))

    return virtual_time.run(run_steps())


class TestRestoring:
    """The first poll."""

    def test_whole_list(self) -> None:
        """The whole list is read page by page, and shown; then the app is restored."""

        async def steps(poller: Poller) -> None:
            assert poller.is_due()
            assert not poller.is_restored()
            assert [1, 2, 3] == await poller.poll()
            assert poller.is_restored()
            assert sorted(recording.recording_id for recording in older(250)) == sorted(
                poller.shown
            )
            assert not poller.is_due()

        with_poller(steps, older(250))

    def test_an_empty_list(self) -> None:
        """One call restores an app without recordings; its first recording counts."""

        async def steps(poller: Poller) -> None:
            assert [1] == await poller.poll()
            assert poller.is_restored()
            poller.pages.recordings = [invoked(30)]
            assert [1] == await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started

        with_poller(steps, [])

    def test_first_list_is_not_counted(self) -> None:
        """Recordings in the first list are not counted, later ones are."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            assert NOW - 1 == poller.tracker.state.listed_until
            assert 0 == poller.tracker.counters.started
            poller.pages.recordings = [invoked(20), *older(150)]
            await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started
            assert NOW + 20 == poller.tracker.state.listed_until

        with_poller(steps, older(150))

    @pytest.mark.parametrize("max_recordings", [1, 1000])
    def test_no_limit_of_series(self, max_recordings: int) -> None:
        """The limit on the number of series does not end the poll, because totals need the rest."""

        async def steps(poller: Poller) -> None:
            assert list(range(1, 21)) == await poller.poll()
            assert 2000 == sum(poller.tracker.shown(oldest=0.0).totals.by_status.values())

        with_poller(steps, older(2000), max_recordings=max_recordings)

    def test_stops_at_the_limit_of_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The poll stops one page after the number of recordings that the exporter keeps."""
        monkeypatch.setattr(backfill, "MOST_RECORDINGS", 200)

        async def steps(poller: Poller) -> None:
            assert [1, 2, 3] == await poller.poll()
            assert poller.is_restored()

        with_poller(steps, older(500))

    @pytest.mark.parametrize(("retain", "days"), [(HOUR, 8), (8 * DAY, 8), (30 * DAY, 30)])
    def test_stops_at_the_age(self, retain: float, days: int) -> None:
        """The poll ends at recordings that cannot be shown: a file is kept for seven days."""
        limit = days * DAY + 25 * HOUR
        recordings = [
            *older(150),
            *(invoked(10 - limit - number, f"young-{number}") for number in range(9)),
            *(invoked(-limit - number, f"old-{number}") for number in range(1, 800)),
        ]

        async def steps(poller: Poller) -> None:
            assert [1, 2] == await poller.poll()
            assert poller.is_restored()
            assert [1] == await poller.poll_when_due()

        with_poller(steps, recordings, retain_seconds=retain)

    def test_list_that_is_not_sorted(self) -> None:
        """If the API ignores the order, nothing is missed, and the number of pages is limited."""
        ancient = [invoked(-99 * DAY + number, f"ancient-{number}") for number in range(250)]

        async def steps(poller: Poller) -> None:
            assert [*range(1, 5)] == await poller.poll()
            assert {recording.recording_id for recording in older(150)} <= set(poller.shown)
            poller.pages.recordings = [*reversed(older(150)), *ancient, *older(5000)]
            assert 11 >= len(await poller.poll(after=6 * HOUR))

        with_poller(steps, [*ancient, *reversed(older(150))])

    def test_smaller_pages_in_the_middle(self) -> None:
        """If the size of the pages changes, the list is read from its beginning."""

        async def steps(poller: Poller) -> None:
            def shrink(page_no: int) -> None:
                poller.pages.largest = 50 if page_no == 3 else poller.pages.largest

            poller.pages.problem_of = shrink
            assert [1, 2, 3, 4, *range(1, 10)] == await poller.poll()
            assert {recording.recording_id for recording in older(430)} == set(poller.shown)
            assert [1] == await poller.poll_when_due()

        with_poller(steps, older(430))

    def test_smaller_pages_between_two_polls(self) -> None:
        """A poll that goes on after a timeout does not skip recordings if pages are smaller now."""

        async def steps(poller: Poller) -> None:
            errors = iter([None, None, ApiTimeout("no answer")])
            poller.pages.problem_of = lambda _: next(errors, None)
            assert [1, 2, 3] == await poller.poll()
            poller.pages.per_page = 50
            assert [3, *range(1, 10)] == await poller.poll_when_due()
            assert {recording.recording_id for recording in older(430)} == set(poller.shown)

        with_poller(steps, older(430))

    def test_retained_forever(self) -> None:
        """A retention that is longer than the unix epoch works as well."""

        async def steps(poller: Poller) -> None:
            assert [1] == await poller.poll()
            assert 5 == len(poller.shown)

        with_poller(steps, older(5), retain_seconds=1e12)

    def test_known_from_the_state_file(self) -> None:
        """If the state file has the ids of an earlier first page, the poll ends at one of them."""

        async def steps(poller: Poller) -> None:
            assert [1, 2] == await poller.poll()
            assert poller.is_restored()
            assert [1] == await poller.poll_when_due()

        newest_ids = tuple(recording.recording_id for recording in older(1000)[150:250])
        with_poller(steps, older(1000), newest_ids=newest_ids)


class TestCatchingUp:
    """The later polls, each minute."""

    @pytest.mark.parametrize(("new", "pages"), [(0, 1), (1, 1), (99, 1), (100, 2), (230, 3)])
    def test_new_recordings(self, new: int, pages: int) -> None:
        """Pages are read until one has a known recording."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            come = [invoked(30 + number) for number in reversed(range(new))]
            poller.pages.recordings = [*come, *poller.pages.recordings]
            assert list(range(1, pages + 1)) == await poller.poll_when_due()
            assert new == poller.tracker.counters.started
            assert poller.pages.recordings[0].recording_id == poller.backfill.newest_ids[0]
            assert 100 == len(poller.backfill.newest_ids)

        with_poller(steps, older(800))

    def test_newest_recordings_deleted(self) -> None:
        """If the newest recordings were deleted, the others of their page end the poll."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.pages.recordings = poller.pages.recordings[99:]
            assert [1] == await poller.poll_when_due()

        with_poller(steps, older(800))

    @pytest.mark.parametrize(
        ("calls_per_second", "pause"), [(100.0, 59), (2.0, 59), (0.5, 100), (10 / 300, 1500)]
    )
    def test_poll_interval(self, calls_per_second: float, pause: float) -> None:
        """The list is polled each minute, but uses at most one call in fifty of the budget."""

        async def steps(poller: Poller) -> None:
            for _ in range(3):
                assert await poller.poll()
                assert pause == await poller.due_after(calls_per_second)

        with_poller(steps, older(5))

    @pytest.mark.parametrize(
        ("before", "after", "pause"), [(10 / 300, 2.0, 59), (2.0, 10 / 300, 1500)]
    )
    def test_another_budget(self, before: float, after: float, pause: float) -> None:
        """After a reload the interval is that of the new budget, also for the next poll."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            await asyncio.sleep(10)
            assert not poller.is_due(before)
            assert pause - 10 == await poller.due_after(after)

        with_poller(steps, older(5))

    @pytest.mark.parametrize(
        ("calls_per_second", "pause"), [(100.0, 1), (2.0, 5), (0.5, 20), (10 / 300, 300)]
    )
    def test_hurried(self, calls_per_second: float, pause: float) -> None:
        """However often events ask for the list, that takes at most one call in ten."""

        async def steps(poller: Poller) -> None:
            for _ in range(3):
                assert [1] == (await poller.poll())[:1]
                poller.backfill.hurry()
                poller.backfill.hurry()
                assert pause == await poller.due_after(calls_per_second)
            # Once only.
            await poller.poll()
            assert max(59, 50 / calls_per_second) == await poller.due_after(calls_per_second)

        with_poller(steps, older(5))

    def test_hurried_with_many_calls(self) -> None:
        """If there are many calls, the next scrape follows an event, however soon it comes."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.backfill.hurry()
            assert not poller.is_due(100.0)
            await asyncio.sleep(0.1)
            assert poller.is_due(100.0)

        with_poller(steps, older(5))

    def test_whole_list_on_request(self) -> None:
        """The whole list is read in the next poll if somebody needs it, but once in an hour."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            for _ in range(2):
                assert poller.backfill.read_whole_soon()
                assert [1, 2, 3] == await poller.poll(after=60)
                assert [1] == await poller.poll(after=60)
                await asyncio.sleep(3479.9)
                assert not poller.backfill.read_whole_soon()
                assert [1] == await poller.poll()
                await asyncio.sleep(0.2)

        with_poller(steps, older(250))

    def test_hurried_after_a_failure(self) -> None:
        """An event does not shorten the pause after a failure."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[ServerError("no")] * 3)
            for pause in (10, 20, 40):
                await poller.poll()
                poller.backfill.hurry()
                assert pause == await poller.due_after()

        with_poller(steps, older(5))

    def test_a_scrape_each_minute(self) -> None:
        """If scrapes come each minute, each of them polls, even if it is a little early."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            for _ in range(5):
                await asyncio.sleep(59.1)
                assert poller.is_due()
                await poller.poll()

        with_poller(steps, older(5))

    def test_whole_list_again(self) -> None:
        """The whole list is read again after follow.reread_interval, and not before."""

        async def steps(poller: Poller) -> None:
            polls = [(await poller.poll_when_due(), poller.now() - NOW) for _ in range(100)]
            whole = [at for pages, at in polls if pages == [1, 2, 3]]
            assert [0, 1800, 3600, 5400] == pytest.approx(whole, abs=120)
            assert 96 == sum(1 for pages, _ in polls if pages == [1])

        with_poller(steps, older(250), reread_seconds=1800.0)

    def test_whole_list_after_a_state_file(self) -> None:
        """After a start with a state file, the whole list is read after the same interval."""

        async def steps(poller: Poller) -> None:
            whole = None
            while whole is None:
                if len(await poller.poll_when_due()) > 1:
                    whole = poller.now() - NOW
            assert 1800 == pytest.approx(whole, abs=120)

        newest_ids = tuple(recording.recording_id for recording in older(100))
        with_poller(steps, older(250), reread_seconds=1800.0, newest_ids=newest_ids)

    def test_a_url_that_was_refreshed(self) -> None:
        """The whole list updates known recordings."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            changed = Recording(
                recording_id="old-240",
                status=Status.UPLOADED,
                download_url_expiry_timestamp_seconds=NOW + 9 * DAY,
            )
            poller.pages.recordings[240] = changed
            await poller.poll(after=6 * HOUR)
            (known,) = (known for known in poller.all_shown if known.recording_id == "old-240")
            assert NOW + 9 * DAY == known.recording.download_url_expiry_timestamp_seconds

        with_poller(steps, older(250))

    def test_late_answer(self) -> None:
        """An answer for a meeting that arrives during the poll is newer than the list."""

        async def steps(poller: Poller) -> None:
            poller.pages.seconds = 2.0
            polling = asyncio.create_task(poller.poll())
            await asyncio.sleep(1)
            ended = Recording(recording_id="old-1", status=Status.UPLOADED)
            poller.tracker.observe_meeting(MEETING, [ended])
            await polling
            states = {known.recording_id: known.recording.status for known in poller.all_shown}
            assert {"old-0": Status.ERRORED, "old-1": Status.UPLOADED} == states

        with_poller(steps, older(2))

    def test_call_that_waits(self) -> None:
        """A list is newer than the answers that came while its call waited for the limiter."""

        async def steps(poller: Poller) -> None:
            poller.pages.waits_seconds = 2.0
            polling = asyncio.create_task(poller.poll())
            await asyncio.sleep(1)
            running = Recording(recording_id="old-1", status=Status.RECORDING)
            poller.tracker.observe_meeting(MEETING, [running])
            await polling
            states = {known.recording.status for known in poller.all_shown}
            assert {Status.ERRORED} == states

        with_poller(steps, older(2))


class TestInterruptions:
    """Polls that are rate limited, or fail."""

    def test_rate_limited(self) -> None:
        """If the budget allows some of the pages, the rest is read as soon as there are calls."""

        async def steps(poller: Poller) -> None:
            poller.fail(None, None, RateLimitWait(), RateLimitWait())
            with pytest.raises(RateLimitWait):
                await poller.poll()
            assert [1, 2, 3] == poller.new_pages()
            for after in (15.0, 0.0):
                assert poller.is_due()
                assert not poller.is_restored()
                if after:
                    with pytest.raises(RateLimitWait):
                        await poller.poll(after)
                    assert [3] == poller.new_pages()
            assert [3, 4, 5] == await poller.poll(15)
            assert poller.is_restored()
            assert 450 == len(poller.shown)
            assert "old-0" == poller.backfill.newest_ids[0]
            # The next poll sees the new recordings.
            poller.pages.recordings = [invoked(10), *poller.pages.recordings]
            assert [1] == await poller.poll_when_due()
            assert 1 == poller.tracker.counters.started

        with_poller(steps, older(450))

    @given(st.lists(st.booleans(), max_size=40))
    def test_rate_limited_at_any_time(self, is_allowed: list[bool]) -> None:
        """Whichever calls are rate limited, each page is read once."""

        async def steps(poller: Poller) -> None:
            coming = iter(is_allowed)
            read = []

            def problem(page_no: int) -> Exception | None:
                if not next(coming, True):
                    return RateLimitWait()
                read.append(page_no)
                return None

            poller.pages.problem_of = problem
            while not poller.is_restored():
                try:
                    await poller.poll(15)
                except RateLimitWait:
                    assert poller.is_due()
            assert [1, 2, 3, 4, 5] == read

        with_poller(steps, older(450))

    def test_failures(self) -> None:
        """A failed poll starts again after 10 s, doubled each time up to ten minutes."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[None, ServerError("no")] * 12)
            for pause in [10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600, 600]:
                assert [1, 2] == await poller.poll()
                assert pause == await poller.due_after()
            assert [1, 2, 3] == await poller.poll()
            assert 59 == await poller.due_after()
            # After a success, the back-off starts again.
            poller.fail(InvalidResponse("no"))
            assert [1] == await poller.poll()
            assert 10 == await poller.due_after()
            assert [1] == await poller.poll()

        with_poller(steps, older(250))

    def test_forgotten_failure(self) -> None:
        """A failure that was not about the list delays it no longer."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[ServerError("no")] * 3)
            for _ in range(3):
                await poller.poll()
                assert not poller.is_due()
                poller.backfill.forget_failure()
                assert poller.is_due()

        with_poller(steps, older(5))

    def test_each_failure_is_logged_for_debugging(self, caplog: pytest.LogCaptureFixture) -> None:
        """Each failed poll has a debug message with its error and its app, before any warning."""
        caplog.set_level(logging.DEBUG, logger="rk_exporter")

        async def steps(poller: Poller) -> None:
            poller.fail(ServerError("first"), None, ConnectFailed("second"))
            for _ in range(3):
                await poller.poll_when_due()

        with_poller(steps, [])
        assert lines(caplog, "collector.backfill", least=logging.DEBUG) == [
            ("DEBUG", "first", {"app": "app-1"}),
            ("DEBUG", "second", {"app": "app-1"}),
        ]

    def test_whole_list_fails(self) -> None:
        """After a failed poll of the whole list, the next poll reads the whole list."""

        async def steps(poller: Poller) -> None:
            await poller.poll()
            poller.fail(None, ServerError("no"))
            assert [1, 2] == await poller.poll(after=1800)
            assert [1, 2, 3] == await poller.poll_when_due()
            assert [1] == await poller.poll_when_due()

        with_poller(steps, older(250), reread_seconds=1800.0)

    def test_given_up(self, caplog: pytest.LogCaptureFixture) -> None:
        """After five failures, readiness no longer waits for the list; this is logged once."""
        caplog.set_level(logging.INFO)
        message = (
            "list of recordings cannot be read (no); recordings that come and go between two "
            "scrapes, or ended before the start, are not shown"
        )
        why = {"reason": "server_error", "remedy": REMEDIES[Reason.SERVER_ERROR]}
        given_up = ("WARNING", message, {"app": "app-1", **why})
        again = ("INFO", "list of recordings can be read again", {"app": "app-1"})

        async def steps(poller: Poller) -> None:
            poller.fail(*[ServerError("no")] * 9)
            for is_restored in [False] * 4 + [True] * 5:
                await poller.poll_when_due()
                assert is_restored == poller.is_restored()
            assert lines(caplog, "collector.backfill") == [given_up]
            caplog.clear()
            # The whole list is read once that works; recordings since the fifth failure count.
            poller.pages.recordings = [invoked(200), invoked(100), *older(250)]
            assert [1, 2, 3] == await poller.poll_when_due()
            assert 252 == len(poller.shown)
            assert 1 == poller.tracker.counters.started
            for _ in range(3):
                await poller.poll_when_due()
            assert lines(caplog, "collector.backfill") == [again]
            caplog.clear()
            poller.backfill.rename("renamed")
            poller.fail(*[ServerError("no")] * 5)
            for _ in range(6):
                await poller.poll_when_due()
            renamed = [fields["app"] for _, _, fields in lines(caplog, "collector.backfill")]
            assert renamed == ["renamed"] * 2

        with_poller(steps, [])

    @pytest.mark.parametrize(
        "error",
        [
            *(error("no") for error in (Unauthorized, RateLimited, ConnectFailed, TlsFailed)),
            Unreachable(ApiTimeout("no").failure),
        ],
        ids=repr,
    )
    def test_not_given_up(self, error: ApiError, caplog: pytest.LogCaptureFixture) -> None:
        """If the list cannot be requested, readiness waits for it."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[error] * 20)
            for _ in range(20):
                await poller.poll_when_due()
                assert not poller.is_restored()
            assert not [record for record in caplog.records if record.levelno == logging.WARNING]
            await poller.poll_when_due()
            assert poller.is_restored()

        with_poller(steps, older(5))

    @pytest.mark.parametrize("others", [1, 4, 5, 9])
    def test_given_up_after_other_failures(self, others: int) -> None:
        """Other failures do not delay giving up a list that fails."""

        async def steps(poller: Poller) -> None:
            poller.fail(*[ConnectFailed("no")] * others, *[ServerError("no")] * 99)
            for _ in range(others):
                await poller.poll_when_due()
                assert not poller.is_restored()
            for _ in range(5):
                await poller.poll_when_due()
            assert poller.is_restored()

        with_poller(steps, older(5))

    def test_slow_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """If the list takes several scrapes, each of them continues; that is no failure."""

        async def steps(poller: Poller) -> None:
            poller.pages.seconds = 3.0
            read: list[int] = []
            for _ in range(10):
                assert not poller.is_restored()
                read += await poller.poll(15)
                if poller.is_restored():
                    break
            # A page that was requested when the pass ended is requested again.
            assert list(range(1, 21)) == sorted(set(read))
            assert read == sorted(read)
            assert 1950 == len(poller.shown)
            assert not caplog.records

        with_poller(steps, older(1950), max_recordings=10_000)

    def test_a_page_that_hangs(self) -> None:
        """A page that never comes in time counts as a failure."""

        async def steps(poller: Poller) -> None:
            poller.pages.problem_of = lambda page_no: ApiTimeout("no") if page_no == 2 else None
            assert [1, 2] == await poller.poll()
            pauses = []
            while not poller.is_restored():
                pauses.append(await poller.due_after())
                assert [2] == await poller.poll()
            assert pauses == sorted(pauses)
            assert len(pauses) in {4, 5}

        with_poller(steps, older(250))


def test_a_clock_that_is_wrong() -> None:
    """After the list is given up, recordings count from that moment of the API's clock."""

    async def steps(simulation: Simulation) -> float | None:
        def refuse(call: Call) -> None:
            if call.path == "recordings":
                simulation.simulator.inject("*", Fault.SERVER_ERROR, times=1)

        simulation.proxy.before = refuse
        simulation.clock.ahead_seconds = HOUR
        await simulation.last_scrape(20)
        assert simulation.exporter.why_not_ready() is None
        return value(await simulation.scrape(60), "rk_recordings_started_total")

    come = scripted(
        invoked_at=NOW + 301, started_at=NOW + 303, paused=[], stopped_at=None, uploaded_at=None
    )
    assert 1 == simulate(steps, come, configuration=config())
