"""Running a program to its end, even if one of its threads never ends."""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys

from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, NoReturn, TypeVar

from rk_exporter.runtime.daemon_executor import DaemonExecutor
from rk_exporter.web.server import STOP_SIGNALS


T = TypeVar("T")
# A file has one call at a time, so one file system that hangs takes a thread for each file on it.
_FILE_THREADS = 64
_MOST_WAITING_FILES = 100_000
# A look-up that hangs costs a thread longer than its call lasts, so look-ups could pile up.
_LOOKUP_THREADS = 16
_MOST_WAITING_LOOKUPS = 1000
_STANDARD_STREAMS = {0: "stdin", 1: "stdout", 2: "stderr"}


class ProgramLoop(asyncio.SelectorEventLoop):
    """
    An event loop whose threads for files are not those for name look-ups.

    Both may hang, and cannot be cancelled. The end of the process waits for neither.
    """

    def __init__(self) -> None:
        super().__init__()
        self.set_default_executor(
            DaemonExecutor(_FILE_THREADS, name="files", max_waiting=_MOST_WAITING_FILES)
        )
        self._lookups = DaemonExecutor(
            _LOOKUP_THREADS, name="lookups", max_waiting=_MOST_WAITING_LOOKUPS
        )

    async def getaddrinfo(
        self,
        host: bytes | str | None,
        port: bytes | str | int | None,
        *,
        family: int = 0,
        type: int = 0,  # noqa: A002 # asyncio's signature
        proto: int = 0,
        flags: int = 0,
    ) -> list[Any]:
        """Look up a name."""
        return await self.run_in_executor(
            self._lookups, socket.getaddrinfo, host, port, family, type, proto, flags
        )

    def close(self) -> None:
        """
        Close the loop, and ignore from now on the signals that it handled.

        asyncio would first close the pipe that a signal writes to, so that a late signal fails.
        """
        handlers: dict[int, object] = self._signal_handlers  # type: ignore[attr-defined] # private
        for number in [*handlers]:
            self.remove_signal_handler(number)
        super().close()

    def remove_signal_handler(self, sig: int) -> bool:
        """
        Remove the handler of a signal, and ignore the signal from now on.

        asyncio would restore the default, and a late signal would end the process with an error
        after it has done everything.
        """
        # Not by asyncio's own method: it restores the default for a moment, in which a thread that
        # does not hold signals back may get one.
        signal.signal(sig, signal.SIG_IGN)
        handlers: dict[int, object] = self._signal_handlers  # type: ignore[attr-defined] # private
        is_removed = handlers.pop(sig, None) is not None
        if not handlers:
            signal.set_wakeup_fd(-1)
        return is_removed


def run(program: Coroutine[Any, Any, T]) -> T:
    """Return the result of *program*, without waiting for threads that hang."""
    with asyncio.Runner(loop_factory=ProgramLoop) as runner:
        return runner.run(program)


def accept_signals(*, is_service: bool, reloads: bool) -> None:
    """
    Let the signals through that *prepare* has held back.

    If the command *reloads* its configuration, SIGHUP waits until the server handles it. A service
    that is stopped before it listens ends immediately with exit code 0. A test that runs a command
    in its own process has prepared nothing, and keeps its signal handlers.
    """
    held_back = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    for number in held_back & set(STOP_SIGNALS):
        if is_service:
            signal.signal(number, _end_service)
    accepted = {*STOP_SIGNALS} if reloads else {*STOP_SIGNALS, signal.SIGHUP}
    signal.pthread_sigmask(signal.SIG_UNBLOCK, held_back & accepted)


def _end_service(_number: int, _frame: object) -> NoReturn:
    _ignore_signals()
    raise SystemExit(0)


def _ignore_signals() -> None:
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def prepare() -> None:
    """Make the process independent of how it was started: closed streams, few open files."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {*STOP_SIGNALS, signal.SIGHUP})
    null = os.open(os.devnull, os.O_RDWR)
    for number, name in _STANDARD_STREAMS.items():
        try:
            os.fstat(number)
        except OSError:
            # Otherwise the next socket gets this number, and reads or sends what is not for it.
            os.dup2(null, number)
        if getattr(sys, name) is None:
            mode = "w" if number else "r"
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))
    if null not in _STANDARD_STREAMS:
        os.close(null)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def exit_without_waiting(command: Callable[[], object]) -> NoReturn:
    """
    Run *command*, and end the process with the exit code that it asks for.

    A normal exit would wait for threads that hang.
    """
    code: object = 0
    try:
        command()
    except SystemExit as request:
        code = request.code
    _ignore_signals()
    # Waits for a bounded time, even if standard error is blocked.
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    os._exit(code if isinstance(code, int) else 0 if code is None else 1)
