"""The small pages: health, readiness and the landing page. They never call the API."""

import html

from collections.abc import Callable
from dataclasses import dataclass

from rk_exporter import __version__
from rk_exporter.web.http import Request, Response, line


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


async def healthy(_request: Request) -> Response:
    """Return 200: the process answers."""
    return line(200, "healthy")


@dataclass(frozen=True, slots=True)
class ReadyPage:
    """Answers whether the metrics are complete, and why not."""

    why_not_ready: Callable[[], str | None]

    async def __call__(self, _request: Request) -> Response:
        """Return 200, or 503 with the reason."""
        reason = self.why_not_ready()
        return line(200, "ready") if reason is None else line(503, f"not ready: {reason}")


@dataclass(frozen=True, slots=True)
class LandingPage:
    """Links to the other pages."""

    telemetry_path: str

    async def __call__(self, _request: Request) -> Response:
        """Return the page."""
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        page = _LANDING_PAGE.format(version=__version__, metrics=html.escape(self.telemetry_path))
        return Response(200, page.encode(), "text/html; charset=utf-8", headers)
