"""Paths below a prefix."""

import asyncio

import pytest

from rk_exporter.web.application import Route
from rk_exporter.web.http import Request, Response, line
from rk_exporter.web.prefix import with_prefix


async def _page(request: Request) -> Response:
    return line(200, request.path)


async def _answer(route: Route) -> Response:
    return await route.answer(Request("GET", "/", {}, {}))


ROUTES = {"/": Route(_page), "/metrics": Route(_page), "/-/ready": Route(_page)}


def test_without_a_prefix() -> None:
    """Without a prefix the paths stay as they are."""
    assert ROUTES == with_prefix(ROUTES, "")


@pytest.mark.parametrize("prefix", ["/rk", "/a/b"])
def test_with_a_prefix(prefix: str) -> None:
    """All paths are below the prefix, and `/` redirects to the page below it."""
    routes = with_prefix(ROUTES, prefix)
    assert {"/", prefix, f"{prefix}/metrics", f"{prefix}/-/ready"} == {*routes}
    answer = asyncio.run(_answer(routes["/"]))
    assert (302, f"{prefix}/") == (answer.status, answer.headers["Location"])
