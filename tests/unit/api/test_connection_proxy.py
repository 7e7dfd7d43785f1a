"""Calls through the proxies that the environment sets."""

import asyncio
import logging
import os
import socket
import ssl

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import pytest
import trustme

from rk_exporter.api import connection_setup
from rk_exporter.api.connection_setup import SetupError, client_factory
from rk_exporter.model.errors import ApiError
from rk_exporter.model.failure import Reason
from tests.support.api_client import (
    MEETING,
    NOTHING,
    SHORT_SECONDS,
    TOKEN,
    Client,
    client_of,
)
from tests.support.fault_server import FaultServer, answer, server_context
from tests.support.proxy import Proxy


AUTHORITY = trustme.CA()
USER, PASSWORD = "exporter-user", "canary-p%40ss-91c2"
PLAIN, ENCRYPTED = "http://api.test", "https://api.test"
VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


def trusted(*hosts: str) -> ssl.SSLContext:
    """Return the context of a server that clients trust."""
    return server_context(AUTHORITY.issue_cert(*hosts))


@pytest.fixture(autouse=True)
def environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> pytest.MonkeyPatch:
    """Trust one authority, and use no proxy yet."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    path = tmp_path_factory.mktemp("tls") / "authority.pem"
    AUTHORITY.cert_pem.write_to_path(path)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    return monkeypatch


@dataclass(frozen=True, slots=True)
class Route:
    """An API behind a proxy."""

    server: FaultServer
    proxy: Proxy
    environment: pytest.MonkeyPatch

    def use_proxy(self, variable: str, scheme: str = "http", user: str = "") -> None:
        """Set the *variable* to the URL of the proxy."""
        self.environment.setenv(variable, f"{scheme}://{user}{self.proxy.address}")

    async def call(self, base_url: str) -> None:
        """Make two calls that succeed."""
        async with client_of(base_url) as client:
            assert await client.call() == NOTHING
            assert await client.call() == NOTHING
            assert client.observer.failures == []

    async def failure(self, base_url: str, seconds: float = 20.0) -> ApiError:
        """Return the error of a call."""
        async with client_of(base_url) as client:
            return await client.failure(seconds)


def with_route(
    test: Callable[[Route], Awaitable[None]],
    environment: pytest.MonkeyPatch,
    proxy: Proxy | None = None,
    *,
    encrypted: bool = True,
    proxy_context: ssl.SSLContext | None = None,
) -> None:
    """Run *test* with an API, and with a *proxy* in front of it."""

    async def run() -> None:
        server, used = FaultServer(), proxy or Proxy()
        server.script(MEETING, answer())
        async with (
            server.running(trusted("api.test", "127.0.0.1") if encrypted else None),
            used.running(server.port, proxy_context),
        ):
            await test(Route(server, used, environment))

    asyncio.run(run())


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"])
def test_tunnel(variable: str, environment: pytest.MonkeyPatch) -> None:
    """Calls to an https URL go through a tunnel, which is kept; the proxy never sees the token."""

    async def test(route: Route) -> None:
        route.use_proxy(variable)
        await route.call(ENCRYPTED)
        (request,) = route.proxy.requests
        assert (request.method, request.target) == ("CONNECT", "api.test:443")
        assert TOKEN not in str(request)
        assert len(route.server.requests) == 2
        assert route.server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"
        assert route.server.connections == 1

    with_route(test, environment)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_forwarding(variable: str, environment: pytest.MonkeyPatch) -> None:
    """Calls to an http URL are forwarded by the proxy."""

    async def test(route: Route) -> None:
        route.use_proxy(variable)
        await route.call(PLAIN)
        assert route.proxy.requests[0].method == "GET"
        assert route.proxy.requests[0].target.startswith(f"{PLAIN}/client/v4/")

    with_route(test, environment, encrypted=False)


def test_encrypted_proxy(environment: pytest.MonkeyPatch) -> None:
    """The connection to the proxy may be encrypted as well."""

    async def test(route: Route) -> None:
        route.use_proxy("HTTPS_PROXY", scheme="https")
        await route.call(ENCRYPTED)
        assert len(route.proxy.requests) == 1

    with_route(test, environment, proxy_context=trusted("127.0.0.1"))


def test_encrypted_proxy_of_a_plain_api(environment: pytest.MonkeyPatch) -> None:
    """The certificate of the proxy is checked even if the API has none."""

    async def test(route: Route) -> None:
        route.use_proxy("HTTP_PROXY", scheme="https")
        await route.call(PLAIN)
        assert len(route.proxy.requests) > 0

    context = trusted("127.0.0.1")
    with_route(test, environment, encrypted=False, proxy_context=context)


def test_encrypted_proxy_of_a_company(environment: pytest.MonkeyPatch) -> None:
    """The proxy's authority may be one that administrators have added to the system's."""
    bundles = (os.environ["SSL_CERT_FILE"],)
    environment.setattr(connection_setup, "SYSTEM_BUNDLES", bundles)
    environment.delenv("SSL_CERT_FILE")

    async def test(route: Route) -> None:
        route.use_proxy("HTTPS_PROXY", scheme="https")
        await route.call(ENCRYPTED)

    with_route(test, environment, proxy_context=trusted("127.0.0.1"))


def test_address_without_a_scheme(environment: pytest.MonkeyPatch) -> None:
    """A proxy is an HTTP proxy unless its URL says otherwise, as for curl."""

    async def test(route: Route) -> None:
        environment.setenv("HTTPS_PROXY", route.proxy.address)
        await route.call(ENCRYPTED)
        assert len(route.proxy.requests) == 1

    with_route(test, environment)


@pytest.mark.parametrize("base_url", [PLAIN, ENCRYPTED])
def test_credentials(base_url: str, environment: pytest.MonkeyPatch) -> None:
    """The user name and the password in the URL are sent to the proxy only."""

    async def test(route: Route) -> None:
        route.use_proxy("ALL_PROXY", user=f"{USER}:{PASSWORD}@")
        await route.call(base_url)
        assert len(route.proxy.requests) > 0
        if base_url == ENCRYPTED:
            assert "proxy-authorization" not in route.server.requests[0].headers

    with_route(
        test,
        environment,
        Proxy(credentials=f"{USER}:canary-p@ss-91c2"),
        encrypted=base_url == ENCRYPTED,
    )


@pytest.mark.parametrize("base_url", [PLAIN, ENCRYPTED])
@pytest.mark.parametrize("user", ["", f"{USER}:wrong@", f"{USER}@"])
def test_wrong_credentials(base_url: str, user: str, environment: pytest.MonkeyPatch) -> None:
    """If the proxy expects other credentials, the error says so."""

    async def test(route: Route) -> None:
        route.use_proxy("ALL_PROXY", user=user)
        error = await route.failure(base_url)
        assert error.reason is Reason.CONNECT
        assert str(error) == (
            "no connection to the API "
            "(the proxy rejected the user name or the password in its URL, or expects them)"
        )
        assert route.server.requests == []

    with_route(
        test, environment, Proxy(credentials=f"{USER}:right"), encrypted=base_url == ENCRYPTED
    )


def test_proxy_is_down(environment: pytest.MonkeyPatch) -> None:
    """The error says that it is the proxy that refuses connections."""

    async def run() -> None:
        # Bound but not listening, so that no other program can use the port.
        with socket.socket() as idle:
            idle.bind(("127.0.0.1", 0))
            environment.setenv("HTTPS_PROXY", f"http://127.0.0.1:{idle.getsockname()[1]}")
            async with client_of(ENCRYPTED) as client:
                error = await client.failure()
        assert error.reason is Reason.CONNECT
        assert str(error) == "no connection to the proxy (Connection refused)"

    asyncio.run(run())


@pytest.mark.parametrize(
    ("refusal", "reason", "explanation"),
    [
        (
            b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
            Reason.CONNECT,
            "no connection to the API (the proxy answered 502)",
        ),
        (
            b"HTTP/1.1 403 " + PASSWORD.encode() + b"\r\nContent-Length: 0\r\n\r\n",
            Reason.CONNECT,
            "no connection to the API (the proxy answered 403)",
        ),
        (b"garbage\r\n\r\n", Reason.INVALID_RESPONSE, "the proxy's answer is not complete HTTP"),
        (
            b"HTTP/1.1 200 OK\r\n\r\n",
            Reason.TIMEOUT,
            "the API did not answer in time",
        ),
        (
            b"HTTP/1.1 200 OK\r\n\r\nbytes behind the answer",
            Reason.TIMEOUT,
            "the API did not answer in time",
        ),
        (b"", Reason.TIMEOUT, "the API did not answer in time"),
    ],
)
def test_refusals(
    refusal: bytes, reason: Reason, explanation: str, environment: pytest.MonkeyPatch
) -> None:
    """Whatever the proxy answers, the error says what is wrong, and no connection is left."""

    async def test(route: Route) -> None:
        route.use_proxy("HTTPS_PROXY")
        error = await route.failure(ENCRYPTED, SHORT_SECONDS if reason is Reason.TIMEOUT else 20.0)
        assert (error.reason, str(error)) == (reason, explanation)
        await route.proxy.until_idle()

    with_route(test, environment, Proxy(refusal=refusal))


def test_untrusted_server_behind_a_proxy(environment: pytest.MonkeyPatch) -> None:
    """A tunnel does not weaken the check of the API's certificate."""

    async def test(route: Route) -> None:
        route.use_proxy("HTTPS_PROXY")
        error = await route.failure("https://other.test")
        assert error.reason is Reason.TLS
        assert str(error).startswith("no trusted connection to the API (certificate: Hostname")
        assert route.server.requests == []

    with_route(test, environment)


