"""
Changes of documents that leave them documents.

Random bytes break a JSON or YAML document before its parser looks at a single field; and the
parsers themselves are compiled, so that no coverage leads the fuzzer through them.
"""

import json
import random

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias

import yaml

from tests.fuzz.campaign import CORPUS


MutateBytes: TypeAlias = Callable[[bytes, int], bytes]
"""Changes bytes at random; returns at most so many."""
_Place: TypeAlias = tuple[Any, Any]
"""A list or a dict, and the index or the key of a value in it."""

# Some mistakes are no document any more.
_SHARE_OF_RANDOM_BYTES = 0.25
_MOST_CHANGES = 4
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, [], {}, [[]], [None], {"": None}),
    *(0, 1, -1, 2**31, 2**53, 2**53 + 1, 2**63, -(2**63), 2**64, 10**30),
    *(0.5, -0.0, 1e-320, 1e16, 1e308, -1e308, float("inf"), float("-inf"), float("nan")),
    *("", " ", "0", "-1", "1e999", "NaN", "null", "7d", "-5m", "0s", "99999999d", "5"),
    *("\0", "\n", "\r\n", "\t", '"', "\\", "{", "\x1b[2J", "\x85", "\u2028", "\u202e", "\ufeff"),
    *("\ud800", "\udfff", "\U0010ffff", "é" * 300, "a" * 3000, "9" * 5000),
    *("1970-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999999+00:00"),
    *("2026-11-29T10:00:00.123456789Z", "2026-11-29T10:00:00+23:59", "2026-02-30T00:00:00Z"),
    *("https://b.example/a.mp4?X-Amz-Signature=0123456789abcdef", "https://[", "../../etc/passwd"),
)


@dataclass(frozen=True, slots=True)
class _Form:
    """How a target's inputs are read; *has_head* if a line of bytes is before the document."""

    load: Callable[[bytes], Any]
    has_head: bool = False

    def split(self, data: bytes) -> tuple[bytes, Any]:
        """Return what is before the document, and the document."""
        if not self.has_head:
            return b"", self.load(data)
        head, separator, body = data.partition(b"\n")
        return head + separator, self.load(body)


FORMS: Mapping[str, _Form] = {
    "payloads": _Form(json.loads, has_head=True),
    "webhook-bodies": _Form(json.loads),
    "state-files": _Form(json.loads),
    "meeting-files": _Form(yaml.safe_load),
    "configuration": _Form(yaml.safe_load),
    "web-configuration": _Form(yaml.safe_load),
}
"""The targets whose inputs are documents."""


def mutate(
    target: str, data: bytes, most_bytes: int, seed: int, mutate_bytes: MutateBytes
) -> bytes:
    """Return *data* with a few changes, of its values or now and then of its bytes."""
    chance = random.Random(seed)  # noqa: S311 # no secret depends on it
    if chance.random() < _SHARE_OF_RANDOM_BYTES:
        return mutate_bytes(data, most_bytes)
    try:
        head, document = FORMS[target].split(data)
        root = [document]
        for _ in range(chance.randint(1, _MOST_CHANGES)):
            _change(root, _donors(target), chance, mutate_bytes)
        # JSON is YAML, too.
        changed = head + json.dumps(root[0], default=str).encode()
    except (ArithmeticError, RecursionError, TypeError, ValueError, yaml.YAMLError):
        return mutate_bytes(data, most_bytes)
    return changed if len(changed) <= most_bytes else mutate_bytes(data, most_bytes)


def _change(
    root: list[Any],
    donors: tuple[_Place, ...],
    chance: random.Random,
    mutate_bytes: MutateBytes,
) -> None:
    """Change a value anywhere below *root*."""
    places = [*_places(root)]
    container, key = chance.choice(places)
    value = container[key]
    donor, name = chance.choice(donors)
    other, place = chance.choice(places)
    # A copy, so that no later change puts a list into itself.
    given = deepcopy(chance.choice((donor[name], other[place], chance.choice(_ODD_VALUES))))
    match chance.randrange(4):
        case 0 if container is not root:
            container[key] = given
        case 1 if container is not root:
            del container[key]
        case 2 if isinstance(value, dict):
            value[str(name)] = given
        case 2 if isinstance(value, list):
            value.insert(chance.randint(0, len(value)), given)
        case _:
            container[key] = _near(value, chance, mutate_bytes)


def _near(value: Any, chance: random.Random, mutate_bytes: MutateBytes) -> Any:
    """Return a value of the same type that differs a little."""
    match value:
        case bool():
            return not value
        case int() | float():
            return chance.choice(
                (value + 1, value - 1, -value, value * 1000, value / 7, str(value))
            )
        case str():
            raw = value.encode(errors="surrogatepass")
            return mutate_bytes(raw, len(raw) + 64).decode(errors="surrogateescape")
        case dict():
            return dict(zip(value, reversed(value.values()), strict=True))
        case list():
            return value[::-1]
        case _:
            return deepcopy(chance.choice(_ODD_VALUES))


def _places(container: Any) -> Iterator[_Place]:
    """Yield all places in and below a *container*."""
    waiting = [container]
    while waiting:
        parent = waiting.pop()
        keys = [*parent] if isinstance(parent, dict) else [*range(len(parent))]
        for key in keys:
            yield parent, key
            if isinstance(parent[key], dict | list):
                waiting.append(parent[key])


@cache
def _donors(target: str) -> tuple[_Place, ...]:
    """Return all places in the documents of the corpus, whose values fit somewhere."""
    found: list[_Place] = []
    for file in sorted((CORPUS / target).iterdir()):
        try:
            _, document = FORMS[target].split(file.read_bytes())
        except (ValueError, yaml.YAMLError):
            continue
        found += _places([document])
    return tuple(found)
