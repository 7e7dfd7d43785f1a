"""Parsers for the options of the web server: the addresses and URLs at which it is reached."""

import ipaddress
import re

from collections.abc import Sequence
from itertools import chain, combinations
from urllib.parse import urlsplit

from rk_exporter.config.parsers import Address, numbered, parse_address, parse_items
from rk_exporter.config.yaml_document import PlainValue


_ALL_ADDRESSES = frozenset({"", "::"})
_ALL_IPV4_ADDRESSES = "0.0.0.0"  # noqa: S104 # recognised, not bound
_SEGMENT = re.compile(r"[A-Za-z0-9._~-]*[A-Za-z0-9_~-][A-Za-z0-9._~-]*")
_PREFIX_EXAMPLE = "write e.g. /rk-exporter, or / for no prefix"
_URL_EXAMPLE = "must be a URL, e.g. https://monitoring.example/rk-exporter, or only its path"


def parse_addresses(value: str | Sequence[PlainValue]) -> tuple[Address, ...]:
    """Return the addresses in a list, or in texts that commas separate; none of them twice."""
    items = [("", value)] if isinstance(value, str) else numbered(value)
    if not items:
        raise ValueError("expected at least one address, e.g. :10058")
    addresses = tuple(chain.from_iterable(parse_items(items, _parse_item)))
    for first, second in combinations(addresses, 2):
        _require_distinct(first, second)
    return addresses


def _parse_item(item: PlainValue) -> list[Address]:
    if not isinstance(item, str):
        raise ValueError("expected an address, e.g. 127.0.0.1:10058")  # noqa: TRY004 # a mistake of the user
    return [parse_address(part.strip()) for part in item.split(",")]


def _require_distinct(first: Address, second: Address) -> None:
    """Raise ValueError if both addresses cannot be listened on at the same time."""
    # Each port 0 is another free port.
    if first.port != second.port or first.port == 0:
        return
    if _host(first) == _host(second):
        raise ValueError(f"{second} is given twice; leave out one of them")
    for wide, narrow in ((first, second), (second, first)):
        if _includes(_host(wide), _host(narrow)):
            raise ValueError(f"{wide} already includes {narrow}; leave out one of them")


def _host(address: Address) -> str:
    """Return the host in the one form that equal hosts have."""
    try:
        return str(ipaddress.ip_address(address.host))
    except ValueError:
        return address.host.lower()


def _includes(wide: str, narrow: str) -> bool:
    if wide in _ALL_ADDRESSES:
        return True
    return wide == _ALL_IPV4_ADDRESSES and (narrow == "localhost" or _is_ipv4(narrow))


def _is_ipv4(host: str) -> bool:
    try:
        ipaddress.IPv4Address(host)
    except ValueError:
        return False
    return True


def parse_external_url(text: str) -> str:
    """Return the URL, or only the path, under which people reach the exporter; without a slash."""
    try:
        parts = urlsplit(text)
        is_url = parts.scheme in {"http", "https"} and parts.hostname and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        raise ValueError(_URL_EXAMPLE) from None
    is_path = not parts.scheme and not parts.netloc and text.startswith("/")
    has_more = "@" in parts.netloc or "?" in text or "#" in text
    if not (is_url or is_path) or has_more or not _is_path(parts.path):
        # Without the text, because it may contain a password.
        raise ValueError(_URL_EXAMPLE)
    return text.rstrip("/")


def parse_route_prefix(text: str) -> str:
    """Return the prefix of all paths: with a slash at its start and none at its end, or empty."""
    if not _is_path(text):
        raise ValueError(f"invalid prefix {text[:40]!r}; {_PREFIX_EXAMPLE}")
    return prefix_of(text)


def prefix_of(path: str) -> str:
    """Return *path* as a prefix of other paths."""
    return f"/{path.strip('/')}".rstrip("/")


def _is_path(text: str) -> bool:
    """Return whether *text* is a path that browsers and proxies do not change."""
    inner = text.strip("/")
    return not inner or all(_SEGMENT.fullmatch(segment) for segment in inner.split("/"))
