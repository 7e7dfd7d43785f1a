"""The parser for the hosts that downloads may name."""

from collections.abc import Sequence

from rk_exporter.config.parsers import numbered, parse_items
from rk_exporter.config.yaml_document import PlainValue
from rk_exporter.downloads.hosts import HostPattern, parse_pattern


def parse_hosts(items: Sequence[PlainValue]) -> tuple[HostPattern, ...]:
    """Return the hosts in a list, each once."""
    return tuple(dict.fromkeys(parse_items(numbered(items), _parse_host)))


def _parse_host(item: PlainValue) -> HostPattern:
    if not isinstance(item, str):
        raise ValueError("expected a host, e.g. files.example.com")  # noqa: TRY004 # a mistake of the user
    return parse_pattern(item.strip())
