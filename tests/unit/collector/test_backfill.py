import asyncio
import logging

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Any, TypeVar

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.pagination import PER_PAGE
from rk_exporter.api.results import Page, Paging
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
)
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status
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
    Stage,
    VirtualClock,
    config,
    life,
    pass_context,
    play,
    value,
)


T = TypeVar("T")

MEETING = Meeting("meeting-1", "meeting-1")
DAY = 86_400.0
HOUR = 3600.0


def invoked(at: float, recording_id: str | None = None) -> Recording:
    """Return a recording that was asked for at that time after NOW, and failed at once."""
    return Recording(
        recording_id=recording_id or f"recording-{at}",
        status=Status.ERRORED,
        invoked_timestamp_seconds=NOW + at,
        started_timestamp_seconds=NOW + at,
    )


def older(count: int) -> list[Recording]:
    """Return so many recordings from before NOW, newest first."""
    return [invoked(-1.0 - each, f"old-{each}") for each in range(count)]


class Pages:
    """A list of recordings that comes in pages, each of which may fail."""

    def __init__(self, recordings: list[Recording]) -> None:
        self.recordings = recordings
        self.asked: list[int] = []
        self.since: list[datetime | None] = []
        self.seconds = 0.0
        self.max_concurrency = 1
        self.troubles: Callable[[int], Exception | None] = lambda _: None

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        since: datetime | None = None,
    ) -> Page[ListedRecording]:
        """Return a page of all of them."""
        assert status is None
        self.asked.append(page_no)
        self.since.append(since)
        await self._answer(context)
        trouble = self.troubles(page_no)
        if trouble:
            raise trouble
        end = page_no * PER_PAGE
        shown = self.recordings[end - PER_PAGE : end]
        return Page(
            tuple(ListedRecording(MEETING, each) for each in shown),
            tuple(each.recording_id for each in shown),
            Paging(len(self.recordings), min(end, len(self.recordings))),
        )

    async def _answer(self, context: PassContext) -> None:
        try:
            async with asyncio.timeout_at(context.call_deadline(asyncio.get_running_loop().time())):
                await asyncio.sleep(self.seconds)
        except TimeoutError:
            raise ApiTimeout("no answer") from None


class Desk:
    """A review of an app's list, in virtual time that begins at NOW."""

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
        self.tracker.keep([MEETING])
        self.backfill = Backfill("app-1", self.tracker, clock=VirtualClock(), newest_ids=newest_ids)

    def now(self) -> float:
        """Return unix seconds."""
        return NOW + self._loop.time()

    def is_restored(self) -> bool:
        """Tell whether what was shown before the start is shown again, or cannot be."""
        return self.backfill.is_restored

    @property
    def all_shown(self) -> Sequence[KnownRecording]:
        return self.tracker.shown(oldest=0.0)

    @property
    def shown(self) -> list[str]:
        return [each.recording_id for each in self.all_shown]

    def take(self) -> list[int]:
        """Return the pages that were asked for since the last time."""
        asked, self.pages.asked = self.pages.asked, []
        return asked

    def fail(self, *errors: Exception | None) -> None:
        """Let the next calls fail so, one after the other, and those after them succeed."""
        coming = iter(errors)
        self.pages.troubles = lambda _: next(coming, None)

    async def look(
        self, after: float = 0.0, *, calls_per_second: float = 2.0, timeout_seconds: float = 9.5
    ) -> list[int]:
        """Look at the list after a pause; return the pages that were asked for."""
        await asyncio.sleep(after)
        context = pass_context(deadline=self._loop.time() + timeout_seconds)
        await self.backfill.poll(self.pages, context, calls_per_second=calls_per_second)
        return self.take()

    async def due_after(self) -> float:
        """Return after how many whole seconds the list is due, once they have passed."""
        seconds = 0.0
        while not self.backfill.is_due() and seconds < 1e5:
            await asyncio.sleep(1)
            seconds += 1
        return seconds

    async def look_when_due(self, **options: Any) -> list[int]:
        """Look at the list as soon as it is due."""
        await self.due_after()
        return await self.look(**options)


def at_desk(
    scenario: Callable[[Desk], Awaitable[T]], recordings: list[Recording], **options: Any
) -> T:
    """Return what comes of a *scenario* with a list of *recordings*, newest first."""

    async def act() -> T:
        return await scenario(Desk(recordings, **options))

    return virtual_time.run(act())


