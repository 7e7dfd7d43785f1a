"""How connections to the API are opened: TLS, trusted authorities, and proxies."""

import http.cookiejar
import ipaddress
import os
import ssl

from collections.abc import Callable
from functools import partial
from urllib.request import getproxies_environment, proxy_bypass

import httpx


CONNECT_TIMEOUT_SECONDS = 5.0
# Longer than usual scrape intervals, because a handshake costs more than a call.
KEEPALIVE_SECONDS = 150.0
ClientFactory = Callable[[], httpx.AsyncClient]


class SetupError(Exception):
    """Connections to the API cannot be set up on this machine; the message says why."""


class _NoCookies(http.cookiejar.CookieJar):
    """Keeps no cookies: nothing needs them, and handling them costs as much CPU as parsing."""

    def extract_cookies(self, response: object, request: object) -> None:
        """Ignore all cookies."""


async def _forget_location(response: httpx.Response) -> None:
    """Remove the Location header, because httpx always parses it and some values raise."""
    response.headers.pop("Location", None)


def client_factory(base_url: str) -> ClientFactory:
    """
    Return a factory of clients for *base_url*, with one connection each.

    The clients share one TLS context, because creating one takes 50 ms. Raises SetupError.
    """
    try:
        url = httpx.URL(base_url)
        _ = url.host  # decodes the host
    except (httpx.InvalidURL, UnicodeError):
        raise SetupError("api.base_url: invalid host name") from None
    proxy = _proxy(url)
    is_encrypted = url.scheme == "https" or (proxy and proxy.url.scheme == "https")
    context = _tls_context() if is_encrypted else _rejecting_context()
    if proxy and proxy.url.scheme == "https":
        proxy.ssl_context = context
    limits = httpx.Limits(
        max_connections=1, max_keepalive_connections=1, keepalive_expiry=KEEPALIVE_SECONDS
    )

    def make_client() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(
                verify=context, limits=limits, proxy=proxy, trust_env=False
            ),
            # Callers set the deadline of a call; only connecting has its own timeout.
            timeout=httpx.Timeout(None, connect=CONNECT_TIMEOUT_SECONDS),
            # A .netrc would replace the token.
            trust_env=False,
            cookies=_NoCookies(),
            event_hooks={"response": [_forget_location]},
        )

    return make_client


def _rejecting_context() -> ssl.SSLContext:
    """Return a context without authorities: if it is ever used, it rejects all servers."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _tls_context() -> ssl.SSLContext:
    """
    Return a context that trusts the authorities of this system and those of certifi.

    SSL_CERT_FILE and SSL_CERT_DIR replace both.
    """
    file, folder = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    if not file and not folder:
        context = httpx.create_ssl_context(trust_env=False)
        context.load_default_certs()
        return context
    try:
        return ssl.create_default_context(cafile=file or None, capath=folder or None)
    except OSError as error:
        raise SetupError(
            "SSL_CERT_FILE and SSL_CERT_DIR: cannot read certificates "
            f"({error.strerror or error}): correct or unset these variables"
        ) from None


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy for *url* that the environment sets. Messages never show its password."""
    proxies = getproxies_environment()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or _is_direct(url, proxies):
        return None
    hint = f"{url.scheme.upper()}_PROXY: invalid proxy; expected http://host:port"
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
        has_host = bool(proxy.url.host)
    except (httpx.InvalidURL, UnicodeError, ValueError):
        raise SetupError(hint) from None
    if not has_host or proxy.url.scheme not in {"http", "https"}:
        raise SetupError(hint)
    return proxy


def _is_direct(url: httpx.URL, proxies: dict[str, str]) -> bool:
    """Return whether *url* is on this machine, or excepted by NO_PROXY."""
    if url.host == "localhost" or proxy_bypass(url.netloc.decode()):
        return True
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return False
    return address.is_loopback or any(
        map(partial(_contains, address), proxies.get("no", "").split(","))
    )


def _contains(address: ipaddress.IPv4Address | ipaddress.IPv6Address, network: str) -> bool:
    try:
        return address in ipaddress.ip_network(network.strip(), strict=False)
    except ValueError:
        return False
