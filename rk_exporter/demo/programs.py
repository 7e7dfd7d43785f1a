"""Finding, starting and stopping the programs that run beside the demo."""

import asyncio
import contextlib
import http.client
import shutil

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rk_exporter.config.parsers import Address


GRACE_SECONDS = 10.0
_READY_SECONDS = 60.0
_POLL_INTERVAL_SECONDS = 0.1
_PROBE_SECONDS = 2.0
_LOG_LINES = 20


class StackError(Exception):
    """A program cannot run beside the demo."""


@dataclass(frozen=True, slots=True)
class Program:
    """
    A program that listens on *address*.

    *names* are those of its executable, and *package* is the one of Debian that contains it.
    """

    title: str
    names: tuple[str, ...]
    package: str
    address: Address

    def path(self) -> str | None:
        """Return the path of the executable; None if it is not installed."""
        return next(filter(None, map(shutil.which, self.names)), None)


@dataclass(frozen=True, slots=True)
class Process:
    """A running program."""

    program: Program
    process: asyncio.subprocess.Process
    log: Path

    async def become_ready(self) -> None:
        """Wait until it is ready; raise StackError if it takes too long or ends."""
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._is_ready():  # noqa: ASYNC110 # another program sends no events
                    await asyncio.sleep(_POLL_INTERVAL_SECONDS)
        except TimeoutError:
            raise StackError(
                f"{self.program.title} is not ready after {_READY_SECONDS:.0f} s:\n"
                f"{self._last_log_lines()}"
            ) from None

    async def _is_ready(self) -> bool:
        if self.process.returncode is not None:
            self._fail()
        return await asyncio.to_thread(has_page, self.program, "/-/ready")

    async def fail_when_it_ends(self) -> None:
        """Wait until the program ends, and raise StackError."""
        await self.process.wait()
        self._fail()

    def _fail(self) -> None:
        raise StackError(
            f"{self.program.title} ended with exit code {self.process.returncode}:\n"
            f"{self._last_log_lines()}"
        )

    def _last_log_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])

    async def stop(self) -> None:
        """Terminate the program and wait for its end; kill it if that takes too long."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self.process.wait()
        except TimeoutError:
            self.kill()
            await self.process.wait()

    def kill(self) -> None:
        """Kill the program."""
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()


async def start(program: Program, command: Sequence[str], folder: Path) -> Process:
    """Start a program that writes its log to *folder*."""
    log = folder / f"{program.title}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C at a terminal goes only to the demo, which then stops the programs.
            start_new_session=True,
        )
    return Process(program, process, log)


def has_page(program: Program, path: str) -> bool:
    """Return whether the program answers 200 at *path*."""
    address = program.address.reachable
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
