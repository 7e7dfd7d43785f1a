"""The exporter as a service of systemd, with a stand-in for systemd."""

import os
import signal
import socket
import time

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import value
from tests.support.fake_systemd import Notifications, notification_addresses, service
from tests.support.processes import TOKEN
from tests.support.serving import served


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "idle")
ON_FREE_PORT = ("--web.listen-address", "127.0.0.1:0")
ACTIVATED = ("--web.systemd-socket",)


@pytest.fixture
def serve() -> Iterator[tuple[str, ...]]:
    """Return the command that serves a simulated app."""
    with served(Simulator(ScriptedScenario(meetings=["idle"]))) as url:
        yield ("serve", *IDS, "--api.base-url", f"{url}/client/v4", "--log.level", "warning")


@pytest.fixture(params=[0, 1], ids=["path", "abstract"])
def notifications(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Notifications]:
    with Notifications(notification_addresses(tmp_path)[request.param]) as notifications:
        yield notifications


def listening(host: str = "127.0.0.1") -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, 0), family=family)


def url_of(passed: socket.socket) -> str:
    return f"http://127.0.0.1:{passed.getsockname()[1]}"


class TestNotifications:
    def test_from_start_to_stop(self, serve: tuple[str, ...], notifications: Notifications) -> None:
        """It reports that it listens when requests are answered, then that it stops."""
        environment = {**TOKEN, "NOTIFY_SOCKET": notifications.address}
        with (
            listening() as passed,
            service(*serve, *ACTIVATED, sockets=[passed], environment=environment) as process,
        ):
            address = f"127.0.0.1:{passed.getsockname()[1]}"
            assert notifications.receive() == {"READY": "1", "STATUS": f"listening on {address}"}
            assert 200 == httpx.get(f"http://{address}/-/healthy").status_code
            process.send_signal(signal.SIGTERM)
            stopping = notifications.receive()
            assert ("1", "finishing requests, for at most 10 s") == (
                stopping["STOPPING"],
                stopping["STATUS"],
            )
            assert 0 == process.wait(10)
        assert [] == notifications.waiting()

    def test_watchdog(self, serve: tuple[str, ...], notifications: Notifications) -> None:
        """It reports twice in each period that it is alive, but not while it is stopped."""
        environment = {
            **TOKEN,
            "NOTIFY_SOCKET": notifications.address,
            "WATCHDOG_USEC": "600000",
        }
        with service(*serve, *ON_FREE_PORT, environment=environment) as process:
            assert "READY" in notifications.receive()
            begin = time.monotonic()
            for _ in range(4):
                assert {"WATCHDOG": "1"} == notifications.receive()
            assert 0.8 < time.monotonic() - begin < 5
            process.send_signal(signal.SIGSTOP)
            _, status = os.waitpid(process.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            notifications.waiting()
            with pytest.raises(TimeoutError):
                notifications.receive_within(1.0)

    def test_watchdog_of_another_process(
        self, serve: tuple[str, ...], notifications: Notifications
    ) -> None:
        """A watchdog that systemd expects of another process gets no report."""
        environment = {
            **TOKEN,
            "NOTIFY_SOCKET": notifications.address,
            "WATCHDOG_USEC": "100000",
            "WATCHDOG_PID": "1",
        }
        with service(*serve, *ON_FREE_PORT, environment=environment) as process:
            assert "READY" in notifications.receive()
            process.send_signal(signal.SIGTERM)
            assert "STOPPING" in notifications.receive()

    @pytest.mark.parametrize("address", ["/nowhere/notify", "@nobody", "vsock:2:1234", "", "@"])
    def test_nobody_listens(self, serve: tuple[str, ...], address: str) -> None:
        """Without somebody who receives notifications the exporter works as usual."""
        environment = {**TOKEN, "NOTIFY_SOCKET": address, "WATCHDOG_USEC": "100000"}
        with (
            listening() as passed,
            service(*serve, *ACTIVATED, sockets=[passed], environment=environment) as process,
        ):
            assert 200 == httpx.get(f"{url_of(passed)}/-/healthy").status_code
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=10)
        assert 0 == process.returncode
        assert (address in {"/nowhere/notify", "@nobody", "@"}) == ("cannot be notified" in errors)
        assert errors.count("cannot be notified") <= 1

    def test_full_queue(self, serve: tuple[str, ...], notifications: Notifications) -> None:
        """If systemd is slow, the exporter serves, and its report follows."""
        environment = {**TOKEN, "NOTIFY_SOCKET": notifications.address}
        filled = notifications.fill()
        with (
            listening() as passed,
            service(*serve, *ACTIVATED, sockets=[passed], environment=environment),
        ):
            assert 200 == httpx.get(f"{url_of(passed)}/-/healthy").status_code
            for _ in range(filled):
                assert {"FILLED": "1"} == notifications.receive()
            assert "READY" in notifications.receive()


