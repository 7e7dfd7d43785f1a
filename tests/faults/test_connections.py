"""An API that cannot be reached: no name, no port, no route, no trusted connection."""

import ssl
import time

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from tests.support.building import value
from tests.support.exporter_process import (
    TOKEN,
    ExporterProcess,
    eventually,
    exporter_process,
    open_files,
)
from tests.support.fault_server import ANY_PATH, FaultServer, answer, head
from tests.support.faulty_api import (
    FAULTY,
    GONE,
    NO_RECORDINGS,
    SHORT_SCRAPE_SECONDS,
    Loop,
    failures,
    served,
    shown,
)
from tests.support.switch import Switch


HOST = "api.test"
PROGRAM = ("-m", "tests.support.hanging_names")
FILES_OF_ONE_CALL = 4
# One meeting, so that each fault is one call.
CONFIG = """\
account_id: account
api: {{base_url: "https://{host}:{port}/client/v4", budget: 100000, read: active-recording}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "127.0.0.1:0"}}
apps: [{{name: faulty, app_id: faulty, meetings: {{ids: [faulty]}}}}]
"""


@dataclass(slots=True)
class Line:
    """The line between an exporter and its API."""

    folder: Path
    loop: Loop
    authority: trustme.CA
    switch: Switch
    api: FaultServer
    exporter: ExporterProcess
    duration: int = 0

    def recovers(self) -> str:
        """Require that the next scrape shows what the API says now; return it."""
        self.duration += 1
        self.api.script(FAULTY, shown(FAULTY, recording_duration=self.duration))
        text = self.exporter.scrape()
        assert 1 == value(text, "rk_up")
        assert self.duration == value(text, "rk_recording_duration_seconds")
        return text

    def fails(self, reason: str, fault: AbstractContextManager[object]) -> str:
        """
        Let a call fail, and require a failure with this reason and nothing else.

        The values stay, the scrape and health are answered in time, and the truth comes back.
        Return the line of the log about it.
        """
        before = failures(self.recovers(), FAULTY)
        logged, requests = len(self.exporter.log), len(self.api.requests)
        with fault:
            begun = time.monotonic()
            text = self.exporter.scrape(SHORT_SCRAPE_SECONDS)
            assert time.monotonic() - begun < SHORT_SCRAPE_SECONDS + 5
            assert self.exporter.is_healthy()
        assert 0 == value(text, "rk_up")
        assert 0 == value(text, "rk_meeting_up")
        assert self.duration == value(text, "rk_recording_duration_seconds")
        # Nothing was sent: no token to a stranger.
        assert requests == len(self.api.requests)
        (line,) = self.exporter.logged("meetings cannot be read", since=logged)
        assert f"reason={reason} " in line
        assert TOKEN not in self.exporter.log
        after = failures(self.recovers(), FAULTY)
        assert {**before, reason: before.get(reason, 0) + 1} == after
        return line

    @contextmanager
    def served_by(
        self, server: FaultServer, context: ssl.SSLContext | None = None
    ) -> Iterator[None]:
        """Let another server take the place of the API; it must get no request."""
        with (
            self.loop.entered(server.running(context)),
            self.switch.leading_to(server.port),
        ):
            yield
        assert [] == server.requests

    @contextmanager
    def resolver(self, mode: str) -> Iterator[None]:
        """Let names be resolved differently; connections that exist would not ask for them."""
        names = self.folder / "names"
        names.write_text(mode)
        try:
            with self.switch.leading_to(self.switch.target):
                yield
        finally:
            names.write_text("")


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Line]:
    """Run an exporter for all faults, one after the other, which must not leak anything."""
    folder = tmp_path_factory.mktemp("line")
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "authority.pem")
    (folder / "names").write_text("")
    api = FaultServer()
    api.script(ANY_PATH, GONE)
    api.script("recordings", NO_RECORDINGS)
    config = folder / "rk.yml"
    with ExitStack() as stack:
        loop = stack.enter_context(Loop().running())
        context = server_context(authority.issue_cert(HOST))
        stack.enter_context(loop.entered(api.running(context)))
        switch = stack.enter_context(loop.entered(Switch(loop).running()))
        switch.target = api.port
        config.write_text(CONFIG.format(host=HOST, port=switch.port))
        environment = {
            "SSL_CERT_FILE": str(folder / "authority.pem"),
            "NAMES": str(folder / "names"),
        }
        exporter = stack.enter_context(
            exporter_process(config, environment=environment, program=PROGRAM)
        )
        line = Line(folder, loop, authority, switch, api, exporter)
        line.recovers()
        before = open_files(exporter.process)
        yield line
        line.recovers()
        eventually(lambda: open_files(exporter.process) <= before + FILES_OF_ONE_CALL)
        exporter.terminate()


