"""The calls of a pass, and in which order it makes them."""

import asyncio
import logging

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

import pytest

from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.app_webhook import AppWebhook, Notice
from rk_exporter.collector.backfill import Backfill
from rk_exporter.collector.discovery import Discovery
from rk_exporter.collector.meeting_list import MeetingList
from rk_exporter.collector.read_mode import ReadModeSelector
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.model.download import DownloadChecks
from rk_exporter.model.errors import ServerError
from rk_exporter.model.meeting import DiscoveryState, ListedRecording, Meeting, ReadMode
from rk_exporter.model.recording import Recording, Status
from rk_exporter.ratelimit.budget import SlidingWindowBudget
from rk_exporter.ratelimit.budget_group import BudgetGroup
from rk_exporter.ratelimit.limiter import RateLimiter, RateLimitWait
from tests.support.building import NOW, TOKEN, limiter_of
from tests.support.log_lines import lines
from tests.support.one_app import OneApp, block, with_app


EACH, LIST = ReadMode.ACTIVE_RECORDING, ReadMode.LIST
BY_STATUS = ["INVOKED", "RECORDING", "PAUSED", "UPLOADING"]
SETTINGS = [f"settings {name}" for name in "abcd"]
CHECKS = ["check-1", "check-2"]


class Verifier(DownloadVerifier):
    """A verifier that wants to check two recordings."""

    def __init__(self) -> None:
        self.result = DownloadChecks()
        self.wanted = CHECKS
        self.shown: list[str] = []
        self.read: list[str] = []
        self.started: list[str] = []

    def to_read(self, shown: Iterable[Recording], *, most: int) -> list[str]:
        self.shown = [recording.recording_id for recording in shown]
        return [key for key in self.wanted if key not in self.read][:most]

    def was_read(self, recording_id: str) -> None:
        self.read.append(recording_id)

    def start(self, shown: Iterable[tuple[str, Recording]]) -> None:
        self.started += [recording.recording_id for _, recording in shown]


class FullApp:
    """An app with three meetings, all of whose parts make calls, one at a time."""

    def __init__(
        self, app: OneApp, limiter: RateLimiter | None = None, *, budget_calls: int = 6000
    ) -> None:
        clock, self.client, self.verifier = app.parts.clock, app.client, Verifier()
        self.client.max_concurrency = 1
        self.client.live = "abcd"
        budget = SlidingWindowBudget(budget_calls, now=clock.monotonic(), reserve_ratio=0.0)
        group = BudgetGroup(budget, monotonic=clock.monotonic)
        self.client.limiter = limiter or RateLimiter(group, token=TOKEN)
        self.discovery = Discovery("app", self.client, clock=clock, stale_after_seconds=300.0)
        self.app, self.tracker = app, app.parts.tracker
        app.parts = replace(
            app.parts,
            limiter=self.client.limiter,
            meetings=MeetingList([Meeting(name, name) for name in "abc"]),
            backfill=Backfill("app", self.client, self.tracker, clock=clock),
            discovery=self.discovery,
            verifier=self.verifier,
            webhook=AppWebhook(clock),
        )
        self.restart()

    def restart(self) -> None:
        self.app.collector = AppCollector(self.app.parts, min_interval_seconds=0.0)

    def stop_at(self, *keys: str) -> None:
        """Let the budget end before these calls."""
        self.client.problem_of = lambda key: RateLimitWait() if key in keys else None

    def record(self, *names: str) -> None:
        """Let meetings show recordings in progress, in the order in which they began."""
        for number, name in enumerate(names):
            recording = Recording(
                recording_id=f"recording of {name}",
                status=Status.RECORDING,
                invoked_timestamp_seconds=NOW - 60 + number,
            )
            self.tracker.observe_meeting(Meeting(name, name), [recording])

    def notify(self, meeting_id: str, *recording: str | Status) -> None:
        """Send an event about a meeting."""
        assert self.app.parts.webhook
        notice = Notice((meeting_id,), *recording)  # type: ignore[arg-type]
        self.app.parts.webhook.take(notice, finds_meetings=True)

    async def calls(self, after: float = 15.0) -> list[str]:
        """Make a pass *after* a pause, and return its calls."""
        self.client.called = []
        await self.app.run_pass(after)
        return self.client.called


