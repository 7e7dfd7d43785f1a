import logging

from itertools import pairwise

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.collector.read_mode import Load, ReadModeSelector
from rk_exporter.model.meeting import ReadMode


LIST, EACH = ReadMode.LIST, ReadMode.ACTIVE_RECORDING


class Selection:
    """The read mode of an app with a budget of 600 and a scrape interval of 15 s."""

    def __init__(self, log: pytest.LogCaptureFixture, forced: ReadMode | None = None) -> None:
        log.set_level(logging.INFO, logger="rk_exporter")
        self.selector = ReadModeSelector("production", forced)
        self._log = log

    def select(self, meetings: int, *, list_calls: int = 4, list_works: bool = True) -> ReadMode:
        load = Load(meetings, 15.0, 600.0)
        self.selector.select(load, list_calls=list_calls, list_works=list_works)
        return self.selector.mode

    def messages(self) -> list[tuple[str, str]]:
        """Return the level and the end of each message since the last time."""
        records = [(record.levelname, record.getMessage()) for record in self._log.records]
        assert {record.__dict__["app"] for record in self._log.records} <= {"production"}
        self._log.clear()
        return [(level, text.rpartition(": ")[2]) for level, text in records]


THROUGH_THE_LIST = ("INFO", "recordings in progress are read through the list")
AT_EVERY_SCRAPE = ("INFO", "each meeting can be read at every scrape")


def test_before_the_first_choice(caplog: pytest.LogCaptureFixture) -> None:
    """Before the load is known, meetings are read one by one, unless the list is forced."""
    selectors = [Selection(caplog, forced).selector for forced in (None, EACH, LIST)]
    assert [selector.mode for selector in selectors] == [EACH, EACH, LIST]
    assert [selector.is_over_budget for selector in selectors] == [False] * 3


def test_other_configuration(caplog: pytest.LogCaptureFixture) -> None:
    """Another configuration can force another mode; without one, the mode stays at first."""
    selection = Selection(caplog)
    assert selection.select(100) is LIST
    selection.selector.change("production", None)
    assert selection.selector.mode is LIST
    selection.selector.change("production", EACH)
    assert (selection.selector.mode, selection.select(100)) == (EACH, EACH)
    selection.selector.change("production", None)
    assert (selection.selector.mode, selection.select(100)) == (EACH, LIST)
    caplog.clear()
    selection.selector.change("renamed", EACH)
    selection.select(100)
    assert [vars(record)["app"] for record in caplog.records] == ["renamed"]


def test_forced_list(caplog: pytest.LogCaptureFixture) -> None:
    """A forced list is read whatever the load is, and nothing is logged."""
    selection = Selection(caplog, LIST)
    modes = [selection.select(count, list_works=False, list_calls=99) for count in (1, 1000, 1)]
    assert (modes, selection.messages()) == ([LIST] * 3, [])


def test_forced_calls(caplog: pytest.LogCaptureFixture) -> None:
    """Forced calls per meeting are made whatever the load is, with a warning."""
    selection = Selection(caplog, EACH)
    assert [selection.select(1000), selection.selector.is_over_budget] == [EACH, True]
    ((level, text),) = selection.messages()
    assert (level, text.partition(" read ")[0]) == ("WARNING", "idle meetings will be")


@pytest.mark.parametrize(("list_calls", "mode"), [(39, LIST), (40, EACH), (99, EACH)])
def test_list_that_saves_no_calls(
    list_calls: int, mode: ReadMode, caplog: pytest.LogCaptureFixture
) -> None:
    """A list that takes as many calls as there are meetings does not help."""
    assert Selection(caplog).select(40, list_calls=list_calls) is mode


def test_list_that_fails(caplog: pytest.LogCaptureFixture) -> None:
    """While the list fails, meetings are read one by one; each change is logged once."""
    selection = Selection(caplog)
    assert [selection.select(100), selection.select(100)] == [LIST, LIST]
    assert selection.messages() == [THROUGH_THE_LIST]
    assert [selection.select(100, list_works=False) for _ in range(3)] == [EACH] * 3
    assert [level for level, _ in selection.messages()] == ["WARNING"]
    assert [selection.select(100), selection.select(100)] == [LIST, LIST]
    assert selection.messages() == [THROUGH_THE_LIST]


def test_notable_changes(caplog: pytest.LogCaptureFixture) -> None:
    """The load is logged again if it has changed by a quarter since the last message."""
    selection = Selection(caplog, EACH)
    logged = []
    for count in (120, 130, 149, 150, 140, 121, 120):
        selection.select(count)
        logged += [count] * len(selection.messages())
    assert logged == [120, 150, 120]


