"""The parser for the hosts that downloads may name."""

from collections.abc import Sequence

from rk_exporter.config.parsers import InvalidItems
from rk_exporter.config.yaml_document import PlainValue
from rk_exporter.downloads.hosts import HostPattern, parse_pattern


def parse_hosts(items: Sequence[PlainValue]) -> tuple[HostPattern, ...]:
    """Return the hosts in a list, each once."""
    found: list[HostPattern] = []
    mistakes: list[tuple[str, str]] = []
    for number, item in enumerate(items):
        try:
            if not isinstance(item, str):
                raise ValueError("expected a host, e.g. files.example.com")  # noqa: TRY004, TRY301 # a mistake of the user
            found.append(parse_pattern(item.strip()))
        except ValueError as error:
            mistakes.append((f"[{number}]", str(error)))
    if mistakes:
        raise InvalidItems(*mistakes)
    return tuple(dict.fromkeys(found))