def with_full_app(
    steps: Callable[[FullApp], Awaitable[None]],
    *,
    read: ReadMode = EACH,
    limiter: RateLimiter | None = None,
    budget_calls: int = 6000,
) -> None:
    """Run *steps* with an app all of whose parts make calls."""

    async def run_steps(app: OneApp) -> None:
        await steps(FullApp(app, limiter, budget_calls=budget_calls))

    with_app(run_steps, read=read)


class TestOneByOne:
    """Meetings that are read one by one."""

    def test_order(self) -> None:
        """A meeting and the list come first, and checks last; settings after all new meetings."""

        async def steps(app: FullApp) -> None:
            calls = ["sessions", "a", "list", *"bcd", *SETTINGS, *CHECKS]
            assert calls == await app.calls()
            assert app.verifier.read == CHECKS
            # Live meetings are read at each scrape; the rest is known.
            assert await app.calls() == [*"abcd"]

        with_full_app(steps)

    def test_patience(self) -> None:
        """Settings and checks can wait for another pass rather than for calls."""
        hurried = [*SETTINGS, *CHECKS]

        async def steps(app: FullApp) -> None:
            app.client.seconds = 0.1
            begun_at = asyncio.get_running_loop().time() + 15
            await app.calls()
            waits = {
                key: context.wait_until - begun_at
                for key, context in zip(app.client.called, app.client.contexts, strict=True)
            }
            # The first pass may wait for most of its time.
            (longest,) = {waits[key] for key in waits.keys() - {*hurried}}
            assert longest > 5
            # A second from their own begin, however long the calls before them have taken.
            begun_after = [0.1 * app.client.called.index(key) for key in hurried]
            assert [waits[key] - 1.0 for key in hurried] == pytest.approx(begun_after)

        with_full_app(steps)

    def test_list_first(self) -> None:
        """The list is first in the pass after one that had no call for it."""

        async def steps(app: FullApp) -> None:
            app.stop_at("list")
            assert await app.calls() == ["sessions", "a"]
            assert app.app.collector.state.backfill_first is True
            app.stop_at()
            calls = await app.calls()
            assert calls[:5] == ["list", *SETTINGS[:2], "b", "c"]
            assert app.app.collector.state.backfill_first is False

        with_full_app(steps)

    def test_without_the_others(self) -> None:
        """Without a list, sessions and checks, only meetings are read."""

        async def steps(app: FullApp) -> None:
            app.app.parts = replace(app.app.parts, backfill=None, discovery=None, verifier=None)
            app.restart()
            app.stop_at("b")
            assert await app.calls() == ["a"]
            assert app.app.collector.state.backfill_first is False

        with_full_app(steps)

    def test_recordings(self) -> None:
        """A recording that its meeting no longer shows is read next, and what it shows is not."""

        async def steps(app: FullApp) -> None:
            app.record("a", "b")
            calls = await app.calls()
            assert calls[:4] == ["sessions", "a", "recording of a", "list"]
            assert calls.index("recording of b") == calls.index("b") + 1
            assert app.verifier.started == ["recording of a", "recording of b"]

        with_full_app(steps)

    def test_recording_that_fails(self, caplog: pytest.LogCaptureFixture) -> None:
        """The log names a recording that cannot be read, and its meeting."""

        async def steps(app: FullApp) -> None:
            app.record("a")
            failing = "recording of a"
            app.client.problem_of = lambda key: ServerError("no") if key == failing else None
            await app.calls()

        with_full_app(steps)
        ((_, message, fields),) = lines(caplog, "collector.pass_log", least=logging.WARNING)
        assert message == "recordings cannot be read: no"
        assert (fields["recording_ids"], fields["meeting_ids"]) == ("recording of a", "a")

    def test_catching_up(self) -> None:
        """When calls succeed again after an outage, what was put off is read immediately."""

        async def steps(app: FullApp) -> None:
            app.client.problem_of = lambda _: ServerError("no")
            await app.calls()
            assert app.app.collector.state.snapshot.up is False
            app.stop_at()
            # The list would wait for ten seconds.
            assert (await app.calls(5.0))[:4] == ["a", "b", "c", "list"]
            app.client.problem_of = lambda key: ServerError("no") if key == "list" else None
            await app.calls(60.0)
            app.stop_at()
            # Other calls have succeeded, so this failure was about the list.
            assert "list" not in await app.calls(5.0)

        with_full_app(steps)

    def test_catching_up_on_a_recording(self) -> None:
        """A recording that could not be read during the outage is read in the same pass, too."""

        async def steps(app: FullApp) -> None:
            app.record("a")
            app.stop_at("recording of a")
            await app.calls()
            app.client.problem_of = lambda _: ServerError("no")
            assert "recording of a" in await app.calls()
            app.stop_at()
            assert "recording of a" in await app.calls(5.0)

        with_full_app(steps)


