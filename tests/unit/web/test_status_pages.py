import asyncio
import html
import json
import logging
import os
import threading

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rk_exporter.config.loader import load
from rk_exporter.metrics.config_reload import ConfigReloadMetrics
from rk_exporter.metrics.web_config import WebConfigMetrics
from rk_exporter.runtime.recent_warnings import RecentWarnings, recent_warnings
from rk_exporter.web.application import Application, Route
from rk_exporter.web.status.page import Links
from rk_exporter.web.status.pages import StatusApi, StatusPage, StatusSource
from rk_exporter.web.status.readiness import Observed
from tests.support.building import ACCOUNT, BASE_URL, NOW, run, samples, scripted, setup, value
from tests.support.exporters import current, failing, finish, full
from tests.support.statuses import app, observed, parse, reading


def test_page_api_and_metrics_agree(tmp_path: Path) -> None:
    """After the same scrape, the page, the JSON and the metrics have the same figures."""
    system = failing(tmp_path)

    async def steps() -> list[str]:
        await system.get()
        return [(await system.get(path)).text for path in ("/api/v1/status", "/")]

    document, page = finish(system, steps)
    metrics = current(system)
    data = json.loads(document)["data"]
    text = " ".join(parse(page.encode()).text.split())
    for one in data["apps"]:
        remaining = value(metrics, "rk_api_budget_remaining", rk_app=one["name"])
        assert remaining == one["budget"]["remaining_calls"]
        assert f"{remaining:,.0f} left" in text
        failures = samples(metrics, "rk_api_request_failures_total")
        for reason, count in one["failures_total"].items():
            label, name = f'reason="{reason}"', f'rk_app="{one["name"]}"'
            of_app = [n for series, n in failures.items() if label in series and name in series]
            assert sum(of_app) == count
    shown = samples(metrics, "rk_recording_last_success_timestamp_seconds")
    assert len(shown) == sum(row["recording"] is not None for row in data["rows"])
    unreadable = sum(up == 0 for up in samples(metrics, "rk_meeting_up").values())
    assert unreadable == data["problems"]["unreadable"] > 0


def test_nothing_calls_the_api() -> None:
    """Neither the page nor the JSON makes a call or a pass."""
    system = setup(scripted())

    async def steps() -> list[int]:
        return [(await system.get(path)).status_code for path in ("/", "/api/v1/status")]

    assert [200, 200] == run(steps())
    assert 0 == system.simulator.requests.total


def test_bugs_are_counted(tmp_path: Path) -> None:
    """The page shows how often a bug ended a pass."""
    system = full(tmp_path)

    def fail(_: object) -> None:
        raise RuntimeError

    system.proxy.before = fail

    async def steps() -> tuple[str, str]:
        await system.get()
        return (await system.get("/api/v1/status")).text, (await system.get("/")).text

    document, page = finish(system, steps)
    metrics = current(system)
    for one in json.loads(document)["data"]["apps"]:
        name = "rk_exporter_internal_errors_total"
        assert value(metrics, name, rk_app=one["name"]) == one["internal_errors_total"] == 1
        assert ["internal error (see the exporter's log)"] == one["problems"]
    assert "1, each a bug of the exporter; see its log" in page


@pytest.mark.parametrize("min_interval", ["0s", "5s"])
def test_files_that_cannot_be_used(tmp_path: Path, min_interval: str) -> None:
    """
    A bad token file and a bad meetings file are named with the line, but not the token.

    This is so after each scrape, also after one that needs no calls.
    """
    token, meetings, file = tmp_path / "token", tmp_path / "meetings.txt", tmp_path / "rk.yml"
    token.write_text("simulated")
    meetings.write_text("meeting-1\n")
    file.write_text(
        f"account_id: {ACCOUNT}\napp_id: a\napi: {{budget: 100000, base_url: '{BASE_URL}', "
        f"token_file: {token}}}\nmeetings: {{files: [{meetings}]}}\n"
        f"scrape: {{min_interval: {min_interval}}}\n"
    )
    system = setup(scripted(), configuration=load(file, {}, {}))

    async def steps() -> tuple[str, str]:
        await system.get()
        token.write_text("new-secret token")
        meetings.write_text("- {id: not an id}\n")
        os.utime(meetings, (1, 1))
        await system.get()
        document = await system.get("/api/v1/status")
        return document.text, (await system.get("/")).text

    text, page = finish(system, steps)
    (one,) = json.loads(text)["data"]["apps"]
    expected = "has characters that no API token has; put only the token there"
    assert expected == one["token_problem"]
    assert [False] == [shown["is_read"] for shown in one["meetings_files"]]
    token_problem, file_problem = one["problems"]
    assert f"API token file: {expected}; the last good token stays in use" == token_problem
    assert file_problem.startswith(f"meetings file {meetings}:1: ")
    for problem in (token_problem, file_problem):
        assert problem in html.unescape(page)
    assert "new-secret" not in text + page


