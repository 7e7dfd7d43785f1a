"""The boundary of an app: a bug in its passes costs no other app its readings."""

import logging

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.runtime.tracebacks import redacted_traceback


logger = logging.getLogger(__name__)


class ErrorBoundary:
    """
    Contains the unexpected exceptions of one app, and calls *count* for each of them.

    An exception is logged if it differs from the last one. The log has types, files, lines and
    functions, but no messages or values: those may contain a URL or a token.
    """

    def __init__(self, app: str, *, count: Callable[[], object]) -> None:
        self._app = app
        self._count = count
        self._last_logged: LastLogged[str | None] = LastLogged(None)
        self.has_failed = False
        """Whether an exception ended the last pass."""

    @contextmanager
    def contain(self) -> Iterator[None]:
        """End an Exception that leaves this context; cancellation and exits go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 # any bug, but of this app only
            self.has_failed = True
            self._count()
            redacted = redacted_traceback(error)
            if self._last_logged.changes_to(redacted):
                logger.error(  # noqa: TRY400 # `exception` would log messages and values
                    "internal error in the pass over an app; its last snapshot stays in use",
                    extra={"app": self._app, "traceback": redacted},
                )
        else:
            self.has_failed = False
            self._last_logged.changes_to(None)
