"""
The protocols between systemd and its services: readiness, a watchdog, and sockets.

They are described in sd_notify(3), sd_watchdog_enabled(3) and sd_listen_fds(3). They are small and
stable. The libraries for them need libsystemd, may block, or know neither reloads nor sockets.
"""

import asyncio
import logging
import os
import socket
import time

from collections import deque
from collections.abc import Callable, Iterator, Mapping, MutableMapping

from rk_exporter.runtime.printable import visible


logger = logging.getLogger(__name__)
_FIRST_DESCRIPTOR = 3
_LISTEN_VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
_FAMILIES = (socket.AF_INET, socket.AF_INET6)
_MICROSECONDS = 1_000_000
# systemd takes messages out of its queue many times a second.
_RETRY_SECONDS = 0.1
_MOST_WAITING = 16


class SocketError(Exception):
    """systemd passed no socket, or one that cannot be used; the message says what to do."""


def passed_descriptors(environment: Mapping[str, str], *, pid: int) -> range:
    """Return the file descriptors of the sockets that systemd passed to the process *pid*."""
    if environment.get("LISTEN_PID") != str(pid):
        # They are meant for another process, e.g. a parent of this one.
        return range(0)
    count = environment.get("LISTEN_FDS", "")
    return range(_FIRST_DESCRIPTOR, _FIRST_DESCRIPTOR + (int(count) if count.isdecimal() else 0))


def passed_sockets(environment: MutableMapping[str, str], *, pid: int) -> Iterator[socket.socket]:
    """
    Yield the listening TCP sockets that systemd passed to the process *pid*.

    Programs that this process starts do not inherit them. Raises SocketError.
    """
    descriptors = passed_descriptors(environment, pid=pid)
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    for variable in _LISTEN_VARIABLES:
        environment.pop(variable, None)
    if not descriptors:
        raise SocketError(
            "web.systemd_socket: systemd passed no socket; "
            "start the socket unit (systemctl start rk-exporter.socket), or leave out the option"
        )
    named = dict(zip(descriptors, names, strict=False))
    for descriptor in descriptors:
        yield _listening(descriptor, named.get(descriptor, ""))


def _listening(descriptor: int, name: str) -> socket.socket:
    """Return the socket at *descriptor*, which must listen for TCP connections."""
    try:
        os.set_inheritable(descriptor, False)  # noqa: FBT003 # the standard library's signature
        passed = socket.socket(fileno=descriptor)
        if (
            passed.family in _FAMILIES
            and passed.type == socket.SOCK_STREAM
            and passed.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
        ):
            return passed
        passed.close()
        reason = "no listening TCP socket; use ListenStream= with a port, and Accept=no"
    except OSError as error:
        reason = f"cannot be used ({error.strerror})"
    named = f" ({visible(name)})" if name else ""
    raise SocketError(f"web.systemd_socket: descriptor {descriptor}{named} is {reason}")


class ServiceManager:
    """
    Reports to systemd what this process does (sd_notify); without systemd it does nothing.

    It never blocks and never raises. A message for which systemd has no room yet is sent a little
    later, in order. The methods need a running event loop.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *,
        pid: int,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._monotonic_ns = monotonic_ns
        self._address = _address(environment.get("NOTIFY_SOCKET", ""))
        self._socket = _datagram_socket() if self._address else None
        self._waiting: deque[bytes] = deque(maxlen=_MOST_WAITING)
        self._retry: asyncio.TimerHandle | None = None
        self._has_failed = False
        self._ready_status = ""
        self.watchdog_seconds = _watchdog_seconds(environment, pid=pid)
        """How long systemd waits for a sign of life; None if it does not."""

    def ready(self, status: str | None = None) -> None:
        """Report that the process serves; after a reload without a *status*, with the last one."""
        if status is not None:
            self._ready_status = status
        self._send("READY=1", _status(self._ready_status))

    def reloading(self) -> None:
        """Report that a reload begins; *ready* must follow, also if the reload fails."""
        microseconds = self._monotonic_ns() // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={microseconds}", _status("reloading"))

    def stopping(self, status: str) -> None:
        """Report that the process is about to end."""
        self._send("STOPPING=1", _status(status))

    async def keep_alive(self) -> None:
        """
        Report twice in each period of the watchdog that the event loop runs, and never return.

        A loop that hangs reports nothing, and systemd restarts the process.
        """
        while self.watchdog_seconds is not None and self._socket is not None:
            if not self._waiting:
                self._send("WATCHDOG=1")
            await asyncio.sleep(self.watchdog_seconds / 2)

    def close(self) -> None:
        """Close the socket."""
        if self._retry is not None:
            self._retry.cancel()
        if self._socket is not None:
            self._socket.close()

    def _send(self, *assignments: str) -> None:
        if self._socket is not None:
            self._waiting.append("\n".join(assignments).encode())
            if self._retry is None:
                self._send_waiting(self._socket)

    def _send_waiting(self, sender: socket.socket) -> None:
        self._retry = None
        while self._waiting:
            try:
                sender.sendto(self._waiting[0], self._address)
            except BlockingIOError:
                loop = asyncio.get_running_loop()
                self._retry = loop.call_later(_RETRY_SECONDS, self._send_waiting, sender)
                return
            except OSError as error:
                self._log(error)
            self._waiting.popleft()

    def _log(self, error: OSError) -> None:
        if not self._has_failed:
            self._has_failed = True
            logger.warning("systemd cannot be notified: %s", error.strerror or error)


def _address(name: str) -> bytes:
    """Return the address of the notification socket; empty if there is none of a known kind."""
    if name.startswith("@"):  # the abstract namespace
        return b"\0" + os.fsencode(name[1:])
    return os.fsencode(name) if name.startswith("/") else b""


def _datagram_socket() -> socket.socket:
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.setblocking(False)  # noqa: FBT003 # the standard library's signature
    return datagrams


def _watchdog_seconds(environment: Mapping[str, str], *, pid: int) -> float | None:
    microseconds = environment.get("WATCHDOG_USEC", "")
    is_other = environment.get("WATCHDOG_PID", str(pid)) != str(pid)
    if is_other or not microseconds.isdecimal() or int(microseconds) == 0:
        return None
    return int(microseconds) / _MICROSECONDS


def _status(text: str) -> str:
    # A line break would start another assignment.
    return f"STATUS={visible(text)}"
