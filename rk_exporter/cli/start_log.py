"""The first lines of the log: the version, and what each app reads within which budget."""

import logging

from collections.abc import Iterable, Iterator

from rk_exporter import __version__
from rk_exporter.cli.check_meetings import listed_meetings
from rk_exporter.config.accounts import AccountConfig
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.config import Config
from rk_exporter.config.parsers import AUTO
from rk_exporter.runtime.build import build


logger = logging.getLogger(__name__)


def log_start(config: Config) -> None:
    """Log the version and the revision, and the apps in *config*."""
    fields = {"version": __version__, "revision": build().revision}
    logger.info("starting rk-exporter", extra=fields)
    log_shard(config)
    log_accounts(config.accounts)
    log_apps(config.apps)


def log_shard(config: Config) -> None:
    """Log which part of the apps this exporter reads, if there are several shards."""
    if config.shard:
        fields = {"shard": str(config.shard), "apps": len(config.apps)}
        logger.info("only the apps of this shard are read", extra=fields)


def log_accounts(accounts: Iterable[AccountConfig], *, known: Iterable[AccountConfig] = ()) -> None:
    """Log which apps of each of the *accounts* are read, except *known* ones in the same form."""
    before = [*_account_descriptions(known)]
    for description in _account_descriptions(accounts):
        if description not in before:
            logger.info("account is configured", extra=description)


def _account_descriptions(accounts: Iterable[AccountConfig]) -> Iterator[dict[str, object]]:
    for config in accounts:
        yield {
            "account": config.account.name,
            "account_id": config.account.account_id,
            "include": config.include.pattern if config.include else "",
            "exclude": config.exclude.pattern if config.exclude else "",
            "budget": config.budget,
            "budget_group": config.budget_group or "",
        }


def log_apps(apps: Iterable[AppConfig], *, known: Iterable[AppConfig] = ()) -> None:
    """Log how each of the *apps* is read, except those that are *known* in the same form."""
    before = [*_descriptions(known)]
    for description in _descriptions(apps):
        if description not in before:
            logger.info("app is configured", extra=description)


def _descriptions(apps: Iterable[AppConfig]) -> Iterator[dict[str, object]]:
    """Return how each app is read, and where its meetings come from."""
    apps = tuple(apps)
    budgets: dict[str | None, int] = {}
    for app in apps:
        budgets[app.budget_group] = min(app.budget, budgets.get(app.budget_group, app.budget))
    for app in apps:
        yield {
            "app": app.app.name,
            "account_id": app.app.account_id,
            "app_id": app.app.app_id,
            "read": app.read.value if app.read else AUTO,
            "meetings": len(listed_meetings(app)),
            "configured": len(app.meetings),
            "in_files": sum(len(file.meetings) for file in app.meeting_files),
            "files": len(app.meeting_files),
            "discover": app.discover,
            # The apps of a group share the smallest of their budgets.
            "budget": budgets[app.budget_group],
            "budget_group": app.budget_group or "",
        }