class TestRestoring:
    """The look at the start."""

    def test_all_that_was_shown_before(self) -> None:
        """Page by page the whole list is read, and shown; then all is restored."""

        async def scenario(desk: Desk) -> None:
            assert desk.backfill.is_due()
            assert not desk.is_restored()
            assert [1, 2, 3] == await desk.look()
            assert desk.is_restored()
            assert sorted(each.recording_id for each in older(250)) == sorted(desk.shown)
            assert not desk.backfill.is_due()

        at_desk(scenario, older(250))

    def test_an_empty_list(self) -> None:
        """An app without recordings is restored by one call; its first recording counts."""

        async def scenario(desk: Desk) -> None:
            assert [1] == await desk.look()
            assert desk.is_restored()
            desk.pages.recordings = [invoked(30)]
            assert [1] == await desk.look_when_due()
            assert 1 == desk.tracker.counters.started

        at_desk(scenario, [])

    def test_nothing_of_before_is_counted(self) -> None:
        """What the list shows at the start is not counted, what it shows later is."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            assert NOW - 1 == desk.tracker.listed_until
            assert 0 == desk.tracker.counters.started
            desk.pages.recordings = [invoked(20), *older(150)]
            await desk.look_when_due()
            assert 1 == desk.tracker.counters.started
            assert NOW + 20 == desk.tracker.listed_until

        at_desk(scenario, older(150))

    @pytest.mark.parametrize(
        ("max_recordings", "pages"), [(1, 2), (100, 2), (101, 3), (1000, 11), (1001, 12)]
    )
    def test_no_further_than_what_may_be_shown(self, max_recordings: int, pages: int) -> None:
        """As many are read as may be shown, and a page more, however long the list is."""

        async def scenario(desk: Desk) -> None:
            assert list(range(1, pages + 1)) == await desk.look()
            assert desk.is_restored()

        at_desk(scenario, older(2000), max_recordings=max_recordings)

    @pytest.mark.parametrize(("retain", "days"), [(HOUR, 7), (7 * DAY, 7), (30 * DAY, 30)])
    def test_how_far_back(self, retain: float, days: int) -> None:
        """Nothing is asked for that could not be shown: a file is kept for seven days."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            (since,) = desk.pages.since
            assert since is not None
            assert NOW - days * DAY - 25 * HOUR == since.timestamp()

        at_desk(scenario, older(5), retain_seconds=retain)

    def test_retained_for_ever(self) -> None:
        """What is retained for longer than there has been time is asked for as well."""

        async def scenario(desk: Desk) -> None:
            assert [1] == await desk.look()
            assert 5 == len(desk.shown)

        at_desk(scenario, older(5), retain_seconds=1e12)

    def test_what_is_known_from_a_file(self) -> None:
        """Where it is known what the list began with, it is read to there and no further."""

        async def scenario(desk: Desk) -> None:
            assert [1, 2] == await desk.look()
            assert desk.is_restored()
            assert [1] == await desk.look_when_due()

        newest_ids = tuple(each.recording_id for each in older(1000)[150:250])
        at_desk(scenario, older(1000), newest_ids=newest_ids)