def server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    """Return a context for a server with a *certificate*."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def test_name_that_does_not_exist(line: Line) -> None:
    """If the name of the API cannot be resolved, the log says so."""
    assert "the host name cannot be resolved" in line.fails("connect", line.resolver("fail"))


def test_resolver_that_hangs(line: Line) -> None:
    """If the resolver hangs, calls time out, and scrapes and health do not wait for it."""
    line.fails("timeout", line.resolver("hang"))


def test_refused_connection(line: Line) -> None:
    """If nothing listens, the log says that the connection was refused."""
    assert "Connection refused" in line.fails("connect", line.switch.refusing())


def test_connection_that_nobody_answers(line: Line) -> None:
    """If packets are dropped, the call is a timeout."""
    line.fails("timeout", line.switch.ignoring())


def test_connection_that_nobody_speaks_on(line: Line) -> None:
    """If the API accepts a connection and says nothing, the call is a timeout."""
    line.fails("timeout", line.served_by(FaultServer(greeting=b"")))


def test_untrusted_certificate(line: Line) -> None:
    """A certificate of an unknown authority gets no request, and the log says what is wrong."""
    context = server_context(trustme.CA().issue_cert(HOST))
    said = line.fails("tls", line.served_by(FaultServer(), context))
    assert "unable to get local issuer certificate" in said


def test_self_signed_certificate(line: Line) -> None:
    """A certificate that signs itself gets no request, and the log says what is wrong."""
    own = trustme.CA()
    own.cert_pem.write_to_path(line.folder / "own.pem")
    own.private_key_pem.write_to_path(line.folder / "own.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(line.folder / "own.pem", line.folder / "own.key")
    assert "self-signed certificate" in line.fails("tls", line.served_by(FaultServer(), context))


def test_certificate_of_another_host(line: Line) -> None:
    """A certificate for another name gets no request, and the log says what is wrong."""
    context = server_context(line.authority.issue_cert("other.test"))
    assert "Hostname mismatch" in line.fails("tls", line.served_by(FaultServer(), context))


def test_expired_certificate(line: Line) -> None:
    """An expired certificate gets no request, and the log says what is wrong."""
    old = datetime(2020, 1, 1, tzinfo=UTC)
    context = server_context(line.authority.issue_cert(HOST, not_after=old))
    assert "certificate has expired" in line.fails("tls", line.served_by(FaultServer(), context))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls(line: Line, version: ssl.TLSVersion) -> None:
    """TLS 1.0 and 1.1 are refused."""
    context = server_context(line.authority.issue_cert(HOST))
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    line.fails("tls", line.served_by(FaultServer(), context))


def test_no_tls(line: Line) -> None:
    """A server that speaks plain HTTP on the port gets no request."""
    plain = FaultServer(greeting=head(400, "Connection: close"))
    assert "handshake failed" in line.fails("tls", line.served_by(plain))


def test_only_http_2(line: Line) -> None:
    """A server that speaks only HTTP/2 is reported as one that speaks no HTTP."""
    server = FaultServer(greeting=b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\0\4\0\0\xff\xff\0\5\0\0@\0")
    context = server_context(line.authority.issue_cert(HOST))
    context.set_alpn_protocols(["h2"])
    line.fails("invalid_response", line.served_by(server, context))


def test_api_that_is_restarted(line: Line) -> None:
    """If the API closes all connections, the next scrape has no failure."""
    before = failures(line.recovers(), FAULTY)
    for _ in range(3):
        with line.switch.leading_to(line.switch.target):
            line.recovers()
    assert before == failures(line.recovers(), FAULTY)


def test_certificate_that_is_renewed(line: Line) -> None:
    """A new certificate of the API is accepted without a failure."""
    before = failures(line.recovers(), FAULTY)
    server = FaultServer()
    server.script(FAULTY, answer())
    server.script("recordings", NO_RECORDINGS)
    server.script(ANY_PATH, GONE)
    context = server_context(line.authority.issue_cert(HOST))
    with line.loop.entered(server.running(context)), line.switch.leading_to(server.port):
        assert 1 == value(line.exporter.scrape(), "rk_up")
    assert [] != server.requests
    assert before == failures(line.recovers(), FAULTY)


def test_api_that_is_down_for_long(line: Line) -> None:
    """After some refused connections, most reads make no call; they begin again by themselves."""
    before = failures(line.recovers(), FAULTY)
    calls = tries(line.recovers())
    with line.switch.refusing():
        for _ in range(30):
            text = line.exporter.scrape()
            assert 0 == value(text, "rk_meeting_up")
            assert line.duration == value(text, "rk_recording_duration_seconds")
        made = tries(text) - calls
    # On a slow machine, 30 scrapes take so long that several calls try.
    assert 8 <= made < 30
    eventually(lambda: value(line.exporter.scrape(), "rk_up") == 1)
    after = failures(line.recovers(), FAULTY)
    assert {"connect"} == {name for name in after if after[name] != before.get(name)}


def tries(text: str) -> float:
    """Return how many calls for the meeting had no answer."""
    labels = {"rk_app": FAULTY, "api_endpoint": "active-recording", "code": "none"}
    return value(text, "rk_api_requests_total", **labels) or 0


PROXIES = {
    "refuses": ("Connection refused", "connect"),
    "hangs": ("did not answer in time", "timeout"),
    "wants a password": ("the proxy rejected", "connect"),
}


@pytest.mark.parametrize("fault", PROXIES)
def test_proxy(tmp_path: Path, fault: str) -> None:
    """A proxy that is down, hangs or refuses is named, and its password is shown nowhere."""
    text, reason = PROXIES[fault]
    refusal = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n"
    proxy = FaultServer(greeting=refusal if fault == "wants a password" else b"")
    with served(proxy):
        port = proxy.port
        config = tmp_path / "rk.yml"
        config.write_text(CONFIG.format(host=HOST, port=443))
        environment = {
            "HTTPS_PROXY": f"http://user:canary@127.0.0.1:{1 if fault == 'refuses' else port}"
        }
        with exporter_process(config, environment=environment) as exporter:
            shown_text = exporter.scrape(SHORT_SCRAPE_SECONDS)
            assert 0 == value(shown_text, "rk_up")
            (line,) = exporter.logged("meetings cannot be read")
            assert text in line
            assert f"reason={reason} " in line
            assert "canary" not in exporter.log + shown_text
            exporter.terminate()
