"""The command `scrape`: it reads all meetings once, for the textfile collector of node_exporter."""

import sys

import click

from rk_exporter.cli.configured import configured, long_wait_announced, opened, pass_seconds
from rk_exporter.cli.options import Command, configuration_options
from rk_exporter.cli.output import print_all
from rk_exporter.cli.process import run
from rk_exporter.config.config import Config
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.snapshot import Snapshot


_EXIT_FAILED = 1


@click.command("scrape", cls=Command)
@configuration_options
def scrape_command(**_options: object) -> None:
    """
    Read all meetings once and print the metrics.

    Use it with the textfile collector of node_exporter. The exit code is 1 if an app cannot be
    read. The command prints the metrics in this case too, and they include the failure.

    Each run makes at most a tenth of --api.budget in API calls in any 5 minutes.
    """
    exporter, snapshot = run(_scrape(configured()))
    print_all(encode(exporter.families(snapshot), Format.TEXT))
    ups = [*(app.up for app in snapshot.apps), *(account.up for account in snapshot.accounts)]
    if False in ups:
        sys.exit(_EXIT_FAILED)


async def _scrape(config: Config) -> tuple[Exporter, Snapshot]:
    async with opened(config) as exporter:
        seconds = pass_seconds(exporter, config)
        with long_wait_announced(seconds):
            return exporter, await exporter.collector.scrape(seconds)
