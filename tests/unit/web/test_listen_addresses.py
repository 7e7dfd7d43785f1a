"""The addresses on which the server listens."""

import socket
import threading

import pytest

from rk_exporter.config.parsers import Address
from rk_exporter.runtime.background_call import late_calls
from rk_exporter.web import sockets
from rk_exporter.web.server import Listener
from rk_exporter.web.sockets import AddressError, bind
from tests.support.exporter_process import eventually
from tests.support.running_server import (
    TIMEOUT_SECONDS,
    Application,
)


def has_ipv6() -> bool:
    """Return whether this machine has an IPv6 loopback."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def reach(listening: socket.socket, host: str) -> None:
    """Connect to the socket at *host*."""
    port = listening.getsockname()[1]
    socket.create_connection((host, port), timeout=TIMEOUT_SECONDS).close()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_bind_ipv4(host: str) -> None:
    """The server listens on an IPv4 host, and the URL reaches it."""
    with bind(Address(host, 0)) as listening:
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://127.0.0.1:{port}"
        reach(listening, "127.0.0.1")


@needs_ipv6
def test_bind_ipv6() -> None:
    """The server listens on an IPv6 host, and the URL reaches it."""
    with bind(Address("::1", 0)) as listening:
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://[::1]:{port}"
        reach(listening, "::1")


@needs_ipv6
@pytest.mark.parametrize("host", ["", "::"])
def test_bind_both(host: str) -> None:
    """The empty host and `::` accept both protocols."""
    with bind(Address(host, 0)) as listening:
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://127.0.0.1:{port}"
        reach(listening, "127.0.0.1")
        reach(listening, "::1")


def test_bind_every_ipv4_address() -> None:
    """A server on 0.0.0.0 can be reached at the loopback."""
    with bind(Address("0.0.0.0", 0)) as listening:  # noqa: S104 # the address under test
        port = listening.getsockname()[1]
        assert Listener(Application(), listening).url == f"http://127.0.0.1:{port}"
        reach(listening, "127.0.0.1")


def test_port_in_use() -> None:
    """A port in use gives one line of error."""
    with bind(Address("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError) as caught:
            bind(Address("127.0.0.1", port))
    assert str(caught.value) == f"cannot listen on 127.0.0.1:{port}: Address already in use"


@needs_ipv6
def test_port_in_use_ipv6() -> None:
    """An error shows an IPv6 address in brackets."""
    with bind(Address("::1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressError) as caught:
            bind(Address("::1", port))
    assert str(caught.value) == f"cannot listen on [::1]:{port}: Address already in use"


@pytest.mark.parametrize("host", ["192.0.2.1", "a..b", f"{'a' * 64}.example", "1:2:3"])
def test_bad_address(host: str) -> None:
    """An invalid or foreign address gives one line of error."""
    with pytest.raises(AddressError) as caught:
        bind(Address(host, 10058))
    assert str(caught.value).startswith("cannot listen on ")
    assert "\n" not in str(caught.value)
    assert "while attempting" not in str(caught.value)


def addresses_of(monkeypatch: pytest.MonkeyPatch, *hosts: str) -> None:
    """Let each name have the addresses *hosts*."""

    def look_up(_host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        return [(None, None, None, "", (host, port)) for host in hosts]

    monkeypatch.setattr(socket, "getaddrinfo", look_up)


@needs_ipv6
@pytest.mark.parametrize(
    ("hosts", "expected"),
    [
        (("::1", "127.0.0.1"), "127.0.0.1"),
        (("::1",), "::1"),
        (("127.0.0.2", "127.0.0.1"), "127.0.0.2"),
    ],
)
def test_name_with_several_addresses(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], expected: str
) -> None:
    """Of a name's addresses the first one for IPv4 is used, or else the first one for IPv6."""
    addresses_of(monkeypatch, *hosts)
    with bind(Address("some.host", 0)) as listening:
        assert expected == listening.getsockname()[0]


def test_look_up_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A look-up that hangs is an error after a bounded time."""
    released, earlier = threading.Event(), late_calls()
    monkeypatch.setattr(sockets, "_MAX_LOOKUP_SECONDS", 0.01)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: released.wait())
    with pytest.raises(AddressError, match="the look-up of the host name takes longer") as caught:
        bind(Address("some.host", 1))
    assert "correct the host name, or write an IP address" == caught.value.advice
    # A metric counts the calls of the whole process that hang, so it must end with this test.
    released.set()
    eventually(lambda: late_calls() <= earlier)


@pytest.mark.parametrize("host", ["", "127.0.0.1", "127.1.2.3"])
def test_no_look_up_of_numbers(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    """An IP address needs no resolver."""

    def fail(*_: object, **__: object) -> None:
        raise AssertionError("a look-up")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    bind(Address(host, 0)).close()
