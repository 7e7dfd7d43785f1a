"""The answers to requests for the status: a page for people, JSON for scripts, readiness."""

import asyncio

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

import msgspec

from rk_exporter.runtime.printable import label_text
from rk_exporter.web.http import Request, Response, line
from rk_exporter.web.status.build import build_status
from rk_exporter.web.status.document import Answer, Filter, Refusal, Status
from rk_exporter.web.status.page import Links, StatusTemplate, View
from rk_exporter.web.status.problems import Problem
from rk_exporter.web.status.readiness import Observed


T = TypeVar("T")
JSON_TYPE = "application/json"
# A browser that reloads and a few scripts need no more.
_MOST_WAITING = 10


class Busy(Exception):
    """Too many requests wait for the status."""


class StatusSource:
    """
    Builds documents in a thread of its own, so that the metrics need not wait for them.

    *observe* returns what the status is about, and *clock* unix seconds.
    """

    def __init__(self, observe: Callable[[], Observed], clock: Callable[[], float]) -> None:
        self._observe = observe
        self._clock = clock
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="status")
        self._waiting = 0

    async def render(self, wanted: Filter, to: Callable[[Status], T]) -> T:
        """Return what *to* makes of the document. Raises Busy."""
        if self._waiting >= _MOST_WAITING:
            raise Busy
        self._waiting += 1
        try:
            # Not in the thread: a reload may change what is observed.
            observed = self._observe()
            loop = asyncio.get_running_loop()
            return await loop.run_in_executor(self._executor, self._built, observed, wanted, to)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Stop the thread."""
        self._executor.shutdown(wait=False, cancel_futures=True)

    def _built(self, observed: Observed, wanted: Filter, to: Callable[[Status], T]) -> T:
        return to(build_status(observed, wanted, self._clock()))


class StatusPage:
    """The status for people."""

    def __init__(self, source: StatusSource, links: Links) -> None:
        self._source = source
        self._template = StatusTemplate(links)

    async def __call__(self, request: Request) -> Response:
        """Return the page."""
        view = _view(request.query)
        try:
            page = await self._source.render(
                view.wanted, lambda status: self._template.render(status, view)
            )
        except Busy:
            return line(503, "too many requests for the status", {"Retry-After": "1"})
        return Response(200, page, "text/html; charset=utf-8", self._template.headers)


@dataclass(frozen=True, slots=True)
class StatusApi:
    """The status for scripts, in the form of Prometheus's own API."""

    source: StatusSource

    async def __call__(self, request: Request) -> Response:
        """Return the document, or why the filter is wrong."""
        view = _view(request.query)
        headers = {"Cache-Control": "no-store"}
        if view.unknown_problem is not None:
            known = ", ".join(Problem)
            return Response(
                400, _refusal(f"unknown problem; use one of {known}"), JSON_TYPE, headers
            )
        try:
            found = await self.source.render(view.wanted, _json)
        except Busy:
            return line(503, "too many requests for the status", {"Retry-After": "1"})
        if found is None:
            return Response(400, _refusal("unknown app; see data.apps"), JSON_TYPE, headers)
        return Response(200, found, JSON_TYPE, headers)


def _json(status: Status) -> bytes | None:
    """Return the answer; None if there is no app of the filter."""
    if status.filter.app is not None and not status.apps:
        return None
    return msgspec.json.encode(Answer(status="success", data=status)) + b"\n"


def _refusal(text: str) -> bytes:
    return msgspec.json.encode(Refusal(status="error", errorType="bad_data", error=text)) + b"\n"


def _view(query: Mapping[str, str]) -> View:
    """Return the view that the parameters of a request describe; empty ones count as missing."""
    app, problem = query.get("app") or None, query.get("problem") or None
    known = Problem(problem) if problem in set(Problem) else None
    return View(
        Filter(app=None if app is None else label_text(app), problem=known),
        unknown_problem=label_text(problem) if problem and known is None else None,
        is_paused=query.get("refresh") == "off",
    )
