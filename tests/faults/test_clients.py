"""Clients of the exporter that are slow, rude, hostile, or too many."""

import asyncio
import contextlib
import json
import socket
import ssl
import struct
import time

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from tests.support.building import value
from tests.support.exporter_process import (
    PATIENCE_SECONDS,
    ExporterProcess,
    eventually,
    exporter_process,
    open_files,
    resident_bytes,
)
from tests.support.fault_server import Behaviour, Exchange, answer, hang
from tests.support.faulty_api import FAULTY, Site, body, recording, shown, site_in
from tests.support.web_config import authority


HEALTHY = b"GET /-/healthy HTTP/1.1\r\nHost: x\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
FEW_FILES = 4
FEW_BYTES = 64 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an exporter for all clients, one after the other."""
    with site_in(tmp_path_factory.mktemp("site")) as site:
        yield site


@pytest.fixture(autouse=True)
def unharmed(site: Site) -> Iterator[None]:
    """Require a right scrape before and after, and as many open files and threads."""
    process = site.exporter.process
    site.recovers()
    files, threads = open_files(process), thread_count(process.pid)
    yield
    site.recovers()
    eventually(lambda: open_files(process) <= files + FEW_FILES)
    assert thread_count(process.pid) <= threads + FEW_FILES
    assert "Traceback" not in site.exporter.log


def thread_count(process_id: int) -> int:
    return sum(1 for _ in Path(f"/proc/{process_id}/task").iterdir())


@contextmanager
def clients(exporter: ExporterProcess, count: int) -> Iterator[list[socket.socket]]:
    """Connect *count* clients."""
    with ExitStack() as stack:
        yield [
            stack.enter_context(
                socket.create_connection(exporter.address, timeout=PATIENCE_SECONDS)
            )
            for _ in range(count)
        ]


def everything(client: socket.socket) -> bytes:
    """Return all that the exporter sends until it closes the connection."""
    received = b""
    with contextlib.suppress(ConnectionError):
        while part := client.recv(1 << 16):
            received += part
    return received


def exchange(exporter: ExporterProcess, request: bytes) -> bytes:
    """Send a request, close this side, and return all that comes."""
    with clients(exporter, 1) as (client,):
        # The exporter may close the connection before it has read all.
        with contextlib.suppress(OSError):
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
        return everything(client)


def is_closed(client: socket.socket) -> bool:
    """Return whether the exporter has closed the connection; drop what it has sent."""
    client.setblocking(False)  # noqa: FBT003 # the standard library's signature
    try:
        while client.recv(1 << 16):
            pass
    except BlockingIOError:
        return False
    except ConnectionError:
        return True
    return True


def test_idle_clients(site: Site) -> None:
    """300 clients that say nothing leave room for a scrape, and are disconnected."""
    with clients(site.exporter, 300) as idle:
        site.recovers()
        assert site.exporter.is_healthy()
        eventually(lambda: all(map(is_closed, idle)))


def test_slow_heads(site: Site) -> None:
    """Clients that send a byte now and then are disconnected, however steady they are."""
    with clients(site.exporter, 50) as slow:
        begun = time.monotonic()
        for client in slow:
            client.sendall(b"GET /metrics HTTP/1.1\r\nX: ")
        site.recovers()

        def all_closed() -> bool:
            for client in slow:
                with contextlib.suppress(OSError):
                    client.send(b"x")
            return all(map(is_closed, slow))

        eventually(all_closed)
        assert time.monotonic() - begun < PATIENCE_SECONDS


@pytest.mark.parametrize(
    "head",
    [
        b"GET /metrics HTTP/1.1\r\nX: " + b"x" * 10_000_000,
        b"GET /metrics HTTP/1.1\r\n" + b"X: y\r\n" * 100_000 + b"\r\n",
        b"GET /" + b"x" * 1_000_000 + b" HTTP/1.1\r\n\r\n",
        b"x" * 1_000_000,
    ],
    ids=["10 MB", "100,000 headers", "long target", "no line"],
)
def test_huge_heads(site: Site, head: bytes) -> None:
    """A head of more than 16 kB is refused, and takes no memory."""
    before = resident_bytes(site.exporter.process)
    for _ in range(5):
        answer = exchange(site.exporter, head)
        # The connection may be gone before all was sent, and the answer with it.
        assert answer.partition(b"\r\n")[0] in {
            b"",
            b"HTTP/1.1 431 Request Header Fields Too Large",
            b"HTTP/1.1 400 Bad Request",
        }
    assert resident_bytes(site.exporter.process) - before < FEW_BYTES


def test_pipelining(site: Site) -> None:
    """Requests that come together are answered in their order."""
    paths = ["/-/healthy", "/nope", "/metrics", "/-/ready"] * 10
    together = b"".join(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode() for path in paths)
    answers = exchange(site.exporter, together).split(b"HTTP/1.1 ")[1:]
    statuses = [int(answer[:3]) for answer in answers]
    assert [200, 404, 200, 200] * 10 == statuses


def test_half_closed_client(site: Site) -> None:
    """A client that has closed its side gets its answer."""
    answer = exchange(site.exporter, SCRAPE)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"rk_up{" in answer


@pytest.mark.parametrize(
    "request_line",
    [
        b"GET /metrics",
        b"GET  /metrics HTTP/1.1",
        b"GET /metrics HTTX/1.1",
        b"G\0T /metrics HTTP/1.1",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0",
        b"SSH-2.0-OpenSSH_9.9",
        b"GET /\xff\xfe HTTP/1.1",
        b"GET /a b HTTP/1.1",
        b" GET /metrics HTTP/1.1",
    ],
)
def test_malformed_request(site: Site, request_line: bytes) -> None:
    """What is no request gets a 400, or no answer, and no line in the log."""
    logged = site.exporter.log
    answer = exchange(site.exporter, request_line + b"\r\nHost: x\r\n\r\n")
    assert answer[9:12] in {b"", b"400", b"404", b"505"}
    assert logged == site.exporter.log


@pytest.mark.parametrize("version", [b"0.9", b"1.0", b"2.0", b"9.9"])
def test_other_versions(site: Site, version: bytes) -> None:
    """A client of another version of HTTP gets an answer of HTTP/1.1, and then the end."""
    answer = exchange(site.exporter, b"GET /-/healthy HTTP/%s\r\nHost: x\r\n\r\n" % version)
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 400 "))
    assert 1 == answer.count(b"HTTP/1.1 ")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH", "BREW"])
def test_other_methods(site: Site, method: str) -> None:
    """Other methods get a 405 that lists the right ones, and make no call."""
    calls = len(site.server.requests)
    for path in ("/", "/metrics", "/-/healthy", "/-/ready", "/api/v1/status"):
        answer = site.exporter.client.request(method, path)
        assert (405, "GET, HEAD") == (answer.status_code, answer.headers["Allow"])
    assert calls == len(site.server.requests)


def test_connect_method(site: Site) -> None:
    """The exporter is no proxy."""
    request = b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n"
    assert exchange(site.exporter, request)[9:12] in {b"400", b"404", b"405"}


def test_head_method(site: Site) -> None:
    """HEAD gets the headers of GET without a body, and makes no call."""
    calls = len(site.server.requests)
    answer = site.exporter.client.head("/metrics")
    assert (200, b"") == (answer.status_code, answer.content)
    assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
    assert calls == len(site.server.requests)


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/metrics?a=b&c[]=d&name[]=nothing", 200),
        ("//metrics", 200),
        ("/metrics/", 200),
        ("http://exporter/metrics", 200),
        ("/nope", 404),
        ("/metrics/../../etc/passwd", 404),
        ("/%2e%2e/%2e%2e/etc/passwd", 404),
        ("/metrics%00", 404),
        ("http://[::1/metrics", 400),
        ("http://exporter:99999/metrics", 400),
        ("ftp://exporter/metrics", 400),
        ("metrics", 400),
        ("*", 400),
    ],
)
def test_targets(site: Site, target: str, status: int) -> None:
    """Each target is a page or an error of one line, which does not repeat it."""
    request = f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    head, _, body = exchange(site.exporter, request).partition(b"\r\n\r\n")
    assert f"HTTP/1.1 {status} ".encode() == head[:13]
    assert status == 200 or (body.count(b"\n") == 1 and target.encode() not in body)


SMUGGLED = b"GET /-/healthy HTTP/1.1\r\nHost: smuggled\r\n\r\n"


@pytest.mark.parametrize(
    "headers",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n" % len(SMUGGLED),
        b"Content-Length: 0\r\nContent-Length: %d\r\n" % len(SMUGGLED),
        b"Content-Length: 0, %d\r\n" % len(SMUGGLED),
        b"Content-Length: +%d\r\n" % len(SMUGGLED),
        b"Content-Length: -1\r\n",
        b"Content-Length: 0x10\r\n",
        b"Content-Length : %d\r\n" % len(SMUGGLED),
        b"Transfer-Encoding: xchunked\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
        b"Transfer-Encoding: identity, chunked\r\n",
        b"Transfer-Encoding : chunked\r\n",
        b"Transfer-Encoding:\x0bchunked\r\n",
        b"X: y\r\n Transfer-Encoding: chunked\r\n\tContent-Length: 9\r\n: z\r\n",
        b"X\0: y\r\n",
        b"X: y\rTransfer-Encoding: chunked\r\n",
    ],
)
def test_smuggling(site: Site, headers: bytes) -> None:
    """If it is not clear where a request ends, what follows it is no request."""
    request = b"GET /nope HTTP/1.1\r\nHost: x\r\n" + headers + b"\r\n" + SMUGGLED
    answer = exchange(site.exporter, request)
    assert answer.count(b"HTTP/1.1 ") <= 1
    assert answer[9:12] in {b"", b"400", b"404", b"413", b"501"}


@pytest.mark.parametrize(
    "body",
    [
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n-1\r\n",
        b"Content-Length: 1000000000000\r\n\r\n",
        b"Content-Length: 70000\r\n\r\n" + b"x" * 70_000,
        b"Expect: 100-continue\r\nContent-Length: 5\r\n\r\n",
    ],
    ids=["garbage", "huge chunk", "negative chunk", "terabyte", "70 kB", "expectation"],
)
def test_bodies(site: Site, body: bytes) -> None:
    """A body that is broken, huge or unfinished holds nothing up."""
    answer = exchange(site.exporter, b"POST /metrics HTTP/1.1\r\nHost: x\r\n" + body)
    assert answer.count(b"HTTP/1.1 200") == 0
    assert resident_bytes(site.exporter.process) < 4 * FEW_BYTES


ODD_ACCEPT = [
    "",
    "*/*",
    "application/openmetrics-text;version=abc",
    "application/openmetrics-text;version=9.9.9",
    "application/openmetrics-text;version=2.0.0;q=1,text/plain;version=0.0.4;q=0",
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited",
    "text/plain;version=1.0.0;escaping=nonsense",
    "text/plain;q=nan,*/*;q=inf",
    ";;;,,,===",
    "text/html",
    "x" * 10_000,
    ", ".join(["text/plain"] * 500),
]


@pytest.mark.parametrize("accept", ODD_ACCEPT, ids=range(len(ODD_ACCEPT)))
def test_accept(site: Site, accept: str) -> None:
    """Whatever formats a client asks for, it gets one that Prometheus knows."""
    answer = site.exporter.client.get("/metrics", headers={"Accept": accept})
    assert 200 == answer.status_code
    assert answer.headers["Content-Type"].partition("; ")[0] in {
        "text/plain",
        "application/openmetrics-text",
    }
    assert "rk_up{" in answer.text


ODD_SECONDS = ["0", "-1", "nan", "inf", "1e999", "1_0", "9" * 400, "", "5, 5", "soon"]


def test_scrape_timeout(site: Site) -> None:
    """A scrape timeout that is none counts as Prometheus's default: the scrape ends."""
    site.server.script(FAULTY, hang())
    begun = time.monotonic()

    def scrape(seconds: str) -> int:
        header = {"X-Prometheus-Scrape-Timeout-Seconds": seconds}
        url = site.exporter.client.base_url.join("/metrics")
        return httpx.get(url, headers=header, timeout=PATIENCE_SECONDS).status_code

    with ThreadPoolExecutor(len(ODD_SECONDS)) as threads:
        statuses = threads.map(scrape, ODD_SECONDS)
        assert site.exporter.is_healthy()
        assert [200] * len(ODD_SECONDS) == [*statuses]
    # The call has half of ten seconds.
    assert 4 < time.monotonic() - begun < PATIENCE_SECONDS


