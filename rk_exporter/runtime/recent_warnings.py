"""The last warnings of the log, for people who do not see the log itself."""

import logging

from collections import deque
from dataclasses import dataclass

from rk_exporter.runtime.printable import visible


MOST_WARNINGS = 20
_PACKAGE = "rk_exporter"
_LONGEST_MESSAGE = 500
_LONGEST_VALUE = 200
_MOST_FIELDS = 12
# Everything that a record has of its own; the rest came in `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class LoggedWarning:
    """A warning or an error as logged, with its fields; all texts are printable and bounded."""

    timestamp_seconds: float
    level: str
    message: str
    fields: tuple[tuple[str, str], ...]


class RecentWarnings(logging.Handler):
    """
    Keeps the last *most* warnings and errors of the package.

    Libraries are left out, because any client can provoke what a server logs.
    """

    def __init__(self, most: int = MOST_WARNINGS) -> None:
        super().__init__(logging.WARNING)
        self._kept: deque[LoggedWarning] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep *record* instead of the oldest one."""
        if record.name.partition(".")[0] == _PACKAGE:
            self._kept.append(_logged(record))

    @property
    def newest_first(self) -> tuple[LoggedWarning, ...]:
        """Return what is kept."""
        return tuple(reversed(self._kept.copy()))


def recent_warnings() -> tuple[LoggedWarning, ...]:
    """Return the last warnings of this process, newest first; none before logging is set up."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, RecentWarnings):
            return handler.newest_first
    return ()


def _logged(record: logging.LogRecord) -> LoggedWarning:
    extra = [(key, value) for key, value in vars(record).items() if key not in _STANDARD]
    return LoggedWarning(
        record.created,
        record.levelname.lower(),
        _bounded(record.getMessage(), _LONGEST_MESSAGE),
        tuple((key, _bounded(str(value), _LONGEST_VALUE)) for key, value in extra[:_MOST_FIELDS]),
    )


def _bounded(text: str, longest: int) -> str:
    shown = visible(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