@pytest.mark.parametrize(
    ("no_proxy", "base_url"),
    [
        ("127.0.0.9", "http://127.0.0.9"),
        ("api.test", ENCRYPTED),
        (".test", ENCRYPTED),
        ("test", ENCRYPTED),
        ("*", ENCRYPTED),
        ("other.test, api.test:443", f"{ENCRYPTED}:443"),
        ("api.test:443", ENCRYPTED),
        ("api.test:80", PLAIN),
        ("api.test:8080", f"{PLAIN}:8080"),
        ("[fd00::1]:8080", "http://[fd00::1]:8080"),
        ("10.0.0.0/8,192.168.0.0/16", "http://10.1.2.3:8080"),
        ("fd00::/8", "http://[fd00::1]:8080"),
        ("10.9.9.9/8", "http://10.1.2.3"),
        ("", "http://localhost:8080"),
        ("", "http://127.0.0.1:8080"),
        ("", "http://127.8.9.10"),
        ("", "http://[::1]:8080"),
    ],
)
@pytest.mark.parametrize("lower", [False, True])
def test_direct(
    no_proxy: str, base_url: str, *, lower: bool, environment: pytest.MonkeyPatch
) -> None:
    """Hosts that NO_PROXY names, and this machine, are called directly."""
    environment.setenv("ALL_PROXY", "http://proxy.test:3128")
    environment.setenv("no_proxy" if lower else "NO_PROXY", no_proxy)
    assert proxy_of(base_url) is None


