"""The sockets on which servers listen."""

import errno
import ipaddress
import socket

from functools import partial

from rk_exporter.config.parsers import Address
from rk_exporter.runtime.background_call import bounded_call
from rk_exporter.runtime.files import FileHangs


BACKLOG = 64
_MAX_LOOKUP_SECONDS = 5.0
_ADVICE = {
    errno.EADDRINUSE: "stop the process that uses it, or choose another address",
    errno.EADDRNOTAVAIL: "choose an address of this machine, or all with :{port}",
    errno.EACCES: "ports below 1024 need the capability CAP_NET_BIND_SERVICE; choose another port",
    errno.EAFNOSUPPORT: "this machine has no IPv6; choose an IPv4 address",
}
_OTHER_HOST = "correct the host name, or write an IP address"


class AddressError(Exception):
    """The server cannot listen on *address*; *advice* says what to do."""

    def __init__(self, address: Address, reason: str, advice: str) -> None:
        super().__init__(f"cannot listen on {address}: {reason}")
        self.address = address
        self.advice = advice


def bind(address: Address) -> socket.socket:
    """
    Return a socket that listens on *address*.

    Raises AddressError.
    """
    host, port = address.host, address.port
    dual_stack = (not host or ":" in host) and socket.has_dualstack_ipv6()
    try:
        if host and not _is_ip_address(host):
            host = _look_up(address)
        family = socket.AF_INET6 if ":" in host or dual_stack else socket.AF_INET
        listening = socket.create_server(
            (host, port), family=family, dualstack_ipv6=dual_stack, backlog=BACKLOG
        )
    except OSError as error:
        # The standard library appends "(while attempting to bind on address …)".
        reason = (error.strerror or str(error)).partition(" (while")[0]
        advice = _ADVICE.get(error.errno or 0, "choose another address").format(port=port)
        raise AddressError(address, reason, advice) from None
    without_delay(listening)
    return listening


def without_delay(listening: socket.socket) -> None:
    """
    Let the connections of a socket send without delay.

    asyncio does not set this for the connections of a socket that it did not make. With Nagle's
    algorithm a response in two pieces takes 40 ms longer.
    """
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def _is_ip_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _look_up(address: Address) -> str:
    """
    Return the IP address of the host, of the first kind that the host has: IPv4, then IPv6.

    A resolver may hang for minutes. Raises AddressError.
    """
    look_up = partial(socket.getaddrinfo, address.host, address.port, type=socket.SOCK_STREAM)
    try:
        found = bounded_call(look_up, max_wait_seconds=_MAX_LOOKUP_SECONDS)
    except FileHangs:
        reason = f"the look-up of the host name takes longer than {_MAX_LOOKUP_SECONDS:.0f} s"
    except socket.gaierror as error:
        reason = error.strerror or str(error)
    except UnicodeError:
        reason = "invalid host name"
    else:
        hosts = [str(place[0]) for _, _, _, _, place in found]
        return min(hosts, key=lambda host: ":" in host)
    raise AddressError(address, reason, _OTHER_HOST)
