"""Compares each exposition with the stories, with the answers of the API, and with the last one."""

import math

from collections import Counter
from collections.abc import Iterator

from rk_exporter.exporter.exporter import WORKERS_PER_APP
from tests.support.model import accounts, families, rooms, totals
from tests.support.model.accounts import NOTHING, FoundApps
from tests.support.model.api import ACCOUNT, User
from tests.support.model.calls import Budget, CallCounts, calls_of_account, calls_of_app
from tests.support.model.counters import Counted, Growing
from tests.support.model.excuses import failing, must_be_exact
from tests.support.model.history import AppHistory, Exact, WebhookHistory
from tests.support.model.invented import invented
from tests.support.model.shown import Shown
from tests.support.model.troubles import LYING
from tests.support.model.truth import Expectation
from tests.support.model.world import Scraped, World


_SETTLED_AFTER = 3
# When the settings of a meeting are read again after a failure.
SETTINGS_SECONDS = 600.0
BLOCKED_UNTIL = "rk_api_blocked_until_timestamp_seconds"


class Watcher:
    """Watches the expositions of a *world*."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.apps = {name: self._history(name, world.now) for name in world.files.apps}
        self._account = FoundApps(world)
        users = {
            ACCOUNT: world.api.account.user,
            **{name: world.api.apps[name].user for name in world.files.apps},
        }
        self._users = {name: (user, Budget()) for name, user in users.items()}
        for name in world.found:
            world.events.remove(name)
        self._growing: dict[str, Growing] = {}
        self._calls = CallCounts()
        self._blocked_until: dict[str, float] = {}
        self._has_replaced_tokens = False
        self.has_unused_tokens = False
        """Whether there was no scrape since a token was replaced."""
        self.use_budget()
        self.exact = Counter[str]()
        """How many expositions of each app had to be exact."""

    def use_budget(self) -> None:
        """Expect the budget in the configuration."""
        for _, budget in self._users.values():
            budget.use(self._world.files.budget, self._world.now)

    def _history(self, name: str, tracked_since: float) -> AppHistory:
        files, story = self._world.files.of(name), self._world.api.apps[name].story
        return AppHistory(tracked_since, story, {*files.meetings}, files.finds_meetings)

    def restart(self) -> None:
        """Expect a new process."""
        is_saved = self._world.files.state.exists()
        for growing in self._growing.values():
            growing.restart(is_saved=is_saved)
        self._calls = CallCounts()
        # The state file has the blocks, too.
        if not is_saved:
            self._blocked_until.clear()
        self._has_replaced_tokens = False
        # A new process knows only what the state file has, and what the API tells it.
        for api in (self._world.api.account, *self._world.api.apps.values()):
            api.journal.restart(is_saved=is_saved)
        for _, budget in self._users.values():
            budget.start(self._world.now)
        self._account.restart(is_saved=is_saved)
        self._use_found()
        for app in self.apps.values():
            app.webhooks, app.scrapes = WebhookHistory(), 0
            app.last = app.before = app.exact_since = None
            if not is_saved:
                app.tracked_since, app.complete_since = self._world.now, None
                app.may_be_cut = False
                app.seen.clear()

    def remove(self, name: str) -> None:
        """Expect that an app is not read any more."""
        self._world.events.remove(name)
        for growing in self._growing.values():
            growing.remove(name)
        # The counters of calls stay until the apps change again, and those of the account may.
        is_counted = self._world.files.account is None and name not in self._world.found
        self._world.api.apps[name].journal.forget(is_counted=is_counted)
        del self.apps[name]

    def add(self, name: str) -> None:
        """Expect an app as if it were new."""
        self._begin(name, self._world.now)

    def _begin(self, name: str, tracked_since: float) -> None:
        self._world.events.add(name)
        self._calls.begin(name)
        # The user of an app that is added may be the one whose token has vanished.
        self._blocked_until[name] = math.inf if self._has_replaced_tokens else 0.0
        self.apps[name] = self._history(name, tracked_since)

    def use_account(self) -> None:
        """Expect the apps of the account that the configuration wants."""
        self._account.configure()
        self._use_found()

    def remove_account(self) -> None:
        """Expect that the account and its apps are not read any more, and forgotten."""
        self._account.forget()
        self._use_found()
        for growing in self._growing.values():
            growing.remove_account()
        self._calls.begin(ACCOUNT)
        self._world.api.account.journal.restart(is_saved=False)

    def add_account(self) -> None:
        """Expect an account as if it were new."""
        if self._has_replaced_tokens:
            account = self._world.api.account
            account.clear_since = max(account.clear_since, self._world.now)

    def _use_found(self, begun_at: float | None = None) -> None:
        """Expect the apps that are found now, perhaps by a scrape that was asked for then."""
        known = self._account.last or NOTHING
        for name in (self.apps.keys() & self._world.found) - known.wanted:
            self.remove(name)
        for name in known.wanted - self.apps.keys():
            since = begun_at if known.is_first and begun_at is not None else known.since
            self._begin(name, since)

    def use_meetings(self, name: str) -> None:
        """Expect the list of meetings of an app, and whether it finds others, as configured."""
        files = self._world.files.apps[name]
        self.apps[name].change(
            self._world.now, meetings=files.meetings, finds_meetings=files.finds_meetings
        )

    def replace_token(self, user: User) -> None:
        """Expect that a new token of a user ends a block of calls."""
        self._has_replaced_tokens = self.has_unused_tokens = True
        for name, api in self._world.api.apps.items():
            if api.user is user:
                self._blocked_until.pop(name, None)
        for api in user.members:
            api.clear_since = max(api.clear_since, self._world.now)
        user.excuse_probe(self._world.now)

    def check(self, scraped: Scraped, *, scraper: str = "first", is_alone: bool = True) -> Shown:
        """Compare an exposition with everything that is known; it *is_alone* without others."""
        shown = Shown(scraped.text)
        self.has_unused_tokens = False
        problems = [*self._problems(shown, scraped, scraper, is_alone=is_alone)]
        assert not problems, "\n".join(problems)
        return shown

    def _problems(
        self, shown: Shown, scraped: Scraped, scraper: str, *, is_alone: bool
    ) -> Iterator[str]:
        yield from shown.problems()
        yield from self._found_problems(shown, scraped, is_alone=is_alone)
        yield from self._growing.setdefault(scraper, Growing()).check(shown)
        yield from families.unknown(shown)
        yield from self._world.events.problems(shown, is_alone=is_alone)
        yield from totals.of_exporter(shown, self._world, scraped)
        for user_name, (user, budget) in self._users.items():
            yield from budget.check(user.calls, user_name)
            if user.quota and user.quota.refused > WORKERS_PER_APP * len(user.members):
                yield f"{user_name}: {user.quota.refused} calls were refused, despite warnings"
        for name in self.apps.keys() & shown.apps:
            app = self.apps[name]
            # The other scrapers get the snapshots of the first one.
            app.scrapes += scraper == "first"
            api = self._world.api.apps[name]
            yield from invented(
                shown, name, api.journal, begun_at=scraped.begun_at, ended_at=scraped.ended_at
            )
            counts = calls_of_app(shown, name, api.journal)
            yield from self._calls.check(name, counts, is_alone=is_alone)
            yield from totals.of_app(
                shown, name, self._world.files, api, scraped, is_alone=is_alone
            )
            if shown.value("rk_exporter_internal_errors_total", name):
                yield f"{name}: there was a bug"
            yield from self._app_problems(shown, name, app, scraped)

    def _found_problems(self, shown: Shown, scraped: Scraped, *, is_alone: bool) -> Iterator[str]:
        """Return what is wrong with the apps that are shown, and with what is said of them."""
        world = self._world
        self._account.take()
        possible = [*self._account.between(scraped.begun_at, scraped.ended_at)]
        right = [{*world.files.apps, *names} for names in possible[: 1 if is_alone else None]]
        if shown.apps not in right:
            yield f"the apps are {shown.apps}, and should be {right}"
        if shown.apps == {*world.files.apps, *possible[0]}:
            self._use_found(scraped.begun_at)
        yield from accounts.problems(shown, world, self._account, scraped, is_alone=is_alone)
        if world.files.account:
            counts = calls_of_account(shown, world.api.account.journal)
            yield from self._calls.check(ACCOUNT, counts, is_alone=is_alone)

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
        is_blocked = self._blocked_until.get(name, 0.0) > scraped.begun_at
        is_exact = not is_blocked and must_be_exact(name, app, self._world, scraped.begun_at)
        denied = sum(x.vanishes_at <= scraped.ended_at for x in story.recordings)
        yield from totals.of_recordings(shown, name, most_unseen=denied if is_exact else None)
        yield from self._room_problems(
            shown, name, app, scraped, is_exact=is_exact, may_rest=may_rest
        )
        if is_exact:
            self.exact[name] += 1
            yield from expectation.lacking(shown, name, story)
            if app.complete_since is None:
                app.complete_since = scraped.ended_at
        else:
            yield from failing(shown, name, app, self._world, scraped.begun_at, may_rest=may_rest)
        counted = Counted(
            expectation=expectation,
            counts_since=0.0 if app.may_be_cut else app.tracked_since,
            complete_since=app.complete_since or float("inf"),
            meetings=app.always,
            journal=api.journal,
        )
        yield from counted.too_many(shown, name, story)
        if app.scrapes > _SETTLED_AFTER and is_exact:
            yield from counted.too_few(shown, name, story)
        for recording_id in recordings:
            app.seen.setdefault(recording_id, scraped.begun_at)
        self._blocked_until[name] = shown.value(BLOCKED_UNTIL, name) or 0.0

    def _room_problems(
        self,
        shown: Shown,
        name: str,
        app: AppHistory,
        scraped: Scraped,
        *,
        is_exact: bool,
        may_rest: bool,
    ) -> Iterator[str]:
        api, begun_at = self._world.api.apps[name], scraped.begun_at
        yield from rooms.invented_rooms(
            shown, name, app.story, api.journal, finds_meetings=app.finds_meetings
        )
        yield from rooms.outdated(shown, name, begun_at)
        has_listed = is_exact and app.has_listed(begun_at, clear_since=api.clear_since)
        if has_listed:
            knows_settings = not api.clear_since or begun_at >= api.clear_since + SETTINGS_SECONDS
            yield from rooms.lacking_rooms(
                shown,
                name,
                app.story,
                begun_at=begun_at,
                ended_at=scraped.ended_at,
                knows_settings=knows_settings,
            )
        ups = shown.by_meeting("rk_meeting_up", name)
        app.note(Exact(begun_at, frozenset(ups), may_rest) if has_listed else None)
        if not is_exact or app.exact_since is None:
            app.exact_since = begun_at if is_exact else None

    def _expectation(
        self, name: str, app: AppHistory, scraped: Scraped, *, may_rest: bool
    ) -> Expectation:
        return Expectation(
            may_rest=may_rest,
            announced=self._world.events.announced[name],
            begun_at=scraped.begun_at,
            ended_at=scraped.ended_at,
            meetings=app.meetings,
            followed=app.followed,
            found=self._found(name, app, scraped),
            in_use=self._in_use(name, app, scraped),
            # Two scrapes may share a pass, which did not know yet what it has found.
            seen={key for key, at in app.seen.items() if at < scraped.begun_at},
            found_since=max(
                app.tracked_since,
                self._world.api.apps[name].clear_since,
                *app.listed_since.values(),
            ),
        )

    def _found(self, name: str, app: AppHistory, scraped: Scraped) -> set[str]:
        """Return the meetings that an app must have found."""
        clear_since = self._world.api.apps[name].clear_since
        if not app.has_listed(scraped.begun_at, clear_since=clear_since):
            return set()
        begin = scraped.begun_at - rooms.FOUND_SECONDS
        kept = app.found(scraped.begun_at, scraped.ended_at)
        return kept | rooms.found_meetings(app.story, begin, scraped.ended_at)

    def _in_use(self, name: str, app: AppHistory, scraped: Scraped) -> set[str]:
        """Return the meetings that an app may have found, and not yet forgotten."""
        if not app.finds_meetings:
            return set()
        clear_since = self._world.api.apps[name].clear_since
        since = app.in_use_since(scraped.begun_at, clear_since=clear_since)
        return rooms.used_meetings(app.story, since or 0.0, scraped.ended_at)
