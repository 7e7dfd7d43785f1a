"""The reference of the keys in the configuration file."""

from collections.abc import Iterable

from rk_exporter.config.config import OPTIONS
from rk_exporter.config.option import Option
from tools.docs.tables import code, table


_TYPES = {
    "ID": "id",
    "NAME": "text",
    "PATH": "path",
    "URL": "URL",
    "N": "whole number",
    "PERCENT": "percentage",
    "DURATION": "duration",
    "ADDRESS": "addresses",
}
_HEADS = ("key", "type", "default", "example", "meaning")
_MEETING_ROWS = (
    ("`id`", "id", "", "`abcdef-ghijkl`", "Id of the meeting; required."),
    ("`name`", "text", "the id", "`weekly review`", "Name in `rk_meeting_info`."),
)


def configuration_reference() -> str:
    """Return tables of all keys of the file, of an entry of `apps`, and of a meeting."""
    return f"""\
### Keys of the file

{table(_HEADS, _top_rows())}
### Keys of an entry in `apps`

Without a value of its own, an app gets the default; that can be a key of the file.

{table(_HEADS, _app_rows())}
### Keys of a meeting

An item in a list of meetings is an id, or a mapping with these keys.

{table(_HEADS, _MEETING_ROWS)}"""


def _top_rows() -> Iterable[tuple[str, ...]]:
    for option in OPTIONS:
        if option.path:
            yield _row(option.path, option, code(option.default))
    apps = "Several apps, each with its own keys; the keys of a single app are then errors."
    yield code("apps"), "list", "", "", apps


def _app_rows() -> Iterable[tuple[str, ...]]:
    for option in OPTIONS:
        if option.path_in_app:
            default = option.path if option.is_inherited else option.default
            yield _row(option.path_in_app, option, code(default))


def _row(key: str, option: Option, default: str) -> tuple[str, ...]:
    if option.is_switch:
        default = default or code("false")
    example = "true" if option.is_switch else option.example or option.default
    return code(key), _type(option), default, code(example), option.help


def _type(option: Option) -> str:
    if option.metavar is None:
        return "true or false"
    if "|" in option.metavar:
        return ", ".join(option.metavar.split("|"))
    name = _TYPES[option.metavar]
    return f"list of {'meetings' if name == 'id' else f'{name}s'}" if option.is_list else name