class TestDue:
    """What comes first in a pass, because it is more urgent."""

    def test_known_from_the_list(self) -> None:
        """In every other pass, a meeting is first that is recorded as another answer says."""

        async def steps(app: FullApp) -> None:
            app.client.live = ()
            await app.calls()
            app.record("b")
            assert (await app.calls(30.0))[:2] == ["sessions", "b"]
            app.record("c")
            assert (await app.calls(30.0))[:2] == ["sessions", "a"]

        with_full_app(steps)

    def test_event(self) -> None:
        """So is the meeting of an event, and a recording that its meeting does not show."""

        async def steps(app: FullApp) -> None:
            await app.calls()
            app.notify("c")
            assert (await app.calls())[:1] == ["c"]
            await app.calls()
            app.record("d")
            app.stop_at("recording of d")
            await app.calls()
            app.notify("d", "recording of d", Status.UPLOADED)
            app.stop_at()
            assert "recording of d" in await app.calls()

        with_full_app(steps)

    def test_event_of_a_missing_recording(self) -> None:
        """It makes due, once, what was read just before, because that may have ended since."""

        async def steps(app: FullApp) -> None:
            name = "recording of b"
            app.record("b")
            recording = Recording(recording_id=name, status=Status.UPLOADING)
            app.client.details = {name: recording}
            assert (await app.calls()).count(name) == 1
            assert name not in await app.calls(5.0)
            app.notify("b", name, Status.UPLOADED)
            assert (await app.calls(2.0)).count(name) == 1
            assert name not in await app.calls(2.0)
            # The second plan of a pass after an outage has it, too.
            app.notify("b", name, Status.UPLOADED)
            app.client.problem_of = lambda key: (
                RateLimitWait() if key == name else ServerError("no")
            )
            await app.calls(2.0)
            app.stop_at()
            assert (await app.calls(2.0)).count(name) == 1

        with_full_app(steps)

    def test_recording_that_the_list_shows(self) -> None:
        """A recording that was planned is not read if the list has just shown it."""

        async def steps(app: FullApp) -> None:
            name = "recording of b"
            app.record("b")
            app.stop_at(name, "list")
            await app.calls()
            # Now the list is first.
            recording = Recording(recording_id=name, status=Status.UPLOADING)
            app.client.listed = [ListedRecording(Meeting("b", "b"), recording)]
            app.stop_at()
            calls = await app.calls()
            assert (calls[0], name in calls) == ("list", False)

        with_full_app(steps)

    def test_event_of_an_unknown_meeting(self) -> None:
        """An event about a meeting that is not known lists the sessions, once."""

        async def steps(app: FullApp) -> None:
            await app.calls()
            app.notify("new")
            assert (await app.calls())[0] == "sessions"
            assert "sessions" not in await app.calls()

        with_full_app(steps)

    def test_event_of_an_unknown_recording(self) -> None:
        """The end of a recording that is not known makes the list of recordings due, once."""

        async def steps(app: FullApp) -> None:
            await app.calls()
            app.notify("a", "unknown", Status.UPLOADED)
            assert "list" in await app.calls()
            assert "list" not in await app.calls()

        with_full_app(steps)


