"""Parsers of the values that options take; each raises ValueError that says what would be right."""

import ipaddress
import re
import stat

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rk_exporter.config.schema import DEFAULT_BASE_URL, MeetingEntry
from rk_exporter.model.ids import parse_id
from rk_exporter.model.meeting import Meeting, ReadMode


class EntryError(ValueError):
    """An entry of a list that cannot be used; *at* is its path there, like `[3].name`."""

    def __init__(self, number: int, field: str, message: str) -> None:
        super().__init__(message)
        self.number = number
        self.at = f"[{number}]{field}"


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
_LARGEST_BUDGET = 100_000
_MOST_RECORDINGS = 100_000
_SHORTEST_REREAD_SECONDS = 600
_PERCENTAGE = re.compile(r"([0-9]{1,2})%?")
_LARGEST_RESERVE_PERCENT = 90
_AUTO = "auto"
READ_CHOICES = (_AUTO, *ReadMode)
# No query, fragment, password or blank: paths are appended to it.
_BASE_URL = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_NOT_IN_BASE_URL = frozenset("?#@\\")


def parse_name(text: str) -> str:
    """Return the value of a label."""
    if not text.isprintable() or len(text.encode()) > _LONGEST_NAME_BYTES:
        raise ValueError("has to be printable and at most 128 bytes long")
    return text


def distinct_meetings(entries: Iterable[str | MeetingEntry]) -> tuple[Meeting, ...]:
    """
    Return each meeting once, with the first name that it was given.

    Raises EntryError.
    """
    names: dict[str, str] = {}
    for number, entry in enumerate(entries):
        text, name = (entry, None) if isinstance(entry, str) else (entry.id, entry.name)
        try:
            meeting_id = parse_id(text)
        except ValueError as error:
            raise EntryError(number, "", str(error)) from None
        try:
            names[meeting_id] = names.get(meeting_id) or parse_name(name or "")
        except ValueError as error:
            raise EntryError(number, ".name", str(error)) from None
    return tuple(Meeting(meeting_id, name or meeting_id) for meeting_id, name in names.items())


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


def parse_budget(calls: int) -> int:
    """Return how many calls may be made in 5 minutes."""
    if not 1 <= calls <= _LARGEST_BUDGET:
        raise ValueError(f"has to be between 1 and {_LARGEST_BUDGET}, in calls per 5 minutes")
    return calls


def parse_max_recordings(number: int) -> int:
    """Return how many recordings of an app may be shown."""
    if not 1 <= number <= _MOST_RECORDINGS:
        raise ValueError(f"has to be between 1 and {_MOST_RECORDINGS}, in recordings per app")
    return number


def parse_reread_interval(text: str) -> float:
    """Return seconds for how often finished recordings are read again."""
    seconds = parse_duration(text)
    if seconds < _SHORTEST_REREAD_SECONDS:
        raise ValueError("has to be at least 10m: more often, it would spend the API budget")
    return seconds


def parse_state_file(path: Path) -> Path:
    """Return a path where a file may stand; whether it can be written is not tried."""
    if not _is_folder(path.parent):
        raise ValueError(f"there is no folder {path.parent}; create it, or give another path")
    if _is_folder(path):
        raise ValueError(f"{path} is a folder; give the path of a file in it")
    return path


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ValueError(f"cannot be looked at ({error.strerror})") from None


def parse_reserve(text: str) -> float:
    """Return the part of the whole that a percentage stands for."""
    match = _PERCENTAGE.fullmatch(text)
    if not match or int(match[1]) > _LARGEST_RESERVE_PERCENT:
        shown = text[:_LONGEST_SHOWN]
        raise ValueError(f"{shown!r} is no whole percentage from 0 to 90; write 20 or 20%")
    return int(match[1]) / 100


def parse_read(text: str) -> ReadMode | None:
    """Return how recordings are to be read; None leaves it to what the budget affords."""
    chosen = parse_choice(text, READ_CHOICES)
    return None if chosen == _AUTO else ReadMode(chosen)


def parse_choice(text: str, choices: Sequence[str]) -> str:
    """Return one of the *choices*."""
    if text not in choices:
        raise ValueError(f"{text!r} is not one of {', '.join(choices)}")
    return text
