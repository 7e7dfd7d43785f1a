"""How an app is read: a call for each meeting while the budget affords that, else the list."""

import logging
import math

from dataclasses import dataclass

from rk_exporter.model.meeting import ReadMode
from rk_exporter.ratelimit.budget import WINDOW_SECONDS


# A call for each meeting is too much only when it takes more than this of what the budget affords,
# and until it is no more than just affordable: a scrape that is early or late changes nothing.
_TOO_MUCH = 1.1
_JUST_AFFORDABLE = 1.0
_EARLY_PASSES = 0.05
_LONGEST_IN_SECONDS = 120.0
_SHORTEST_WHOLE_MINUTES = 10.0


@dataclass(frozen=True, slots=True)
class Load:
    """A call for each of the *meetings* in every pass, and the calls of a window to make them."""

    meetings: int
    interval_seconds: float
    calls: float

    @property
    def passes(self) -> int:
        """Return how many passes fall into one window of the budget."""
        # One more, where they do not fill it evenly; a scrape that is early makes none.
        return max(1, math.ceil(WINDOW_SECONDS / self.interval_seconds - _EARLY_PASSES))

    @property
    def ratio(self) -> float:
        """Return the calls wanted by those that there are."""
        return self.meetings * self.passes / self.calls

    def is_too_much(self, *, was_too_much: bool) -> bool:
        """Tell whether some meetings cannot be read in every pass; near the border, as it was."""
        return self.ratio > (_JUST_AFFORDABLE if was_too_much else _TOO_MUCH)

    @property
    def round_robin_seconds(self) -> float:
        """
        Return the longest time between two reads of a meeting by `plan`, if no meeting is new.

        The sweep reads the longest wait first, so a meeting is read before the sweep reads any
        other twice: it waits for at most as many calls of the sweep as there are meetings, *m*.
        The express may take every call that is not the sweep's. Let *c* be the calls per pass.

        c < 1: the lanes take turns, so every other call is the sweep's. N passes make at least
        floor(N c) calls, and 2 m are needed: N = 2 m / c.

        c >= 1: a pass makes n = floor(c) calls, or one more in a long pass. The lanes lead in turn,
        so two passes in a row give the sweep at least n calls, and n + 1 if both are long. N
        passes, L of them long, give it at least half of N n + max(0, 2 L - N), rounded down. L is
        at least floor(N (c - n)). So N = 2 m / n is enough, and so is (2 m + 2) / (2 c - n - 1).
        """
        calls = self.calls / self.passes
        whole = math.floor(calls)
        if whole < 1:
            passes = 2 * self.meetings / calls
        else:
            passes = 2 * self.meetings / whole
            if (pace := 2 * calls - whole - 1) > 0:
                passes = min(passes, (2 * self.meetings + 2) / pace)
        return math.ceil(passes) * self.interval_seconds

    def explain(self, mode: ReadMode) -> str:
        """Return what it means for people that not every meeting is read in every pass."""
        interval = max(1, round(self.interval_seconds))
        wanted = self.meetings * self.passes
        if mode is ReadMode.LIST:
            consequence = "recordings in progress are read through the list"
        else:
            often = _time_text(self.meetings * WINDOW_SECONDS / self.calls)
            rarely = _time_text(self.round_robin_seconds)
            consequence = f"idle meetings will be read every {often} to {rarely}"
        return (
            f"{self.meetings:,} meetings at a {interval} s scrape interval need {wanted:,} calls "
            f"per 5 minutes, the budget is {self.calls:,.0f}: {consequence}"
        )


def _time_text(seconds: float) -> str:
    if seconds <= _LONGEST_IN_SECONDS:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    shown = f"{minutes:.1f}" if minutes < _SHORTEST_WHOLE_MINUTES else f"{minutes:,.0f}"
    return f"{shown.removesuffix('.0')} minutes"


logger = logging.getLogger(__name__)
# By how much the need for calls has to change until it is told again.
_WORTH_TELLING = 1.25


class ReadModeSelector:
    """Chooses how to read the app of that name, unless one way is *forced*, and tells people."""

    def __init__(self, app: str, forced: ReadMode | None) -> None:
        self._app = app
        self._forced = forced
        self.mode = forced or ReadMode.ACTIVE_RECORDING
        self.is_over_budget = False
        """Whether not every meeting can be read in every pass, a call for each."""
        self._told_demand: Load | None = None
        self._told_mode: ReadMode | None = None

    def choose(self, demand: Load, *, list_calls: int, list_is_failing: bool) -> ReadMode:
        """Return how to read, given the *demand* and how the list is doing."""
        self.is_over_budget = demand.is_too_much(was_too_much=self.is_over_budget)
        if self._forced is None:
            # A list that takes more calls than there are meetings would be no way out.
            gains = demand.meetings > list_calls and not list_is_failing
            self.mode = (
                ReadMode.LIST if self.is_over_budget and gains else ReadMode.ACTIVE_RECORDING
            )
        self._tell(demand)
        return self.mode

    def _tell(self, demand: Load) -> None:
        if self._forced is ReadMode.LIST:
            return
        told, self._told_demand = self._told_demand, demand if self.is_over_budget else None
        if not self.is_over_budget:
            if told:
                logger.info("each meeting can be read at every scrape", extra={"app": self._app})
            return
        told_mode, self._told_mode = self._told_mode, self.mode
        is_alike = told and 1 / _WORTH_TELLING < demand.ratio / told.ratio < _WORTH_TELLING
        if is_alike and self.mode is told_mode:
            self._told_demand = told
            return
        level = logging.INFO if self.mode is ReadMode.LIST else logging.WARNING
        logger.log(level, "%s", demand.explain(self.mode), extra={"app": self._app})
