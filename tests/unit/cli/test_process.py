"""The event loop of a program."""

import os
import signal

import pytest

from rk_exporter.cli.process import ProgramLoop


class ClosingLoop(ProgramLoop):
    """Gets a signal just after it has closed the pipe that signals write to."""

    def _close_self_pipe(self) -> None:
        super()._close_self_pipe()  # type: ignore[misc] # private
        os.kill(os.getpid(), signal.SIGUSR1)


def test_signal_while_the_loop_closes(capfd: pytest.CaptureFixture[str]) -> None:
    """A signal that arrives while the event loop closes is ignored, without any message."""
    before = signal.getsignal(signal.SIGUSR1)
    try:
        loop = ClosingLoop()
        loop.add_signal_handler(signal.SIGUSR1, lambda: None)
        loop.close()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert ("", "") == capfd.readouterr()