class TestCatchingUp:
    """The looks after the first one, each minute."""

    @pytest.mark.parametrize(("new", "pages"), [(0, 1), (1, 1), (99, 1), (100, 2), (230, 3)])
    def test_as_far_as_it_is_new(self, new: int, pages: int) -> None:
        """One call shows what is new; more are made until what they show is known."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            come = [invoked(30 + each) for each in reversed(range(new))]
            desk.pages.recordings = [*come, *desk.pages.recordings]
            assert list(range(1, pages + 1)) == await desk.look_when_due()
            assert new == desk.tracker.counters.started
            assert desk.pages.recordings[0].recording_id == desk.backfill.newest_ids[0]
            assert 100 == len(desk.backfill.newest_ids)

        at_desk(scenario, older(800))

    def test_the_list_does_not_begin_as_it_did(self) -> None:
        """Where the newest were deleted, what is left of them tells how far to read."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            desk.pages.recordings = desk.pages.recordings[99:]
            assert [1] == await desk.look_when_due()

        at_desk(scenario, older(800))

    @pytest.mark.parametrize(
        ("calls_per_second", "pause"), [(100.0, 59), (2.0, 59), (0.5, 100), (10 / 300, 1500)]
    )
    def test_how_often(self, calls_per_second: float, pause: float) -> None:
        """Each minute, but no more than one call of fifty that the budget affords."""

        async def scenario(desk: Desk) -> None:
            for _ in range(3):
                assert await desk.look(calls_per_second=calls_per_second)
                assert pause == await desk.due_after()

        at_desk(scenario, older(5))

    def test_a_scrape_each_minute(self) -> None:
        """With a scrape each minute each of them looks, though it may be a little early."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            for _ in range(5):
                await asyncio.sleep(59.1)
                assert desk.backfill.is_due()
                await desk.look()

        at_desk(scenario, older(5))

    def test_all_of_it_now_and_then(self) -> None:
        """After follow.reread_interval, and only then, the whole list is read."""

        async def scenario(desk: Desk) -> None:
            looks = [(await desk.look_when_due(), desk.now() - NOW) for _ in range(100)]
            whole = [at for pages, at in looks if pages == [1, 2, 3]]
            assert [0, 1800, 3600, 5400] == pytest.approx(whole, abs=120)
            assert 96 == sum(1 for pages, _ in looks if pages == [1])

        at_desk(scenario, older(250), reread_seconds=1800.0)

    def test_all_of_it_after_a_file(self) -> None:
        """What began with a file is read whole as long after the start."""

        async def scenario(desk: Desk) -> None:
            whole = None
            while whole is None:
                if len(await desk.look_when_due()) > 1:
                    whole = desk.now() - NOW
            assert 1800 == pytest.approx(whole, abs=120)

        newest_ids = tuple(each.recording_id for each in older(100))
        at_desk(scenario, older(250), reread_seconds=1800.0, newest_ids=newest_ids)

    def test_a_url_that_was_refreshed(self) -> None:
        """What the whole list shows of recordings that are known is noted."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            changed = Recording(
                recording_id="old-240",
                status=Status.UPLOADED,
                download_url_expiry_timestamp_seconds=NOW + 9 * DAY,
            )
            desk.pages.recordings[240] = changed
            await desk.look(after=6 * HOUR)
            (known,) = (each for each in desk.all_shown if each.recording_id == "old-240")
            assert NOW + 9 * DAY == known.recording.download_url_expiry_timestamp_seconds

        at_desk(scenario, older(250))

    def test_overtaken(self) -> None:
        """What a meeting shows while the list is on its way is newer than what that shows."""

        async def scenario(desk: Desk) -> None:
            desk.pages.seconds = 2.0
            looking = asyncio.create_task(desk.look())
            await asyncio.sleep(1)
            ended = Recording(recording_id="old-1", status=Status.UPLOADED)
            desk.tracker.observe_meeting(MEETING, [ended])
            await looking
            states = {each.recording_id: each.recording.status for each in desk.all_shown}
            assert {"old-0": Status.ERRORED, "old-1": Status.UPLOADED} == states

        at_desk(scenario, older(2))


