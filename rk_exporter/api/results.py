"""The results of the client's calls."""

from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar

import msgspec


T = TypeVar("T")
_Count = Annotated[int, msgspec.Meta(ge=0)]


@dataclass(frozen=True, slots=True)
class Parsed(Generic[T]):
    """The *value* of an answer, and the differences from the documentation."""

    value: T
    malformed_fields: tuple[str, ...] = ()
    unknown_statuses: tuple[str, ...] = ()


class Paging(msgspec.Struct, frozen=True):
    """The length of a list, and the position of a page's last item, counted from 1."""

    total_count: _Count
    end_offset: _Count


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """
    A page of a list.

    *item_ids* are the ids of everything on the page, including what *items* leaves out. A page
    that the API repeats has the same ids. *requested* is how many items the page could have. A page
    of apps or sessions is not complete (*is_complete*) if some of them cannot be read.
    """

    items: tuple[T, ...]
    item_ids: tuple[str, ...]
    paging: Paging | None
    requested: int = 100
    is_complete: bool = True


@dataclass(frozen=True, slots=True)
class LiveSession:
    """A live session; a recorder may be one of its *participants*."""

    session_id: str
    meeting_id: str
    meeting_name: str | None
    participants: int | None
