"""The backfill of one app in virtual time, and the list that it reads."""

import asyncio

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.pagination import PER_PAGE, PageSizeChanged
from rk_exporter.api.results import Page, Paging
from rk_exporter.collector.backfill import Backfill
from rk_exporter.model.errors import ApiTimeout
from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.pass_context import PassContext
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.tracker import RecordingTracker
from tests.support import virtual_time
from tests.support.building import NOW, VirtualClock, pass_context


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
        clock = VirtualClock()
        self.tracker = RecordingTracker(
            "app-1", rules, clock=clock.wall, server_clock=ServerClock(clock)
        )
        self.tracker.set_meetings([MEETING])
        self.backfill = Backfill(
            "app-1", self.pages, self.tracker, clock=clock, newest_ids=newest_ids
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
