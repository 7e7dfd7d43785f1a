"""The command line: options become a Config, a Config runs. Knows click, signals and exit codes."""

import logging
import os
import socket
import sys

from collections.abc import Iterator
from contextlib import AsyncExitStack

import click

from rk_exporter import __version__
from rk_exporter.api.connection_setup import SetupError
from rk_exporter.assets import AssetsError
from rk_exporter.cli.assets import assets_command
from rk_exporter.cli.check_command import check_command
from rk_exporter.cli.configured import configured, new_exporter, opened, pass_seconds
from rk_exporter.cli.options import Command, configuration_options
from rk_exporter.cli.output import print_all
from rk_exporter.cli.process import accept_signals, exit_without_waiting, prepare, run
from rk_exporter.cli.simulator import demo_command, simulate_command
from rk_exporter.cli.web_config import guarded, web_config_file
from rk_exporter.config.config import Config
from rk_exporter.config.sources import ConfigError
from rk_exporter.demo.programs import StackError
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.runtime.logs import flush
from rk_exporter.runtime.systemd import (
    ServiceManager,
    SocketError,
    passed_descriptors,
    passed_sockets,
)
from rk_exporter.snapshot import Snapshot
from rk_exporter.tracking.state_file import StateFileError
from rk_exporter.web.server import serve
from rk_exporter.web.sockets import AddressError, bind


logger = logging.getLogger(__name__)
_EXIT_FAILED = 1
# Commands that run until a signal stops them.
_SERVICES = frozenset({"serve", "demo", "simulate"})
# 128 and the number of SIGINT, as shells report it.
_EXIT_INTERRUPTED = 130


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
        except AddressError as error:
            raise click.ClickException(f"{error}; {error.advice}") from None
        except (AssetsError, SocketError, StackError) as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_EXIT_INTERRUPTED)
        finally:
            flush()


@click.group(
    cls=_Commands,
    commands=[assets_command, check_command, demo_command, simulate_command],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.version_option(__version__, prog_name="rk-exporter")
def main() -> None:
    """Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings."""
    command = click.get_current_context().invoked_subcommand
    accept_signals(is_service=command in _SERVICES)


@main.command("serve", cls=Command)
@configuration_options
def serve_command(**_options: object) -> None:
    """Run the exporter."""
    run(_serve(configured()))


async def _serve(config: Config) -> None:
    web = web_config_file(config)
    exporter = new_exporter(config)
    manager = ServiceManager(os.environ, pid=os.getpid())
    async with AsyncExitStack() as bound:
        bound.callback(manager.close)
        sockets = [bound.enter_context(socket) for socket in _sockets(config)]
        if web:
            await bound.enter_async_context(web.watched())
            exporter.show(WebConfigMetrics(web))
        serving = guarded(exporter.application, config.max_requests, web)
        listeners = [serving(socket) for socket in sockets]
        for listener in listeners:
            url = f"{listener.url}{config.served_prefix}{config.telemetry_path}"
            logger.info("listening", extra={"address": str(listener.address), "url": url})
        try:
            await serve(listeners, service_manager=manager)
        finally:
            await exporter.close()
    logger.info("stopped")


def _sockets(config: Config) -> Iterator[socket.socket]:
    """Return the sockets to listen on. Raises AddressError and SocketError."""
    if config.systemd_socket:
        yield from passed_sockets(os.environ, pid=os.getpid())
        return
    if passed_descriptors(os.environ, pid=os.getpid()):
        logger.warning("sockets that systemd passed are not used; set web.systemd_socket")
    yield from map(bind, config.listen_addresses)


@main.command("scrape", cls=Command)
@configuration_options
def scrape_command(**_options: object) -> None:
    """
    Read all meetings once and print the metrics.

    Use it with the textfile collector of node_exporter. The exit code is 1 if an app cannot be
    read. The command prints the metrics in this case too, and they include the failure.

    Each run makes at most a tenth of --api.budget in API calls.
    """
    exporter, snapshot = run(_scrape(configured()))
    print_all(encode(exporter.families(snapshot), Format.TEXT))
    if any(app.up is False for app in snapshot.apps):
        sys.exit(_EXIT_FAILED)


async def _scrape(config: Config) -> tuple[Exporter, Snapshot]:
    async with opened(config) as exporter:
        return exporter, await exporter.collector.scrape(pass_seconds(exporter, config))


def entry_point() -> None:
    """Run the command line as a program."""
    prepare()
    exit_without_waiting(main)
