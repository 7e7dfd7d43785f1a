"""The option `shard`: its value, and this exporter's part of a configuration."""

import re
import socket

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import TypeVar

from rk_exporter.config.accounts import AccountConfig
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.sources import ConfigSource
from rk_exporter.model.shard import Shard


EntryT = TypeVar("EntryT", AppConfig, AccountConfig)
_SHARD = re.compile(r"(auto|[0-9]{1,3})/([0-9]{1,3})")
# The name of a StatefulSet's pod ends with its ordinal, and so does the name of its host.
_ORDINAL = re.compile(r"(?:.*-)?([0-9]{1,9})", re.DOTALL)
_MOST_SHARDS = 100
_LONGEST_SHOWN = 40
_ADVICE = "write e.g. 0/3 for the first of three exporters, or auto/3 in a StatefulSet"


def parse_shard(text: str, *, host_name: str | None = None) -> Shard:
    """
    Return a shard, e.g. of `0/3`; `auto/3` takes the number from the end of the host's name.

    The *host_name* is that of this machine by default.
    """
    match = _SHARD.fullmatch(text)
    if not match:
        raise ValueError(f"invalid shard {text[:_LONGEST_SHOWN]!r}; {_ADVICE}")
    count = int(match[2])
    if not 1 <= count <= _MOST_SHARDS:
        raise ValueError(f"there must be 1 to {_MOST_SHARDS} shards; {_ADVICE}")
    if match[1] != "auto":
        index, source = int(match[1]), "the shard"
    else:
        name = socket.gethostname() if host_name is None else host_name
        index, source = _ordinal(name), f"the number at the end of the host's name {name!r}"
    if index >= count:
        raise ValueError(
            f"{source} must be from 0 to {count - 1}, because there are {count} shards; the first "
            "is 0"
        )
    return Shard(index, count)


def _ordinal(host_name: str) -> int:
    match = _ORDINAL.fullmatch(host_name.partition(".")[0])
    if not match:
        raise ValueError(
            f"the host's name {host_name!r} does not end with a number, as that of a pod of a "
            "StatefulSet does; write the number instead of auto, e.g. 0/3"
        )
    return int(match[1])


def apps_of_shard(apps: Iterable[AppConfig], shard: Shard | None) -> Iterator[AppConfig]:
    """Return those of the *apps* that this exporter reads."""
    for config in apps:
        if shard is None or shard.owns(config.app.account_id, config.app.app_id):
            yield config


def with_shares(entries: Iterable[EntryT], shard: Shard | None) -> Iterator[EntryT]:
    """Return the *entries* with this exporter's part of their budgets."""
    for entry in entries:
        yield replace(entry, budget=shard.share(entry.budget)) if shard else entry


def check_shares(
    source: ConfigSource, entries: Iterable[AppConfig | AccountConfig], shard: Shard | None
) -> None:
    """Record a mistake if a part of a budget would be less than one call."""
    if shard is None:
        return
    smallest = min((entry.budget for entry in entries), default=shard.count)
    if smallest < shard.count:
        message = f"a budget of {smallest} calls is too small for {shard.count} shards; raise it"
        source.fail("shard", message)