class TestChecks:
    """Recordings that are read for checks of their downloads."""

    def test_shown(self) -> None:
        """Only those are read that the last pass has shown."""

        async def steps(app: FullApp) -> None:
            app.record("a")
            await app.calls()
            assert app.verifier.shown == []
            await app.calls()
            assert app.verifier.shown == ["recording of a"]

        with_full_app(steps)

    def test_many(self) -> None:
        """If many wait, the whole list is read instead, if there is one."""

        async def steps(app: FullApp) -> None:
            app.verifier.wanted = [f"check-{number}" for number in range(1, 30)]
            assert not set(CHECKS) & {*await app.calls()}
            app.app.parts = replace(app.app.parts, backfill=None)
            app.restart()
            assert (await app.calls())[-2:] == CHECKS

        with_full_app(steps)


class TestSessions:
    """When the live sessions are listed."""

    def test_interval(self) -> None:
        """They are listed in the first pass, and each half minute after that."""

        async def steps(app: FullApp) -> None:
            found = []
            for _ in range(5):
                found.append((await app.calls())[0] == "sessions")
                assert app.app.collector.state.snapshot.discovery == app.discovery.state
            assert found == [True, False, True, False, True]
            assert app.discovery.state == DiscoveryState(None, NOW + 75)

        with_full_app(steps)

    def test_many(self) -> None:
        """One list takes half of the calls of each pass, so that meetings are read meanwhile."""

        async def steps(app: FullApp) -> None:
            app.app.client.live = [f"live-{number}" for number in range(20)]
            app.app.client.sessions_per_page = 1
            first = await app.calls()
            assert first[:7] == [*["sessions"] * 6, "a"]
            assert "live-0" in first
            assert app.discovery.state == DiscoveryState()

        with_full_app(steps, limiter=limiter_of(200))

    @pytest.mark.parametrize(
        ("budget_calls", "expected"),
        [(5, [1, 0, 0, 0]), (20, [1, 0, 1, 0]), (40, [1, 1, 1, 1]), (100, [3, 1, 0, 2])],
    )
    def test_few_calls(self, budget_calls: int, expected: list[int]) -> None:
        """The list takes half of the calls of a pass, and the only one if there is one."""

        async def steps(app: FullApp) -> None:
            app.app.client.sessions_per_page = 1
            assert [(await app.calls()).count("sessions") for _ in expected] == expected

        with_full_app(steps, budget_calls=budget_calls)

    @pytest.mark.parametrize("has_meetings", [False, True])
    def test_blocked(self, *, has_meetings: bool) -> None:
        """The first call after a block is one for a meeting, if there is any."""

        async def steps(app: FullApp) -> None:
            await app.calls()
            if not has_meetings:
                app.client.live = ()
                app.app.parts = replace(app.app.parts, meetings=MeetingList([]))
                app.restart()
                await app.calls(60.0)
            await block(app.app)
            assert await app.calls() == []
            calls = await app.calls(400.0)
            assert calls[0] == ("a" if has_meetings else "sessions")
            assert ("sessions" in calls) is not has_meetings
            assert "sessions" in await app.calls(60.0)

        with_full_app(steps)


