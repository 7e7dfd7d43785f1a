"""The configuration of the current command, and exporters for one pass that are built from it."""

import asyncio
import logging
import os

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial

import click

from rk_exporter.cli.options import given_settings
from rk_exporter.cli.start_log import log_accounts, log_apps, log_shard
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.parsers import is_sent_in_clear_text
from rk_exporter.exporter import Exporter
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, one_pass_limit
from rk_exporter.ratelimit.headers import CLOUDFLARE_LIMIT
from rk_exporter.runtime.durations import duration_text
from rk_exporter.runtime.logs import configure
from rk_exporter.snapshot import Snapshot


logger = logging.getLogger(__name__)
CLEAR_TEXT = "API token is sent in clear text; use https in api.base_url"
# People at a terminal and cron jobs wait longer than Prometheus.
_ONE_PASS_SECONDS = 60.0
_DISCOVERY_SECONDS = 300.0
_ANNOUNCED_FROM_SECONDS = 5.0
_ANNOUNCED_AFTER_SECONDS = 10.0


def loader() -> Callable[[], Config]:
    """
    Return a function that loads the configuration of the current command, in any thread.

    Flags and variables stay those of the start; files are read again.
    """
    context = click.get_current_context()
    return partial(load, context.params["config_file"], given_settings(context), dict(os.environ))


def configured() -> Config:
    """Load the configuration of the current command, and start logging as it says."""
    config = loader()()
    configure(level=config.log_level, form=config.log_format)
    _log_warnings(config)
    return config


def finish_reload(before: Config, after: Config) -> None:
    """Log as the configuration *after* a reload says, and what is new about it."""
    configure(level=after.log_level, form=after.log_format)
    _log_warnings(after, known=_warnings(before))
    if after.shard != before.shard:
        log_shard(after)
    log_accounts(after.accounts, known=before.accounts)
    log_apps(after.apps, known=before.apps)


def _log_warnings(config: Config, *, known: tuple[str, ...] = ()) -> None:
    for warning in _warnings(config):
        if warning not in known:
            logger.warning("%s", warning)


def _warnings(config: Config) -> tuple[str, ...]:
    """Return what is allowed but dangerous, or looks like a mistake."""
    warnings = [*config.warnings]
    if is_sent_in_clear_text(config.base_url):
        warnings.append(CLEAR_TEXT)
    shards = config.shard.count if config.shard else 1
    largest = shards * max((entry.budget for entry in config.entries), default=0)
    if largest > CLOUDFLARE_LIMIT:
        warnings.append(large_budget(largest))
    return tuple(warnings)


def large_budget(calls: int) -> str:
    """Return the warning about a budget of this number of *calls*."""
    limit = CLOUDFLARE_LIMIT
    return (
        f"budget of {calls} calls exceeds Cloudflare's default limit of {limit} calls in 5 minutes"
    )


@asynccontextmanager
async def opened(
    config: Config, *, persistent: bool = True, one_pass: bool = True
) -> AsyncIterator[Exporter]:
    """Return an exporter that is closed at the end of the context."""
    exporter = Exporter(config, persistent=persistent, one_pass=one_pass)
    try:
        yield exporter
    finally:
        await exporter.close()


def pass_seconds(exporter: Exporter, config: Config) -> float:
    """Return how long a single pass may take, and announce it if that is long."""
    budget_seconds = _budget_seconds(exporter.collector.snapshot, config)
    if budget_seconds > _ANNOUNCED_FROM_SECONDS:
        logger.info(
            "reading each meeting takes up to %s, because of the budget",
            duration_text(budget_seconds),
        )
    seconds = _ONE_PASS_SECONDS + budget_seconds
    if config.accounts or any(app.discover for app in config.apps):
        # The number of live meetings is not known yet.
        seconds += _DISCOVERY_SECONDS
    return seconds


@contextmanager
def long_wait_announced(seconds: float) -> Iterator[None]:
    """Log, if the pass in this context has not ended soon, that it may take this many *seconds*."""
    message = "still reading, which may take up to %s"
    loop = asyncio.get_running_loop()
    timer = loop.call_later(_ANNOUNCED_AFTER_SECONDS, logger.info, message, duration_text(seconds))
    try:
        yield
    finally:
        timer.cancel()


def _budget_seconds(snapshot: Snapshot, config: Config) -> float:
    """Return how long one call per meeting may have to wait for the budget."""
    meetings: Counter[str | None] = Counter()
    limits: dict[str | None, int] = {}
    shown = {app.app.name: len(app.readings) for app in snapshot.apps}
    for app in config.apps:
        limit = one_pass_limit(app.budget)
        limits[app.budget_group] = min(limit, limits.get(app.budget_group, limit))
        meetings[app.budget_group] += shown[app.app.name]
    return max(
        (
            WINDOW_SECONDS * (max(0, meetings[group] - 1) // limit)
            for group, limit in limits.items()
        ),
        default=0.0,
    )
