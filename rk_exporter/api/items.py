"""Parsers of what all lists have in common: items with ids, and paging."""

from collections.abc import Iterable
from typing import TypeVar

import msgspec

from rk_exporter.api import schema
from rk_exporter.api.fields import ParseIssues, present_identifier


ItemT = TypeVar("ItemT", bound=schema.Item)


def identified_items(
    raw_items: Iterable[msgspec.Raw], decoder: msgspec.json.Decoder[ItemT], issues: ParseIssues
) -> list[tuple[str, ItemT]]:
    """Return the items of a list with their ids; skip and count items without a usable id."""

    def parse(raw: msgspec.Raw) -> tuple[str, ItemT]:
        item = decoder.decode(raw)
        return present_identifier(item.id), item

    parsed = (issues.read("id", raw, parse) for raw in raw_items)
    return [item for item in parsed if item is not None]
