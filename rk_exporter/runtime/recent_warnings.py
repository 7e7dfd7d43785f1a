"""The last warnings of the log, for people who do not see the log itself."""

import logging

from collections import deque
from dataclasses import dataclass

from rk_exporter.runtime.log_formats import extra_fields
from rk_exporter.runtime.printable import visible


MOST_WARNINGS = 20
_PACKAGE = "rk_exporter"
_LONGEST_MESSAGE = 500
# Ten ids of meetings.
_LONGEST_VALUE = 500
_MOST_FIELDS = 12


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


def keep_recent_warnings() -> None:
    """Keep the last warnings of this process from now on."""
    if _keeper() is None:
        logging.getLogger().addHandler(RecentWarnings())


def recent_warnings() -> tuple[LoggedWarning, ...]:
    """Return the last warnings of this process, newest first; none before they are kept."""
    keeper = _keeper()
    return keeper.newest_first if keeper else ()


def _keeper() -> RecentWarnings | None:
    handlers = logging.getLogger().handlers
    return next((one for one in handlers if isinstance(one, RecentWarnings)), None)


def _logged(record: logging.LogRecord) -> LoggedWarning:
    extra = [*extra_fields(record).items()]
    return LoggedWarning(
        record.created,
        record.levelname.lower(),
        _bounded(record.getMessage(), _LONGEST_MESSAGE),
        tuple((key, _bounded(str(value), _LONGEST_VALUE)) for key, value in extra[:_MOST_FIELDS]),
    )


def _bounded(text: str, longest: int) -> str:
    shown = visible(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}…"
