"""One app whose API is not simulated: its client does what a test wants."""

import asyncio

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.api.client import RealtimeKitClient
from rk_exporter.api.results import LiveSession, Page, Paging
from rk_exporter.collector.active_recordings import ActiveRecordingsLister
from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.model.errors import ApiError, RateLimited
from rk_exporter.model.meeting import ListedRecording, Meeting, ReadMode
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.limiter import RateLimitWait
from rk_exporter.ratelimit.pass_context import PassContext
from tests.support import virtual_time
from tests.support.app_parts import app_parts
from tests.support.building import NOW, TOKEN, VirtualClock, free_limiter, pass_context


class Client(RealtimeKitClient):
    """A client whose meetings have no recordings; it keeps the contexts of its calls."""

    max_concurrency = 2
    recordings_per_page = 100

    def __init__(self) -> None:
        self.contexts: list[PassContext] = []
        self.called: list[str] = []
        """What the calls were about: a meeting, a status, or something else."""
        self.limiter = free_limiter()
        self.seconds = 0.0
        """How long a call takes."""
        self.problem_of: Callable[[str], ApiError | RateLimitWait | None] = lambda _: None
        """What the call about something raises."""
        self.listed: Sequence[ListedRecording] = ()
        """The app's list of recordings."""
        self.details: Mapping[str, Recording] = {}
        """The recordings that exist by their own ids."""
        self.sessions_per_page = 100
        self.live: Sequence[str] = ()
        """The meetings that people are in."""
        self.title_of: Callable[[str], str | None] = lambda name: f"title {name}"
        """The name that the session of a meeting has."""
        self.are_sessions_readable = True
        """Whether all sessions on a page can be read."""
        self.has_left = self.is_closed = False

    async def active_recordings(
        self, meeting_id: str, context: PassContext
    ) -> tuple[Recording, ...]:
        await self._call(meeting_id, context)
        return ()

    async def recordings_page(
        self,
        page_no: int,
        context: PassContext,
        *,
        status: Status | None,
        on_call: Callable[[], object] = lambda: None,
    ) -> Page[ListedRecording]:
        del page_no
        on_call()
        await self._call("list" if status is None else str(status), context)
        items = [one for one in self.listed if status in {None, one.recording.status}]
        return Page((*items,), tuple(one.recording.recording_id for one in items), None)

    async def recording(self, recording_id: str, context: PassContext) -> Recording | None:
        await self._call(recording_id, context)
        return self.details.get(recording_id)

    async def record_on_start(self, meeting_id: str, context: PassContext) -> bool | None:
        await self._call(f"settings {meeting_id}", context)
        return True

    async def live_sessions_page(self, page_no: int, context: PassContext) -> Page[LiveSession]:
        await self._call("sessions", context)
        end = page_no * self.sessions_per_page
        names = self.live[end - self.sessions_per_page : end]
        shown = [LiveSession(f"s-{name}", name, self.title_of(name), 2) for name in names]
        return Page(
            tuple(shown),
            tuple(names),
            Paging(len(self.live), end),
            self.sessions_per_page,
            is_complete=self.are_sessions_readable,
        )

    async def _call(self, key: str, context: PassContext) -> None:
        problem = self.problem_of(key)
        if isinstance(problem, RateLimitWait):
            raise problem
        async with self.limiter.acquire(context):
            self.contexts.append(context)
            self.called.append(key)
            await asyncio.sleep(self.seconds)
            if problem:
                raise problem

    def leave(self) -> None:
        self.has_left = True

    async def close(self) -> None:
        self.is_closed = True


class Token:
    """A token in a file, which may have a problem."""

    def __init__(self) -> None:
        self.secret = TOKEN
        self.problem: str | None = None

    async def refresh(self) -> None:
        pass

    def current(self) -> Secret:
        return self.secret


class File:
    """A file of meetings."""

    path = Path("meetings")
    meetings: tuple[Meeting, ...] = ()
    last_read_successful = True
    problem: str | None = None
    last_success_timestamp_seconds: float | None = NOW

    async def refresh(self) -> bool:
        return False


class OneApp:
    """The collector of an app with one meeting, whose parts make no other calls."""

    def __init__(
        self,
        min_interval_seconds: float = 0.0,
        *,
        read: ReadMode = ReadMode.ACTIVE_RECORDING,
        **changes: Any,
    ) -> None:
        self.client, self.token, self.file = Client(), Token(), File()
        self.parts = replace(
            app_parts("app-1", VirtualClock(), read),
            client=self.client,
            lister=ActiveRecordingsLister("app-1", self.client, clock=VirtualClock()),
            limiter=self.client.limiter,
            token=self.token,
            meetings=MeetingList([Meeting("b", "b")], [self.file]),
            backfill=None,
            discovery=None,
        )
        self.parts = replace(self.parts, **changes)
        self.collector = AppCollector(self.parts, min_interval_seconds=min_interval_seconds)

    async def run_pass(self, after: float = 15.0, *, seconds: float = 9.5) -> int:
        """Make a pass *after* a pause; return how many calls it has made."""
        await asyncio.sleep(after)
        before = len(self.client.contexts)
        await self.collector.run_pass(asyncio.get_running_loop().time() + seconds)
        return len(self.client.contexts) - before


def with_app(steps: Callable[[OneApp], Awaitable[None]], *args: float, **changes: Any) -> None:
    """Run *steps* with the collector of an app."""

    async def run_steps() -> None:
        await steps(OneApp(*args, **changes))

    virtual_time.run(run_steps())


async def block(app: OneApp) -> None:
    """Let the API refuse a call, so that no others are made."""
    with pytest.raises(RateLimited):
        async with app.client.limiter.acquire(pass_context()):
            raise RateLimited("the API asks for fewer calls")
