"""The thresholds and severities that users may set, and what they may be."""

import difflib

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from rk_exporter.assets.template import OFF, defaults
from rk_exporter.config.parsers import parse_duration
from rk_exporter.model.thresholds import LARGEST, MEANINGS, as_text


SEVERITIES = ("critical", "warning", "info", OFF)
_SEVERITY = ".severity"
_AGE_AND_INTERVAL = ("data_age_seconds", "scrape_interval_seconds")
_DIGITS = frozenset("0123456789.")


@dataclass(frozen=True, slots=True)
class Setting:
    """Something that rules and dashboards contain, with its *default* and *meaning*."""

    key: str
    default: str
    meaning: str


def settings(rules: Iterable[str]) -> dict[str, Setting]:
    """Return what users may set in templates of rules, by key."""
    found = defaults(rules)
    chosen = [key for key in MEANINGS if key in found]
    chosen += sorted(key for key in found if _SEVERITY in key)
    return {key: Setting(key, found[key], _meaning(key)) for key in chosen}


def _meaning(key: str) -> str:
    if meaning := MEANINGS.get(key):
        return meaning
    alert, _, variant = key.partition(_SEVERITY)
    of_variant = f" where it is {variant[1:]} by default" if variant else ""
    return f"Severity of {alert}{of_variant}: {', '.join(SEVERITIES[:-1])} or {OFF}."


def parse_settings(changes: Iterable[str], known: Mapping[str, Setting]) -> dict[str, str]:
    """Return the value of each key in `KEY=VALUE` texts, or raise ValueError."""
    chosen = dict(parse_setting(change, known) for change in changes)
    age, interval = (chosen.get(key, known[key].default) for key in _AGE_AND_INTERVAL)
    if float(age) < float(interval):
        raise ValueError(
            f"data_age_seconds: {age} is less than scrape_interval_seconds, which is {interval}, "
            "so data would be too old before the next scrape; raise it, or also set "
            "scrape_interval_seconds to your interval"
        )
    return chosen


def parse_setting(text: str, known: Mapping[str, Setting]) -> tuple[str, str]:
    """Return the key and the value of `KEY=VALUE`, or raise ValueError."""
    key, separator, value = (part.strip() for part in text.partition("="))
    if not separator:
        raise ValueError(f"invalid setting {text[:40]!r}: write KEY=VALUE")
    if key not in known:
        raise ValueError(f"unknown setting {key[:60]!r}; {_suggestion(key, known)}")
    try:
        return key, _parser(key)(value)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from None


def _suggestion(key: str, known: Mapping[str, Setting]) -> str:
    # The name of the recorded series, or of an alert, is what people have at hand.
    plain = key.removeprefix("rk:").removesuffix(":threshold").removesuffix(_SEVERITY).lower()
    close = [name for name in known if name.lower().startswith(f"{plain}{_SEVERITY}")]
    if not close:
        lowered = {name.lower(): name for name in known}
        found = difflib.get_close_matches(key.lower(), lowered, n=3)
        found += difflib.get_close_matches(plain, lowered, n=1)
        close = list(dict.fromkeys(lowered[name] for name in found))
    if not close:
        return "run `rk-exporter assets --list-settings`"
    return f"did you mean {' or '.join(close)}?"


def _parser(key: str) -> Callable[[str], str]:
    if _SEVERITY in key:
        return _severity
    for unit, parse in _UNITS.items():
        if key.endswith(unit):
            return lambda text: as_text(_up_to(LARGEST[key], parse(text)))
    return _count


def _severity(text: str) -> str:
    if text not in SEVERITIES:
        raise ValueError(f"invalid severity {text[:40]!r}; expected {' or '.join(SEVERITIES)}")
    return text


def _count(text: str) -> str:
    if not text.isascii() or not text.isdecimal() or int(text) == 0:
        raise ValueError(f"invalid number {text[:40]!r}; expected a whole number from 1 on")
    return str(int(text))


def _seconds(text: str) -> float:
    return _number(text) if text and not set(text) - _DIGITS else parse_duration(text)


def _ratio(text: str) -> float:
    number = text.removesuffix("%")
    return _number(number) / (1 if number == text else 100)


def _number(text: str) -> float:
    # float() also takes nan, inf and 1_000.
    if not text or set(text) - _DIGITS or text.count(".") > 1 or text == ".":
        raise ValueError(f"invalid number {text[:40]!r}; write e.g. 5 or 0.25")
    return float(text)


def _up_to(largest: float, value: float) -> float:
    if value > largest:
        raise ValueError(f"{as_text(value)} is too large; at most {as_text(largest)}")
    return value


_UNITS: dict[str, Callable[[str], float]] = {
    "_seconds": _seconds,
    "_ratio": _ratio,
    "_per_second": _number,
    "_per_minute": _number,
}
