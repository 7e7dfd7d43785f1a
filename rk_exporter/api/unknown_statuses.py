"""A warning for each state of a recording that the API does not document."""

import logging

from collections.abc import Iterable


logger = logging.getLogger(__name__)
_LONGEST_CHARACTERS = 40
# An API that makes up states must not fill the log.
_MOST_STATUSES = 20


class UnknownStatusLog:
    """Logs each unknown state of one app's recordings once, as long as there are not too many."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._logged: set[str] = set()

    def log(self, statuses: Iterable[str]) -> None:
        """Log those of the *statuses* that are new."""
        for status in statuses:
            shown = status.encode("ascii", "backslashreplace").decode()[:_LONGEST_CHARACTERS]
            if shown in self._logged or len(self._logged) >= _MOST_STATUSES:
                continue
            self._logged.add(shown)
            logger.warning(
                "recording in an unknown state; it counts as in progress until it has stopped",
                extra={"app": self._app, "status": shown},
            )
