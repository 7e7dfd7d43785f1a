"""Choose how to read an app: one call per meeting while the budget allows it, else the list."""

import logging
import math

from dataclasses import dataclass

from rk_exporter.model.meeting import ReadMode
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.runtime.durations import duration_text


logger = logging.getLogger(__name__)
# Two thresholds, so that a scrape that is early or late does not change the mode.
_OVER_BUDGET_FROM = 1.1
_OVER_BUDGET_UNTIL = 1.0
_EARLY_PASSES = 0.05
_SHARES = 2
# The load is logged again if it has changed by this factor.
_NOTABLE_CHANGE = 1.25


@dataclass(frozen=True, slots=True)
class Load:
    """One call per meeting and pass, against the *calls* that the budget allows in a window."""

    meetings: int
    interval_seconds: float
    calls: float

    @property
    def passes(self) -> int:
        """Return how many passes a window of the budget has."""
        # Rounded up, because some windows have one pass more; an early scrape adds none.
        return max(1, math.ceil(WINDOW_SECONDS / self.interval_seconds - _EARLY_PASSES))

    @property
    def calls_per_pass(self) -> float:
        """Return how many calls a pass may make: at most half of a window's (see the budget)."""
        return self.calls / max(_SHARES, self.passes)

    @property
    def ratio(self) -> float:
        """Return the calls needed, divided by the calls allowed."""
        return self.meetings / self.calls_per_pass

    def is_over_budget(self, *, was_over_budget: bool) -> bool:
        """Return whether some passes cannot read all meetings; near the threshold, as before."""
        return self.ratio > (_OVER_BUDGET_UNTIL if was_over_budget else _OVER_BUDGET_FROM)

    @property
    def round_robin_seconds(self) -> float:
        """
        Return the longest time between two reads of a meeting by `plan`, if no meeting is new.

        The round robin reads the longest wait first, so it reads a meeting before it reads any
        other twice: a meeting waits for at most *m* of its calls if there are *m* meetings. The
        urgent queue may take all other calls. Let *c* be the calls per pass.

        c < 1: the queues take turns, so the round robin has every other call. N passes make at
        least floor(N c) calls, and 2 m are needed: N = 2 m / c.

        c >= 1: a pass makes n = floor(c) calls, or one more in a long pass. The queues start in
        turn, so two passes in a row give the round robin at least n calls, and n + 1 if both are
        long. N passes, L of them long, give it at least half of N n + max(0, 2 L - N), rounded
        down. L is at least floor(N (c - n)). So N = 2 m / n is enough, and so is
        (2 m + 2) / (2 c - n - 1).
        """
        calls = self.calls_per_pass
        whole = math.floor(calls)
        if whole < 1:
            passes = 2 * self.meetings / calls
        else:
            passes = 2 * self.meetings / whole
            if (pace := 2 * calls - whole - 1) > 0:
                passes = min(passes, (2 * self.meetings + 2) / pace)
        return math.ceil(passes) * self.interval_seconds

    def explain(self, mode: ReadMode) -> str:
        """Return the load in words, and what it means for the readings."""
        interval = max(1, round(self.interval_seconds))
        wanted = self.meetings * self.passes
        if mode is ReadMode.LIST:
            consequence = "recordings in progress are read through the list"
        else:
            often = duration_text(
                self.meetings / self.calls_per_pass * WINDOW_SECONDS / self.passes
            )
            rarely = duration_text(self.round_robin_seconds)
            consequence = f"idle meetings will be read every {often} to {rarely}"
        half = "" if self.passes >= _SHARES else ", of which a scrape may use half"
        return (
            f"{self.meetings:,} meetings at a {interval} s scrape interval need {wanted:,} calls "
            f"per 5 minutes, the budget is {self.calls:,.0f}{half}: {consequence}"
        )


class ReadModeSelector:
    """Selects how to read an *app*, unless one mode is *forced*, and logs what the load means."""

    def __init__(self, app: str, forced: ReadMode | None) -> None:
        self._app = app
        self._forced = forced
        self._last_logged: tuple[Load, ReadMode] | None = None
        self.mode = forced or ReadMode.ACTIVE_RECORDING
        """How to read the app."""
        self.is_over_budget = False
        """Whether one call per meeting and pass is more than the budget."""

    def change(self, app: str, forced: ReadMode | None) -> None:
        """Go on under another name of the *app*, and with another mode that is *forced*."""
        self._app, self._forced = app, forced
        self.mode = forced or self.mode

    def select(self, load: Load, *, list_calls: int, list_works: bool) -> None:
        """Select how to read, given the *load*, and whether the list can be read."""
        is_over = self.is_over_budget = load.is_over_budget(was_over_budget=self.is_over_budget)
        # A list that takes more calls than there are meetings does not help.
        list_helps = load.meetings > list_calls and list_works
        if self._forced is None:
            self.mode = ReadMode.LIST if is_over and list_helps else ReadMode.ACTIVE_RECORDING
        if self._forced is not ReadMode.LIST:
            self._log(load if is_over else None, self.mode)

    def _log(self, load: Load | None, mode: ReadMode) -> None:
        """Log the *load* if it is over the budget, and that it no longer is (None)."""
        last = self._last_logged
        self._last_logged = None if load is None else (load, mode)
        if load is None:
            if last is not None:
                logger.info("each meeting can be read at every scrape", extra={"app": self._app})
            return
        if last is not None and mode is last[1]:
            change = load.ratio / last[0].ratio
            if 1 / _NOTABLE_CHANGE < change < _NOTABLE_CHANGE:
                self._last_logged = last
                return
        level = logging.INFO if mode is ReadMode.LIST else logging.WARNING
        logger.log(level, "%s", load.explain(mode), extra={"app": self._app})
