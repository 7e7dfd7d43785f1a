"""How an app is read: a call for each meeting while the budget affords that, else the list."""

import logging

from rk_exporter.planning import Demand
from rk_exporter.recordings import ReadMode


logger = logging.getLogger(__name__)

# By how much the need for calls has to change until it is told again.
_WORTH_TELLING = 1.25


class ModeChooser:
    """Chooses how to read the app of that name, unless one way is *forced*, and tells people."""

    def __init__(self, app: str, forced: ReadMode | None) -> None:
        self._app = app
        self._forced = forced
        self.mode = forced or ReadMode.ACTIVE_RECORDING
        self.is_short = False
        """Whether not every meeting can be read in every pass, a call for each."""
        self._told_demand: Demand | None = None
        self._told_mode: ReadMode | None = None

    def choose(self, demand: Demand, *, list_calls: int, list_is_failing: bool) -> ReadMode:
        """Return how to read, given the *demand* and how the list is doing."""
        self.is_short = demand.is_too_much(was_too_much=self.is_short)
        if self._forced is None:
            # A list that takes more calls than there are meetings would be no way out.
            gains = demand.meetings > list_calls and not list_is_failing
            self.mode = ReadMode.LIST if self.is_short and gains else ReadMode.ACTIVE_RECORDING
        self._tell(demand)
        return self.mode

    def _tell(self, demand: Demand) -> None:
        if self._forced is ReadMode.LIST:
            return
        told, self._told_demand = self._told_demand, demand if self.is_short else None
        if not self.is_short:
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
