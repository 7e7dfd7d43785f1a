"""Parsers for the values of options; each raises ValueError, which says what is expected."""

import ipaddress
import re
import stat

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

from rk_exporter.config.suggestions import unknown_option
from rk_exporter.config.yaml_document import PlainValue
from rk_exporter.model.ids import parse_id
from rk_exporter.model.meeting import Meeting, ReadMode
from rk_exporter.runtime.background_call import bounded_call
from rk_exporter.runtime.printable import label_text


T = TypeVar("T")
ItemT = TypeVar("ItemT")
DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"
AUTO = "auto"
READ_CHOICES = (AUTO, *ReadMode)
_SWITCH_VALUES = {"true": True, "1": True, "false": False, "0": False}
_DURATION = re.compile(r"(?:[0-9]{1,9}(?:ms|s|m|h|d|w))+")
_DURATION_PART = re.compile(r"([0-9]+)(ms|s|m|h|d|w)")
_UNIT_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]*):([0-9]{1,5})")
_LARGEST_PORT = 65535
_ANY_HOST = frozenset({"", "::", "0.0.0.0"})  # noqa: S104 # recognised, not bound
_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)+")
_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")
_LONGEST_SHOWN = 40
_MEETING_KEYS = ("id", "name")
_MEETING_EXAMPLE = "expected an id, or a mapping, e.g. {id: abc, name: weekly review}"
# No query, fragment, password or blank: the client appends paths to the URL.
_BASE_URL = re.compile(r"https?://(?:(?![?#@\\])[!-~])+", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Address:
    """An address to listen on; an empty *host* means all addresses, *port* 0 any free port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def reachable(self) -> "Address":
        """Return the address that reaches a listener on this one from the same machine."""
        return replace(self, host="127.0.0.1") if self.host in _ANY_HOST else self

    @property
    def url(self) -> str:
        """Return the URL that reaches a listener on this address from the same machine."""
        return f"http://{self.reachable}"


class InvalidItems(ValueError):
    """Mistakes in the items of a list: the path of each in the list, e.g. `[3].name`, and why."""

    def __init__(self, *items: tuple[str, str]) -> None:
        super().__init__("; ".join(message for _, message in items))
        self.items = items


def parse_items(items: Iterable[tuple[str, ItemT]], parse: Callable[[ItemT], T]) -> list[T]:
    """Return what *parse* returns for each of the *items* and their paths; raise all mistakes."""
    parsed: list[T] = []
    mistakes: list[tuple[str, str]] = []
    for path, item in items:
        try:
            parsed.append(parse(item))
        except InvalidItems as error:
            mistakes += [(f"{path}{inner}", message) for inner, message in error.items]
        except ValueError as error:
            mistakes.append((path, str(error)))
    if mistakes:
        raise InvalidItems(*mistakes)
    return parsed


def numbered(items: Iterable[ItemT]) -> list[tuple[str, ItemT]]:
    """Return the *items* of a list with their paths, e.g. `[3]`."""
    return [(f"[{number}]", item) for number, item in enumerate(items)]


def _invalid(kind: str, text: str, advice: str) -> ValueError:
    return ValueError(f"invalid {kind} {text[:_LONGEST_SHOWN]!r}; {advice}")


def parse_app_name(text: str) -> str:
    """Return the value of a label, which must not be empty."""
    if not (name := label_text(text)):
        raise ValueError("must contain a printable character")
    return name


def parse_meetings(content: PlainValue) -> tuple[Meeting, ...]:
    """Return the meetings in a list of ids and mappings, each once, with its first name."""
    if not isinstance(content, list):
        raise InvalidItems(("", "expected a list of meetings, e.g. [id1, id2]"))
    names: dict[str, str] = {}
    for meeting_id, name in parse_items(numbered(content), _parse_meeting):
        names[meeting_id] = names.get(meeting_id) or name
    return tuple(Meeting(meeting_id, name or meeting_id) for meeting_id, name in names.items())


def _parse_meeting(item: PlainValue) -> tuple[str, str]:
    """Return the id and the name of a meeting; the name is empty if there is none."""
    values = item if isinstance(item, dict) else {"id": item}
    for key in values:
        if key not in _MEETING_KEYS:
            raise InvalidItems((f".{key}", unknown_option(key, _MEETING_KEYS)))
    if isinstance(item, dict) and item.get("id") is None:
        raise ValueError("id: missing")
    for key, value in values.items():
        if not (isinstance(value, str) or (key == "name" and value is None)):
            if isinstance(item, dict):
                raise InvalidItems((f".{key}", "expected text"))
            raise ValueError(_MEETING_EXAMPLE)
    # Whatever a name contains, its meeting must be read.
    return parse_id(str(values["id"])), label_text(str(values.get("name") or ""))


def parse_paths(names: Sequence[str]) -> tuple[Path, ...]:
    """Return the paths with these names."""
    return tuple(Path(name) for name in names)


def parse_switch(text: str) -> bool:
    """Return whether a switch is on."""
    value = _SWITCH_VALUES.get(text.lower())
    if value is None:
        raise ValueError("must be true or false")
    return value


def parse_variable_name(text: str) -> str:
    """Return the name of an environment variable."""
    if not _VARIABLE_NAME.fullmatch(text):
        # Without the text: a token pasted here must not be printed.
        raise ValueError("must be the name of an environment variable, in capital letters")
    return text


def parse_duration(text: str) -> float:
    """Return the seconds of a duration in Prometheus's format, e.g. 500ms, 5m or 1h30m."""
    if not _DURATION.fullmatch(text):
        raise _invalid("duration", text, "write e.g. 500ms, 5s, 5m or 1h30m")
    return sum(int(number) * _UNIT_SECONDS[unit] for number, unit in _DURATION_PART.findall(text))


def parse_address(text: str) -> Address:
    """Return one address."""
    match = _ADDRESS.fullmatch(text)
    if not match or int(match[2]) > _LARGEST_PORT:
        raise _invalid("address", text, "write e.g. :10058, 127.0.0.1:10058 or [::1]:10058")
    return Address(match[1].strip("[]"), int(match[2]))


def parse_base_url(text: str) -> str:
    """Return the base URL of the API, without a slash at its end."""
    try:
        parts = urlsplit(text)
        is_usable = _BASE_URL.fullmatch(text) and parts.hostname and parts.port != 0
    except ValueError:  # an invalid port or IPv6 address
        is_usable = False
    if not is_usable:
        # Without the text, because it may contain a password.
        raise ValueError(f"must be a URL, e.g. {DEFAULT_BASE_URL}")
    return text.rstrip("/")


def is_sent_in_clear_text(base_url: str) -> bool:
    """Return whether requests to *base_url* leave this machine without TLS."""
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
        raise _invalid("path", text, "write e.g. /metrics")
    return text


def parse_state_file(name: str) -> Path:
    """Return a path at which a file can be created; its permissions are not checked."""
    path = Path(name)
    if not _is_folder(path.parent):
        raise ValueError(f"there is no folder {path.parent}; create it, or give another path")
    if _is_folder(path):
        raise ValueError(f"{path} is a folder; give the path of a file in it")
    if bounded_call(path.is_symlink):
        # Each write replaces the file, and its lock is beside it.
        raise ValueError(f"{path} is a link; give the path that it leads to")
    return path


def _is_folder(path: Path) -> bool:
    try:
        return stat.S_ISDIR(bounded_call(path.stat).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise ValueError(f"cannot be used ({error.strerror})") from None


def choice(*choices: str) -> Callable[[str], str]:
    """Return a parser that accepts only the *choices*."""

    def parse(text: str) -> str:
        if text not in choices:
            raise _invalid("value", text, f"use {', '.join(choices)}")
        return text

    return parse


def choice_in_any_case(*choices: str, **aliases: str) -> Callable[[str], str]:
    """Return a parser that accepts the *choices* and *aliases* of them, in any case."""
    by_name = {name.lower(): name for name in choices} | aliases
    parse_exact = choice(*choices)

    def parse(text: str) -> str:
        return by_name.get(text.lower()) or parse_exact(text)

    return parse


def parse_read(text: str) -> ReadMode | None:
    """Return how to read recordings; None chooses by the budget."""
    chosen = choice_in_any_case(*READ_CHOICES)(text)
    return None if chosen == AUTO else ReadMode(chosen)
