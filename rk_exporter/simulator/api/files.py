"""The files of recordings, and how their storage can misbehave."""

import re

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus
from urllib.parse import quote

from rk_exporter.simulator.api.payloads import CANARY
from rk_exporter.simulator.api.responses import HTML_HEADERS, Headers, JsonObject, Response
from rk_exporter.simulator.scenarios.model import Recording, Status


FILES_PREFIX = "/files/"
_URL = re.compile(r"https://[^/]+/recordings/")
_RANGE = re.compile(r"bytes=(\d+)-(\d+)")
_MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
_WEBM = b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\x01\x42\xf7\x81\x01\x42\xf2\x81\x04"
_MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
_ENDLESS_BYTES = 16 << 20
_HUGE_HEADER_BYTES = 100_000


class FileFault(StrEnum):
    """How the storage answers requests for files."""

    NONE = "none"
    """Correctly."""
    GONE = "gone"
    """404."""
    FORBIDDEN = "forbidden"
    """403."""
    SERVER_ERROR = "server_error"
    """503."""
    WRONG_SIZE = "wrong_size"
    """With a file that has only half of its size."""
    EMPTY = "empty"
    """With a file without content."""
    NOT_MEDIA = "not_media"
    """With a web page."""
    TRUNCATED = "truncated"
    """With half of the bytes that it announces; then it closes the connection."""
    SLOW = "slow"
    """Never."""
    REDIRECT = "redirect"
    """302 to a link-local address, where clouds keep credentials."""
    NO_RANGES = "no_ranges"
    """200 with the whole file."""
    ENDLESS = "endless"
    """200 with 16 MiB of zeros and no length."""
    HUGE_HEADERS = "huge_headers"
    """With a header of 100,000 bytes."""
    GZIP = "gzip"
    """With compressed content, although the request does not accept it."""


@dataclass(frozen=True, slots=True)
class _File:
    """The beginning of a file, and its size."""

    head: bytes
    size: int

    def part(self, first: int, last: int) -> bytes:
        """Return the bytes from *first* to *last*; all after the beginning are zeros."""
        return self.head[first : last + 1].ljust(last + 1 - first, b"\x00")


def move_urls(payload: JsonObject, recording: Recording, files_url: str) -> None:
    """Let the download URLs in *payload* lead to the files below *files_url*."""
    prefix = f"{files_url}{FILES_PREFIX}{quote(recording.id)}/"

    def moved(value: object) -> object:
        if isinstance(value, str):
            return _URL.sub(prefix, value)
        if isinstance(value, list):
            return [moved(item) for item in value]
        if isinstance(value, dict):
            return {key: moved(item) for key, item in value.items()}
        return value

    for name in ("download_url", "audio_download_url"):
        if name in payload:
            payload[name] = moved(payload[name])


def file_response(
    recording: Recording | None, url: str, range_header: str, fault: FileFault, now: float
) -> Response | None:
    """Return the response to a request for the file at *url*; None if the storage hangs."""
    if fault is FileFault.SLOW:
        return None
    if fault in _REPLACEMENTS:
        return _REPLACEMENTS[fault]()
    if recording is None or recording.status(now) is not Status.UPLOADED:
        return _plain(HTTPStatus.NOT_FOUND)
    expires_at = recording.url_expires_at(now)
    if CANARY not in url or expires_at is None or now >= expires_at:
        return _plain(HTTPStatus.FORBIDDEN)
    return _served(_file(recording, url, fault), range_header, fault)


def _file(recording: Recording, url: str, fault: FileFault) -> _File:
    head = _WEBM if recording.track else _MP3 if ".mp3?" in url else _MP4
    if fault is FileFault.NOT_MEDIA:
        head = b"<!DOCTYPE html><html><body>Sign in</body></html>"
    if fault is FileFault.GZIP:
        head = b"\x1f\x8b\x08\x00"
    size = recording.file_size_bytes
    if fault is FileFault.WRONG_SIZE:
        size //= 2
    return _File(head, 0 if fault is FileFault.EMPTY else size)


def _served(file: _File, range_header: str, fault: FileFault) -> Response:
    headers: Headers = ((b"content-type", b"application/octet-stream"),)
    match = _RANGE.fullmatch(range_header)
    if match is None or fault is FileFault.NO_RANGES:
        return Response(HTTPStatus.OK, file.part(0, file.size - 1), headers)
    first, last = int(match[1]), min(int(match[2]), file.size - 1)
    if first > last:
        size = (b"content-range", f"bytes */{file.size}".encode())
        return Response(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, b"", (size,))
    headers += ((b"content-range", f"bytes {first}-{last}/{file.size}".encode()),)
    body = file.part(first, last)
    if fault is FileFault.TRUNCATED:
        headers += ((b"content-length", str(len(body)).encode()),)
        body = body[: len(body) // 2]
    if fault is FileFault.HUGE_HEADERS:
        headers += ((b"x-huge", b"x" * _HUGE_HEADER_BYTES),)
    if fault is FileFault.GZIP:
        headers += ((b"content-encoding", b"gzip"),)
    return Response(HTTPStatus.PARTIAL_CONTENT, body, headers)


def _plain(status: HTTPStatus) -> Response:
    return Response(status, f"<Error><Code>{status.name}</Code></Error>".encode(), HTML_HEADERS)


_REPLACEMENTS: dict[FileFault, Callable[[], Response]] = {
    FileFault.GONE: lambda: _plain(HTTPStatus.NOT_FOUND),
    FileFault.FORBIDDEN: lambda: _plain(HTTPStatus.FORBIDDEN),
    FileFault.SERVER_ERROR: lambda: _plain(HTTPStatus.SERVICE_UNAVAILABLE),
    FileFault.REDIRECT: lambda: Response(
        HTTPStatus.FOUND, b"", ((b"location", b"http://169.254.169.254/latest/meta-data/"),)
    ),
    FileFault.ENDLESS: lambda: Response(
        HTTPStatus.OK, bytes(_ENDLESS_BYTES), ((b"transfer-encoding", b"chunked"),)
    ),
}
