"""The options as they stand in a configuration file: their names, their defaults, still text."""

import difflib
import re

from collections.abc import Mapping

import msgspec


DEFAULT_BASE_URL = "https://api.cloudflare.com/client/v4"


class _Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A mapping in the file."""


class MeetingEntry(_Strict):
    """A meeting that has a name."""

    id: str
    name: str | None = None


class MeetingsEntry(_Strict):
    """Where an app's meetings come from."""

    ids: list[str | MeetingEntry] = msgspec.field(default_factory=list)
    files: list[str] = msgspec.field(default_factory=list)
    discover: bool = False


class AppEntry(_Strict):
    """One app among several."""

    name: str | None = None
    account_id: str | None = None
    app_id: str | None = None
    api_token_file: str | None = None
    api_token_env: str | None = None
    budget: int | None = None
    read: str | None = None
    meetings: MeetingsEntry = msgspec.field(default_factory=MeetingsEntry)


class MeetingsOptions(_Strict):
    """Where a single app's meetings come from, apart from `meeting_ids`."""

    files: list[str] = msgspec.field(default_factory=list)
    discover: bool = False


class ApiOptions(_Strict):
    """Options of the API."""

    token_file: str | None = None
    base_url: str = DEFAULT_BASE_URL
    budget: int = 600
    read: str = "auto"
    reserve: str = "20"


class ScrapeOptions(_Strict):
    """Options of passes; durations."""

    min_interval: str = "5s"
    stale_after: str = "5m"
    timeout_offset: str = "500ms"


class FollowOptions(_Strict):
    """Options of recordings that have finished."""

    retain: str = "7d"
    max_recordings: int = 1000
    reread_interval: str = "6h"
    keep_removed: bool = False


class StateOptions(_Strict):
    """Options of what outlives the process."""

    file: str | None = None


class WebOptions(_Strict):
    """Options of the HTTP server."""

    listen_address: str = ":10058"
    telemetry_path: str = "/metrics"
    max_requests: int = 40


class LogOptions(_Strict):
    """Options of the log."""

    level: str = "info"
    format: str = "logfmt"


class Options(_Strict):
    """A whole file. The first four are for a single app, the first also for those of `apps`."""

    account_id: str | None = None
    app_id: str | None = None
    meeting_ids: list[str | MeetingEntry] = msgspec.field(default_factory=list)
    meetings: MeetingsOptions = msgspec.field(default_factory=MeetingsOptions)
    api: ApiOptions = msgspec.field(default_factory=ApiOptions)
    scrape: ScrapeOptions = msgspec.field(default_factory=ScrapeOptions)
    follow: FollowOptions = msgspec.field(default_factory=FollowOptions)
    state: StateOptions = msgspec.field(default_factory=StateOptions)
    web: WebOptions = msgspec.field(default_factory=WebOptions)
    log: LogOptions = msgspec.field(default_factory=LogOptions)
    apps: list[AppEntry] | None = None


# The names that stand at each place in the file.
NAMES_AT = {
    place: struct.__struct_fields__
    for place, struct in {
        "": Options,
        "meetings": MeetingsOptions,
        "api": ApiOptions,
        "scrape": ScrapeOptions,
        "follow": FollowOptions,
        "state": StateOptions,
        "web": WebOptions,
        "log": LogOptions,
        "meeting_ids[]": MeetingEntry,
        "apps[]": AppEntry,
        "apps[].meetings": MeetingsEntry,
        "apps[].meetings.ids[]": MeetingEntry,
    }.items()
}


def default_of(option: str) -> str | None:
    """
    Return the default of *option*, like `scrape.stale_after`, as it would be typed.

    What has none, or is no more than a flag, has nothing to type.
    """
    value: object = Options()
    for name in option.split("."):
        value = getattr(value, name)
    is_typed = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_typed else None


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
