import io
import os
import threading

from rk_exporter.runtime.line_writer import LineWriter


class Blocked(io.StringIO):
    """A stream that blocks until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        """Write when released."""
        self.released.wait(10)
        return super().write(text)


def test_lines() -> None:
    """Lines arrive in their order."""
    stream = io.StringIO()
    writer = LineWriter(stream)
    for line in ("a", "b"):
        writer.write(line)
    writer.flush()
    assert ("a\nb\n", 0, None) == (stream.getvalue(), writer.dropped, writer.error)


def test_blocked_stream() -> None:
    """A blocked stream blocks nobody; further lines are dropped and counted, and later ones not."""
    stream = Blocked()
    writer = LineWriter(stream, most_waiting=3)
    for number in range(10):
        writer.write(str(number))
    writer.flush(timeout_seconds=0.01)
    dropped = writer.dropped
    # The thread may have taken the first line from the queue by then.
    assert dropped in {6, 7}
    stream.released.set()
    writer.flush(timeout_seconds=10)
    writer.write("later")
    writer.flush(timeout_seconds=10)
    lines = stream.getvalue().splitlines()
    assert ("0", "later", 10 - dropped + 1) == (lines[0], lines[-1], len(lines))
    assert dropped == writer.dropped


def test_stream_that_breaks() -> None:
    """Lines for a pipe that nobody reads, or for a closed stream, are counted as dropped."""
    reading, writing = os.pipe()
    os.close(reading)
    closed = io.StringIO()
    closed.close()
    with os.fdopen(writing, "w") as broken:
        for stream, error in ((broken, BrokenPipeError), (closed, ValueError)):
            writer = LineWriter(stream)
            writer.write("a")
            writer.write("b")
            writer.flush()
            assert 2 == writer.dropped
            assert isinstance(writer.error, error)


def test_encoding() -> None:
    """Characters that the stream's encoding lacks are escaped, and surrogates too."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as output, os.fdopen(writing, "w", encoding="latin-1") as stream:
        writer = LineWriter(stream)
        writer.write("é 会 \udcff")
        writer.flush()
        assert b"\xe9 \\u4f1a \\udcff\n" == output.read1()


def test_close() -> None:
    """After the last line the thread ends."""
    stream = io.StringIO()
    before = set(threading.enumerate())
    writer = LineWriter(stream)
    (thread,) = set(threading.enumerate()) - before
    writer.write("last")
    writer.close()
    thread.join(10)
    assert not thread.is_alive()
    assert "last\n" == stream.getvalue()
