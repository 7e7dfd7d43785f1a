"""The log of the process: lines on standard error that nobody waits for."""

import logging
import sys

from collections.abc import Iterator
from typing import TextIO

from rk_exporter.runtime.line_writer import LineWriter
from rk_exporter.runtime.log_formats import formatter
from rk_exporter.runtime.recent_warnings import keep_recent_warnings


# They log whole URLs, answers' headers, or what any client may provoke.
_NOISY_LIBRARIES = ("httpx", "httpcore", "uvicorn", "uvicorn.error", "uvicorn.access", "asyncio")


class NonBlockingHandler(logging.Handler):
    """Writes lines to *stream* without waiting for it, and drops them while it is blocked."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self.stream = stream
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
    """
    Send the log of the package from *level* on to *stream*, by default standard error.

    A later call changes level and form while the program logs: no line is lost or written twice.
    """
    stream = stream or sys.stderr
    handler = _handler_of(stream)
    handler.setFormatter(formatter(form, stream))
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.getLogger("rk_exporter").setLevel(level.upper())
    for library in _NOISY_LIBRARIES:
        logging.getLogger(library).setLevel(logging.ERROR)
    if handler not in root.handlers:
        root.addHandler(handler)
    keep_recent_warnings()


def _handler_of(stream: TextIO) -> NonBlockingHandler:
    """Return the handler for *stream*, and remove those for other streams."""
    kept = None
    for handler in list(_handlers()):
        if handler.stream is stream:
            kept = handler
        else:
            logging.getLogger().removeHandler(handler)
            handler.close()
    return kept or NonBlockingHandler(stream)
