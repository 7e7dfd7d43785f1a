"""The command line: options become a Config, a Config runs. Knows click, signals and exit codes."""

import logging
import os
import signal
import socket
import sys
import time

from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack

import click

from rk_exporter.cli.assets import assets_command
from rk_exporter.cli.check_command import check_command
from rk_exporter.cli.commands import Commands, print_version
from rk_exporter.cli.configured import (
    configured,
    finish_reload,
    loader,
    opened,
    pass_seconds,
)
from rk_exporter.cli.options import Command, configuration_options
from rk_exporter.cli.output import print_all
from rk_exporter.cli.process import accept_signals, exit_without_waiting, prepare, run
from rk_exporter.cli.simulator import demo_command, simulate_command
from rk_exporter.cli.start_log import log_start
from rk_exporter.cli.web_config import guarded, warn_of_clear_text, web_config_file
from rk_exporter.cli.webhooks import log_webhook_listeners, webhook_listeners
from rk_exporter.config.config import Config
from rk_exporter.exporter import Exporter
from rk_exporter.exporter.reloader import Reloader, ReloadSteps
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.exposition import Format, encode
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.runtime.systemd import (
    ServiceManager,
    passed_descriptors,
    passed_sockets,
)
from rk_exporter.snapshot import Snapshot
from rk_exporter.web.server import serve
from rk_exporter.web.sockets import bind


logger = logging.getLogger(__name__)
_EXIT_FAILED = 1
# Commands that run until a signal stops them.
_SERVICES = frozenset({"serve", "demo", "simulate"})


@click.group(
    cls=Commands,
    commands=[assets_command, check_command, demo_command, simulate_command],
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings."""
    command = click.get_current_context().invoked_subcommand
    accept_signals(is_service=command in _SERVICES, reloads=command == "serve")


@main.command("serve", cls=Command)
@configuration_options
def serve_command(**_options: object) -> None:
    """Run the exporter."""
    run(_serve(configured(), loader()))


async def _serve(config: Config, load_again: Callable[[], Config]) -> None:
    web = web_config_file(config)
    manager = ServiceManager(os.environ, pid=os.getpid())
    steps = ReloadSteps(
        load=load_again,
        others=[web.reload] if web else [],
        begin=manager.reloading,
        end=manager.ready,
        finish=finish_reload,
    )
    reloader = Reloader(steps, clock=time.time)
    exporter = Exporter(config, reload=reloader.reload)
    exporter.show(ConfigReloadMetrics(reloader))
    async with AsyncExitStack() as bound:
        bound.callback(manager.close)
        sockets = [bound.enter_context(socket) for socket in _sockets(config)]
        if web:
            await bound.enter_async_context(web.watched())
            exporter.show(WebConfigMetrics(web))
        serving = guarded(exporter.application, lambda: exporter.config.max_requests, web)
        listeners = [serving(socket) for socket in sockets]
        for_webhooks = await bound.enter_async_context(
            webhook_listeners(exporter, config.webhook_address, web)
        )
        # An error before this is the only line.
        log_start(config)
        warn_of_clear_text(web, [listener.address for listener in listeners])
        for listener in listeners:
            url = f"{listener.url}{config.served_prefix}{config.telemetry_path}"
            logger.info("listening", extra={"address": str(listener.address), "url": url})
        log_webhook_listeners(for_webhooks)
        try:
            async with reloader.running(exporter):
                await serve(
                    [*listeners, *for_webhooks],
                    service_manager=manager,
                    signal_handlers={signal.SIGHUP: reloader.request},
                )
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
    ups = [*(app.up for app in snapshot.apps), *(account.up for account in snapshot.accounts)]
    if False in ups:
        sys.exit(_EXIT_FAILED)


async def _scrape(config: Config) -> tuple[Exporter, Snapshot]:
    async with opened(config) as exporter:
        return exporter, await exporter.collector.scrape(pass_seconds(exporter, config))


def entry_point() -> None:
    """Run the command line as a program."""
    prepare()
    exit_without_waiting(main)
