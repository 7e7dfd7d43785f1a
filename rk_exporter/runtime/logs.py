"""Log lines on standard error, as logfmt or JSON, with the fields that a call passes in `extra`."""

import json
import logging
import sys

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TextIO

from rk_exporter.runtime.line_writer import LineWriter
from rk_exporter.runtime.recent_warnings import RecentWarnings


LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("logfmt", "json")
# Everything that a record has of its own; the rest came in `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# They log whole URLs, answers' headers, or what any client may provoke.
_NOISY_LIBRARIES = ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


class LogfmtFormatter(logging.Formatter):
    """A record as `key=value` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line."""
        pairs = _fields(self, record).items()
        return " ".join(f"{key}={_logfmt_value(str(value))}" for key, value in pairs)


class JsonFormatter(logging.Formatter):
    """A record as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line."""
        return json.dumps(_fields(self, record), default=str)


class NonBlockingHandler(logging.Handler):
    """Writes lines to *stream* without waiting for it, and drops them while it is blocked."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.writer = LineWriter(stream)

    def emit(self, record: logging.LogRecord) -> None:
        """Write *record*."""
        self.writer.write(self.format(record))

    def flush(self) -> None:
        """Wait for a bounded time until all records are written."""
        self.writer.flush()

    def close(self) -> None:
        """End the thread that writes."""
        self.writer.close()
        super().close()


def _handlers() -> Iterator[NonBlockingHandler]:
    for handler in logging.getLogger().handlers:
        if isinstance(handler, NonBlockingHandler):
            yield handler


def dropped_lines() -> int:
    """Return how many lines were dropped, because standard error was blocked or broken."""
    return sum(handler.writer.dropped for handler in _handlers())


def flush() -> None:
    """Wait for a bounded time until the log is written."""
    for handler in _handlers():
        handler.flush()


def configure(*, level: str, form: str, stream: TextIO | None = None) -> None:
    """Send the log of the package from *level* on to *stream*, by default standard error."""
    handler = NonBlockingHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else LogfmtFormatter())
    handlers = [handler, RecentWarnings()]
    logging.basicConfig(handlers=handlers, level=logging.WARNING, force=True)
    logging.getLogger("rk_exporter").setLevel(level.upper())
    for library in _NOISY_LIBRARIES:
        logging.getLogger(library).setLevel(logging.ERROR)


def _fields(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    fields: dict[str, object] = {
        "time": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "level": record.levelname.lower(),
        "msg": record.getMessage(),
    }
    fields |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return fields


def _logfmt_value(text: str) -> str:
    if text and not any(character in text for character in ' "=\\') and text.isprintable():
        return text
    # Formatting characters could show a line that says something else.
    return "".join(
        character if character.isprintable() else json.dumps(character)[1:-1]
        for character in json.dumps(text, ensure_ascii=False)
    )
