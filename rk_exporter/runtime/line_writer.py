"""Lines for a stream that may block, e.g. a full pipe or a stopped terminal."""

import contextlib
import os
import queue
import threading

from collections.abc import Callable
from typing import TextIO


# Enough for the start of a process and for a burst of warnings.
_MOST_WAITING = 1000
_FLUSH_SECONDS = 1.0


class LineWriter:
    """
    Writes lines to *stream* in a thread of its own; nobody waits for the stream.

    While *most_waiting* lines wait, further ones are dropped, and so are lines that cannot be
    written.
    """

    def __init__(self, stream: TextIO, *, most_waiting: int = _MOST_WAITING) -> None:
        self.dropped = 0
        """How many lines were dropped."""
        self.error: Exception | None = None
        """Why the last line could not be written."""
        self._write_text = _writer(stream)
        # An event is set when all lines before it are written; None ends the thread.
        self._waiting: queue.Queue[str | threading.Event | None] = queue.Queue(most_waiting)
        threading.Thread(target=self._work, name="lines", daemon=True).start()

    def write(self, line: str) -> None:
        """Write *line*, which has no line break at its end, or drop it."""
        try:
            self._waiting.put_nowait(f"{line}\n")
        except queue.Full:
            self.dropped += 1

    def flush(self, *, timeout_seconds: float = _FLUSH_SECONDS) -> None:
        """Wait until all lines so far are written, at most for *timeout_seconds*."""
        is_written = threading.Event()
        try:
            self._waiting.put(is_written, timeout=timeout_seconds)
        except queue.Full:
            return
        is_written.wait(timeout_seconds)

    def close(self) -> None:
        """End the thread when it has written all lines."""
        with contextlib.suppress(queue.Full):
            self._waiting.put_nowait(None)

    def _work(self) -> None:
        while (item := self._waiting.get()) is not None:
            if isinstance(item, threading.Event):
                item.set()
                continue
            try:
                self._write_text(item)
                self.error = None
            except (OSError, ValueError) as error:  # broken or closed
                self.dropped += 1
                self.error = error


def _writer(stream: TextIO) -> Callable[[str], object]:
    """Return a function that writes a text to *stream* immediately."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):

        def write_and_flush(text: str) -> None:
            stream.write(text)
            stream.flush()

        return write_and_flush
    # Not through the stream: while it blocks, its lock would block everybody else who writes to it.
    encoding = stream.encoding

    def write(text: str) -> None:
        rest = text.encode(encoding, "backslashreplace")
        while rest:
            rest = rest[os.write(descriptor, rest) :]

    return write
