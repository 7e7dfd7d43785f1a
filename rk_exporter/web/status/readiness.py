"""Why the metrics are incomplete or out of date; pure functions of what was observed."""

import math

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from rk_exporter.collector.collector import PassProgress
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.status import BudgetStatus
from rk_exporter.runtime.durations import duration_text
from rk_exporter.runtime.recent_warnings import LoggedWarning
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot
from rk_exporter.web.status.times import clock_text


# As in the alert RealtimeKitBudgetExhausted.
_USED_UP_RATIO = 0.05
_MOST_APPS = 10
_CAUSES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.AUTH: "token refused",
        Reason.RATE_LIMITED: "API calls rate limited",
        Reason.SERVER_ERROR: "API failing",
        Reason.CLIENT_ERROR: "API calls rejected",
        Reason.NOT_FOUND: "account or app not found",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Everything that the status is about, as frozen values."""

    snapshot: Snapshot
    progress: PassProgress
    started_at: float
    stale_after_seconds: float
    failures: Mapping[str, Mapping[str, int]]
    """Failed calls since the start, by app and reason."""
    internal_errors: Mapping[str, int]
    """Bugs since the start, by app."""
    configuration_problems: tuple[str, ...] = ()
    """Configurations that could not be reloaded."""
    configuration_warnings: tuple[str, ...] = ()
    warnings: tuple[LoggedWarning, ...] = ()


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What keeps an app from being read, *since* and *until* when (unix seconds) if known."""

    text: str
    since: float | None = None
    until: float | None = None

    def describe(self, *, now: float, app: str | None = None) -> str:
        """Return the obstacle in words, e.g. `token refused (401) for app a since 14:02 UTC`."""
        parts = [self.text]
        if app is not None:
            parts.append(f"for app {app}")
        if self.since is not None:
            parts.append(f"since {clock_text(self.since, now=now)}")
        if self.until is not None and self.until > now:
            parts[-1] += ","
            parts.append(f"next call in {duration_text(math.ceil(self.until - now))}")
        return " ".join(parts)


def reasons(
    snapshot: Snapshot, progress: PassProgress, *, stale_after_seconds: float, now: float
) -> list[str]:
    """Return why the exporter is not ready; nothing if it is."""
    if progress.last_ended_at is None:
        return ["first pass is running" if progress.is_running else "waiting for the first scrape"]
    obstacles = [
        _unlisted(account).describe(now=now)
        for account in snapshot.accounts
        if account.apps is None
    ]
    obstacles += [
        obstacle.describe(now=now, app=app.app.name)
        for app in snapshot.apps
        for obstacle in app_obstacles(app, progress)
    ]
    if now - progress.last_ended_at > stale_after_seconds:
        ago = duration_text(now - progress.last_ended_at)
        obstacles.insert(0, f"last pass ended {ago} ago; is the exporter scraped?")
    return obstacles


def in_one_line(found: list[str]) -> str:
    """Return reasons as one line, which names ten of them."""
    more = len(found) - _MOST_APPS
    return "; ".join([*found[:_MOST_APPS], *([f"and {more} more"] if more > 0 else [])])


def app_obstacles(app: AppSnapshot, progress: PassProgress) -> Iterator[Obstacle]:
    """Return why the metrics of an app are incomplete or out of date, after the first pass."""
    if app.app.name in progress.failed_apps:
        yield Obstacle("internal error (see the exporter's log)")
        return
    unread = sum(reading.last_attempt_timestamp_seconds is None for reading in app.readings)
    unlisted = _unlisted_sessions(app)
    is_complete = app.is_restored and not unread and not unlisted
    if app.up is not False and is_complete:
        return
    failing = failing_calls(app)
    if failing:
        yield failing
    elif app.up is False:
        yield Obstacle("no API call succeeds")
    elif unlisted and app.discovery and app.discovery.failure:
        yield Obstacle(unlisted)
    elif app.budget_status and is_used_up(app.budget_status):
        yield Obstacle(
            f"API budget of {app.budget_status.limit} calls in {WINDOW_SECONDS / 60:.0f} minutes "
            f"used up, {_missing(app, unread, unlisted)}"
        )
    else:
        yield Obstacle(_missing(app, unread, unlisted))


def _unlisted_sessions(app: AppSnapshot) -> str | None:
    """
    Return why the live meetings were never listed; None if that is not to be waited for.

    If other meetings are known, a list that fails does not keep them from being used.
    """
    discovery = app.discovery
    if discovery is None or discovery.last_success_timestamp_seconds is not None:
        return None
    if discovery.failure is None:
        return "live meetings not listed yet"
    return None if app.readings else unlisted_text(discovery.failure)


def unlisted_text(failure: Failure) -> str:
    """Return why the live meetings cannot be listed."""
    return f"live meetings cannot be listed: {cause_text(failure)}"


def _unlisted(account: AccountSnapshot) -> Obstacle:
    """Return why the apps of an account are not known."""
    cause = cause_text(account.failure) if account.failure else "apps not listed yet"
    return Obstacle(f"{cause} for account {account.account.name}")


def failing_calls(app: AppSnapshot) -> Obstacle | None:
    """Return why API calls fail or are suspended; None if the last pass had a success."""
    outage = app.obstruction
    if outage is None:
        return None
    until = app.budget_status.blocked_until_timestamp_seconds if app.budget_status else None
    return Obstacle(cause_text(outage.failure), outage.since_timestamp_seconds, until)


def is_used_up(budget: BudgetStatus) -> bool:
    """Return whether almost no calls are left."""
    return budget.remaining < _USED_UP_RATIO * budget.limit


def cause_text(failure: Failure) -> str:
    """Return why a call failed in a few words, e.g. `token refused (401)`."""
    cause = _CAUSES.get(failure.reason)
    detail = failure.explanation.removeprefix("the API answered ").partition(" with ")[0]
    return f"{cause} ({detail})" if cause else failure.explanation


def _missing(app: AppSnapshot, unread: int, unlisted: str | None) -> str:
    if unlisted:
        return unlisted
    if unread:
        return f"{unread} of {len(app.readings)} meetings not read yet"
    return "recordings from before the start are being restored by scrapes"