def slowly(seconds: float, name: str) -> Behaviour:
    """Answer with a recording after some *seconds*."""

    async def behave(exchange: Exchange) -> bool:
        await asyncio.sleep(seconds)
        return await shown(name)(exchange)

    return behave


def test_many_scrapes(site: Site) -> None:
    """Fifty scrapes share one pass; those above the limit are told to come again."""
    site.server.script(FAULTY, slowly(2, FAULTY))
    calls = len(site.server.requests)
    with ThreadPoolExecutor(50) as threads:
        url = site.exporter.client.base_url.join("/metrics")
        waiting = [threads.submit(httpx.get, url, timeout=PATIENCE_SECONDS) for _ in range(50)]
        answers = [scrape.result() for scrape in waiting]
    accepted = [answer.text for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert 50 == len(accepted) + len(refused)
    assert len(accepted) >= 10
    assert {"1"} >= {answer.headers["Retry-After"] for answer in refused}
    # Clients that came after the end of the first pass share another one.
    made = [request.path.rpartition("/")[2] for request in site.server.requests[calls:]].count(
        FAULTY
    )
    assert 1 <= made <= 3
    assert {1.0} == {value(text, "rk_meeting_up", rk_app=FAULTY) for text in accepted}


def test_clients_that_disconnect(site: Site) -> None:
    """Clients that leave during a pass leave nothing behind, and the pass goes on."""
    site.server.script(FAULTY, slowly(1, FAULTY))
    with clients(site.exporter, 30) as leaving:
        for client in leaving:
            client.sendall(SCRAPE)
            # Closing resets the connection.
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    # This one joins the pass of the others.
    assert 1 == value(site.exporter.scrape(), "rk_meeting_up", rk_app=FAULTY)


def test_readers_that_never_read(tmp_path: Path) -> None:
    """Fifty clients that ask for megabytes and never read take neither memory nor a scrape."""
    with site_in(tmp_path) as site, ExitStack() as stack:
        site.server.script("recordings", answer(200, body(finished(800))))
        # The second scrape shows what the first one has found.
        site.exporter.scrape()
        assert len(site.exporter.scrape()) > 1_000_000
        before = resident_bytes(site.exporter.process)
        greedy = [stack.enter_context(socket.socket()) for _ in range(50)]
        for client in greedy:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
            client.settimeout(PATIENCE_SECONDS)
            client.connect(site.exporter.address)
            client.sendall(SCRAPE)
        for client in greedy:
            # Those above the limit have a 503.
            assert client.recv(12, socket.MSG_PEEK) in {b"HTTP/1.1 200", b"HTTP/1.1 503"}
        for _ in range(3):
            assert site.exporter.is_healthy()
            assert 1 == value(site.scrape(), "rk_meeting_up", rk_app=FAULTY)
        assert resident_bytes(site.exporter.process) - before < 2 * FEW_BYTES


def finished(count: int) -> list[dict[str, object]]:
    """Return the items of an app's list that has some finished recordings of one meeting."""
    return [
        recording(
            FAULTY,
            id=f"recording-{number}",
            status="ERRORED",
            meeting={"id": FAULTY},
        )
        for number in range(count)
    ]


# With TLS.


@pytest.fixture(scope="module")
def encrypted(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ExporterProcess]:
    """Run an exporter with TLS that asks for a client certificate."""
    folder = tmp_path_factory.mktemp("encrypted")
    authority().issue().write(folder)
    (folder / "ca.crt").write_bytes(authority().pem)
    web = {"tls_server_config": {"cert_file": "server.crt", "key_file": "server.key"}}
    (folder / "web.yml").write_text(json.dumps(web))
    config = folder / "rk.yml"
    config.write_text(
        "account_id: account\napp_id: app\nmeeting_ids: [a]\napi: {base_url: 'http://127.0.0.1:1'}\n"
        "web: {listen_address: '127.0.0.1:0', config_file: web.yml}\n"
    )
    with exporter_process(config) as exporter:
        yield exporter
        exporter.terminate()


def tls_scrape(exporter: ExporterProcess, folder: Path) -> int:
    """Return the status of a scrape by TLS."""
    host, port = exporter.address
    verify = str(folder / "ca.crt")
    context = ssl.create_default_context(cafile=verify)
    url = f"https://{host}:{port}/metrics"
    return httpx.get(url, verify=context, timeout=PATIENCE_SECONDS).status_code


@pytest.mark.parametrize(
    "said",
    [b"", HEALTHY, b"\x16\x03\x01", b"\0" * 100],
    ids=["silence", "plain HTTP", "cut handshake", "garbage"],
)
def test_handshakes_that_fail(encrypted: ExporterProcess, said: bytes) -> None:
    """200 clients that never end a handshake hold up no scrape, and are disconnected."""
    before = open_files(encrypted.process)
    with clients(encrypted, 200) as stuck:
        for client in stuck:
            with contextlib.suppress(ConnectionError):
                client.sendall(said)
        assert 200 == tls_scrape(encrypted, encrypted.output.parent)
        eventually(lambda: all(map(is_closed, stuck)))
    eventually(lambda: open_files(encrypted.process) <= before + FEW_FILES)
    assert "Traceback" not in encrypted.log
    assert encrypted.log.count("\n") < 40