@pytest.mark.parametrize(
    ("no_proxy", "base_url"),
    [
        ("other.test", ENCRYPTED),
        ("pi.test", ENCRYPTED),
        ("api.test.example", ENCRYPTED),
        ("api.test:80", ENCRYPTED),
        ("api.test:443", f"{ENCRYPTED}:8443"),
        ("11.0.0.0/8,nonsense/8,", "http://10.1.2.3:8080"),
        ("", "http://localhost.example"),
    ],
)
def test_not_direct(no_proxy: str, base_url: str, environment: pytest.MonkeyPatch) -> None:
    """All other hosts are called through the proxy."""
    environment.setenv("ALL_PROXY", "http://proxy.test:3128")
    environment.setenv("NO_PROXY", no_proxy)
    assert proxy_of(base_url) == b"proxy.test"


def proxy_of(base_url: str) -> bytes | None:
    """Return the host of the proxy for *base_url*."""
    pool = client_factory(base_url)()._transport._pool  # type: ignore[attr-defined] # noqa: SLF001
    return pool._proxy_url.host if hasattr(pool, "_proxy_url") else None  # noqa: SLF001


def test_other_scheme(environment: pytest.MonkeyPatch) -> None:
    """HTTP_PROXY is for http URLs, HTTPS_PROXY for https URLs, whatever the proxy speaks."""
    environment.setenv("HTTP_PROXY", "http://proxy.test:3128")
    assert proxy_of(ENCRYPTED) is None
    environment.setenv("HTTPS_PROXY", "http://other-proxy.test:3128")
    assert (proxy_of(PLAIN), proxy_of(ENCRYPTED)) == (b"proxy.test", b"other-proxy.test")
    environment.setenv("https_proxy", "")
    assert proxy_of(ENCRYPTED) is None


