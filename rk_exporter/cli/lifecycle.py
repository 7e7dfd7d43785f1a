"""What a command does with a configuration: at its start, after a reload, and on SIGHUP."""

import asyncio
import logging
import os
import signal

from collections.abc import Callable
from functools import partial

import click

from rk_exporter.cli.options import given_settings
from rk_exporter.config.config import Config, load
from rk_exporter.config.parsers import is_sent_in_clear_text
from rk_exporter.ratelimit.headers import CLOUDFLARE_LIMIT
from rk_exporter.runtime.logs import configure


logger = logging.getLogger(__name__)


def loader() -> Callable[[], Config]:
    """
    Return a function that loads the configuration of the current command, in any thread.

    Flags and variables stay those of the start; files are read again.
    """
    context = click.get_current_context()
    return partial(load, context.params["config_file"], given_settings(context), dict(os.environ))


def log_warnings(config: Config, *, known: tuple[str, ...] = ()) -> None:
    """Log what an operator should know about *config*, unless it is *known*."""
    for warning in _warnings(config):
        if warning not in known:
            logger.warning("%s", warning)


def finish_reload(before: Config, after: Config) -> None:
    """Log as the configuration *after* a reload says, and what is new about it."""
    if (before.log_level, before.log_format) != (after.log_level, after.log_format):
        configure(level=after.log_level, form=after.log_format)
    log_warnings(after, known=_warnings(before))


def call_on_hangup(action: Callable[[], object]) -> None:
    """Call *action* on SIGHUP, also if the signal came before."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, action)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _warnings(config: Config) -> tuple[str, ...]:
    warnings = [*config.warnings]
    if is_sent_in_clear_text(config.base_url):
        warnings.append("API token is sent in clear text; use https in api.base_url")
    largest = max(app.budget for app in config.apps)
    if largest > CLOUDFLARE_LIMIT:
        warnings.append(
            f"budget of {largest} calls exceeds Cloudflare's default limit of {CLOUDFLARE_LIMIT} "
            "calls in 5 minutes"
        )
    return tuple(warnings)
