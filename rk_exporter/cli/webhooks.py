"""The listener for webhooks of the command `serve`."""

import logging

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from rk_exporter.cli.web_config import without_passwords
from rk_exporter.config.parsers import Address
from rk_exporter.exporter import Exporter
from rk_exporter.web.http import WEBHOOK_PATH
from rk_exporter.web.server import Listener
from rk_exporter.web.sockets import bind
from rk_exporter.web.web_config_file import WebConfigFile


logger = logging.getLogger(__name__)


@asynccontextmanager
async def webhook_listeners(
    exporter: Exporter, address: Address | None, file: WebConfigFile | None
) -> AsyncIterator[list[Listener]]:
    """
    Return what listens for webhooks: nothing if there is no *address*.

    Raises AddressError, ConfigError and SetupError.
    """
    if address is None:
        yield []
        return
    # Not above, because they take time and memory, and need a package that is optional.
    from rk_exporter.exporter.webhooks import Webhooks  # noqa: PLC0415
    from rk_exporter.webhooks.application import MAX_REQUESTS  # noqa: PLC0415

    webhooks = Webhooks(exporter)
    exporter.show(webhooks.metrics)
    with bind(address) as socket:
        async with webhooks.running():
            yield [without_passwords(webhooks.application, MAX_REQUESTS, file)(socket)]


def check_key_file(path: Path | None) -> None:
    """Raise ConfigError if there is no public key in the file at *path*."""
    if path is not None:
        # Not above, as in `webhook_listeners`.
        from rk_exporter.exporter.webhooks import key_file  # noqa: PLC0415

        key_file(path)


def log_webhook_listeners(listeners: Iterable[Listener]) -> None:
    """Log where events are received."""
    for listener in listeners:
        logger.info(
            "listening for webhooks",
            extra={"address": str(listener.address), "url": f"{listener.url}{WEBHOOK_PATH}"},
        )
