"""
Whatever happens to one app, nothing is lost and nothing is invented.

A Hypothesis state machine scrapes an exporter of two apps, and of an account whose apps come and
go, in virtual time. It lets everything go wrong that can. The stories of the simulated apps are the
model: each exposition is compared with them, with the answers that the API has given, and with the
expositions before it.
"""

import asyncio
import tempfile

from collections.abc import Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from rk_exporter.simulator.webhooks.faults import WebhookFault
from tests.support.building import NOW
from tests.support.model.api import Quota
from tests.support.model.stories import story
from tests.support.model.troubles import ALONE, Trouble, Troubled
from tests.support.model.watcher import Watcher
from tests.support.model.world import PLENTY, AccountFiles, AppFiles, Files, World
from tests.support.virtual_time import VirtualTimeLoop


T = TypeVar("T")
NAMES = ("alpha", "beta")
# Those that the account has at times.
FOUND = ("gamma", "delta")
MEETINGS = ("m1", "m2", "m3")
STORY_SECONDS = 4 * 3600.0
OPENMETRICS = "application/openmetrics-text; version=1.0.0"
# How long calls may have to wait for a larger budget that takes over from a small one.
PACE_SECONDS = 60.0

apps = st.sampled_from(NAMES)
all_apps = st.sampled_from((*NAMES, *FOUND))
found = st.sets(st.sampled_from(FOUND))
meetings = st.sampled_from(MEETINGS)
reads = st.sampled_from(["auto", "list", "active-recording"])
claims = st.sampled_from(["RECORDING", "UPLOADED", "ERRORED", "PAUSED", "NONSENSE"])
intervals = st.sampled_from([15.0, 1.0, 5.0, 30.0, 60.0, 120.0])


