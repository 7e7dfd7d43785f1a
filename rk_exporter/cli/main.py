"""The command line: options become a Config, a Config runs. Knows click, signals and exit codes."""

import json
import logging
import signal
import sys
import time

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import click

from rk_exporter import __version__
from rk_exporter.api.connection_setup import SetupError
from rk_exporter.api.probe_calls import MOST_CALLS
from rk_exporter.assets import AssetsError
from rk_exporter.cli import check_report as report
from rk_exporter.cli import probe_report
from rk_exporter.cli.assets import assets_command
from rk_exporter.cli.check import check, config_for_check, probe, probed_app
from rk_exporter.cli.lifecycle import call_on_hangup, finish_reload, loader, log_warnings
from rk_exporter.cli.options import Command, configuration_options, given_settings
from rk_exporter.cli.process import exit_without_waiting, prepare, run
from rk_exporter.cli.simulator import demo_command, simulate_command
from rk_exporter.cli.web_config import guarded, web_config_file
from rk_exporter.config.config import Config
from rk_exporter.config.places import place_of
from rk_exporter.config.sources import ConfigError
from rk_exporter.demo.programs import StackError
from rk_exporter.exporter import Exporter
from rk_exporter.exporter.reloader import Reloader, ReloadSteps
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, calls_at_start, one_pass_limit
from rk_exporter.runtime.durations import duration_text
from rk_exporter.runtime.logs import configure, flush
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.state_file import StateFileError
from rk_exporter.web.server import AddressError, bind, serve


logger = logging.getLogger(__name__)
# People at a terminal and cron jobs wait longer than Prometheus.
_ONE_PASS_SECONDS = 60.0
_DISCOVERY_SECONDS = 300.0
_ANNOUNCED_FROM_SECONDS = 5.0
_EXIT_FAILED = 1
# Whether all is fine, the lines for people, and the document for scripts.
_Report = tuple[bool, Iterable[str], dict[str, Any]]


class UsageError(click.ClickException):
    """A configuration error, as click shows it."""

    exit_code = 2


class _Commands(click.Group):
    def invoke(self, ctx: click.Context) -> object:
        """Run a command; click shows the errors of all commands like its own."""
        try:
            return super().invoke(ctx)
        except (ConfigError, SetupError) as error:
            raise UsageError(str(error)) from None
        except StateFileError as error:
            raise UsageError(f"state.file: {error}") from None
        except (AddressError, AssetsError, StackError) as error:
            raise click.ClickException(str(error)) from None
        finally:
            flush()


@click.group(
    cls=_Commands,
    commands=[assets_command, demo_command, simulate_command],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="rk-exporter")
def main() -> None:
    """Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings."""
    if click.get_current_context().invoked_subcommand != "serve":
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


@main.command("serve", cls=Command)
@configuration_options
def serve_command(**_options: object) -> None:
    """Run the exporter."""
    load_again = loader()
    run(_serve(_configured(), load_again))


async def _serve(config: Config, load_again: Callable[[], Config]) -> None:
    web = web_config_file(config)
    others = [web.reload] if web else []
    steps = ReloadSteps(load=load_again, others=others, finish=finish_reload)
    reloader = Reloader(steps, clock=time.time)
    exporter = Exporter(config, reload=reloader.reload)
    exporter.show(ConfigReloadMetrics(reloader))
    async with AsyncExitStack() as bound:
        sockets = [bound.enter_context(bind(address)) for address in config.listen_addresses]
        if web:
            await bound.enter_async_context(web.watched())
            exporter.show(WebConfigMetrics(web))
        serving = guarded(exporter.application, config.max_requests, web)
        listeners = [serving(socket) for socket in sockets]
        for listener in listeners:
            url = f"{listener.url}{config.telemetry_path}"
            logger.info("listening", extra={"address": str(listener.address), "url": url})
        try:
            call_on_hangup(reloader.request)
            async with reloader.running(exporter):
                await serve(listeners)
        finally:
            await exporter.close()
    logger.info("stopped")


@main.command("scrape", cls=Command)
@configuration_options
def scrape_command(**_options: object) -> None:
    """
    Read all meetings once and print the metrics.

    Use it with the textfile collector of node_exporter. The exit code is 1 if an app cannot be
    read. The command prints the metrics in this case too, and they include the failure.

    Each run makes at most a tenth of --api.budget in API calls.
    """
    exporter, snapshot = run(_scrape(_configured()))
    _print(encode(exporter.families(snapshot), Format.TEXT))
    if any(app.up is False for app in snapshot.apps):
        sys.exit(_EXIT_FAILED)


