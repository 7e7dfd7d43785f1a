import logging

import pytest

from rk_exporter.collector.read_mode import Load, ReadModeSelector
from rk_exporter.model.meeting import ReadMode


LIST, EACH = ReadMode.LIST, ReadMode.ACTIVE_RECORDING


class Chooser:
    """A chooser for an app with a budget of 600 that is scraped each 15 s."""

    def __init__(self, log: pytest.LogCaptureFixture, forced: ReadMode | None = None) -> None:
        log.set_level(logging.INFO, logger="rk_exporter")
        self.chooser = ReadModeSelector("production", forced)
        self._log = log

    def choose(
        self, meetings: int, *, list_calls: int = 4, list_is_failing: bool = False
    ) -> ReadMode:
        demand = Load(meetings, 15.0, 600.0)
        mode = self.chooser.choose(demand, list_calls=list_calls, list_is_failing=list_is_failing)
        assert mode is self.chooser.mode
        return mode

    def told(self) -> list[tuple[str, str]]:
        """Return the levels of what was logged since the last time, and how it ends."""
        records = [(each.levelname, each.getMessage()) for each in self._log.records]
        assert {each.__dict__["app"] for each in self._log.records} <= {"production"}
        self._log.clear()
        return [(level, text.rpartition(": ")[2]) for level, text in records]


THROUGH_THE_LIST = ("INFO", "recordings in progress are read through the list")
AT_EVERY_SCRAPE = ("INFO", "each meeting can be read at every scrape")


def test_before_the_first_choice(caplog: pytest.LogCaptureFixture) -> None:
    """Until something is known meetings are read one by one, unless the list is forced."""
    assert [Chooser(caplog, forced).chooser.mode for forced in (None, EACH, LIST)] == [
        EACH,
        EACH,
        LIST,
    ]


def test_forced_list(caplog: pytest.LogCaptureFixture) -> None:
    """A list that was asked for is read whatever a call for each would take; nothing is told."""
    chooser = Chooser(caplog, LIST)
    modes = [chooser.choose(count, list_is_failing=True, list_calls=99) for count in (1, 1000, 1)]
    assert (modes, chooser.told()) == ([LIST] * 3, [])


def test_forced_calls(caplog: pytest.LogCaptureFixture) -> None:
    """Calls for each are made whatever they take, and people are warned of what follows."""
    chooser = Chooser(caplog, EACH)
    assert [chooser.choose(1000), chooser.chooser.is_over_budget] == [EACH, True]
    ((level, text),) = chooser.told()
    assert (level, text.partition(" read ")[0]) == ("WARNING", "idle meetings will be")


@pytest.mark.parametrize(("list_calls", "mode"), [(39, LIST), (40, EACH), (99, EACH)])
def test_list_that_gains_nothing(
    list_calls: int, mode: ReadMode, caplog: pytest.LogCaptureFixture
) -> None:
    """A list that takes as many calls as there are meetings is no way out."""
    assert Chooser(caplog).choose(40, list_calls=list_calls) is mode


def test_list_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """While the list fails meetings are read one by one; each change is told, and once."""
    chooser = Chooser(caplog)
    assert [chooser.choose(100), chooser.choose(100)] == [LIST, LIST]
    assert chooser.told() == [THROUGH_THE_LIST]
    assert [chooser.choose(100, list_is_failing=True) for _ in range(3)] == [EACH] * 3
    assert [level for level, _ in chooser.told()] == ["WARNING"]
    assert [chooser.choose(100), chooser.choose(100)] == [LIST, LIST]
    assert chooser.told() == [THROUGH_THE_LIST]


def test_what_is_worth_telling(caplog: pytest.LogCaptureFixture) -> None:
    """A need that has changed by a quarter since it was told is told again, step by step too."""
    chooser = Chooser(caplog, EACH)
    told = []
    for count in (100, 110, 120, 130, 120, 105, 100):
        chooser.choose(count)
        told += [count] * len(chooser.told())
    assert told == [100, 130, 100]


def test_enough_calls(caplog: pytest.LogCaptureFixture) -> None:
    """That each can be read is told to those who were told otherwise, and only once."""
    chooser = Chooser(caplog)
    for count in (30, 30, 40, 30, 30, 40):
        chooser.choose(count)
    assert chooser.told() == [THROUGH_THE_LIST, AT_EVERY_SCRAPE, THROUGH_THE_LIST]


def test_near_the_border(caplog: pytest.LogCaptureFixture) -> None:
    """Where a call for each takes a little more than there is, all stays as it was."""
    chooser = Chooser(caplog)
    counts = (32, 34, 32, 31, 30, 32)
    assert [chooser.choose(count) for count in counts] == [EACH, LIST, LIST, LIST, EACH, EACH]
