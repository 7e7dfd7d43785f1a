"""Parsers of the values that options take; each raises ValueError that says what would be right."""

import ipaddress
import re

from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from rk_exporter.options import DEFAULT_BASE_URL
from rk_exporter.payloads import ID_PATTERN


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen; the empty *host* is every address, the *port* 0 any free one."""

    host: str
    port: int


_DURATION = re.compile(r"(?:[0-9]{1,9}(?:ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d|w)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):([0-9]{1,5})")
_LARGEST_PORT = 65535
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_LONGEST_NAME_BYTES = 128
_LONGEST_SHOWN = 40
# No query, fragment, password or blank: paths are appended to it.
_BASE_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_NOT_IN_BASE_URL = frozenset("?#@\\")


def parse_id(text: str) -> str:
    """Return an id of an account, app or meeting; the API's paths are made of them."""
    if not ID_PATTERN.fullmatch(text):
        raise ValueError(f"{text[:_LONGEST_SHOWN]!r} is no id: 1 to 128 letters, digits, - and _")
    return text


def parse_name(text: str) -> str:
    """Return the value of a label."""
    if not text.isprintable() or len(text.encode()) > _LONGEST_NAME_BYTES:
        raise ValueError("has to be printable and at most 128 bytes long")
    return text


def parse_duration(text: str) -> float:
    """Return seconds for a duration as Prometheus writes them, like 500ms, 5m or 1h30m."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write 500ms, 5s, 5m or 1h30m")
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_positive_duration(text: str) -> float:
    """Return seconds, more than none, for a duration as Prometheus writes them."""
    seconds = parse_duration(text)
    if seconds == 0:
        raise ValueError("has to be longer than 0s")
    return seconds


def parse_addresses(text: str) -> tuple[Address, ...]:
    """Return the addresses in a list that is separated by commas."""
    return tuple(_address(part.strip()) for part in text.split(","))


def _address(text: str) -> Address:
    match = _ADDRESS.fullmatch(text)
    if not match or int(match[2]) > _LARGEST_PORT:
        raise ValueError(f"{text!r} is no address; write :10058, 127.0.0.1:10058 or [::1]:10058")
    return Address(match[1].strip("[]"), int(match[2]))


def parse_base_url(text: str) -> str:
    """Return the URL that the paths of the API's endpoints are appended to."""
    usable = bool(_BASE_URL.fullmatch(text)) and _NOT_IN_BASE_URL.isdisjoint(text)
    try:
        parts = urlsplit(text)
        usable = usable and bool(parts.hostname) and parts.port != 0
    except ValueError:  # no port, or no IPv6 address
        usable = False
    if not usable:
        # Not the text: it may hold a password.
        raise ValueError(f"has to be a URL like {DEFAULT_BASE_URL}")
    return text.rstrip("/")


def travels_in_clear(base_url: str) -> bool:
    """Tell whether what is sent to *base_url* can be read on the way."""
    parts = urlsplit(base_url)
    if parts.scheme == "https" or not parts.hostname:
        return False
    try:
        return not ipaddress.ip_address(parts.hostname).is_loopback
    except ValueError:
        return parts.hostname != "localhost"


def parse_telemetry_path(text: str) -> str:
    """Return the path of the metrics, which must not hide the other pages."""
    if not _PATH.fullmatch(text) or text.startswith("/-/"):
        raise ValueError(f"{text!r} is no path like /metrics")
    return text


def parse_count(number: int) -> int:
    """Return a number of things of which there has to be one."""
    if number < 1:
        raise ValueError("has to be at least 1")
    return number


def parse_choice(text: str, choices: Sequence[str]) -> str:
    """Return one of the *choices*."""
    if text not in choices:
        raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
    return text
