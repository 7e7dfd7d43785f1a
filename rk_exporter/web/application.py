"""The ASGI application: metrics, health and a landing page. Health never calls the API."""

import html
import logging
import re

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from rk_exporter import __version__
from rk_exporter.metrics.exposition import Exposition, accepts_gzip, negotiate
from rk_exporter.runtime.tracebacks import redacted_traceback
from rk_exporter.snapshot import Snapshot


logger = logging.getLogger(__name__)
Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
SCRAPE_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
# Prometheus's own default.
_DEFAULT_SCRAPE_TIMEOUT_SECONDS = 10.0
# A connection that hangs must not hold a pass forever.
_LONGEST_SCRAPE_TIMEOUT_SECONDS = 120.0
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")
# No path takes a body; a small one is ignored.
_LARGEST_REQUEST_BODY_BYTES = 64 * 1024
# A slow reader keeps no more than this in the server's memory.
_SLICE_BYTES = 64 * 1024
METHODS = ("GET", "HEAD")
_LANDING_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>rk-exporter</title>
<style>body {{ font-family: sans-serif; margin: 3em auto; max-width: 40em }}</style>
</head>
<body>
<h1>rk-exporter {version}</h1>
<p>Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings.</p>
<ul>
<li><a href="{metrics}">Metrics</a></li>
<li><a href="/-/healthy">Health</a>: the exporter is alive</li>
<li><a href="/-/ready">Readiness</a>: the metrics are complete and up to date</li>
</ul>
</body>
</html>
"""


@dataclass(frozen=True, slots=True)
class Response:
    """An HTTP response."""

    status: int
    body: bytes
    content_type: str = "text/plain; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)


def scrape_timeout_seconds(header: str | None, *, offset_seconds: float) -> float:
    """
    Return how long a pass may take, given the value of X-Prometheus-Scrape-Timeout-Seconds.

    The result is the timeout, at most 120 s, minus *offset_seconds* for the response, but at
    least half of it. If the header is missing or not a positive number, assume Prometheus's
    default of 10 s.
    """
    timeout = _DEFAULT_SCRAPE_TIMEOUT_SECONDS
    if header is not None and _SECONDS.fullmatch(header) and float(header) > 0:
        timeout = min(float(header), _LONGEST_SCRAPE_TIMEOUT_SECONDS)
    return max(timeout - offset_seconds, timeout / 2)


@dataclass(kw_only=True, eq=False, repr=False)
class Application:
    """Answers HTTP requests; *scrape* runs a pass within the given number of seconds."""

    scrape: Callable[[float], Awaitable[Snapshot]]
    why_not_ready: Callable[[], str | None]
    exposition: Exposition
    telemetry_path: str
    timeout_offset_seconds: float
    max_requests: int
    _requests_in_flight: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        """Map the paths to the methods that answer."""
        self._routes: dict[str, Callable[[Scope], Awaitable[Response]]] = {
            "/-/healthy": self._healthy,
            "/-/ready": self._ready,
            "/": self._landing_page,
            self.telemetry_path: self._metrics,
        }

    async def __call__(self, scope: Scope, _receive: Receive, send: Send) -> None:
        """Answer one request; an ASGI server calls this."""
        try:
            response = await self._respond(scope)
        except Exception as error:  # noqa: BLE001 # the boundary of the application
            # The server would print the traceback and close the connection without a response.
            logger.error(  # noqa: TRY400 # `exception` would log messages and values
                "request failed", extra={"traceback": redacted_traceback(error)}
            )
            response = _line(500, "internal error; see the exporter's log")
        await _send(response, send, with_body=scope["method"] != "HEAD")

    async def _respond(self, scope: Scope) -> Response:
        path = _path(scope)
        if path is None:
            return _line(400, "malformed request target")
        handle = self._routes.get(path)
        if handle is None:
            return _line(404, "not found; see / for the available pages")
        if scope["method"] not in METHODS:
            return _line(405, "use GET", {"Allow": ", ".join(METHODS)})
        length = _header(scope, "content-length") or "0"
        if not length.isdecimal() or int(length) > _LARGEST_REQUEST_BODY_BYTES:
            return _line(413, "send no body", {"Connection": "close"})
        return await handle(scope)

    async def _metrics(self, scope: Scope) -> Response:
        if self._requests_in_flight >= self.max_requests:
            message = f"too many requests: {self.max_requests} are being answered"
            return _line(503, message, {"Retry-After": "1"})
        form = negotiate(_header(scope, "accept") or "")
        gzipped = accepts_gzip(_header(scope, "accept-encoding") or "")
        headers = {"Vary": "Accept, Accept-Encoding"}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        if scope["method"] == "HEAD":
            return Response(200, b"", form.value, headers)
        self._requests_in_flight += 1
        try:
            snapshot = await self.scrape(
                scrape_timeout_seconds(
                    _header(scope, SCRAPE_TIMEOUT_HEADER),
                    offset_seconds=self.timeout_offset_seconds,
                )
            )
            body = await self.exposition.render(snapshot, form, gzipped=gzipped)
        finally:
            self._requests_in_flight -= 1
        return Response(200, body, form.value, headers)

    async def _healthy(self, _scope: Scope) -> Response:
        return _line(200, "healthy")

    async def _ready(self, _scope: Scope) -> Response:
        reason = self.why_not_ready()
        return _line(200, "ready") if reason is None else _line(503, f"not ready: {reason}")

    async def _landing_page(self, _scope: Scope) -> Response:
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        page = _LANDING_PAGE.format(version=__version__, metrics=html.escape(self.telemetry_path))
        return Response(200, page.encode(), "text/html; charset=utf-8", headers)


def _line(status: int, text: str, headers: Mapping[str, str] | None = None) -> Response:
    return Response(status, f"{text}\n".encode(), headers=headers or {})


def _path(scope: Scope) -> str | None:
    """
    Return the path of a request; None if its target is malformed (RFC 9112, 3.2).

    The target may be a whole URL, as proxies send it. Empty segments do not count, so that
    `/metrics/` and `//metrics` are `/metrics`.
    """
    target: str = scope["raw_path"].decode("latin-1")
    if not target.startswith("/"):
        try:
            url = urlsplit(target)
            is_valid = url.scheme in {"http", "https"} and url.hostname and url.port != 0
        except ValueError:
            return None
        if not is_valid:
            return None
        target = url.path
    return f"/{'/'.join(filter(None, unquote(target).split('/')))}"


def _header(scope: Scope, name: str) -> str | None:
    """Return the value of a header; repeated headers are one list (RFC 9110, 5.3)."""
    pairs: Iterable[tuple[bytes, bytes]] = scope["headers"]
    values = [value.decode("latin-1") for key, value in pairs if key == name.encode()]
    return ", ".join(values) if values else None


async def _send(response: Response, send: Send, *, with_body: bool) -> None:
    headers = {
        "Content-Type": response.content_type,
        "X-Content-Type-Options": "nosniff",
        **response.headers,
    }
    if response.body:
        headers["Content-Length"] = str(len(response.body))
    await send(
        {
            "type": "http.response.start",
            "status": response.status,
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
        }
    )
    body = response.body if with_body else b""
    for begin in range(0, len(body), _SLICE_BYTES):
        piece = body[begin : begin + _SLICE_BYTES]
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"", "more_body": False})
