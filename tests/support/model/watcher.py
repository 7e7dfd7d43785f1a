"""Compares each exposition with the stories, with the answers of the API, and with the last one."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from rk_exporter.exporter.exporter import WORKERS_PER_APP
from tests.support.model import families, totals
from tests.support.model.api import AppApi
from tests.support.model.counters import Budget, CallCounts, Counted, Growing
from tests.support.model.invented import invented
from tests.support.model.shown import Shown
from tests.support.model.troubles import HARMLESS, LYING, SUCCEEDING
from tests.support.model.truth import Expectation
from tests.support.model.world import PLENTY, Scraped, World


_SETTLED_AFTER = 3
# Idle meetings are read at each scrape for half an hour after an event was missed. A new counter
# shows that some scrapes late.
_LOSSY_SECONDS = 1500.0
BLOCKED_UNTIL = "rk_api_blocked_until_timestamp_seconds"


@dataclass(eq=False)
class WebhookHistory:
    """What the expositions of one process have shown of an app's webhooks."""

    is_up: bool = False
    """Whether the last exposition says that they work."""
    missed: float = 0.0
    missed_at: float = float("-inf")
    """When *missed*, the counter of what they have missed, has grown."""

    def take(self, shown: Shown, name: str, now: float) -> bool:
        """Take in an exposition, and return whether idle meetings may be read less often."""
        was_up, self.is_up = self.is_up, shown.value("rk_webhook_up", name) == 1
        may_rest = (was_up or self.is_up) and now - self.missed_at > _LOSSY_SECONDS
        missed = shown.value("rk_webhook_missed_total", name) or 0.0
        if missed > self.missed:
            self.missed, self.missed_at = missed, now
        return may_rest


@dataclass(eq=False)
class AppHistory:
    """What the watcher knows of one app."""

    tracked_since: float
    """When the exporter began to follow its recordings."""
    meetings: set[str]
    """The meetings in its list, of which all are known to the exporter."""
    always: set[str] = field(default_factory=set)
    """Those that were in the list all the time."""
    listed_since: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    """When the first scrape that has shown a recording was asked for, by the recording's id."""
    complete_since: float | None = None
    """The end of the first exposition that had to be exact."""
    budget: Budget = field(default_factory=Budget)
    may_be_cut: bool = False
    """Whether a list may have been cut when the exporter first read it."""
    webhooks: WebhookHistory = field(default_factory=WebhookHistory)
    scrapes: int = 0
    """How many expositions have shown it since it began."""


