"""The command `serve`: it runs the exporter until a signal stops it."""

import logging
import os
import signal
import socket
import time

from collections.abc import Callable, Iterable, Iterator
from contextlib import AsyncExitStack

import click

from rk_exporter.cli.configured import configured, finish_reload, loader
from rk_exporter.cli.options import Command, configuration_options
from rk_exporter.cli.process import run
from rk_exporter.cli.start_log import log_start
from rk_exporter.cli.web_config import guarded, warn_of_clear_text, web_config_file
from rk_exporter.cli.webhooks import log_webhook_listeners, webhook_listeners
from rk_exporter.config.config import Config
from rk_exporter.exporter import Exporter
from rk_exporter.exporter.reloader import Reloader, ReloadSteps
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.event_loop import EventLoopMetrics
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.runtime.event_loop_lag import EventLoopLag
from rk_exporter.runtime.systemd import (
    ServiceManager,
    passed_descriptors,
    passed_sockets,
)
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from rk_exporter.web.web_config_file import WebConfigFile


logger = logging.getLogger(__name__)


@click.command("serve", cls=Command)
@configuration_options
def serve_command(**_options: object) -> None:
    """Run the exporter."""
    run(_serve(configured(), loader()))


async def _serve(config: Config, load_again: Callable[[], Config]) -> None:
    web = web_config_file(config)
    manager = ServiceManager(os.environ, pid=os.getpid())
    reloader = _reloader(web, manager, load_again)
    exporter = Exporter(config, reload=reloader.reload)
    exporter.show(ConfigReloadMetrics(reloader))
    lag = EventLoopLag()
    exporter.show(EventLoopMetrics(lag))
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
        _log_listeners(listeners, config)
        log_webhook_listeners(for_webhooks)
        try:
            async with reloader.running(exporter), lag.measured():
                await serve(
                    [*listeners, *for_webhooks],
                    service_manager=manager,
                    signal_handlers={signal.SIGHUP: reloader.request},
                )
        finally:
            await exporter.close()
    logger.info("stopped")


def _reloader(
    web: WebConfigFile | None, manager: ServiceManager, load_again: Callable[[], Config]
) -> Reloader:
    steps = ReloadSteps(
        load=load_again,
        others=[web.reload] if web else [],
        begin=manager.reloading,
        end=manager.ready,
        finish=finish_reload,
    )
    return Reloader(steps, clock=time.time)


def _log_listeners(listeners: Iterable[Listener], config: Config) -> None:
    for listener in listeners:
        url = f"{listener.url}{config.served_prefix}{config.telemetry_path}"
        logger.info("listening", extra={"address": str(listener.address), "url": url})


def _sockets(config: Config) -> Iterator[socket.socket]:
    """Return the sockets to listen on. Raises AddressError and SocketError."""
    if config.systemd_socket:
        yield from passed_sockets(os.environ, pid=os.getpid())
        return
    if passed_descriptors(os.environ, pid=os.getpid()):
        logger.warning("sockets that systemd passed are not used; set web.systemd_socket")
    yield from map(bind, config.listen_addresses)