class TestInterruptions:
    """Looks that cannot be made at once, or fail."""

    def test_held_back(self) -> None:
        """Where the budget affords a part, the rest is read as soon as there are calls for it."""

        async def scenario(desk: Desk) -> None:
            desk.fail(None, None, RateLimitWait(), RateLimitWait())
            with pytest.raises(RateLimitWait):
                await desk.look()
            assert [1, 2, 3] == desk.take()
            for after in (15.0, 0.0):
                assert desk.backfill.is_due()
                assert not desk.is_restored()
                if after:
                    with pytest.raises(RateLimitWait):
                        await desk.look(after)
                    assert [3] == desk.take()
            assert [3, 4, 5] == await desk.look(15)
            assert desk.is_restored()
            assert 450 == len(desk.shown)
            assert "old-0" == desk.backfill.newest_ids[0]
            # What came meanwhile is seen by the next look.
            desk.pages.recordings = [invoked(10), *desk.pages.recordings]
            assert [1] == await desk.look_when_due()
            assert 1 == desk.tracker.counters.started

        at_desk(scenario, older(450))

    @given(st.lists(st.booleans(), max_size=40))
    def test_held_back_at_any_time(self, is_let_through: list[bool]) -> None:
        """However calls are held back, each page is read once, and all of the bound."""

        async def scenario(desk: Desk) -> None:
            coming = iter(is_let_through)
            read = []

            def trouble(page_no: int) -> Exception | None:
                if not next(coming, True):
                    return RateLimitWait()
                read.append(page_no)
                return None

            desk.pages.troubles = trouble
            while not desk.is_restored():
                try:
                    await desk.look(15)
                except RateLimitWait:
                    assert desk.backfill.is_due()
            assert [1, 2, 3, 4, 5] == read

        at_desk(scenario, older(450))

    def test_failures(self) -> None:
        """A look that fails begins again after 10 s, twice as long each time, up to ten minutes."""

        async def scenario(desk: Desk) -> None:
            desk.fail(*[None, ServerError("no")] * 12)
            for pause in [10, 20, 40, 80, 160, 320, 600, 600, 600, 600, 600, 600]:
                assert [1, 2] == await desk.look()
                assert pause == await desk.due_after()
            assert [1, 2, 3] == await desk.look()
            assert 59 == await desk.due_after()
            # Then it is as it was at first.
            desk.fail(InvalidResponse("no"))
            assert [1] == await desk.look()
            assert 10 == await desk.due_after()
            assert [1] == await desk.look()

        at_desk(scenario, older(250))

    def test_a_failure_of_the_whole(self) -> None:
        """A look at the whole list that failed is one again."""

        async def scenario(desk: Desk) -> None:
            await desk.look()
            desk.fail(None, ServerError("no"))
            assert [1, 2] == await desk.look(after=1800)
            assert [1, 2, 3] == await desk.look_when_due()
            assert [1] == await desk.look_when_due()

        at_desk(scenario, older(250), reread_seconds=1800.0)

    def test_given_up(self, caplog: pytest.LogCaptureFixture) -> None:
        """A list that fails five times is waited for no longer, which is told once."""

        async def scenario(desk: Desk) -> None:
            desk.fail(*[ServerError("no")] * 9)
            for is_restored in [False] * 4 + [True] * 5:
                await desk.look_when_due()
                assert is_restored == desk.is_restored()
            (told,) = (each for each in caplog.records if each.levelno == logging.WARNING)
            assert "list of recordings cannot be read (no)" in told.message
            # All is read once it can be; what came since it was given up counts.
            desk.pages.recordings = [invoked(200), invoked(100), *older(250)]
            assert [1, 2, 3] == await desk.look_when_due()
            assert 252 == len(desk.shown)
            assert 1 == desk.tracker.counters.started

        at_desk(scenario, [])

    @pytest.mark.parametrize("error", [Unauthorized, RateLimited, ConnectFailed, TlsFailed])
    def test_not_given_up(self, error: type[ApiError], caplog: pytest.LogCaptureFixture) -> None:
        """A list that cannot be asked for is waited for: nothing is known of it."""

        async def scenario(desk: Desk) -> None:
            desk.fail(*[error("no")] * 20)
            for _ in range(20):
                await desk.look_when_due()
                assert not desk.is_restored()
            assert not [each for each in caplog.records if each.levelno == logging.WARNING]
            await desk.look_when_due()
            assert desk.is_restored()

        at_desk(scenario, older(5))

    @pytest.mark.parametrize("others", [1, 4, 5, 9])
    def test_given_up_after_other_failures(self, others: int) -> None:
        """A network that was down at the start keeps nobody waiting for a list that fails."""

        async def scenario(desk: Desk) -> None:
            desk.fail(*[ConnectFailed("no")] * others, *[ServerError("no")] * 99)
            for _ in range(others):
                await desk.look_when_due()
                assert not desk.is_restored()
            for _ in range(5):
                await desk.look_when_due()
            assert desk.is_restored()

        at_desk(scenario, older(5))

    def test_slow_pages(self, caplog: pytest.LogCaptureFixture) -> None:
        """A list that takes several scrapes to read is read on by each: that is no failure."""

        async def scenario(desk: Desk) -> None:
            desk.pages.seconds = 3.0
            read: list[int] = []
            for _ in range(10):
                assert not desk.is_restored()
                read += await desk.look(15)
                if desk.is_restored():
                    break
            # The one that was under way when a scrape ended is asked for again.
            assert list(range(1, 21)) == sorted(set(read))
            assert read == sorted(read)
            assert 1950 == len(desk.shown)
            assert not caplog.records

        at_desk(scenario, older(1950), max_recordings=10_000)

    def test_a_page_that_hangs(self) -> None:
        """A page that never comes in time fails as any other, and is given up."""

        async def scenario(desk: Desk) -> None:
            desk.pages.troubles = lambda page_no: ApiTimeout("no") if page_no == 2 else None
            assert [1, 2] == await desk.look()
            pauses = []
            while not desk.is_restored():
                pauses.append(await desk.due_after())
                assert [2] == await desk.look()
            assert pauses == sorted(pauses)
            assert len(pauses) in {4, 5}

        at_desk(scenario, older(250))


def test_a_clock_that_is_wrong() -> None:
    """When a list is given up, what is counted from then on is told by the API's clock."""

    async def scenario(stage: Stage) -> float | None:
        def refuse(call: Call) -> None:
            if call.path == "recordings":
                stage.simulator.inject("*", Fault.SERVER_ERROR, times=1)

        stage.front.before = refuse
        stage.clock.ahead_seconds = HOUR
        await stage.scrapes(20)
        assert stage.exporter.collector.why_not_ready() is None
        return value(await stage.scrape(60), "rk_recordings_started_total")

    come = life(
        invoked_at=NOW + 301, started_at=NOW + 303, paused=[], stopped_at=None, uploaded_at=None
    )
    assert 1 == play(scenario, come, configuration=config())