@dataclass
class LastReload:
    """How the last reload ended."""

    last_reload_successful: bool
    last_success_timestamp_seconds: float = NOW


@pytest.mark.parametrize(("is_good", "is_web_good"), [(True, True), (False, True), (True, False)])
def test_reloads(is_good: bool, is_web_good: bool) -> None:  # noqa: FBT001 # parameters of pytest
    """The status says what the metrics say of the last reloads."""
    system = setup(scripted())
    system.exporter.show(ConfigReloadMetrics(LastReload(is_good)))
    system.exporter.show(WebConfigMetrics(LastReload(is_web_good)))

    async def steps() -> tuple[str, str]:
        await system.get()
        return (await system.get("/api/v1/status")).text, (await system.get("/")).text

    document, page = run(steps())
    problems = json.loads(document)["data"]["exporter"]["configuration_problems"]
    names = [problem.partition(" was not reloaded; ")[0] for problem in problems]
    expected = {"configuration": is_good, "web configuration": is_web_good}
    assert [name for name, is_fine in expected.items() if not is_fine] == names
    assert all(problem in html.unescape(page) for problem in problems)


class Site:
    """The status pages of what was *observed*."""

    def __init__(self, found: Observed) -> None:
        self.source = StatusSource(lambda: found, lambda: NOW)
        self.application = Application(
            {
                "/": Route(StatusPage(self.source, Links("/metrics"))),
                "/api/v1/status": Route(StatusApi(self.source)),
            }
        )

    async def get(self, path: str) -> httpx.Response:
        transport = httpx.ASGITransport(app=self.application)
        async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
            return await client.get(path)


SITE = Site(observed(app("a", readings=(reading(),)), app("b <b>")))


@pytest.mark.parametrize(
    ("query", "app_name", "problem"),
    [
        ("", None, None),
        ("?app=a", "a", None),
        ("?app=b+%3Cb%3E&problem=failed", "b <b>", "failed"),
        ("?app=&problem=", None, None),
        ("?other=x", None, None),
    ],
)
def test_filter_of_the_api(query: str, app_name: str | None, problem: str | None) -> None:
    """The filter comes from the query; empty and unknown parameters do not count."""
    answer = run(SITE.get(f"/api/v1/status{query}"))
    assert (200, "application/json") == (answer.status_code, answer.headers["Content-Type"])
    assert "no-store" == answer.headers["Cache-Control"]
    body = answer.json()
    assert "success" == body["status"]
    assert {"app": app_name, "problem": problem} == body["data"]["filter"]


@pytest.mark.parametrize(
    ("query", "error"),
    [
        ("?app=nope", "unknown app; see data.apps"),
        ("?problem=nope", "unknown problem; use one of stuck, failed,"),
        ("?problem=%00%ff%3Cb%3E", "unknown problem; use one of stuck, failed,"),
        (f"?app={'x' * 5000}", "unknown app; see data.apps"),
    ],
)
def test_unknown_filter_of_the_api(query: str, error: str) -> None:
    """An unknown app or problem is an error in the form of Prometheus's API, not an empty list."""
    answer = run(SITE.get(f"/api/v1/status{query}"))
    assert 400 == answer.status_code
    body = answer.json()
    assert ("error", "bad_data") == (body["status"], body["errorType"])
    assert body["error"].startswith(error)
    assert "<b>" not in answer.text


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("?app=%3Cscript%3E", "There is no app “<script>”."),
        ("?problem=%22%3E%3Cb%3E", 'There is no kind of problem “"><b>”.'),
        ("?app=%00a%ff", "There is no app “a\ufffd”."),
        (f"?app={'x' * 5000}", f"There is no app “{'x' * 255}”."),
        (f"?problem=%0A{'x' * 5000}", f"There is no kind of problem “{'x' * 254}”."),
    ],
)
def test_unknown_filter_of_the_page(query: str, text: str) -> None:
    """An unknown app or problem is named, bounded and escaped, on a page with a way back."""
    answer = run(SITE.get(f"/{query}"))
    assert 200 == answer.status_code
    assert text in parse(answer.content).text
    assert "<script" not in answer.text


