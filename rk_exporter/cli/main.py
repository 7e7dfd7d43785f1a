"""The command line: options become a Config, a Config runs. Knows click, signals, exit codes."""

import json
import logging
import os
import sys

from contextlib import ExitStack
from pathlib import Path

import click

from rk_exporter import __version__
from rk_exporter.api.connection import SetupError
from rk_exporter.cli import check_report as report
from rk_exporter.cli.assets import assets_command
from rk_exporter.cli.options import configuration_options, given_settings
from rk_exporter.cli.process import leave_at_once, run
from rk_exporter.cli.simulator import demo_command, simulate_command
from rk_exporter.config.config import Config, load
from rk_exporter.config.parsers import travels_in_clear
from rk_exporter.config.sources import ConfigError
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.headers import CLOUDFLARE_LIMIT
from rk_exporter.runtime.logs import configure
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.state_file import StateFileError
from rk_exporter.web.server import AddressError, Listener, bind, serve


logger = logging.getLogger(__name__)
# A person at a terminal, or a cron job, waits longer than Prometheus.
_ONE_PASS_SECONDS = 60.0
_DISCOVERY_SECONDS = 300.0
_WORTH_TELLING_SECONDS = 5.0
_EXIT_FAILED = 1


class ConfigRefused(click.ClickException):
    """A configuration error, as click shows it."""

    exit_code = 2


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="rk-exporter")
def main() -> None:
    """Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings."""


main.add_command(assets_command)


main.add_command(demo_command)


main.add_command(simulate_command)


@main.command("serve")
@configuration_options
def serve_command(config_file: Path | None, **_options: object) -> None:
    """Run the exporter."""
    config = _load(config_file)
    configure(level=config.log_level, form=config.log_format)
    try:
        run(_serve(config))
    except AddressError as error:
        raise click.ClickException(str(error)) from None


async def _serve(config: Config) -> None:
    exporter = _exporter(config)
    with ExitStack() as bound:
        sockets = [bound.enter_context(bind(address)) for address in config.listen_addresses]
        listeners = [Listener(exporter.application, each, config.max_requests) for each in sockets]
        for listener in listeners:
            url = f"{listener.url}{config.telemetry_path}"
            logger.info("listening", extra={"address": listener.address, "url": url})
        try:
            await serve(listeners)
        finally:
            await exporter.close()
    logger.info("stopped")


@main.command("scrape")
@configuration_options
def scrape_command(config_file: Path | None, **_options: object) -> None:
    """
    Read all meetings once and print the exposition.

    For node_exporter's textfile collector. The exit code is 1 where an app could not be read; the
    exposition, which says so too, is printed all the same.
    """
    config = _load(config_file)
    configure(level=config.log_level, form=config.log_format)
    exporter, snapshot = run(_read_once(config))
    _print(encode(exporter.families(snapshot), Format.TEXT).decode())
    if any(app.up is False for app in snapshot.apps):
        sys.exit(_EXIT_FAILED)


@main.command("check")
@configuration_options
@click.option("--offline", is_flag=True, help="Check the configuration only; call nothing.")
@click.option(
    "form",
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    show_default=True,
    help="For people, or for scripts.",
)
def check_command(
    config_file: Path | None,
    *,
    offline: bool,
    form: str,
    **_options: object,
) -> None:
    """Check the configuration, the token, and that each meeting can be read."""
    try:
        config = _load(config_file)
    except ConfigRefused as refused:
        if form == "json":
            click.echo(json.dumps({"ok": False, "error": refused.message}))
        raise
    configure(level=config.log_level, form=config.log_format)
    if config.log_level != "debug":
        # Failures are what it prints anyhow.
        for module in ("app_collector", "discovery", "active_recordings"):
            logging.getLogger(f"rk_exporter.collector.{module}").setLevel(logging.ERROR)
    if offline:
        snapshot = _exporter(config, persistent=False).collector.snapshot
    else:
        _, snapshot = run(_read_once(config, persistent=False))
    if form == "json":
        _print(json.dumps(report.document(snapshot, offline=offline), indent=2) + "\n")
    else:
        _print("".join(f"{line}\n" for line in report.lines(snapshot, offline=offline)))
    if not (offline or report.is_fine(snapshot)):
        sys.exit(_EXIT_FAILED)


def _print(text: str) -> None:
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except OSError as error:
        raise click.ClickException(f"cannot write: {error.strerror}") from None


def _load(config_file: Path | None) -> Config:
    try:
        return load(config_file, given_settings(click.get_current_context()), os.environ)
    except ConfigError as error:
        raise ConfigRefused(str(error)) from None


def _exporter(config: Config, *, persistent: bool = True) -> Exporter:
    if travels_in_clear(config.base_url):
        logger.warning("the API token travels in clear text; give an api.base_url with https")
    largest = max(app.budget for app in config.apps)
    if largest > CLOUDFLARE_LIMIT:
        logger.warning(
            "a budget of %d calls is more than the %d that Cloudflare allows in 5 minutes, unless "
            "it was asked for more",
            largest,
            CLOUDFLARE_LIMIT,
        )
    try:
        return Exporter(config, persistent=persistent)
    except SetupError as error:
        raise ConfigRefused(str(error)) from None
    except StateFileError as error:
        raise ConfigRefused(f"state.file: {error}") from None


async def _read_once(config: Config, *, persistent: bool = True) -> tuple[Exporter, Snapshot]:
    exporter = _exporter(config, persistent=persistent)
    # A budget begins spent, so that it holds however often the command is run.
    spent_seconds = sum(
        len(app.readings) * WINDOW_SECONDS / each.budget
        for app, each in zip(exporter.collector.snapshot.apps, config.apps, strict=True)
    )
    if spent_seconds > _WORTH_TELLING_SECONDS:
        logger.info("a call for each meeting takes up to %.0f s, by the budget", spent_seconds)
    try:
        # How many live meetings there are is not known yet.
        found_seconds = _DISCOVERY_SECONDS if any(app.discover for app in config.apps) else 0.0
        seconds = _ONE_PASS_SECONDS + spent_seconds + found_seconds
        return exporter, await exporter.collector.scrape(seconds)
    finally:
        await exporter.close()


def entry_point() -> None:
    """Run the command line as a program."""
    leave_at_once(main)