class TestList:
    """Recordings in progress that are read through the list."""

    @pytest.mark.parametrize(("budget_calls", "mode"), [(3, EACH), (4, LIST)])
    def test_budget(self, budget_calls: int, mode: ReadMode) -> None:
        """The list is read if the budget has as many calls as it takes."""

        async def steps(app: FullApp) -> None:
            selector = ReadModeSelector("app", None)
            meetings = MeetingList([Meeting(name, name) for name in "abcde"])
            app.app.parts = replace(app.app.parts, selector=selector, meetings=meetings)
            app.restart()
            await app.calls()
            assert selector.mode is mode

        with_full_app(steps, budget_calls=budget_calls)

    def test_order(self) -> None:
        """First comes the list, then recordings that it lacks, and then the rest."""

        async def steps(app: FullApp) -> None:
            app.record("b", "a")
            assert await app.calls() == [
                *("sessions", *BY_STATUS),
                *("recording of b", "recording of a", "list"),
                *SETTINGS,
                *CHECKS,
            ]
            assert await app.calls() == BY_STATUS

        with_full_app(steps, read=LIST)

    @pytest.mark.parametrize(
        ("recordings", "stop", "calls", "left"),
        [
            ("", "", 600, 0),
            # The list and four settings are left, and two checks.
            ("", "list", 600, 2),
            ("", "settings c", 600, 2),
            ("", "settings d", 600, 1),
            ("", "check-1", 600, 0),
            # Three recordings and the list, but only two settings.
            ("abc", "recording of a", 600, 4),
            ("abc", "recording of c", 600, 2),
            # The budget is small: the list can wait.
            ("abc", "recording of a", 16, 4),
            ("abc", "recording of a", 15, 3),
            ("", "settings a", 16, 2),
            ("", "settings a", 15, 1),
        ],
    )
    def test_left_over(self, recordings: str, stop: str, calls: int, left: int) -> None:
        """The next pass saves calls for what is left, except for checks and most settings."""

        async def steps(app: FullApp) -> None:
            app.record(*recordings)
            app.stop_at(stop)
            await app.calls()
            assert app.app.collector.state.left_over == left

        with_full_app(steps, read=LIST, limiter=limiter_of(calls))

    def test_list_that_fails(self) -> None:
        """If it fails, meetings are read one by one; when that works, it is tried once more."""

        async def steps(app: FullApp) -> None:
            many = [Meeting(f"m-{number}", "name") for number in range(400)]
            app.app.parts = replace(
                app.app.parts,
                meetings=MeetingList(many),
                selector=ReadModeSelector("app", None),
                discovery=None,
                backfill=None,
            )
            app.restart()
            app.client.problem_of = lambda key: ServerError("no") if key in BY_STATUS else None
            firsts = [(await app.calls())[0][:2] for _ in range(8)]
            assert firsts == [*["IN"] * 3, "m-", "IN", *["m-"] * 3]

        with_full_app(steps)

    @pytest.mark.parametrize(("calls", "left"), [(16, 1), (15, 0)])
    def test_only_the_list_is_left(self, calls: int, left: int) -> None:
        """If the budget is small, nothing is saved for the whole list alone."""

        async def steps(app: FullApp) -> None:
            app.client.live = ()
            app.stop_at("list")
            await app.calls()
            assert app.app.collector.state.left_over == left

        with_full_app(steps, read=LIST, limiter=limiter_of(calls))

    def test_spelling(self) -> None:
        """The configuration may write the id of a meeting in another way than the API."""
        meeting_id = "182BD5E5-6E1A-4FE4-A799-AA6D9A6AB26E"
        recording = Recording(recording_id="r", status=Status.PAUSED)

        async def steps(app: FullApp) -> None:
            meetings = MeetingList([Meeting(meeting_id, "name")])
            app.app.parts = replace(app.app.parts, meetings=meetings, discovery=None)
            app.restart()
            listed = ListedRecording(Meeting(meeting_id.lower(), "name"), recording)
            app.client.listed = [listed]
            await app.calls()
            (reading,) = app.app.collector.state.snapshot.readings
            assert reading.recordings == (recording,)

        with_full_app(steps, read=LIST)

    @pytest.mark.parametrize("problem", [RateLimitWait(), ServerError("no")], ids=repr)
    def test_half_of_the_list(self, problem: RateLimitWait | ServerError) -> None:
        """Half of the list says nothing about what is left, so as much is saved as before."""

        async def steps(app: FullApp) -> None:
            await app.calls()
            app.app.collector.state = replace(app.app.collector.state, left_over=7)
            app.client.problem_of = lambda key: problem if key == "PAUSED" else None
            await app.calls()
            assert app.app.collector.state.left_over == 7
            app.stop_at()
            await app.calls()
            assert app.app.collector.state.left_over == 0

        with_full_app(steps, read=LIST)

    def test_not_affordable(self) -> None:
        """Half of a list is not begun, except in the first pass."""

        async def steps(app: FullApp) -> None:
            app.app.parts = replace(app.app.parts, backfill=None, discovery=None, verifier=None)
            app.restart()
            assert await app.calls() == BY_STATUS
            assert await app.calls(60.0) == []
            assert app.app.collector.state.snapshot.deferred == 3

        with_full_app(steps, read=LIST, limiter=limiter_of(4))