@pytest.mark.parametrize(
    "address",
    [
        f"socks5://{USER}:{PASSWORD}@proxy.test:1080",
        f"ftp://{USER}:{PASSWORD}@proxy.test",
        f"http://{USER}:{PASSWORD}@",
        f"http://{USER}:{PASSWORD}@[proxy",
        f"http://{USER}:{PASSWORD}@proxy.test:port",
        f"http://{USER}:{PASSWORD}@proxy.test:99999999",
        f"http://{USER}:{PASSWORD}\x07@proxy.test",
        f"http://{USER}:{PASSWORD}/@proxy.test",
        f"http://{USER}:1/{PASSWORD}@proxy.test",
        f"http://{USER}:1?{PASSWORD}@proxy.test",
        f"http://{USER}:1#{PASSWORD}@proxy.test",
        f"{USER}:{PASSWORD}@proxy test",
        f"http://{USER}:{PASSWORD}@proxy.test:0",
        f"http://{USER}:{PASSWORD}@proxy.test:65536",
        f"http://{USER}:{PASSWORD}@proxy%2e.test",
        "http://",
    ],
)
def test_invalid_proxy(address: str, environment: pytest.MonkeyPatch) -> None:
    """The error for an invalid proxy names the variable, and shows nothing of its value."""
    environment.setenv("HTTPS_PROXY", address)
    with pytest.raises(SetupError) as caught:
        client_factory(ENCRYPTED)
    assert str(caught.value) == (
        "HTTPS_PROXY or ALL_PROXY: invalid proxy; expected http://host:port or https://host:port, "
        "with special characters of a password percent-encoded"
    )
    assert caught.value.__suppress_context__ or caught.value.__context__ is None


@pytest.mark.parametrize("port", [1, 65535])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_valid_proxy(scheme: str, port: int, environment: pytest.MonkeyPatch) -> None:
    """A proxy may have any port, and may be encrypted."""
    environment.setenv("HTTPS_PROXY", f"{scheme}://{USER}:{PASSWORD}@proxy.test:{port}/")
    assert proxy_of(ENCRYPTED) == b"proxy.test"


def test_invalid_proxy_for_http(environment: pytest.MonkeyPatch) -> None:
    """The error names the variable for the scheme of the API."""
    environment.setenv("HTTP_PROXY", "nonsense://")
    with pytest.raises(SetupError, match=r"^HTTP_PROXY or ALL_PROXY: invalid proxy; "):
        client_factory(PLAIN)


@pytest.mark.parametrize("credentials", [f"{USER}:{PASSWORD}", "a:b"])
@pytest.mark.parametrize("base_url", [PLAIN, ENCRYPTED])
def test_credentials_are_never_shown(
    base_url: str,
    credentials: str,
    environment: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Neither logs, even of libraries, nor errors, nor reprs show the proxy's credentials."""
    for name in (None, "httpx", "httpcore", "asyncio"):
        caplog.set_level(logging.DEBUG, name)
    secrets = [PASSWORD, "canary-p@ss-91c2", USER, "ZXhwb3J0ZXItdXNlcj", TOKEN]

    async def test(route: Route) -> None:
        route.use_proxy("ALL_PROXY", user=f"{USER}:{PASSWORD}@")
        shown = []
        async with client_of(base_url) as client:
            for _ in range(2):
                try:
                    await client.call()
                except ApiError as error:
                    shown += [str(error), repr(error), repr(error.failure)]
        shown += [repr(client_factory(base_url)), repr(client_factory(base_url)())]
        shown += [record.getMessage() for record in caplog.records]
        assert len(shown) > 10
        assert [text for text in shown for secret in secrets if secret in text] == []

    proxy = Proxy(credentials=credentials.replace("%40", "@"))
    with_route(test, environment, proxy, encrypted=base_url == ENCRYPTED)


def test_netrc_is_not_used(
    environment: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A .netrc with a password for the API's host does not replace the token."""
    netrc = tmp_path_factory.mktemp("home") / ".netrc"
    netrc.write_text("machine api.test login x password y\n")
    environment.setenv("NETRC", str(netrc))
    environment.setenv("HOME", str(netrc.parent))

    async def test(route: Route) -> None:
        route.use_proxy("HTTPS_PROXY")
        await route.call(ENCRYPTED)
        assert route.server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"

    with_route(test, environment)


def test_many_calls_are_cut_off(environment: pytest.MonkeyPatch) -> None:
    """However early a call through a proxy ends, no connection to the proxy is left."""

    async def test(route: Route) -> None:
        route.use_proxy("HTTPS_PROXY")
        client = Client(ENCRYPTED)
        for number in range(60):
            call = asyncio.ensure_future(client.call())
            await asyncio.wait({call}, timeout=number / 4000)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
        assert await client.call() == NOTHING
        await client.api.close()
        await route.proxy.until_idle()

    with_route(test, environment)
