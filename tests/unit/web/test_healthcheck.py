"""The health check of the container image."""

import socket
import ssl
import subprocess
import sys
import threading

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import trustme

from rk_exporter.web import healthcheck
from tests.support.monitoring.servers import free_port


ANSWER = b"HTTP/1.1 %d Reason\r\nContent-Length: 0\r\n\r\n"


@contextmanager
def server(answer: bytes, context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Answer each connection with the same bytes, and give the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=lambda: serve(listener, answer, context), daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def serve(listener: socket.socket, answer: bytes, context: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        try:
            with context.wrap_socket(connection, server_side=True) if context else connection as c:
                c.recv(4096)
                c.sendall(answer)
        except OSError:
            connection.close()


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA) -> ssl.SSLContext:
    """Return the context of a server whose name is not that of this machine."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("exporter.example").configure_cert(context)
    return context


class TestAnswers:
    @pytest.mark.parametrize("status", [200, 401, 404])
    def test_alive(self, status: int) -> None:
        """An exporter that asks for a password or has another path is alive."""
        with server(ANSWER % status) as port:
            assert healthcheck.failure("127.0.0.1", port) is None

    @pytest.mark.parametrize("status", [500, 503])
    def test_server_error(self, status: int) -> None:
        """A server error is unhealthy, and the line shows the status."""
        with server(ANSWER % status) as port:
            assert healthcheck.failure("127.0.0.1", port) == f"status {status}"

    @pytest.mark.parametrize("status", [200, 401, 500])
    def test_tls(self, tls: ssl.SSLContext, status: int) -> None:
        """Over TLS the same holds, whoever signed the certificate and for whatever name."""
        with server(ANSWER % status, tls) as port:
            found = healthcheck.failure("127.0.0.1", port)
        assert found == (None if status < 500 else f"status {status}")

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_client_certificate(
        self, authority: trustme.CA, tls: ssl.SSLContext, version: ssl.TLSVersion
    ) -> None:
        """An exporter that refuses clients without a certificate is alive."""
        tls.verify_mode = ssl.CERT_REQUIRED
        tls.maximum_version = version
        authority.configure_trust(tls)
        with server(ANSWER % 200, tls) as port:
            assert healthcheck.failure("127.0.0.1", port) is None

    def test_nothing_listens(self) -> None:
        """If nothing listens, the exporter is not alive."""
        found = healthcheck.failure("127.0.0.1", free_port())
        assert found
        assert "refused" in found

    @pytest.mark.parametrize("answer", [b"", b"garbage\r\n"])
    def test_no_http(self, answer: bytes) -> None:
        """Something that speaks neither HTTP nor TLS is no exporter."""
        with server(answer) as port:
            assert healthcheck.failure("127.0.0.1", port)

    def test_silence(self) -> None:
        """A server that hangs is unhealthy, and the check ends before the engine's timeout."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            port = listener.getsockname()[1]
            assert healthcheck.failure("127.0.0.1", port, 0.05) == "timed out"
        assert 2 * healthcheck.TIMEOUT_SECONDS < 5


class TestAddress:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            (None, ("127.0.0.1", 10058)),
            (":9000", ("127.0.0.1", 9000)),
            ("0.0.0.0:9000", ("127.0.0.1", 9000)),
            ("[::]:9000", ("::1", 9000)),
            ("[::1]:9000", ("::1", 9000)),
            ("10.0.0.7:9000, :9001", ("10.0.0.7", 9000)),
        ],
    )
    def test_first_address(self, text: str | None, expected: tuple[str, int]) -> None:
        """It asks the first address that the exporter listens on."""
        environment = {} if text is None else {"RK_WEB_LISTEN_ADDRESS": text}
        assert expected == healthcheck.address(environment)


def run(listen_address: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "rk_exporter.web.healthcheck"],
        env={"RK_WEB_LISTEN_ADDRESS": listen_address},
        capture_output=True,
        text=True,
        check=False,
    )


class TestProgram:
    def test_exit_codes(self) -> None:
        """It prints nothing if the exporter is alive; else it fails with one line."""
        with server(ANSWER % 200) as port:
            alive = run(f"127.0.0.1:{port}")
        dead = run(f"127.0.0.1:{free_port()}")
        wrong = run("somewhere")
        assert (0, "", "") == (alive.returncode, alive.stdout, alive.stderr)
        assert (1, 1) == (dead.returncode, len(dead.stderr.splitlines()))
        assert (1, True) == (wrong.returncode, "RK_WEB_LISTEN_ADDRESS" in wrong.stderr)

    def test_imports_nothing_of_the_program(self) -> None:
        """It runs every few seconds, so it must not load the whole program."""
        script = "import sys, rk_exporter.web.healthcheck; print(*sys.modules)"
        shown = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, check=True
        ).stdout.split()
        ours = {name for name in shown if name.startswith("rk_exporter")}
        assert ours == {"rk_exporter", "rk_exporter.web", "rk_exporter.web.healthcheck"}
        assert not {"click", "h11", "httpx", "uvicorn"} & set(shown)