class Watcher:
    """Watches the expositions of a *world*."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.apps = {
            name: AppHistory(world.now, set(files.meetings), set(files.meetings))
            for name, files in world.files.apps.items()
        }
        self._growing: dict[str, Growing] = {}
        self._calls = CallCounts()
        self._blocked_until: dict[str, float] = {}
        self.use_budget()
        self.exact: dict[str, int] = dict.fromkeys(self.apps, 0)
        """How many expositions of each app had to be exact."""

    def use_budget(self) -> None:
        """Expect the budget in the configuration."""
        for app in self.apps.values():
            app.budget.use(self._world.files.budget, self._world.now)

    def restart(self) -> None:
        """Expect a new process."""
        is_saved = self._world.files.state.exists()
        for growing in self._growing.values():
            growing.restart(is_saved=is_saved)
        self._calls = CallCounts()
        self._blocked_until.clear()
        for name, app in self.apps.items():
            # A new process knows only what the state file has, and what the API tells it.
            self._world.api.apps[name].journal.restart(is_saved=is_saved)
            app.budget.start(self._world.now)
            app.webhooks, app.scrapes = WebhookHistory(), 0
            if not is_saved:
                app.tracked_since, app.complete_since = self._world.now, None
                app.may_be_cut = False
                app.seen.clear()

    def remove(self, name: str) -> AppHistory:
        """Expect that an app is not read any more, and return what was known of it."""
        self._world.events.remove(name)
        for growing in self._growing.values():
            growing.remove(name)
        return self.apps.pop(name)

    def add(self, name: str, before: AppHistory) -> None:
        """
        Expect an app as if it were new; but the calls *before* it was removed still count.

        They are in the budget, and in the counters of calls, which one reload does not remove.
        """
        self._world.events.add(name)
        self._world.api.apps[name].journal.sightings.clear()
        self._calls.begin(name)
        meetings = before.meetings
        self.apps[name] = AppHistory(
            self._world.now, set(meetings), set(meetings), budget=before.budget
        )

    def list_meetings(self, name: str, meetings: set[str]) -> None:
        """Expect another list of meetings of an app."""
        app, now = self.apps[name], self._world.now
        app.always &= meetings
        app.listed_since |= dict.fromkeys(meetings - app.meetings, now)
        removed = app.meetings - meetings
        story = self._world.api.apps[name].story
        for recording in story.recordings:
            if recording.meeting_id in removed:
                app.seen.pop(recording.id, None)
        app.meetings = meetings

    def replace_token(self, name: str) -> None:
        """Expect that a new token ends a block of calls."""
        self._blocked_until.pop(name, None)

    def check(self, scraped: Scraped, *, scraper: str = "first", is_alone: bool = True) -> Shown:
        """Compare an exposition with everything that is known; it *is_alone* without others."""
        shown = Shown(scraped.text)
        problems = [*self._problems(shown, scraped, scraper, is_alone=is_alone)]
        assert not problems, "\n".join(problems)
        return shown

    def _problems(
        self, shown: Shown, scraped: Scraped, scraper: str, *, is_alone: bool
    ) -> Iterator[str]:
        yield from shown.problems()
        yield from self._growing.setdefault(scraper, Growing()).check(shown)
        yield from families.unknown(shown)
        yield from self._world.events.problems(shown, is_alone=is_alone)
        yield from totals.of_exporter(shown, self._world, scraped)
        if shown.apps != {*self.apps}:
            yield f"the apps are {shown.apps}, and should be {[*self.apps]}"
        for name, app in self.apps.items():
            # The other scrapers get the snapshots of the first one.
            app.scrapes += scraper == "first"
            api = self._world.api.apps[name]
            yield from invented(shown, name, api.journal, scraped.begun_at)
            yield from self._calls.check(shown, name, api.journal, is_alone=is_alone)
            yield from totals.of_app(
                shown, name, self._world.files, api, scraped, is_alone=is_alone
            )
            yield from app.budget.check(api.journal.calls, name)
            if api.quota and api.quota.refused > WORKERS_PER_APP:
                yield f"{name}: {api.quota.refused} calls were refused, although answers warned"
            if shown.value("rk_exporter_internal_errors_total", name):
                yield f"{name}: there was a bug"
            yield from self._app_problems(shown, name, app, scraped)

    def _app_problems(
        self, shown: Shown, name: str, app: AppHistory, scraped: Scraped
    ) -> Iterator[str]:
        api, story = self._world.api.apps[name], self._world.api.apps[name].story
        if api.troubled and api.troubled.trouble in LYING and app.complete_since is None:
            app.may_be_cut = True
        may_rest = app.webhooks.take(shown, name, scraped.begun_at)
        if name not in self._world.events.proving and shown.value("rk_webhook_up", name) == 1:
            yield f"{name}: webhooks work, although there was no event"
        expectation = self._expectation(name, app, scraped, may_rest=may_rest)
        recordings = shown.recordings(name)
        is_exact = self._must_be_exact(name, api, scraped)
        yield from totals.of_recordings(shown, name, is_exact=is_exact)
        if is_exact:
            self.exact[name] += 1
            yield from expectation.lacking(shown, name, story)
            if app.complete_since is None:
                app.complete_since = scraped.ended_at
        else:
            yield from self._failing(shown, name, api, scraped)
        counted = Counted(
            expectation=expectation,
            counts_since=0.0 if app.may_be_cut else app.tracked_since,
            complete_since=app.complete_since or float("inf"),
            meetings=app.always,
        )
        yield from counted.too_many(shown, name, story)
        if app.scrapes > _SETTLED_AFTER and is_exact:
            yield from counted.too_few(shown, name, story)
        for recording_id in recordings:
            app.seen.setdefault(recording_id, scraped.begun_at)
        self._blocked_until[name] = shown.value(BLOCKED_UNTIL, name) or 0.0

    def _expectation(
        self, name: str, app: AppHistory, scraped: Scraped, *, may_rest: bool
    ) -> Expectation:
        return Expectation(
            may_rest=may_rest,
            announced=self._world.events.announced[name],
            begun_at=scraped.begun_at,
            ended_at=scraped.ended_at,
            meetings=app.meetings,
            # Two scrapes may share a pass, which did not know yet what it has found.
            seen={key for key, at in app.seen.items() if at < scraped.begun_at},
            found_since=max(
                app.tracked_since,
                self._world.api.apps[name].clear_since,
                *app.listed_since.values(),
            ),
        )

    def _must_be_exact(self, name: str, api: AppApi, scraped: Scraped) -> bool:
        """Return whether nothing excuses an app for values that are missing or out of date."""
        is_blocked = self._blocked_until.get(name, 0.0) > scraped.begun_at
        is_troubled = api.troubled is not None and api.troubled.trouble not in HARMLESS
        is_rejected = self._world.files.apps[name].token != api.token
        has_calls = self._world.files.budget == PLENTY
        is_excused = is_blocked or is_troubled or is_rejected or not has_calls
        return not is_excused and scraped.begun_at >= api.exact_from

    def _failing(self, shown: Shown, name: str, api: AppApi, scraped: Scraped) -> Iterator[str]:
        """Return what hides that no call about an app succeeds."""
        files, troubled = self._world.files, api.troubled
        is_failing = files.apps[name].token != api.token or (
            troubled is not None
            and troubled.meeting_id is None
            and troubled.trouble not in SUCCEEDING
        )
        # Without a call, the result of the last one stays.
        may_call = files.budget == PLENTY and scraped.begun_at >= api.exact_from
        if is_failing and may_call and shown.value("rk_up", name) != 0:
            yield f"{name}: rk_up is {shown.value('rk_up', name)} although no call succeeds"
