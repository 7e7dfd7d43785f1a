"""The boundary of an app: a bug in its passes costs no other app its readings."""

import logging
import traceback

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import PurePath

from rk_exporter.runtime.last_logged import LastLogged


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

    @contextmanager
    def contain(self) -> Iterator[None]:
        """End an Exception that leaves this context; cancellation and exits go on."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 # any bug, but of this app only
            self._count()
            redacted = redacted_traceback(error)
            if self._last_logged.changes_to(redacted):
                logger.error(  # noqa: TRY400 # `exception` would log messages and values
                    "internal error in the pass over an app; its last snapshot stays in use",
                    extra={"app": self._app, "traceback": redacted},
                )
        else:
            self._last_logged.changes_to(None)


def redacted_traceback(error: BaseException) -> str:
    """
    Return the frames and the type of *error*, of all errors in a group, and of their causes.

    For example `app_collector.py:57 run_pass > reads.py:61 meeting: KeyError`.
    """
    frames = " > ".join(
        f"{PurePath(frame.f_code.co_filename).name}:{line} {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
    )
    texts = [f"{frames}: {type(error).__name__}" if frames else type(error).__name__]
    if isinstance(error, BaseExceptionGroup):
        texts = [f"{frames} > {redacted_traceback(inner)}" for inner in error.exceptions]
    cause = error.__cause__ or error.__context__
    if cause is not None:
        texts.append(f"caused by {redacted_traceback(cause)}")
    return "; ".join(texts)
