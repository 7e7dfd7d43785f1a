"""The server in a separate process: signals, and the Date header of the simulated API."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time

from collections.abc import Iterator

import pytest

from rk_exporter.web import server
from tests.support.running_server import (
    TIMEOUT_SECONDS,
    request,
)


@contextlib.contextmanager
def simulation(*options: str) -> Iterator[tuple["subprocess.Popen[str]", tuple[str, int]]]:
    """Run `rk-exporter simulate`; yield the program and its address."""
    command = [sys.executable, "-m", "rk_exporter", "simulate", *options]
    command += ["--web.listen-address", "127.0.0.1:0"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as program:
        try:
            assert program.stdout is not None
            line = program.stdout.readline()
            address = line.partition("http://")[2].partition("/")[0]
            host, _, port = address.partition(":")
            yield program, (host, int(port))
        finally:
            program.kill()


def ended(program: "subprocess.Popen[str]") -> tuple[int, str]:
    """Return the exit code and the standard error of a program that ends."""
    _, said = program.communicate(timeout=TIMEOUT_SECONDS)
    return program.returncode, said


def in_flight(address: tuple[str, int]) -> socket.socket:
    """Return a connection whose request the server has received."""
    connection = socket.create_connection(address, timeout=TIMEOUT_SECONDS)
    connection.sendall(request("/client/v4/accounts/a/realtime/kit/b/recordings"))
    # A later one would have been refused.
    with socket.create_connection(address, timeout=TIMEOUT_SECONDS) as later:
        later.sendall(b"garbage\r\n\r\n")
        assert later.recv(100).startswith(b"HTTP/1.1 400")
    return connection


def test_simulator_sets_its_own_date() -> None:
    """Each response of the simulated API has exactly one Date header."""
    with (
        simulation() as (_, address),
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as connection,
    ):
        path = "/client/v4/accounts/a/realtime/kit/b/recordings"
        connection.sendall(request(path, "Connection: close"))
        with connection.makefile("rb") as file:
            head = file.read().lower().partition(b"\r\n\r\n")[0]
        assert head.count(b"\r\ndate: ") == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_ends_the_program(number: signal.Signals) -> None:
    """A signal ends the program quickly with exit code 0, whoever is connected."""
    with (
        simulation() as (program, address),
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as kept,
        socket.create_connection(address, timeout=TIMEOUT_SECONDS) as begun,
    ):
        kept.sendall(request("/"))
        assert kept.recv(100).startswith(b"HTTP/1.1 ")
        begun.sendall(request("/")[:10])
        program.send_signal(number)
        begin = time.monotonic()
        assert ended(program) == (0, "")
        assert time.monotonic() - begin < server.GRACE_SECONDS - 1


def test_signal_lets_a_response_end() -> None:
    """A request that is running when the signal arrives gets its complete response."""
    with simulation("--latency", "1") as (program, address), in_flight(address) as connection:
        program.send_signal(signal.SIGTERM)
        with connection.makefile("rb") as file:
            head, _, body = file.read().partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 ")
        assert body.endswith(b"}")
        assert ended(program) == (0, "")


def test_second_signal_ends_immediately() -> None:
    """A second signal does not wait for responses."""
    with simulation("--latency", "60") as (program, address), in_flight(address) as connection:
        begin = time.monotonic()
        program.send_signal(signal.SIGTERM)
        # The server closes idle connections first, so it has received the signal.
        with contextlib.suppress(OSError), socket.create_connection(address) as other:
            other.settimeout(TIMEOUT_SECONDS)
            # Without a byte, a client whose connection was refused in the last moment of the
            # handshake would not hear of it.
            other.sendall(b"G")
            other.recv(1)
        program.send_signal(signal.SIGTERM)
        assert connection.recv(1) == b""
        assert ended(program) == (0, "")
        assert time.monotonic() - begin < server.GRACE_SECONDS - 1
