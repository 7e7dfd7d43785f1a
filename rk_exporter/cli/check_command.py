"""The command `check`: it says whether the configuration, the token and each meeting are fine."""

import logging
import os
import sys

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import click

from rk_exporter.api.connection_setup import SetupError
from rk_exporter.api.probe_calls import MOST_CALLS
from rk_exporter.cli import check_report, probe_report
from rk_exporter.cli.check import check, config_for_check, probe, probed_app
from rk_exporter.cli.check_document import (
    check_document,
    error_document,
    offline_document,
    probe_document,
)
from rk_exporter.cli.check_schema import AnyDocument, encoded
from rk_exporter.cli.configured import configured, long_wait_announced, opened, pass_seconds
from rk_exporter.cli.options import Command, configuration_options, given_settings
from rk_exporter.cli.output import print_all
from rk_exporter.cli.process import run
from rk_exporter.cli.progress import progress_line
from rk_exporter.cli.tones import Painter, coloured, plain
from rk_exporter.cli.web_config import warn_of_clear_text, web_config_file
from rk_exporter.cli.webhooks import check_key_file
from rk_exporter.config.config import Config
from rk_exporter.config.places import place_of
from rk_exporter.config.sources import ConfigError
from rk_exporter.exporter import Exporter
from rk_exporter.ratelimit.budget import WINDOW_SECONDS, calls_at_start
from rk_exporter.runtime.durations import duration_text
from rk_exporter.runtime.terminal import has_colours


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Report:
    """The *document* for scripts, and the *lines* for people."""

    document: AnyDocument
    lines: Callable[[Painter], Iterable[str]]


@click.command("check", cls=Command)
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

    The exit code is 0 if all is fine, 1 if the token is rejected or a meeting does not exist or
    cannot be read, and 2 if the configuration cannot be used.

    Each run makes at most a tenth of --api.budget in API calls in any 5 minutes; listed meetings
    beyond that are counted. The calls add to those of a running exporter and of other runs, because
    processes do not know of each other. If several run for one Cloudflare user, divide --api.budget
    between them.

    On a terminal, it uses colours, unless NO_COLOR is set, and shows its progress.
    """
    if offline and is_probe:
        raise click.UsageError("--probe makes API calls; leave out --offline")
    try:
        report = _report(offline=offline, is_probe=is_probe)
    except (ConfigError, SetupError) as error:
        if output_format == "json":
            print_all(encoded(error_document(error)))
        raise
    if output_format == "json":
        print_all(encoded(report.document))
    else:
        paint = coloured if has_colours(sys.stdout, os.environ) else plain
        print_all("".join(f"{line}\n" for line in report.lines(paint)))
    if not report.document.ok:
        sys.exit(report.document.exit_code)


def _report(*, offline: bool, is_probe: bool) -> _Report:
    config = configured()
    addresses = () if config.systemd_socket else config.listen_addresses
    warn_of_clear_text(web_config_file(config), addresses)
    check_key_file(config.webhook_key_file)
    if config.log_level != "debug":
        # The report shows the same failures, and a check has a smaller budget than an exporter.
        for module in (
            "pass_log",
            "waiting_log",
            "discovery",
            "active_recordings",
            "account_reader",
            "read_mode",
        ):
            logging.getLogger(f"rk_exporter.collector.{module}").setLevel(logging.ERROR)
    if is_probe:
        return run(_probe(config))
    return _offline(config) if offline else run(_check(config))


def _offline(config: Config) -> _Report:
    snapshot = Exporter(config, persistent=False).collector.snapshot
    document = offline_document(snapshot)

    def lines(paint: Painter) -> Iterable[str]:
        yield from check_report.lines(snapshot, offline=True, paint=paint)
        yield check_report.summary_line(document.summary, is_fine=True, offline=True, paint=paint)

    return _Report(document, lines)


async def _check(config: Config) -> _Report:
    context = click.get_current_context()
    place = partial(
        place_of, config_file=context.params["config_file"], settings=given_settings(context)
    )
    async with (
        opened(config_for_check(config), persistent=False) as exporter,
        progress_line(sys.stderr, os.environ) as begin,
    ):
        seconds = pass_seconds(exporter, config)
        with long_wait_announced(seconds):
            result = await check(exporter, config, seconds, place, begin=begin)
    document = check_document(result.snapshot, result.existence)

    def lines(paint: Painter) -> Iterable[str]:
        yield from check_report.lines(result.snapshot, result.existence, paint=paint)
        yield check_report.summary_line(document.summary, is_fine=document.ok, paint=paint)

    return _Report(document, lines)


async def _probe(config: Config) -> _Report:
    if not config.apps:
        advice = "leave out --shard" if config.shard else "add one to apps, for example"
        subject = f"shard {config.shard}" if config.shard else "the configuration"
        raise ConfigError(f"{subject} has no app to ask about; {advice}")
    budget = probed_app(config).budget
    if calls_at_start(budget) < MOST_CALLS:
        seconds = MOST_CALLS * WINDOW_SECONDS / budget
        logger.info("probe takes up to %s, because of the budget", duration_text(seconds))
    async with (
        opened(config, persistent=False, one_pass=False) as exporter,
        progress_line(sys.stderr, os.environ) as begin,
    ):
        probed = await probe(exporter, config, begin=begin)
    return _Report(probe_document(probed), lambda paint: probe_report.lines(probed, paint=paint))
