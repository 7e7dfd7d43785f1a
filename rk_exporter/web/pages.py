"""The small pages: health and readiness. They never call the API."""

from collections.abc import Callable
from dataclasses import dataclass

from rk_exporter.web.http import Request, Response, line


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
