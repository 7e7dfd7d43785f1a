"""The first lines of the log: the version, and what each app reads within which budget."""

import logging

from collections.abc import Iterable

from rk_exporter import __version__
from rk_exporter.cli.check_meetings import listed_meetings
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.parsers import AUTO


logger = logging.getLogger(__name__)


def log_start() -> None:
    """Log the version."""
    logger.info("starting rk-exporter", extra={"version": __version__})


def log_apps(apps: Iterable[AppConfig]) -> None:
    """Log how each of the *apps* is read, and where its meetings come from."""
    apps = tuple(apps)
    budgets: dict[str | None, int] = {}
    for app in apps:
        budgets[app.budget_group] = min(app.budget, budgets.get(app.budget_group, app.budget))
    for app in apps:
        logger.info(
            "app is configured",
            extra={
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
            },
        )
