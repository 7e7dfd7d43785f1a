"""Finding, starting and stopping the programs that run beside the demo."""

import asyncio
import contextlib
import http.client
import shutil

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

    *names* are those of its executable; the first is also the name of Debian's package. *options*
    are those that other programs lack, with `{folder}` for the folder of its files.
    """

    title: str
    names: tuple[str, ...]
    options: tuple[str, ...]
    address: Address

    def path(self) -> str | None:
        """Return the path of the executable; None if it is not installed."""
        return next(filter(None, map(shutil.which, self.names)), None)

    def configuration(self, folder: Path) -> Path:
        """Return the path of the configuration, which must exist before the program starts."""
        return folder / f"{self.title}.yml"

    async def start(self, folder: Path) -> "Process":
        """Start the program in *folder*, to which it also writes its log."""
        log = folder / f"{self.title}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                self.path() or "",
                f"--config.file={self.configuration(folder)}",
                f"--web.listen-address={self.address}",
                f"--web.external-url={self.address.url}",
                *(option.format(folder=folder) for option in self.options),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                # Ctrl-C at a terminal goes only to the demo, which then stops the programs.
                start_new_session=True,
            )
        return Process(self, process, log)


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
                while self.process.returncode is None:
                    if await asyncio.to_thread(has_page, self.program, "/-/ready"):
                        return
                    await asyncio.sleep(_POLL_INTERVAL_SECONDS)
        except TimeoutError:
            raise self._error(f"is not ready after {_READY_SECONDS:.0f} s") from None
        await self.fail_when_it_ends()

    async def fail_when_it_ends(self) -> None:
        """Wait until the program ends, and raise StackError."""
        raise self._error(f"ended with exit code {await self.process.wait()}")

    def _error(self, event: str) -> StackError:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return StackError("\n  ".join([f"{self.program.title} {event}:", *lines]))

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


def has_page(program: Program, path: str) -> bool:
    """Return whether the program answers 200 at *path*."""
    address = str(program.address.reachable)
    connection = http.client.HTTPConnection(address, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
