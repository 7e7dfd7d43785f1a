"""Answers of the API that break off, hang, never end, or are no HTTP."""

import gzip
import zlib

from collections.abc import Iterator

import pytest

from tests.support.building import value
from tests.support.exporter_process import eventually, open_files, resident_bytes
from tests.support.fault_server import (
    Behaviour,
    Flood,
    answer,
    close,
    drip,
    hang,
    head,
    reset,
    send,
)
from tests.support.faulty_api import FAULTY, Site, body, recording, site_in


BODY = body(recording(FAULTY))
LENGTH = f"Content-Length: {len(BODY)}"
CHUNKED = head(200, "Transfer-Encoding: chunked")
FILES_OF_ONE_CALL = 4
FEW_BYTES = 64 << 20


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Run an exporter for all faults, one after the other, which must not leak anything."""
    with site_in(tmp_path_factory.mktemp("site")) as site:
        site.recovers()
        before = open_files(site.exporter.process)
        yield site
        site.recovers()
        eventually(lambda: open_files(site.exporter.process) <= before + FILES_OF_ONE_CALL)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(close(), id="closed without an answer"),
        pytest.param(close(head(200, LENGTH)[:30]), id="closed within the head"),
        pytest.param(reset(), id="reset"),
        pytest.param(reset(head(200, LENGTH) + BODY[:10]), id="reset within the body"),
    ],
)
def test_connection_that_breaks(site: Site, behaviour: Behaviour) -> None:
    """A connection that breaks during a call is a failure with the reason `connect`."""
    site.fails("connect", behaviour)


def test_kept_connection_that_the_api_closes(site: Site) -> None:
    """A kept connection that is closed by the API costs a second call, and is no failure."""
    calls = len(site.server.requests)
    site.succeeds(close(), answer(200, BODY))
    paths = [request.path for request in site.server.requests[calls:]]
    # Before the fault, the one that fails, its retry, and after it.
    assert 4 == sum(path.endswith(FAULTY) for path in paths)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(hang(), id="before the head"),
        pytest.param(hang(head(200, LENGTH)[:30]), id="within the head"),
        pytest.param(hang(head(200, LENGTH) + BODY[:10]), id="within the body"),
        pytest.param(hang(CHUNKED + b'ff\r\n{"success":'), id="within a chunk"),
    ],
)
def test_answer_that_stops(site: Site, behaviour: Behaviour) -> None:
    """An answer that stops coming is a timeout; the scrape is answered in time."""
    assert "the API did not answer in time" in site.fails("timeout", behaviour)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(drip(head(200, f"X: {'x' * 1000}")), id="head"),
        pytest.param(drip(bytes(1000), head=head(200, "Content-Length: 1000")), id="body"),
        pytest.param(drip(b"1\r\nx\r\n" * 1000, head=CHUNKED), id="chunks"),
    ],
)
def test_answer_of_single_bytes(site: Site, behaviour: Behaviour) -> None:
    """The time of a call counts as a whole, however often a byte comes."""
    site.fails("timeout", behaviour)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(close(head(200, "Content-Length: 9999") + BODY), id="length too large"),
        pytest.param(close(CHUNKED + b"fff\r\n" + BODY), id="cut within a chunk"),
        pytest.param(close(CHUNKED + b"1\r\n{\r\n"), id="no last chunk"),
        pytest.param(hang(CHUNKED + b"zz\r\n" + BODY + b"\r\n0\r\n\r\n"), id="garbage as chunks"),
        pytest.param(hang(head(200, LENGTH, "Content-Length: 2") + BODY), id="two lengths"),
        pytest.param(hang(head(200, "Content-Length: -1") + BODY), id="negative length"),
        pytest.param(hang(head(200, "Transfer-Encoding: gzip") + BODY), id="unknown framing"),
        pytest.param(hang(b"\x00\x01garbage\r\n\r\n"), id="garbage"),
        pytest.param(hang(b"SSH-2.0-OpenSSH_9.9\r\n\r\n"), id="another protocol"),
        pytest.param(hang(b"HTTP/1.1 101 Go\r\nUpgrade: h2c\r\n\r\n"), id="another version"),
        pytest.param(hang(b"\0\0\x12\x04\0\0\0\0\0\0\x03\0\0\0d\r\n\r\n"), id="only HTTP/2"),
    ],
)
def test_answer_that_is_no_http(site: Site, behaviour: Behaviour) -> None:
    """An answer that is not complete HTTP is invalid, and nothing in it is believed."""
    assert "the API's answer is not complete HTTP" in site.fails("invalid_response", behaviour)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param(close(b"HTTP/1.0 200 OK\r\n\r\n" + BODY), id="HTTP 1.0"),
        pytest.param(
            close(b"HTTP/1.0 200 OK\r\n" + LENGTH.encode() + b"\r\n\r\n" + BODY),
            id="HTTP 1.0 with a length",
        ),
        pytest.param(
            send(CHUNKED + b"1\r\n{\r\n%x;x=y\r\n" % (len(BODY) - 1) + BODY[1:] + b"\r\n0\r\n\r\n"),
            id="chunks",
        ),
        pytest.param(
            send(b"HTTP/1.1 103 Early Hints\r\n\r\n" + head(200, LENGTH) + BODY), id="early hints"
        ),
    ],
)
def test_answer_in_another_form_of_http(site: Site, behaviour: Behaviour) -> None:
    """Every form of HTTP/1 is understood."""
    assert 100 == site.duration(site.succeeds(behaviour), FAULTY)


@pytest.mark.parametrize(
    "raw",
    [
        pytest.param(head(200, LENGTH) + BODY + head(200, LENGTH) + BODY, id="second answer"),
        pytest.param(head(200, LENGTH) + BODY + b"\0garbage", id="garbage"),
        pytest.param(head(204) + BODY, id="body of a 204"),
        pytest.param(
            head(200, "Transfer-Encoding: chunked", LENGTH) + b"0\r\n\r\n", id="chunks and a length"
        ),
        pytest.param(head(200, "Content-Length: 5, 28") + BODY, id="two lengths in one header"),
    ],
)
def test_answer_that_can_be_read_in_two_ways(site: Site, raw: bytes) -> None:
    """If it is not clear where an answer ends, neither this nor a later call believes it."""
    for _ in range(3):
        site.fails("invalid_response", send(raw))


PACKED = gzip.compress(BODY)


@pytest.mark.parametrize(
    ("coding", "content"),
    [
        ("gzip", PACKED),
        ("gzip", PACKED[:-20]),
        ("gzip", b"no gzip at all"),
        ("deflate", zlib.compress(BODY)),
        ("br", bytes.fromhex("0b028003")),
        ("zstd", b"\x28\xb5\x2f\xfd"),
        ("unheard-of", BODY),
    ],
    ids=["gzip", "cut gzip", "broken gzip", "deflate", "br", "zstd", "unknown"],
)
def test_answer_with_an_encoding(site: Site, coding: str, content: bytes) -> None:
    """An encoding that nobody asked for is refused, and nothing is unpacked."""
    site.fails("invalid_response", answer(200, content, f"Content-Encoding: {coding}"))


def test_gzip_bomb(site: Site) -> None:
    """200 MiB of zeros in 200 kB take no memory, because they are not unpacked."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(200)) + packer.flush()
    assert len(bomb) < 1 << 20
    before = resident_bytes(site.exporter.process)
    site.fails("invalid_response", answer(200, bomb, "Content-Encoding: gzip"))
    assert resident_bytes(site.exporter.process) - before < FEW_BYTES