class Model(RuleBasedStateMachine):
    """An exporter of two apps and an account, and everything that happens to it."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner(loop_factory=VirtualTimeLoop)
        self._folder = tempfile.TemporaryDirectory()
        self.world: World | None = None

    @initialize(
        seed=st.integers(0, 999),
        read=reads,
        finding=st.sets(apps),
        budget=st.sampled_from([PLENTY, PLENTY, 15]),
        listed=st.none() | found,
        has_state=st.booleans(),
        has_webhooks=st.booleans(),
    )
    def start(
        self,
        seed: int,
        read: str,
        finding: set[str],
        budget: int,
        listed: set[str] | None,
        *,
        has_state: bool,
        has_webhooks: bool,
    ) -> None:
        """
        Start an exporter; each app has a random story, and its meetings in a list or not.

        The apps that are *listed* are those of the account; None if there is no account.
        """
        stories = {
            name: story(f"{name} {seed}", MEETINGS, begin=NOW, seconds=STORY_SECONDS)
            for name in (*NAMES, *FOUND)
        }
        self.files = Files(
            Path(self._folder.name),
            {
                name: AppFiles(
                    [*MEETINGS[: 1 if name in finding else None]],
                    token=name,
                    read=read,
                    finds_meetings=name in finding,
                )
                for name in NAMES
            },
            budget=budget,
            has_state=has_state,
            has_webhooks=has_webhooks,
            account=None if listed is None else AccountFiles(read=read),
        )

        async def begin() -> World:
            world = World(self.files, stories)
            world.api.list_apps(listed or ())
            self.files.write()
            await world.start()
            return world

        self.world = self.run(begin())
        self.watcher = Watcher(self.world)

    @rule(seconds=intervals, count=st.integers(1, 6))
    def scrape(self, seconds: float, count: int) -> None:
        """Scrape several times."""
        self._scrape_several_times(count, seconds)

    @rule()
    def scrape_for_minutes(self) -> None:
        """Scrape for long enough that recordings come and go, and that back-offs grow."""
        self.scrape(30.0, 12)

    @rule(seconds=intervals, later=st.sampled_from([0.0, 0.01, 3.0, 8.0]))
    def scrape_twice(self, seconds: float, later: float) -> None:
        """Let a second Prometheus server scrape while the first one waits for its answer."""

        async def second() -> Any:
            await self.here.wait(later)
            return await self.here.scrape(accept=OPENMETRICS)

        async def both() -> Any:
            await self.here.wait(seconds)
            return await asyncio.gather(self.here.scrape(), second())

        first, other = self.run(both())
        self.watcher.check(first, is_alone=False)
        # The second one may have joined the pass of the first one.
        joined = replace(other, begun_at=first.begun_at)
        self.watcher.check(joined, scraper="second", is_alone=False)

    @rule(app=all_apps, trouble=st.sampled_from(Trouble))
    def begin_trouble(self, app: str, trouble: Trouble) -> None:
        """Let all calls about an app go wrong from now on."""
        self.here.api.apps[app].begin(Troubled(trouble), self.here.now)

    @rule(app=all_apps, meeting=meetings, trouble=st.sampled_from(ALONE))
    def begin_trouble_alone(self, app: str, meeting: str, trouble: Trouble) -> None:
        """Let calls about one meeting go wrong from now on."""
        self.here.api.apps[app].begin(Troubled(trouble, meeting), self.here.now)

    @rule(app=all_apps)
    def end_trouble(self, app: str) -> None:
        """Let the calls about an app go well again."""
        self.here.api.apps[app].end(self.here.now)

    @rule(listed=found, is_reloaded=st.booleans())
    def list_apps(self, listed: set[str], *, is_reloaded: bool) -> None:
        """Let the account have other apps, and perhaps find them soon: a reload lists them."""
        self.here.api.list_apps(listed)
        if is_reloaded:
            assert self.run(self.here.reload()) is None

    @rule(trouble=st.sampled_from(Trouble))
    def begin_trouble_of_account(self, trouble: Trouble) -> None:
        """Let the lists of the account's apps go wrong from now on."""
        self.here.api.account.begin(Troubled(trouble), self.here.now)

    @rule()
    def end_trouble_of_account(self) -> None:
        """Let the lists of the account's apps go well again."""
        self.here.api.account.end(self.here.now)

    @rule(
        app=all_apps,
        remaining=st.sampled_from([0, 3, 20, 60]),
        seconds=st.sampled_from([60.0, 300.0]),
    )
    def share_quota(self, app: str, remaining: int, seconds: float) -> None:
        """Let other clients of the same user leave few calls for an app."""
        now = self.here.now
        self.here.api.apps[app].user.share(Quota(remaining, now + seconds))

    @rule(
        app=apps,
        read=reads,
        budget=st.sampled_from([PLENTY, PLENTY, 15, 60]),
        finds_meetings=st.booleans(),
    )
    def reload(self, app: str, read: str, budget: int, *, finds_meetings: bool) -> None:
        """Reload a configuration with another budget, another way of reading, or discovery."""
        if budget > self.files.budget:
            self.here.excuse(PACE_SECONDS)
        self.files.apps[app].read, self.files.budget = read, budget
        self.files.apps[app].finds_meetings = finds_meetings
        self.files.write_configuration()
        assert self.run(self.here.reload()) is None
        self.watcher.use_budget()
        self.watcher.use_meetings(app)

    @rule(read=reads, excluded=found)
    def reload_account(self, read: str, excluded: set[str]) -> None:
        """Reload a configuration with another way of reading the account, without some apps."""
        if self.files.account:
            self.files.account.read, self.files.account.excluded = read, excluded
            self.files.write_configuration()
            assert self.run(self.here.reload()) is None
            self.watcher.use_account()

    @rule(count=st.integers(0, 3), seconds=intervals)
    def remove_account(self, count: int, seconds: float) -> None:
        """Remove the account by a reload; after some scrapes, another reload adds it again."""
        self._use_new_tokens()
        account, self.files.account = self.files.account, None
        self.files.write_configuration()
        assert self.run(self.here.reload()) is None
        self.watcher.remove_account()
        self._scrape_several_times(count, seconds)
        self.files.account = account
        self.files.write_configuration()
        assert self.run(self.here.reload()) is None
        self.watcher.add_account()

    @rule(app=apps, count=st.integers(0, 3), seconds=intervals)
    def remove_app(self, app: str, count: int, seconds: float) -> None:
        """Remove an app by a reload; after some scrapes, another reload adds it again."""
        self._use_new_tokens()
        files = self.files.apps.pop(app)
        self.watcher.remove(app)
        self.files.write_configuration()
        assert self.run(self.here.reload()) is None
        self._scrape_several_times(count, seconds)
        self.files.apps[app] = files
        self.files.write_configuration()
        assert self.run(self.here.reload()) is None
        self.watcher.add(app)

    @rule()
    def reload_in_vain(self) -> None:
        """Reload a configuration that cannot be used: nothing changes."""
        self.files.write_configuration(is_broken=True)
        assert self.run(self.here.reload())
        self.files.write_configuration()

    @rule(is_killed=st.booleans(), seconds=st.sampled_from([0.0, 20.0, 600.0]))
    def restart(self, seconds: float, *, is_killed: bool) -> None:
        """Restart the exporter, with a pause."""
        self.run(self.here.stop(is_killed=is_killed))
        self.run(self.here.wait(seconds))
        self.run(self.here.start())
        self.watcher.restart()

    @rule(app=apps, listed=st.sets(meetings, min_size=1))
    def list_meetings(self, app: str, listed: set[str]) -> None:
        """Write another list of meetings."""
        self.files.apps[app].meetings = sorted(listed)
        self.files.write_meetings(app)
        self.watcher.use_meetings(app)

    @rule(app=apps)
    def break_list(self, app: str) -> None:
        """Write half a list of meetings, for a scrape: the last good one stays in use."""
        # The exporter has read the good one.
        self.watcher.check(self.run(self.here.scrape()))
        self.files.apps[app].is_list_broken = True
        self.files.write_meetings(app)
        shown = self.watcher.check(self.run(self.here.scrape()))
        assert 0 == shown.value("rk_meetings_file_last_read_successful", app)
        self.files.apps[app].is_list_broken = False
        self.files.write_meetings(app)

    @rule(app=all_apps, fault=st.sampled_from([WebhookFault.NONE, *WebhookFault]))
    def send_events(self, app: str, fault: WebhookFault) -> None:
        """Send the events of an app from now on, perhaps with something wrong."""
        self.here.events.set_fault(app, fault)

    @rule(app=all_apps, meeting=meetings, status=claims, is_known=st.booleans())
    def claim(self, app: str, meeting: str, status: str, *, is_known: bool) -> None:
        """Send signed events that are not true: only what the API answers counts."""
        story, recording_id = self.here.api.apps[app].story, "invented"
        if is_known:
            recording_id = max(
                (x for x in story.recordings if x.invoked_at <= self.here.now),
                key=lambda x: x.invoked_at,
            ).id
        recording = {"id": recording_id, "status": status, "fileSize": "7", "recordingDuration": 8}
        self.run(self.here.events.claim(app, meeting, recording))

    @rule(app=apps, count=st.integers(0, 3), seconds=intervals)
    def replace_token(self, app: str, count: int, seconds: float) -> None:
        """Revoke a token; after some scrapes, a new one is in its file, and counts immediately."""
        user, files = self.here.api.apps[app].user, self.files.apps[app]
        user.token += "-"
        self._scrape_several_times(count, seconds)
        files.token = user.token
        self.files.write_token(app)
        self.watcher.replace_token(user)

    @rule(count=st.integers(0, 3), seconds=intervals)
    def replace_token_of_account(self, count: int, seconds: float) -> None:
        """Revoke the token of the account and its apps, and write a new one after some scrapes."""
        user = self.here.api.account.user
        user.token += "-"
        self._scrape_several_times(count, seconds)
        if self.files.account:
            self.files.account.token = user.token
            self.files.write_account_token()
        self.watcher.replace_token(user)

    def _use_new_tokens(self) -> None:
        """Let each new token be used before another vanishes, or it may be of the same user."""
        if self.watcher.has_unused_tokens:
            self._scrape_several_times(1, 15.0)

    def _scrape_several_times(self, count: int, seconds: float) -> None:
        for _ in range(count):
            self.run(self.here.wait(seconds))
            self.watcher.check(self.run(self.here.scrape()))

    @property
    def here(self) -> World:
        """Return the world after its start."""
        assert self.world
        return self.world

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Return the result of *coroutine*, in virtual time."""
        return self._runner.run(coroutine)

    def teardown(self) -> None:
        """Close everything."""
        if self.world:
            self.run(self.world.stop())
        self._runner.close()
        self._folder.cleanup()


TestModel = Model.TestCase
# The profile for CI chooses the same examples every time, the other one many new ones.
TestModel.settings = settings(
    max_examples=14 if settings().derandomize else 400, stateful_step_count=20
)
