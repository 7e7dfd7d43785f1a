"""What systemd does for a service: it opens sockets, and receives notifications."""

import fcntl
import socket
import subprocess
import sys

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Self


_TIMEOUT_SECONDS = 20.0
# Larger than the descriptors to which the launcher moves the sockets.
_SMALLEST_DESCRIPTOR = 100
# The variables name the process that gets them, which exists only after the fork.
_LAUNCHER = """
import os, sys
passed = [int(number) for number in os.environ.pop("PASSED").split()]
for number, descriptor in enumerate(passed, 3):
    os.dup2(descriptor, number)
for name in ("LISTEN_PID", "WATCHDOG_PID"):
    os.environ.setdefault(name, str(os.getpid()))
os.execv(sys.executable, [sys.executable, "-m", "rk_exporter", *sys.argv[1:]])
"""


class Notifications:
    """The socket on which a service manager receives what services report."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self._socket.settimeout(_TIMEOUT_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def receive(self) -> dict[str, str]:
        """Wait for the next notification and return its assignments."""
        text = self._socket.recv(4096).decode()
        return dict(line.split("=", 1) for line in text.splitlines())

    def until(self, name: str) -> dict[str, str]:
        """Return the next notification that assigns *name*."""
        while name not in (received := self.receive()):
            pass
        return received

    def receive_within(self, seconds: float) -> dict[str, str]:
        """Return the next notification. Raises TimeoutError."""
        self._socket.settimeout(seconds)
        try:
            return self.receive()
        finally:
            self._socket.settimeout(_TIMEOUT_SECONDS)

    def fill(self) -> int:
        """Fill the queue; return with how many notifications."""
        count = 0
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)  # noqa: FBT003 # the standard library's signature
            while True:
                try:
                    sender.sendto(b"FILLED=1", self._socket.getsockname())
                except BlockingIOError:
                    return count
                count += 1

    def waiting(self) -> list[dict[str, str]]:
        """Return all notifications that have already arrived."""
        received = []
        self._socket.setblocking(False)  # noqa: FBT003 # the standard library's signature
        try:
            while True:
                received.append(self.receive())
        except BlockingIOError:
            return received
        finally:
            self._socket.settimeout(_TIMEOUT_SECONDS)


def notification_addresses(folder: Path) -> tuple[str, str]:
    """Return one address of each kind: in the file system, and abstract."""
    return str(folder / "notify"), f"@rk-exporter-test-{folder.name}-{folder.stat().st_ino}"


@contextmanager
def service(
    *arguments: str,
    sockets: Sequence[socket.socket] = (),
    names: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[str]"]:
    """Run the command line as a service that gets *sockets*."""
    with ExitStack() as copies:
        passed = [_copy(original, copies) for original in sockets]
        variables = {"PASSED": " ".join(map(str, passed)), **(environment or {})}
        if sockets:
            variables |= {"LISTEN_FDS": str(len(passed)), "LISTEN_FDNAMES": ":".join(names)}
        process = subprocess.Popen(
            [sys.executable, "-c", _LAUNCHER, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=variables,
            pass_fds=passed,
        )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def _copy(original: socket.socket, copies: ExitStack) -> int:
    number = fcntl.fcntl(original, fcntl.F_DUPFD, _SMALLEST_DESCRIPTOR)
    copies.enter_context(socket.socket(fileno=number))
    return number