@pytest.mark.parametrize("framing", ["Content-Length: 1000000000", "Connection: close"])
def test_answer_without_end(site: Site, framing: str) -> None:
    """An answer of a gigabyte is dropped after its first mebibyte."""
    flood = Flood(head(200, framing) + b'{"data":"', 1_000_000_000)
    before = resident_bytes(site.exporter.process)
    site.fails("too_large", flood, within_seconds=30)
    assert resident_bytes(site.exporter.process) - before < FEW_BYTES
    # The rest was in buffers of the two systems.
    assert flood.sent_bytes < FEW_BYTES


@pytest.mark.parametrize("size", [200_000, 10_000_000])
def test_large_head(site: Site, size: int) -> None:
    """An answer with a huge header is invalid."""
    site.fails("invalid_response", hang(head(200, f"X: {'x' * size}")))


def test_many_headers(site: Site) -> None:
    """An answer with 20,000 headers is invalid."""
    headers = [f"X-{number}: y" for number in range(20_000)]
    site.fails("invalid_response", hang(head(200, *headers)))


def test_calls_are_counted(site: Site) -> None:
    """Calls without a complete answer have the code `none`."""
    site.fails("connect", close())
    text = site.recovers()
    none = value(text, "rk_api_requests_total", rk_app=FAULTY, code="none")
    assert none is not None
    assert none >= 1
