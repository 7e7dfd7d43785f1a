"""The page that Prometheus scrapes."""

import re

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from rk_exporter.metrics.exposition import Exposition, accepts_gzip, negotiate
from rk_exporter.snapshot import Snapshot
from rk_exporter.web.http import Request, Response, line


SCRAPE_TIMEOUT_HEADER = "x-prometheus-scrape-timeout-seconds"
# Prometheus's own default.
_DEFAULT_SCRAPE_TIMEOUT_SECONDS = 10.0
# A connection that hangs must not hold a pass forever.
_LONGEST_SCRAPE_TIMEOUT_SECONDS = 120.0
_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


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
class MetricsPage:
    """Answers scrapes; *scrape* runs a pass within the given number of seconds."""

    scrape: Callable[[float], Awaitable[Snapshot]]
    exposition: Exposition
    timeout_offset_seconds: float
    max_requests: int
    _requests_in_flight: int = field(default=0, init=False)

    async def __call__(self, request: Request) -> Response:
        """Return the metrics after a pass, in the format that the client prefers."""
        if self._requests_in_flight >= self.max_requests:
            message = f"too many requests: {self.max_requests} are being answered"
            return line(503, message, {"Retry-After": "1"})
        form = negotiate(request.headers.get("accept", ""))
        gzipped = accepts_gzip(request.headers.get("accept-encoding", ""))
        headers = {"Vary": "Accept, Accept-Encoding"}
        if gzipped:
            headers["Content-Encoding"] = "gzip"
        if request.method == "HEAD":
            return Response(200, b"", form.value, headers)
        self._requests_in_flight += 1
        try:
            snapshot = await self.scrape(
                scrape_timeout_seconds(
                    request.headers.get(SCRAPE_TIMEOUT_HEADER),
                    offset_seconds=self.timeout_offset_seconds,
                )
            )
            body = await self.exposition.render(snapshot, form, gzipped=gzipped)
        finally:
            self._requests_in_flight -= 1
        return Response(200, body, form.value, headers)
