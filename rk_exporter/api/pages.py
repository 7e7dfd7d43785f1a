"""Parser of the pages of lists."""

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec

from rk_exporter.api import schema
from rk_exporter.api.fields import ParseIssues, present_identifier
from rk_exporter.api.results import Page, Parsed


T = TypeVar("T")
ItemT = TypeVar("ItemT", bound=schema.Item)


def parse_page(
    raw_items: Iterable[msgspec.Raw],
    raw_paging: msgspec.Raw,
    decoder: msgspec.json.Decoder[ItemT],
    parse_item: Callable[[str, ItemT, ParseIssues], T | None],
) -> Parsed[Page[T]]:
    """Return the items that *parse_item* keeps; skip and count items without a usable id."""
    issues = ParseIssues()

    def identified(raw: msgspec.Raw) -> tuple[str, ItemT]:
        item = decoder.decode(raw)
        return present_identifier(item.id), item

    read = (issues.read("id", raw, identified) for raw in raw_items)
    found = [pair for pair in read if pair is not None]
    # If an item appears twice, the later one counts.
    items = [parse_item(item_id, item, issues) for item_id, item in dict(found).items()]
    page = Page(
        tuple(item for item in items if item is not None),
        tuple(item_id for item_id, _ in found),
        issues.read("paging", raw_paging, schema.paging.decode),
    )
    return issues.parsed(page)