class TestSocketActivation:
    def test_several_sockets(self, serve: tuple[str, ...]) -> None:
        """All sockets are served, those for IPv6 too."""
        hosts = ["127.0.0.1", "127.0.0.1", *(["::1"] if socket.has_dualstack_ipv6() else [])]
        with ExitStack() as opened:
            passed = [opened.enter_context(listening(host)) for host in hosts]
            opened.enter_context(service(*serve, *ACTIVATED, sockets=passed, environment=TOKEN))
            for host, one in zip(hosts, passed, strict=True):
                literal = f"[{host}]" if ":" in host else host
                url = f"http://{literal}:{one.getsockname()[1]}/metrics"
                assert 1 == value(httpx.get(url).text, "rk_meetings")

    def test_restart_refuses_no_connection(self, serve: tuple[str, ...]) -> None:
        """A connection that is made between two processes waits for the second one."""
        arguments = (*serve, *ACTIVATED)
        with listening() as passed:
            with service(*arguments, sockets=[passed], environment=TOKEN) as first:
                assert 200 == httpx.get(f"{url_of(passed)}/-/healthy").status_code
                first.send_signal(signal.SIGTERM)
                assert 0 == first.wait(10)
            with socket.create_connection(passed.getsockname()) as waiting:
                waiting.sendall(b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n")
                with service(*arguments, sockets=[passed], environment=TOKEN):
                    waiting.settimeout(20)
                    assert waiting.recv(100).startswith(b"HTTP/1.1 200 ")

    def test_no_socket(self, serve: tuple[str, ...]) -> None:
        """Without a socket there is an error of one line that says what to do, and exit code 1."""
        with service(*serve, *ACTIVATED, environment=TOKEN) as process:
            _, errors = process.communicate(timeout=20)
        assert 1 == process.returncode
        assert errors == (
            "Error: web.systemd_socket: systemd passed no socket; start the socket unit "
            "(systemctl start rk-exporter.socket), or leave out the option\n"
        )

    def test_sockets_of_another_process(self, serve: tuple[str, ...]) -> None:
        """Sockets that are meant for another process do not count."""
        with (
            listening() as passed,
            service(
                *serve,
                *ACTIVATED,
                sockets=[passed],
                environment={**TOKEN, "LISTEN_PID": "1"},
            ) as process,
        ):
            _, errors = process.communicate(timeout=20)
        assert (1, True) == (process.returncode, "systemd passed no socket" in errors)

    @pytest.mark.parametrize(
        "make",
        [
            lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
            lambda: socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
            socket.socket,
        ],
        ids=["UDP", "Unix", "does not listen"],
    )
    def test_wrong_socket(self, serve: tuple[str, ...], make: Callable[[], socket.socket]) -> None:
        """Another socket than a listening one for TCP is an error of one line that names it."""
        with (
            listening() as good,
            make() as bad,
            service(
                *serve,
                *ACTIVATED,
                sockets=[good, bad],
                names=["good.socket", "bad.socket"],
                environment=TOKEN,
            ) as process,
        ):
            _, errors = process.communicate(timeout=20)
        assert 1 == process.returncode
        assert errors == (
            "Error: web.systemd_socket: descriptor 4 (bad.socket) is no listening TCP socket; "
            "use ListenStream= with a port, and Accept=no\n"
        )

    def test_unused_sockets(self, serve: tuple[str, ...]) -> None:
        """Sockets that are passed without the option are a warning that names it."""
        with (
            listening() as passed,
            service(*serve, *ON_FREE_PORT, sockets=[passed], environment=TOKEN) as process,
        ):
            assert process.stderr
            assert "are not used; set web.systemd_socket" in process.stderr.readline()
