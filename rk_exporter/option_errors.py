"""What msgspec says of a bad option, in words that tell what would be right."""

import difflib
import re

from collections.abc import Mapping

from rk_exporter.options import NAMES_AT


_UNKNOWN = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>\w+)`")
_EXPECTED = re.compile(r"Expected `(?P<kind>[^`]+)`")
_SHAPES = {
    "array": "has to be a list, like [a, b]",
    "array | null": "has to be a list, like [a, b]",
    "bool": "has to be true or false",
    "int": "has to be a whole number",
    "int | null": "has to be a whole number",
    "object": "has to be a mapping, like {key: value}",
    "object | str": "has to be an id, or a mapping like {id: a, name: b}",
    "str | object": "has to be an id, or a mapping like {id: a, name: b}",
    "str": "has to be one text",
    "str | null": "has to be one text",
}
_LONGEST_SHOWN = 40


def explain(error: str, names_at: Mapping[str, tuple[str, ...]] = NAMES_AT) -> tuple[str, str]:
    """
    Return the place that msgspec's *error* is about, and what would be right there.

    The place is a path in the file like `apps[0].meetings`, with the name of an unknown option at
    its end; *names_at* has the names that may stand at each place.
    """
    said, _, path = error.partition(" - at `$")
    where = path.rstrip("`").lstrip(".")
    if match := _UNKNOWN.fullmatch(said):
        name = match["name"]
        return _inside(where, name), _about_unknown(name, where, names_at)
    if match := _MISSING.fullmatch(said):
        return where, f"`{match['name']}` is missing"
    if match := _EXPECTED.match(said):
        return where, _SHAPES.get(match["kind"], said)
    return where, said


def _inside(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _about_unknown(name: str, where: str, names_at: Mapping[str, tuple[str, ...]]) -> str:
    here = names_at.get(re.sub(r"\[\d+\]", "[]", where), ())
    elsewhere = [_inside(place, name) for place, names in names_at.items() if name in names]
    close = difflib.get_close_matches(name[:_LONGEST_SHOWN], here, n=1)
    if elsewhere:
        meant = f"; or is `{close[0]}` meant?" if close else ""
        return f"is no option here, but {' or '.join(elsewhere)} is one{meant}"
    if close:
        return f"is no option; is `{close[0]}` meant?"
    return f"is no option; here may stand {', '.join(here)}"
