"""How connections to the API are opened: TLS, trusted authorities, and proxies."""

import contextlib
import http.cookiejar
import ipaddress
import os
import ssl

from collections.abc import Callable
from functools import partial
from urllib.request import getproxies_environment, proxy_bypass

import httpx

from rk_exporter.runtime.background_call import bounded_call
from rk_exporter.runtime.files import FileHangs


CONNECT_TIMEOUT_SECONDS = 5.0
# Longer than usual scrape intervals, because a handshake costs more than a call.
KEEPALIVE_SECONDS = 150.0
_DEFAULT_PORTS = {"http": 80, "https": 443}
_HIGHEST_PORT = 65535
# Where Debian, Fedora, SUSE and Alpine keep the authorities that administrators add.
SYSTEM_BUNDLES = (
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
)
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
    context = tls_context() if is_encrypted else _rejecting_context()
    if proxy and proxy.url.scheme == "https":
        proxy.ssl_context = context
    limits = httpx.Limits(max_connections=1, keepalive_expiry=KEEPALIVE_SECONDS)

    def make_client() -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.AsyncHTTPTransport(verify=context, limits=limits, proxy=proxy),
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


def tls_context() -> ssl.SSLContext:
    """
    Return a context that trusts the authorities of this system and those of certifi.

    SSL_CERT_FILE and SSL_CERT_DIR replace both. Raises SetupError.
    """
    file, folders = os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR")
    try:
        if not file and not folders:
            return bounded_call(_system_context)
        if folders and not any(map(os.path.isdir, folders.split(os.pathsep))):
            raise FileNotFoundError("no such folder")
        return bounded_call(
            partial(ssl.create_default_context, cafile=file or None, capath=folders or None)
        )
    except FileHangs as error:
        raise SetupError(f"SSL_CERT_FILE and SSL_CERT_DIR: {error}") from None
    except OSError as error:
        raise SetupError(
            "SSL_CERT_FILE and SSL_CERT_DIR: cannot read certificates "
            f"({error.strerror or error}): correct or unset these variables"
        ) from None


def _system_context() -> ssl.SSLContext:
    context = httpx.create_ssl_context()
    # The paths of OpenSSL differ from the system's if Python brings its own OpenSSL.
    context.load_default_certs()
    for bundle in SYSTEM_BUNDLES:
        # Most of them do not exist. Without all of them, the authorities of certifi remain.
        with contextlib.suppress(OSError):
            context.load_verify_locations(bundle)
    return context


def _proxy(url: httpx.URL) -> httpx.Proxy | None:
    """Return the proxy for *url* that the environment sets. Raises SetupError."""
    proxies = getproxies_environment()
    address = proxies.get(url.scheme) or proxies.get("all")
    if not address or _is_direct(url, proxies.get("no", "")):
        return None
    proxy = _valid_proxy(address)
    if proxy is None:
        # Without the value, because it may contain a password.
        raise SetupError(
            f"{url.scheme.upper()}_PROXY or ALL_PROXY: invalid proxy; expected http://host:port or "
            "https://host:port, with special characters of a password percent-encoded"
        )
    return proxy


def _valid_proxy(address: str) -> httpx.Proxy | None:
    try:
        proxy = httpx.Proxy(address if "://" in address else f"http://{address}")
        return proxy if _is_valid(proxy.url) else None
    except (httpx.InvalidURL, ValueError):
        return None


def _is_valid(proxy_url: httpx.URL) -> bool:
    """Return whether a URL has only the parts of a proxy's; in others, part of a password ended."""
    has_host = bool(proxy_url.host) and "%" not in proxy_url.host
    has_port = proxy_url.port is None or 0 < proxy_url.port <= _HIGHEST_PORT
    is_http = proxy_url.scheme in {"http", "https"}
    return (
        is_http and has_host and has_port and (proxy_url.raw_path, proxy_url.fragment) == (b"/", "")
    )


def _is_direct(url: httpx.URL, no_proxy: str) -> bool:
    """Return whether *url* is on this machine, or excepted by *no_proxy*."""
    port = url.port or _DEFAULT_PORTS.get(url.scheme)
    host = f"[{url.host}]" if ":" in url.host else url.host
    if url.host == "localhost" or proxy_bypass(f"{host}:{port}"):
        return True
    try:
        address = ipaddress.ip_address(url.host)
    except ValueError:
        return False
    networks = map(_network, no_proxy.split(","))
    return address.is_loopback or any(network and address in network for network in networks)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text.strip(), strict=False)
    except ValueError:
        return None
