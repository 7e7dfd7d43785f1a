"""The page that reloads the configuration."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from rk_exporter.web.http import Request, Response, line


# As Prometheus.
METHODS = ("POST", "PUT")


@dataclass(frozen=True, slots=True)
class ReloadResult:
    """The result of a reload: the *problem*, or else the options that need a restart."""

    problem: str | None = None
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ReloadPage:
    """Reloads the configuration if this *is_enabled*."""

    reload: Callable[[], Awaitable[ReloadResult]]
    is_enabled: bool

    async def __call__(self, _request: Request) -> Response:
        """Return what the reload has changed, or why it was refused."""
        if not self.is_enabled:
            return line(403, "lifecycle API is not enabled; set --web.enable-lifecycle")
        result = await self.reload()
        if result.problem is not None:
            return line(500, f"configuration was not reloaded: {result.problem}")
        fixed = (
            f"{path} cannot change while the exporter runs; restart it" for path in result.fixed
        )
        return line(200, "\n".join(["configuration reloaded", *fixed]))