def test_headers_of_the_page() -> None:
    """The page has the policy, is not cached, and is not sniffed."""
    headers = run(SITE.get("/")).headers
    assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
    assert "nosniff" == headers["X-Content-Type-Options"]
    assert "no-store" == headers["Cache-Control"]
    assert "no-referrer" == headers["Referrer-Policy"]


def test_too_many_requests_get_503() -> None:
    """While ten requests wait for a document, further ones get 503, and later ones are served."""
    release, found = threading.Event(), observed(app())

    def clock() -> float:
        # The thread that builds the document asks for the time.
        assert release.wait(10)
        return NOW

    site = Site(found)
    site.source = StatusSource(lambda: found, clock)
    site.application = Application({"/": Route(StatusPage(site.source, Links("/metrics")))})

    async def steps() -> list[int]:
        waiting = [asyncio.create_task(site.get("/")) for _ in range(10)]
        await asyncio.sleep(0)
        while site.source._waiting < 10:  # noqa: ASYNC110, SLF001 # there is no event for it
            await asyncio.sleep(0.01)
        refused = await site.get("/")
        assert "1" == refused.headers["Retry-After"]
        release.set()
        answers = [*await asyncio.gather(*waiting), refused, await site.get("/")]
        return [answer.status_code for answer in answers]

    assert [*[200] * 10, 503, 200] == run(steps())


def test_documents_are_built_off_the_loop() -> None:
    """The thread that serves metrics looks at what there is, but does not build documents."""
    threads: list[str] = []

    def observe() -> Observed:
        threads.append(threading.current_thread().name)
        return observed(app())

    def clock() -> float:
        threads.append(threading.current_thread().name)
        return NOW

    source = StatusSource(observe, clock)
    site = Application({"/": Route(StatusPage(source, Links("/metrics")))})

    async def steps() -> None:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(app=site), base_url="http://exporter"
        ) as client:
            await client.get("/")

    run(steps())
    source.close()
    assert [threading.current_thread().name, "status_0"] == threads


class TestRecentWarnings:
    @staticmethod
    def kept(*messages: str, most: int = 3, **fields: object) -> RecentWarnings:
        handler = RecentWarnings(most)
        for message in messages:
            record = logging.makeLogRecord(
                {
                    "name": "rk_exporter.x",
                    "levelno": logging.WARNING,
                    "levelname": "WARNING",
                    "msg": message,
                    "created": NOW,
                    **fields,
                }
            )
            handler.handle(record)
        return handler

    def test_bounded_and_newest_first(self) -> None:
        """Only the last warnings are kept, the newest first."""
        found = self.kept("one", "two", "three", "four").newest_first
        assert ["four", "three", "two"] == [line.message for line in found]
        assert {(NOW, "warning")} == {(line.timestamp_seconds, line.level) for line in found}

    def test_texts_are_printable_and_bounded(self) -> None:
        """A message with control characters or without end does no harm."""
        (line,) = self.kept("\x1b[31m" + "x" * 9999, app="a\n" + "b" * 999).newest_first
        assert line.message.startswith("\\x1b[31mxxx")
        assert (500, "…") == (len(line.message), line.message[-1])
        ((key, text),) = line.fields
        assert ("app", 500) == (key, len(text))
        assert "\n" not in text

    def test_libraries_and_infos_are_left_out(self) -> None:
        """What a library logs may be provoked by a client; infos are no warnings."""
        assert () == self.kept("x", name="uvicorn.error").newest_first
        handler, logger = RecentWarnings(), logging.getLogger("rk_exporter.test")
        logger.addHandler(handler)
        try:
            logger.setLevel(logging.DEBUG)
            logger.info("x")
            logger.error("y", extra={"app": "a"})
        finally:
            logger.removeHandler(handler)
        assert [("error", "y", (("app", "a"),))] == [
            (line.level, line.message, line.fields) for line in handler.newest_first
        ]

    def test_nothing_before_the_start(self) -> None:
        """A program that has not set up its log has no warnings."""
        assert () == recent_warnings()
