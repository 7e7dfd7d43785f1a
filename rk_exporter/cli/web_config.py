"""The web configuration of a command, and warnings about it."""

import ipaddress
import logging

from collections.abc import Callable, Iterable
from functools import partial
from socket import socket

from rk_exporter.config.config import Config
from rk_exporter.config.parsers import Address
from rk_exporter.config.sources import ConfigError
from rk_exporter.web.guard import Guard
from rk_exporter.web.http import AsgiApplication
from rk_exporter.web.server import Listener
from rk_exporter.web.web_config_file import WebConfigFile


logger = logging.getLogger(__name__)


def web_config_file(config: Config) -> WebConfigFile | None:
    """
    Return the web configuration, and log what an operator should know about it.

    Raises ConfigError.
    """
    if config.web_config_file is None:
        return None
    try:
        file = WebConfigFile(config.web_config_file)
    except ConfigError as error:
        raise ConfigError(f"web.config_file: {error}") from None
    for note in file.config.notes:
        logger.warning("web configuration: %s", note)
    return file


def warn_of_clear_text(file: WebConfigFile | None, addresses: Iterable[Address]) -> None:
    """Log a warning if passwords could be read on their way to one of the *addresses*."""
    exposed = [str(address) for address in addresses if not _is_loopback(address)]
    if file and file.config.users and not file.tls and exposed:
        logger.warning(
            "passwords of basic_auth_users are sent in clear text; add tls_server_config to the "
            "web configuration, or listen on 127.0.0.1 only",
            extra={"addresses": ",".join(exposed)},
        )


def guarded(
    application: AsgiApplication, max_requests: Callable[[], int], file: WebConfigFile | None
) -> Callable[[socket], Listener]:
    """Return a function that serves *application* on a socket, as the web configuration says."""
    if file is None:
        return partial(Listener, application, max_requests=max_requests)
    # One for all sockets, so that they share the rate limit.
    guard = Guard(application, file)
    return partial(
        Listener,
        guard,
        max_requests=max_requests,
        tls=file.tls_source,
        headers=lambda: file.config.headers,
    )


def without_passwords(
    application: AsgiApplication, max_requests: int, file: WebConfigFile | None
) -> Callable[[socket], Listener]:
    """Return a function that serves *application* with TLS as configured, but to everybody."""
    if file is None:
        return partial(Listener, application, max_requests=lambda: max_requests)
    return partial(
        Listener,
        application,
        max_requests=lambda: max_requests,
        tls=file.tls_source,
        headers=lambda: file.config.headers,
    )


def _is_loopback(address: Address) -> bool:
    try:
        return ipaddress.ip_address(address.host).is_loopback
    except ValueError:
        return address.host == "localhost"
