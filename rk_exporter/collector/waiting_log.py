"""The log of meetings that had to wait, because a pass had no calls or no time for them."""

import logging

from collections.abc import Sequence

from rk_exporter.model.remedies import WAIT_REMEDIES, Wait
from rk_exporter.runtime.printable import names_text


logger = logging.getLogger(__name__)
# Near the limit every other pass is too short, and each would be a change.
_OVER_AFTER_SECONDS = 300.0
EXPLANATIONS = {
    Wait.BUDGET: "the API budget does not allow more calls now",
    Wait.TIME: "the time of the scrape is over",
    Wait.BLOCKED: "API calls are suspended",
}


class WaitingLog:
    """Logs each cause once, until no meeting of the *app* has waited for five minutes."""

    def __init__(self, app: str) -> None:
        self._app = app
        self._logged: set[Wait] = set()
        self._waited_at = 0.0

    def log(self, waiting: Sequence[str], cause: Wait, *, now: float) -> None:
        """Log that the meetings with these ids had to wait, at *now* (monotonic seconds)."""
        fields: dict[str, object] = {"app": self._app}
        if waiting:
            self._waited_at = now
            if cause not in self._logged:
                self._logged.add(cause)
                logger.warning(
                    "meetings have to wait: %s",
                    EXPLANATIONS[cause],
                    extra=fields
                    | {
                        "meeting_ids": names_text(waiting),
                        "meetings": len(waiting),
                        "reason": cause.value,
                        "remedy": WAIT_REMEDIES[cause],
                    },
                )
        elif self._logged and now - self._waited_at >= _OVER_AFTER_SECONDS:
            self._logged.clear()
            logger.info("no meeting has to wait any longer", extra=fields)
