"""Other programs beside the demo: found, started, ready, stopped."""

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
_LOOK_EVERY_SECONDS = 0.1
_PROBE_SECONDS = 2.0
_LOG_LINES = 20
_ANY_HOST = frozenset({"", "::", "0.0.0.0"})  # noqa: S104 # recognised, not bound


class StackError(Exception):
    """A program cannot be run beside the demo."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program by the *names* that it has, and Debian's *package* that has it."""

    title: str
    names: tuple[str, ...]
    package: str

    def path(self) -> str | None:
        """Return where it is installed, if it is."""
        return next(filter(None, map(shutil.which, self.names)), None)


@dataclass(frozen=True, slots=True)
class Place:
    """A program that is installed, and an address that is free for it to listen on."""

    program: Program
    path: str
    address: Address

    @property
    def listen_address(self) -> str:
        """Return what it is to listen on, as host:port."""
        return _joined(self.address.host, self.address.port)

    @property
    def reachable(self) -> Address:
        """Return the address to reach it by on this machine."""
        host = "127.0.0.1" if self.address.host in _ANY_HOST else self.address.host
        return Address(host, self.address.port)

    @property
    def target(self) -> str:
        """Return the address to reach it by on this machine, as host:port."""
        return _joined(self.reachable.host, self.reachable.port)

    @property
    def url(self) -> str:
        """Return the URL to reach it by on this machine."""
        return f"http://{self.target}"


def _joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


class Process:
    """One of the programs while it runs."""

    def __init__(self, place: Place, process: asyncio.subprocess.Process, log: Path) -> None:
        self._place = place
        self._process = process
        self._log = log

    async def become_ready(self) -> None:
        """Wait until it answers; raises StackError where it does not, or ends."""
        title = self._place.program.title
        try:
            async with asyncio.timeout(_READY_SECONDS):
                while not await self._is_ready():  # noqa: ASYNC110 # no event comes from another program
                    await asyncio.sleep(_LOOK_EVERY_SECONDS)
        except TimeoutError:
            raise StackError(
                f"{title} is not ready after {_READY_SECONDS:.0f} s:\n{self._logged()}"
            ) from None

    async def _is_ready(self) -> bool:
        if self._process.returncode is not None:
            self._fail()
        return await asyncio.to_thread(answers, self._place, "/-/ready")

    async def fail_when_it_ends(self) -> None:
        """Wait until it has ended, and raise StackError."""
        await self._process.wait()
        self._fail()

    def _fail(self) -> None:
        raise StackError(
            f"{self._place.program.title} has ended with exit code {self._process.returncode}:\n"
            f"{self._logged()}"
        )

    def _logged(self) -> str:
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {line}" for line in lines[-_LOG_LINES:])

    async def stop(self) -> None:
        """Ask it to end, and wait until it has; what takes too long is killed."""
        if self._process.returncode is None:
            self._process.terminate()
        try:
            async with asyncio.timeout(GRACE_SECONDS):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()


async def start(place: Place, command: Sequence[str], folder: Path) -> Process:
    """Start the program of a *place*; it logs into *folder*."""
    log = folder / f"{place.program.title}.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # Ctrl-C at a terminal is the demo's, which then stops them.
            start_new_session=True,
        )
    return Process(place, process, log)


def answers(place: Place, path: str) -> bool:
    """Tell whether what listens at a *place* has a page at *path*, and says that all is well."""
    address = place.reachable
    connection = http.client.HTTPConnection(address.host, address.port, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
