"""The list of an account's apps: what an answer may look like, and what must not pass as one."""

import json

from typing import Any

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.api.parsers import parse_apps_page
from rk_exporter.model.account import ListedApp
from rk_exporter.model.errors import ApiError, InvalidResponse
from rk_exporter.model.failure import Reason
from rk_exporter.model.ids import ID_PATTERN
from tests.support.payloads import CANARY, JSON_VALUES, VALID_JSON_VALUES


APP = {"id": "app-1", "name": "production", "created_at": "2019-12-27T18:11:19.117Z"}
UNUSABLE_IDS: list[Any] = [
    *(None, "", 5, True, [], {}),
    *("a b", "../recordings", "a/b", "a?b#c", "%2e%2e", "\u00e4pp", "a\n", "a\u0000", "a" * 129),
    "\u202eapp",
]
UNUSABLE: list[Any] = [
    *(None, "app-1", 5, [], {}, {"name": "production"}),
    *({"id": app_id, "name": "production"} for app_id in UNUSABLE_IDS),
]
UUID = "2A95132C-1573-2412-A221-6FD0A01E0000"


def encoded(data: Any, **beside: Any) -> bytes:
    return json.dumps({"success": True, "data": data, **beside}).encode()


def plain(item: Any) -> str:
    """Return a name of a case that pytest can find again; a backslash it could not."""
    return ascii(item).replace("\\", "")


def read(*items: Any) -> tuple[list[tuple[str, str]], bool]:
    """Return the ids and names of the apps on a page with these *items*, and if it is complete."""
    page = parse_apps_page(200, encoded(items)).value
    return [(app.app_id, app.name) for app in page.items], page.is_complete


def test_documented() -> None:
    """A documented answer is read; without a name, the id is the name."""
    found = [("app-1", "production"), ("b", "b"), ("c", "c")]
    assert (found, True) == read(APP, {"id": "b"}, {"id": "c", "name": ["new"]})


def test_malformed_name() -> None:
    """A name that is not a text is counted."""
    assert ("name",) == parse_apps_page(200, encoded([{**APP, "name": 7}])).malformed_fields


def test_empty() -> None:
    """An account may have no apps."""
    assert ([], True) == read()


@pytest.mark.parametrize("item", UNUSABLE, ids=plain)
def test_unusable_id(item: Any) -> None:
    """An app without a usable id is skipped, and the page is not complete."""
    assert ([("app-1", "production")], False) == read(item, APP)


@pytest.mark.parametrize("item", UNUSABLE, ids=plain)
def test_no_usable_id(item: Any) -> None:
    """If no app has a usable id, the answer is an error: it is no account without apps."""
    with pytest.raises(InvalidResponse, match="200 with apps without a usable `id`"):
        read(item, item)


def test_duplicates() -> None:
    """An app that is listed twice is one app, with its last name; so is one id in two spellings."""
    assert ([("app-1", "new")], True) == read(APP, {"id": "app-1", "name": "new"})
    assert ([(UUID.lower(), "b")], True) == read(
        {"id": UUID, "name": "a"}, {"id": UUID.lower(), "name": "b"}
    )


@given(data=JSON_VALUES)
def test_any_data(data: Any) -> None:
    """Whatever `data` is, the answer is an error, or a list of apps with usable ids."""
    try:
        page = parse_apps_page(200, encoded(data)).value
    except ApiError as error:
        assert error.failure.reason is Reason.INVALID_RESPONSE
        assert CANARY not in str(error)
        return
    assert data == [] or page.items or data == {"apps": []}
    assert all(ID_PATTERN.fullmatch(app.app_id) for app in page.items)


@given(items=st.lists(VALID_JSON_VALUES | st.just(APP), max_size=5))
def test_any_items(items: list[Any]) -> None:
    """Whatever else is in a list, its good apps are found, and it is complete only if all are."""
    good = ListedApp("app-1", "production")
    parsed = parse_apps_page(200, encoded([*items, APP]))
    assert good in parsed.value.items
    are_apps = all(isinstance(item, dict) and "id" in item for item in items)
    assert are_apps or not parsed.value.is_complete
