"""Each duration, count and percentage has a range, and values outside are refused by name."""

from pathlib import Path

import pytest

from hypothesis import assume, given
from hypothesis import strategies as st

from rk_exporter.config.config import OPTIONS, Config
from rk_exporter.config.loader import load
from rk_exporter.config.option import Option
from rk_exporter.config.ranges import Durations, Range
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE


ENVIRONMENT = {TOKEN_VARIABLE: "simulated"}
RANGED = [option for option in OPTIONS if isinstance(option.parse, Range)]
# So that no other rule refuses a value in its range.
OTHERS = {"scrape.min_interval": "0s", "scrape.stale_after": "1d"}
SMALLEST: dict[str, str | list[str]] = {
    "account_id": "account",
    "app_id": "app",
    "meeting_ids": ["a"],
}
each_option = pytest.mark.parametrize("option", RANGED, ids=lambda option: option.path)


def loaded(option: Option, text: str) -> Config:
    values = {**SMALLEST, **OTHERS, option.path: text}
    settings = {path: Setting(value, f"--{path}") for path, value in values.items()}
    return load(None, settings, ENVIRONMENT)


def range_of(option: Option) -> Range:
    assert isinstance(option.parse, Range)
    return option.parse


def as_text(limits: Range, number: int) -> str:
    """Return a number as people type it; durations in milliseconds."""
    if not isinstance(limits, Durations):
        return str(number)
    seconds, milliseconds = divmod(number, 1000)
    return f"{seconds}s{milliseconds}ms"


def bounds(limits: Range) -> tuple[int, int]:
    factor = 1000 if isinstance(limits, Durations) else 1
    return int(limits.check(limits.smallest) * factor), int(limits.check(limits.largest) * factor)


def test_every_number_has_a_range() -> None:
    """No option for a duration, a count or a percentage is without a range."""
    numbers = [option for option in OPTIONS if option.metavar in {"DURATION", "N", "PERCENT"}]
    assert numbers == RANGED
    assert numbers


@each_option
def test_limits(option: Option) -> None:
    """The limits and the default are in the range, and the next values are not."""
    limits = range_of(option)
    smallest, largest = bounds(limits)
    for text in (limits.smallest, limits.largest, option.default):
        assert text
        loaded(option, text)
    loaded(option, as_text(limits, smallest))
    loaded(option, as_text(limits, largest))
    with pytest.raises(ConfigError):
        loaded(option, as_text(limits, largest + 1))


@each_option
@given(data=st.data())
def test_inside(option: Option, data: st.DataObject) -> None:
    """Any value in the range is accepted."""
    limits = range_of(option)
    smallest, largest = bounds(limits)
    number = data.draw(st.integers(smallest, largest))
    # One option must be smaller than the other.
    assume(option.path != "scrape.stale_after" or number > 0)
    config = loaded(option, as_text(limits, number))
    assert config.apps


@each_option
@given(data=st.data())
def test_outside(option: Option, data: st.DataObject) -> None:
    """Any value outside is refused, with the name of the option and its range."""
    limits = range_of(option)
    smallest, largest = bounds(limits)
    below = st.integers(0, smallest - 1) if smallest else st.nothing()
    number = data.draw(below | st.integers(largest + 1, 10**11))
    with pytest.raises(ConfigError) as caught:
        loaded(option, as_text(limits, number))
    expected = f"--{option.path}: must be between {limits.smallest} and {limits.largest}"
    assert str(caught.value).startswith(expected)


@each_option
@given(text=st.text(st.characters()))
def test_nonsense(option: Option, text: str) -> None:
    """Any text is either a value in the range, or refused with the name of the option."""
    try:
        loaded(option, text)
    except ConfigError as error:
        assert str(error).startswith(f"--{option.path}: ")
        assert str(error).isprintable()


@each_option
def test_in_a_file(option: Option, tmp_path: Path) -> None:
    """A value outside the range in a file is refused with the file, the line and the range."""
    limits = range_of(option)
    too_large = as_text(limits, bounds(limits)[1] + 1)
    section, _, name = option.path.partition(".")
    path = tmp_path / "rk.yml"
    path.write_text(
        f"account_id: a\napp_id: b\nmeeting_ids: [m]\n{section}:\n  {name}: {too_large}\n"
    )
    with pytest.raises(ConfigError) as caught:
        load(path, {}, ENVIRONMENT)
    expected = f"{path}:5: {option.path}: must be between {limits.smallest} and {limits.largest}"
    assert expected in str(caught.value)


def test_the_example_of_the_range() -> None:
    """An offset of an hour, longer than any scrape, is a mistake."""
    (option,) = (option for option in RANGED if option.path == "scrape.timeout_offset")
    with pytest.raises(ConfigError, match=r"timeout_offset: must be between 0s and 10s"):
        loaded(option, "1h")