def test_enough_calls(caplog: pytest.LogCaptureFixture) -> None:
    """The end of an overload is logged once, and only after the overload was logged."""
    selection = Selection(caplog)
    for count in (30, 30, 40, 30, 30, 40):
        selection.select(count)
    assert selection.messages() == [THROUGH_THE_LIST, AT_EVERY_SCRAPE, THROUGH_THE_LIST]


def test_near_the_border(caplog: pytest.LogCaptureFixture) -> None:
    """Near the threshold, the mode stays."""
    selection = Selection(caplog)
    counts = (32, 34, 32, 31, 30, 32)
    assert [selection.select(count) for count in counts] == [EACH, LIST, LIST, LIST, EACH, EACH]


class TestLoad:
    """The load of one call per meeting and pass, and what it means."""

    @pytest.mark.parametrize(
        ("meetings", "interval", "calls", "ratio"),
        [
            (30, 15, 600, 1.0),
            (240, 15, 600, 8.0),
            (0, 15, 600, 0.0),
            # A pass may use half of a window.
            (100, 300, 600, 1 / 3),
            # Some windows have three passes.
            (100, 140, 300, 1.0),
            # A window has twenty passes, even if scrapes are a little early.
            (30, 14.99, 600, 1.0),
        ],
    )
    def test_ratio(self, meetings: int, interval: float, calls: float, ratio: float) -> None:
        """The ratio is the calls that a window needs, divided by those that it has."""
        assert Load(meetings, interval, calls).ratio == pytest.approx(ratio)

    @pytest.mark.parametrize("was_over_budget", [False, True])
    def test_over_budget(self, *, was_over_budget: bool) -> None:
        """A load above the budget is over budget; near the threshold, the answer stays."""
        assert not Load(30, 15, 600).is_over_budget(was_over_budget=was_over_budget)
        assert Load(34, 15, 600).is_over_budget(was_over_budget=was_over_budget)
        assert was_over_budget == Load(32, 15, 600).is_over_budget(was_over_budget=was_over_budget)

    @given(
        st.integers(1, 3000),
        st.sampled_from([5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 150.0, 300.0]),
        st.sampled_from([60.0, 200.0, 300.0, 600.0, 1000.0]),
        st.lists(st.floats(-0.02, 0.02), min_size=30, max_size=30),
    )
    @example(30, 15.0, 600.0, [-0.02, 0.02] * 15)
    @example(33, 15.0, 600.0, [-0.02, 0.02] * 15)
    @example(120, 60.0, 600.0, [-0.02, 0.02] * 15)
    def test_jitter_does_not_flap(
        self, meetings: int, interval: float, calls: float, jitter: list[float]
    ) -> None:
        """Scrapes that are a little early or late change the answer at most once."""
        loads = [Load(meetings, interval + early, calls) for early in jitter]
        for states in ([False], [True]):
            for load in loads:
                states.append(load.is_over_budget(was_over_budget=states[-1]))
            assert sum(1 for before, after in pairwise(states) if before != after) <= 1

    def test_explanation_for_single_calls(self) -> None:
        """The text has the calls needed, the budget, and the consequence."""
        assert (
            "240 meetings at a 15 s scrape interval need 4,800 calls per 5 minutes, "
            "the budget is 600: idle meetings will be read every 2m to 4m"
        ) == Load(240, 15.0, 600.0).explain(ReadMode.ACTIVE_RECORDING)

    def test_explanation_for_the_list(self) -> None:
        """If the list is read instead, that is the consequence."""
        assert (
            "1,000 meetings at a 30 s scrape interval need 10,000 calls per 5 minutes, "
            "the budget is 1,200: recordings in progress are read through the list"
        ) == Load(1000, 30.0, 1200.0).explain(ReadMode.LIST)

    @pytest.mark.parametrize(
        ("interval", "shown", "half"),
        [
            (0.2, "1 s", ""),
            (1.0, "1 s", ""),
            (150.0, "150 s", ""),
            (300.0, "300 s", ", of which a scrape may use half"),
        ],
    )
    def test_explanation_for_unusual_intervals(
        self, interval: float, shown: str, half: str
    ) -> None:
        """The interval is at least a second; if it is long, a scrape has half of the calls."""
        text = Load(1000, interval, 600.0).explain(ReadMode.LIST)
        assert f"at a {shown} scrape interval" in text
        assert f"the budget is 600{half}: recordings" in text

    @given(st.integers(1, 100_000), st.floats(0.2, 300.0), st.floats(1.0, 1e5))
    @example(2400, 15.0, 10.0)
    def test_any_explanation(self, meetings: int, interval: float, calls: float) -> None:
        """All numbers are written as people write them."""
        text = Load(meetings, interval, calls).explain(ReadMode.ACTIVE_RECORDING)
        assert "e+" not in text
