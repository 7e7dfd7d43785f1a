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
_ANY_HOST = frozenset({"", "::", "0.0.0.0"})  # noqa: S104 # recognised, not bound


class StackError(Exception):
    """A program cannot run beside the demo."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program, the *names* of its executable, and the *package* of Debian that contains it."""

    title: str
    names: tuple[str, ...]
    package: str

    def path(self) -> str | None:
        """Return the path of the executable; None if it is not installed."""
        return next(filter(None, map(shutil.which, self.names)), None)


@dataclass(frozen=True, slots=True)
class Installation:
    """An installed program, and a free address for it to listen on."""

    program: Program
    path: str
    address: Address

    @property
    def listen_address(self) -> str:
        """Return the address to listen on, as host:port."""
        return _host_and_port(self.address.host, self.address.port)

    @property
    def reachable(self) -> Address:
        """Return the address that reaches it from this machine."""
        host = "127.0.0.1" if self.address.host in _ANY_HOST else self.address.host
        return Address(host, self.address.port)

    @property
    def target(self) -> str:
        """Return the address that reaches it from this machine, as host:port."""
        return _host_and_port(self.reachable.host, self.reachable.port)

    @property
    def url(self) -> str:
        """Return the URL that reaches it from this machine."""
        return f"http://{self.target}"


def _host_and_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Process:
    """A running program."""

    def __init__(
        self, installation: Installation, process: asyncio.subprocess.Process, log: Path
    ) -> None:
        self._installation = installation
        self._process = process
        self._log = log

    async def become_ready(self) -> None:
        """Wait until it is ready; raise StackError if it takes too long or ends."""
        title = self._installation.program.title
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._is_ready():  # noqa: ASYNC110 # another program sends no events
                    await asyncio.sleep(_POLL_INTERVAL_SECONDS)
        except TimeoutError:
            raise StackError(
                f"{title} is not ready after {_READY_SECONDS:.0f} s:\n{self._last_log_lines()}"
            ) from None

    async def _is_ready(self) -> bool:
        if self._process.returncode is not None:
            self._fail()
        return await asyncio.to_thread(has_page, self._installation, "/-/ready")

    async def fail_when_it_ends(self) -> None:
        """Wait until the program ends, and raise StackError."""
        await self._process.wait()
        self._fail()

    def _fail(self) -> None:
        raise StackError(
            f"{self._installation.program.title} ended with exit code {self._process.returncode}:\n"
            f"{self._last_log_lines()}"
        )

    def _last_log_lines(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])

    async def stop(self) -> None:
        """Terminate the program and wait for its end; kill it if that takes too long."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """Kill the program."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def start(installation: Installation, command: Sequence[str], folder: Path) -> Process:
    """Start a program that writes its log to *folder*."""
    log = folder / f"{installation.program.title}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C at a terminal goes only to the demo, which then stops the programs.
            start_new_session=True,
        )
    return Process(installation, process, log)


def has_page(installation: Installation, path: str) -> bool:
    """Return whether the program answers 200 at *path*."""
    address = installation.reachable
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
