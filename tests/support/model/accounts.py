"""Accounts: which apps are found in one, and what is shown of it."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import takewhile

from tests.support.model.api import ACCOUNT, AppApi
from tests.support.model.shown import Shown
from tests.support.model.troubles import SUCCEEDING
from tests.support.model.world import PLENTY, Scraped, World


# The apps are listed so often, and sooner if a list lacks one for the first time.
_LISTED_SECONDS = 590.0
_MISSING_SECONDS = 59.0
# After a trouble, calls may be blocked for so long, and the next list is not made immediately.
_BLOCKED_SECONDS = 300.0 + _MISSING_SECONDS
_ROUNDING_SECONDS = 0.002
_OK = 200
_UP = "rk_account_up"
_LISTED_AT = "rk_account_last_success_timestamp_seconds"


@dataclass(frozen=True, slots=True)
class Known:
    """The apps that are known *since* then, and of these the *wanted* ones, which are read."""

    since: float
    apps: frozenset[str]
    wanted: frozenset[str]
    is_first: bool = False
    """Whether it is from the first list, after which the apps are read immediately."""


NOTHING = Known(0.0, frozenset(), frozenset())


class FoundApps:
    """The apps that the exporter finds in the account of a *world*."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._known: list[Known] = []
        self._last = frozenset[str]()
        self._taken = 0

    @property
    def last(self) -> Known | None:
        """Return the apps that are known now; None before the first list."""
        return self._known[-1] if self._known else None

    @property
    def is_missing(self) -> bool:
        """Return whether the last list lacks an app that is still known."""
        return bool(self._known) and self._known[-1].apps != self._last

    def forget(self) -> None:
        """Expect that the exporter knows nothing of the account."""
        self._known.clear()
        self._last, self._taken = frozenset(), 0

    def restart(self, *, is_saved: bool) -> None:
        """Expect a new process, which knows the apps that are *is_saved*."""
        if not is_saved or not self._known:
            self.forget()
            return
        self._last, self._taken = self._known[-1].apps, 0

    def configure(self) -> None:
        """Expect that other apps are wanted, as configured."""
        if self._known:
            self._add(self._world.now, self._known[-1].apps)

    def take(self) -> None:
        """
        Take in the lists that the API has given.

        An app is gone when two lists in a row do not have it.
        """
        listed = self._world.api.account.journal.listed
        for at, apps in listed[self._taken :]:
            self._add(at, apps | self._last)
            self._last = apps
        self._taken = len(listed)

    def _add(self, since: float, apps: frozenset[str]) -> None:
        account = self._world.files.account
        excluded = account.excluded if account else set()
        self._known.append(Known(since, apps, apps - excluded, is_first=not self._known))

    def between(self, begin: float, end: float) -> Iterator[frozenset[str]]:
        """Return the sets of apps, last first, that an exposition of this time may show."""
        known = [x for x in self._known if x.since <= end]
        later = [*takewhile(lambda x: x.since > begin, reversed(known))]
        yield from (x.wanted for x in later)
        yield known[-1 - len(later)].wanted if len(later) < len(known) else frozenset()


def problems(
    shown: Shown, world: World, found: FoundApps, scraped: Scraped, *, is_alone: bool
) -> Iterator[str]:
    """
    Return what is shown of the account although no list has said it, and what is missing.

    If the scrape was not alone, the apps may have been listed since it was answered.
    """
    if world.files.account is None:
        yield from (f"{name} is shown" for name in shown.names if name.startswith("rk_account"))
        return
    if [ACCOUNT] != [labels["rk_account_id"] for labels, _ in shown.of("rk_account_info")]:
        yield f"the account is {shown.of('rk_account_info')}"
    if _value(shown, "rk_account_internal_errors_total"):
        yield "there was a bug in the list of the account's apps"
    if is_alone:
        yield from _of_last_list(shown, world.api.account, found)
        yield from _up(shown, world, found, scraped)


def _of_last_list(shown: Shown, api: AppApi, found: FoundApps) -> Iterator[str]:
    """Return what differs from the last list that the API has given."""
    listed_at = api.journal.listed[-1][0] if api.journal.listed else None
    expected = {
        "rk_account_apps": len(found.last.wanted) if found.last else None,
        "rk_account_list_complete": None if listed_at is None else 1.0,
    }
    for name, value in expected.items():
        if _value(shown, name) != value:
            yield f"{name} is {shown.of(name)}, not {value}"
    shown_at = _value(shown, _LISTED_AT)
    is_right = (
        shown_at is listed_at
        if shown_at is None or listed_at is None
        else abs(shown_at - listed_at) <= _ROUNDING_SECONDS
    )
    if not is_right:
        yield f"the apps were listed at {listed_at}, not at {shown_at}"


def _up(shown: Shown, world: World, found: FoundApps, scraped: Scraped) -> Iterator[str]:
    """Return whether the account is down without a reason, or up although lists fail."""
    api, listed_at = world.api.account, _value(shown, _LISTED_AT)
    if _must_be_listed(world, api, scraped):
        seconds = _MISSING_SECONDS if found.is_missing else _LISTED_SECONDS
        if _value(shown, _UP) != 1:
            yield f"the account is up: {_value(shown, _UP)}, although its lists are right"
        if found.last is None or (listed_at or 0.0) < scraped.begun_at - seconds:
            yield f"the apps were last listed at {listed_at}, long before {scraped.begun_at}"
    # Those of an earlier process are not counted any more.
    last = api.journal.calls[-1] if api.journal.answered else None
    has_failed = last is not None and last.status != _OK
    if has_failed and _value(shown, _UP) != 0:
        yield f"the account is up: {_value(shown, _UP)}, although the last list has failed"


def _must_be_listed(world: World, api: AppApi, scraped: Scraped) -> bool:
    """Return whether nothing excuses that the apps are not listed."""
    is_troubled = api.troubled is not None and api.troubled.trouble not in SUCCEEDING
    account = world.files.account
    is_rejected = account is None or account.token != api.user.token
    is_excused = is_troubled or is_rejected or api.user.is_troubled or world.files.budget != PLENTY
    since = max(api.clear_since + _BLOCKED_SECONDS, api.exact_from)
    return not is_excused and scraped.begun_at >= since


def _value(shown: Shown, name: str) -> float | None:
    found = shown.of(name)
    return found[0][1] if found else None