@main.command("check", cls=Command)
@configuration_options
@click.option("--offline", is_flag=True, help="Check only the configuration, without API calls.")
@click.option(
    "--probe",
    "is_probe",
    is_flag=True,
    help=(
        f"Instead, ask the API how it behaves, with at most {MOST_CALLS} calls. The report has no "
        "ids, names and secrets, so you can paste it into an issue."
    ),
)
@click.option(
    "output_format",
    "--format",
    type=click.Choice(["text", "json"]),
    default="text",
    help="Output format: text for people, json for scripts.",
)
def check_command(*, offline: bool, is_probe: bool, output_format: str, **_options: object) -> None:
    """
    Check the configuration, the token and each meeting.

    The exit code is 1 if the token is rejected, or if a meeting does not exist or cannot be read.

    Each run makes at most a tenth of --api.budget in API calls; meetings beyond that are counted.
    The calls add to those of a running exporter and of other runs, because processes do not know of
    each other. If several run for one Cloudflare user, divide --api.budget between them.
    """
    if offline and is_probe:
        raise click.UsageError("--probe makes API calls; leave out --offline")
    try:
        config = _configured()
        web_config_file(config)
    except ConfigError as error:
        if output_format == "json":
            click.echo(json.dumps({"ok": False, "error": str(error)}))
        raise
    if config.log_level != "debug":
        # The report shows the same failures.
        for module in ("app_collector", "discovery", "active_recordings"):
            logging.getLogger(f"rk_exporter.collector.{module}").setLevel(logging.ERROR)
    if is_probe:
        is_fine, lines, document = run(_probe(config))
    elif offline:
        snapshot = Exporter(config, persistent=False).collector.snapshot
        is_fine = True
        lines = report.lines(snapshot, offline=True)
        document = report.document(snapshot, offline=True)
    else:
        is_fine, lines, document = run(_check(config))
    if output_format == "json":
        _print(json.dumps(document, indent=2) + "\n")
    else:
        _print("".join(f"{line}\n" for line in lines))
    if not is_fine:
        sys.exit(_EXIT_FAILED)


def _print(text: str | bytes) -> None:
    """Print bytes as they are, and text in the encoding of the locale, with escapes if need be."""
    if isinstance(text, str):
        text = text.encode(sys.stdout.encoding, "backslashreplace")
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except OSError as error:
        raise click.ClickException(f"cannot write the output: {error.strerror}") from None


def _configured() -> Config:
    """Load the configuration of the current command, and start logging as it says."""
    config = loader()()
    configure(level=config.log_level, form=config.log_format)
    log_warnings(config)
    return config


@asynccontextmanager
async def _opened(
    config: Config, *, persistent: bool = True, one_pass: bool = True
) -> AsyncIterator[Exporter]:
    exporter = Exporter(config, persistent=persistent, one_pass=one_pass)
    try:
        yield exporter
    finally:
        await exporter.close()


async def _scrape(config: Config) -> tuple[Exporter, Snapshot]:
    async with _opened(config) as exporter:
        return exporter, await exporter.collector.scrape(_pass_seconds(exporter, config))


async def _check(config: Config) -> _Report:
    context = click.get_current_context()
    place = partial(
        place_of, config_file=context.params["config_file"], settings=given_settings(context)
    )
    async with _opened(config_for_check(config), persistent=False) as exporter:
        result = await check(exporter, config, _pass_seconds(exporter, config), place)
    shown = result.snapshot, result.existence
    return report.is_fine(*shown), report.lines(*shown), report.document(*shown)


async def _probe(config: Config) -> _Report:
    budget = probed_app(config).budget
    if calls_at_start(budget) < MOST_CALLS:
        seconds = MOST_CALLS * WINDOW_SECONDS / budget
        logger.info("probe takes up to %s, because of the budget", duration_text(seconds))
    async with _opened(config, persistent=False, one_pass=False) as exporter:
        probed = await probe(exporter, config)
    return probed.is_complete, probe_report.lines(probed), probe_report.document(probed)


def _pass_seconds(exporter: Exporter, config: Config) -> float:
    """Return how long a single pass may take, and announce it if that is long."""
    budget_seconds = _budget_seconds(exporter.collector.snapshot, config)
    if budget_seconds > _ANNOUNCED_FROM_SECONDS:
        logger.info(
            "reading each meeting takes up to %s, because of the budget",
            duration_text(budget_seconds),
        )
    seconds = _ONE_PASS_SECONDS + budget_seconds
    if any(app.discover for app in config.apps):
        # The number of live meetings is not known yet.
        seconds += _DISCOVERY_SECONDS
    return seconds


def _budget_seconds(snapshot: Snapshot, config: Config) -> float:
    """Return how long one call per meeting may have to wait for the budget."""
    meetings: Counter[str | None] = Counter()
    limits: dict[str | None, int] = {}
    for shown, app in zip(snapshot.apps, config.apps, strict=True):
        limit = one_pass_limit(app.budget)
        limits[app.budget_group] = min(limit, limits.get(app.budget_group, limit))
        meetings[app.budget_group] += len(shown.readings)
    return max(
        WINDOW_SECONDS * (max(0, meetings[group] - 1) // limit) for group, limit in limits.items()
    )


def entry_point() -> None:
    """Run the command line as a program."""
    prepare()
    exit_without_waiting(main)
