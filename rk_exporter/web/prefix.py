"""Paths below a prefix, for a reverse proxy that serves other things beside the exporter."""

from collections.abc import Mapping
from dataclasses import dataclass

from rk_exporter.web.application import Route
from rk_exporter.web.http import Request, Response, line


def with_prefix(routes: Mapping[str, Route], prefix: str) -> dict[str, Route]:
    """
    Return *routes* with their paths below *prefix*, and `/` redirected to it, as in Prometheus.

    Without a prefix they stay as they are.
    """
    prefixed = {f"{prefix}{path}".rstrip("/") or "/": route for path, route in routes.items()}
    return {"/": Route(Redirect(f"{prefix}/")), **prefixed} if prefix else prefixed


@dataclass(frozen=True, slots=True)
class Redirect:
    """Answers with the path of another page."""

    path: str

    async def __call__(self, _request: Request) -> Response:
        """Return 302."""
        return line(302, f"see {self.path}", {"Location": self.path})
