"""The protocols between systemd and its services."""

import asyncio
import time

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from rk_exporter.runtime.systemd import ServiceManager, passed_descriptors
from tests.support.fake_systemd import Notifications, notification_addresses


PID = 7


def notified(
    folder: Path,
    program: Callable[[ServiceManager, Notifications], Awaitable[None]],
    **environment: str,
) -> list[dict[str, str]]:
    """Run *program* with a service manager, and return the notifications that it left."""
    address = notification_addresses(folder)[1]
    variables = {"NOTIFY_SOCKET": address, **environment}

    async def run(notifications: Notifications) -> None:
        manager = ServiceManager(variables, pid=PID, monotonic_ns=lambda: 12_345_678)
        try:
            await program(manager, notifications)
        finally:
            manager.close()

    with Notifications(address) as notifications:
        asyncio.run(run(notifications))
        return notifications.waiting()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2"}, [3, 4]),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "0"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "-1"}, []),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "many"}, []),
        ({"LISTEN_PID": "7"}, []),
        ({"LISTEN_PID": "8", "LISTEN_FDS": "1"}, []),
        ({"LISTEN_FDS": "1"}, []),
    ],
)
def test_descriptors(environment: dict[str, str], expected: list[int]) -> None:
    """The passed descriptors begin at 3, and are those of this process only."""
    assert expected == [*passed_descriptors(environment, pid=PID)]


def test_reload(tmp_path: Path) -> None:
    """A reload begins with the time of the monotonic clock, and ends with the status before it."""

    async def program(manager: ServiceManager, _notifications: Notifications) -> None:
        manager.ready("listening on :10058")
        manager.reloading()
        manager.ready()
        manager.stopping("bye")

    ready = {"READY": "1", "STATUS": "listening on :10058"}
    assert [
        ready,
        {"RELOADING": "1", "MONOTONIC_USEC": "12345", "STATUS": "reloading"},
        ready,
        {"STOPPING": "1", "STATUS": "bye"},
    ] == notified(tmp_path, program)


def test_status_is_one_line(tmp_path: Path) -> None:
    """A status cannot contain another assignment."""

    async def program(manager: ServiceManager, _notifications: Notifications) -> None:
        manager.ready("a\nMAINPID=1")

    assert [{"READY": "1", "STATUS": r"a\nMAINPID=1"}] == notified(tmp_path, program)


def test_event_loop_hangs(tmp_path: Path) -> None:
    """While something blocks the event loop, the watchdog gets no sign of life."""

    async def program(manager: ServiceManager, notifications: Notifications) -> None:
        reports = asyncio.create_task(manager.keep_alive())
        await asyncio.sleep(0.2)
        assert len(notifications.waiting()) > 2
        time.sleep(0.3)  # noqa: ASYNC251 # blocks the loop
        assert [] == notifications.waiting()
        await asyncio.sleep(0.1)
        assert [] != notifications.waiting()
        reports.cancel()

    notified(tmp_path, program, WATCHDOG_USEC="40000", WATCHDOG_PID=str(PID))


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog(environment: dict[str, str], expected: float | None) -> None:
    """The watchdog is on if systemd expects a sign of life of this process."""
    assert expected == ServiceManager(environment, pid=PID).watchdog_seconds


def test_order_after_a_full_queue(tmp_path: Path) -> None:
    """What did not fit into systemd's queue follows in order; signs of life are not repeated."""

    async def program(manager: ServiceManager, notifications: Notifications) -> None:
        filled = notifications.fill()
        reports = asyncio.create_task(manager.keep_alive())
        await asyncio.sleep(0.05)
        manager.ready("first")
        manager.stopping("last")
        await asyncio.sleep(0.05)
        reports.cancel()
        assert [{"FILLED": "1"}] * filled == notifications.waiting()
        await asyncio.sleep(0.2)

    received = notified(tmp_path, program, WATCHDOG_USEC="20000")
    assert [{"WATCHDOG": "1"}, {"READY": "1", "STATUS": "first"}] == received[:2]
    assert [{"STOPPING": "1", "STATUS": "last"}] == received[2:]
