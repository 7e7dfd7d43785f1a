import asyncio
import gzip
import logging

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.config.loader import load
from rk_exporter.exporter import Exporter
from rk_exporter.metrics.exposition import Exposition, Format
from rk_exporter.metrics.families import SnapshotFamilies
from rk_exporter.simulator import Recording
from rk_exporter.snapshot import Snapshot
from rk_exporter.web.application import Application, Route
from rk_exporter.web.metrics_page import MetricsPage, scrape_timeout_seconds
from tests.support.building import (
    ACCOUNT,
    BASE_URL,
    NOW,
    Simulation,
    config,
    run,
    samples,
    scripted,
    setup,
    simulate,
)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, 9.5),
        ("10", 9.5),
        ("10.000000", 9.5),
        ("2", 1.5),
        ("0.8", 0.4),
        ("600", 119.5),
        ("0", 9.5),
        ("-1", 9.5),
        ("", 9.5),
        ("nan", 9.5),
        ("inf", 9.5),
        ("1e3", 9.5),
        ("1_0", 9.5),
        ("٣", 9.5),
        ("5, 5", 9.5),
        ("9" * 40, 9.5),
    ],
)
def test_timeout_of_a_scrape(header: str | None, expected: float) -> None:
    """The timeout is the header minus the offset; an invalid header counts as missing."""
    assert expected == scrape_timeout_seconds(header, offset_seconds=0.5)


class TestMetricsPage:
    @pytest.mark.parametrize("form", Format)
    def test_formats(self, form: Format) -> None:
        """The Content-Type names the format and its version, and the body matches it."""
        answer = run(setup(scripted()).get(headers={"Accept": form.value}))
        assert (200, form.value) == (answer.status_code, answer.headers["Content-Type"])
        assert (form is Format.OPENMETRICS) == answer.text.endswith("# EOF\n")
        assert str(len(answer.content)) == answer.headers["Content-Length"]
        assert "Accept, Accept-Encoding" == answer.headers["Vary"]

    def test_gzip(self) -> None:
        """The compressed response has the same content."""

        async def both() -> tuple[bytes, bytes]:
            application = _application(_nothing_new)
            packed = await _raw(application, [(b"accept-encoding", b"gzip")])
            return packed, await _raw(application, [])

        packed, plain = run(both())
        assert plain == gzip.decompress(packed)

    def test_head_makes_no_calls(self) -> None:
        """HEAD returns the headers of GET without a body, and calls no API."""
        system = setup(scripted())
        answer = run(system.get(method="HEAD"))
        assert (200, b"", 0) == (
            answer.status_code,
            answer.content,
            system.simulator.requests.total,
        )
        assert Format.TEXT.value == answer.headers["Content-Type"]

    def test_other_path(self) -> None:
        """A configured path for the metrics replaces the default path."""
        system = setup(scripted(), configuration=config(web__telemetry_path="/recordings/metrics"))
        assert 200 == run(system.get("/recordings/metrics")).status_code
        assert 404 == run(system.get("/metrics")).status_code
        assert 'href="/recordings/metrics"' in run(system.get("/")).text

    def test_too_many_at_once(self) -> None:
        """Above the limit a scrape gets 503 with Retry-After, and the others are answered."""

        async def scrapes() -> list[int]:
            system = setup(scripted(), configuration=config(web__max_requests="3"))
            answers = await asyncio.gather(*(system.get() for _ in range(5)))
            return sorted(answer.status_code for answer in answers)

        assert [200, 200, 200, 503, 503] == run(scrapes())


def _application(scrape: Callable[[float], Awaitable[Snapshot]]) -> Application:
    page = MetricsPage(
        scrape=scrape,
        exposition=Exposition(SnapshotFamilies()),
        timeout_offset_seconds=0.5,
        max_requests=1,
    )
    return Application({"/metrics": Route(page)})


async def _nothing_new(_: float) -> Snapshot:
    return Snapshot((), NOW)


async def _raw(
    application: Application, headers: list[tuple[bytes, bytes]], *, target: str = "/metrics"
) -> bytes:
    scope = {
        "type": "http",
        "method": "GET",
        "raw_path": target.partition("?")[0].encode(),
        "query_string": target.partition("?")[2].encode(),
        "headers": headers,
    }
    body = bytearray()

    async def receive() -> dict[str, Any]:
        raise AssertionError("the application must not receive anything")

    async def send(message: Any) -> None:
        assert len(message.get("body", b"")) <= 64 * 1024
        body.extend(message.get("body", b""))

    await application(scope, receive, send)
    return bytes(body)


@pytest.mark.parametrize(
    "path", ["/nope", "/metrics/x", "/-/reload/x", "/metrics.php", "/metrics%2Fx", "/%00", "/%ff"]
)
def test_other_paths(path: str) -> None:
    """An unknown path gets 404 with a line of text that does not repeat the path."""
    system = setup(scripted())
    answer = run(system.get(path))
    assert 404 == answer.status_code
    assert 1 == answer.text.count("\n")
    assert path not in answer.text
    assert 0 == system.simulator.requests.total


@pytest.mark.parametrize("path", ["/metrics/", "//metrics", "///metrics//", "/%6Detrics"])
def test_other_spellings_of_a_path(path: str) -> None:
    """Empty segments and encoded letters do not change which page a path names."""
    assert run(_raw(_application(_nothing_new), [], target=path)).startswith(b"# HELP")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "PATCH"])
@pytest.mark.parametrize("path", ["/", "/metrics", "/-/healthy", "/-/ready"])
def test_other_methods(path: str, method: str) -> None:
    """Any other method gets 405 with the allowed methods."""
    system = setup(scripted())
    answer = run(system.get(path, method=method))
    assert (405, "GET, HEAD") == (answer.status_code, answer.headers["Allow"])
    assert 0 == system.simulator.requests.total


@pytest.mark.parametrize("length", ["65537", "-1", "many"])
def test_bodies_are_refused(length: str) -> None:
    """A request with a large body, or an invalid length, gets 413."""
    answer = run(setup(scripted()).get(headers={"Content-Length": length}))
    assert (413, "send no body\n") == (answer.status_code, answer.text)


class TestHealth:
    def test_health_makes_no_calls(self) -> None:
        """Health never calls the API."""
        system = setup(scripted())
        assert (200, "healthy\n") == (
            run(system.get("/-/healthy")).status_code,
            run(system.get("/-/healthy")).text,
        )
        assert 0 == system.simulator.requests.total

    def test_ready(self) -> None:
        """The exporter is ready from the first pass on, while the last pass is recent."""
        system = setup(scripted())

        async def over_time() -> list[tuple[int, str]]:
            found = [await ready(system.exporter)]
            assert 0 == system.simulator.requests.total
            await system.get()
            calls = system.simulator.requests.total
            for later in (300, 1):
                system.time.now += later
                found.append(await ready(system.exporter))
            assert calls == system.simulator.requests.total
            await system.get()
            return [*found, await ready(system.exporter)]

        at_first, fresh, old, again = run(over_time())
        assert (503, "not ready: waiting for the first scrape\n") == at_first
        assert [(200, "ready\n")] * 2 == [fresh, again]
        assert (503, "not ready: last pass ended 5m 1s ago; is the exporter scraped?\n") == old

    def test_not_ready_while_recordings_are_restored(self) -> None:
        """With a small budget it takes several passes to restore all recordings."""
        meetings = ["meeting-1", "meeting-2", "meeting-3"]

        async def scrapes(simulation: Simulation) -> list[tuple[int, int]]:
            found = []
            for _ in range(6):
                shown = samples(
                    await simulation.scrape(), "rk_recording_last_success_timestamp_seconds"
                )
                found.append(((await ready(simulation.exporter))[0], len(shown)))
            return found

        found = simulate(
            scrapes,
            *(ended(number, meetings[number % 3]) for number in range(250)),
            configuration=config(meeting_ids=meetings, api__budget="60"),
            linger_seconds=0,
        )
        first, *restoring, last = dict.fromkeys(found)
        assert ((503, 100), (200, 250)) == (first, last)
        assert {503} == {status for status, _ in restoring}

    @pytest.mark.parametrize("budget", ["10", "20"])
    def test_ready_at_last(self, budget: str) -> None:
        """The exporter becomes ready even with one call per pass, or per two passes."""

        async def scrapes(simulation: Simulation) -> int:
            await simulation.last_scrape(30)
            return (await ready(simulation.exporter))[0]

        recordings = [ended(number, "meeting-1") for number in range(150)]
        configuration = config(api__budget=budget)
        assert 200 == simulate(scrapes, *recordings, configuration=configuration, linger_seconds=0)

    def test_which_app_is_not_ready(self, tmp_path: Path) -> None:
        """The reason names the apps whose list was not read yet."""
        file = tmp_path / "rk.yml"
        file.write_text(
            f"account_id: {ACCOUNT}\napi: {{budget: 100000, base_url: '{BASE_URL}'}}\napps:\n"
            "  - {name: good, app_id: a, api_token_env: TOKEN, meetings: {ids: [meeting-1]}}\n"
            "  - {name: bad, app_id: b, api_token_env: REFUSED, meetings: {ids: [meeting-1]}}\n"
        )
        tokens = {"TOKEN": "simulated", "REFUSED": "refused"}
        system = setup(scripted(), configuration=load(file, {}, tokens))

        async def after_a_scrape() -> tuple[int, str]:
            await system.get()
            return await ready(system.exporter)

        status, text = run(after_a_scrape())
        expected = "not ready: token refused (401) for app bad since 11:06 UTC,"
        assert (503, expected) == (status, text.partition(" next call in")[0])


async def ready(exporter: Exporter) -> tuple[int, str]:
    """Return the status and the text of `/-/ready`."""
    transport = httpx.ASGITransport(app=exporter.application)
    async with httpx.AsyncClient(transport=transport, base_url="http://exporter") as client:
        answer = await client.get("/-/ready")
        return answer.status_code, answer.text


def ended(number: int, meeting_id: str) -> Recording:
    """Return a recording that ended *number* minutes before NOW."""
    at = NOW - 60 * (number + 2)
    return scripted(
        meeting_id,
        id=f"recording-{number}",
        invoked_at=at,
        started_at=at + 2,
        paused=(),
        stopped_at=at + 30,
        uploaded_at=at + 40,
    )


def test_page_at_the_root() -> None:
    """The page at `/` links to the metrics, and loads nothing."""
    answer = run(setup(scripted()).get("/"))
    assert 200 == answer.status_code
    assert "text/html; charset=utf-8" == answer.headers["Content-Type"]
    assert '<a href="/metrics">' in answer.text
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "nosniff" == answer.headers["X-Content-Type-Options"]


def test_a_bug_is_a_500_and_the_next_scrape_works(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error is logged without its message, and the client gets a bare 500."""
    caplog.set_level(logging.ERROR, logger="rk_exporter")
    results: list[RuntimeError | Snapshot] = [RuntimeError("secret detail"), Snapshot((), NOW)]

    async def scrape(_: float) -> Snapshot:
        result = results.pop(0)
        if isinstance(result, RuntimeError):
            raise result
        return result

    async def twice() -> list[bytes]:
        application = _application(scrape)
        return [await _raw(application, []) for _ in range(2)]

    first, second = run(twice())
    assert b"internal error; see the exporter's log\n" == first
    assert second.startswith(b"# HELP rk_recording_status")
    (record,) = caplog.records
    assert "request failed" == record.message
    assert record.__dict__["traceback"].endswith(": RuntimeError")
    assert "secret detail" not in str(record.__dict__)


@pytest.mark.parametrize("target", ["http://exporter/metrics", "https://exporter:1/metrics?a=b"])
def test_whole_urls_as_targets(target: str) -> None:
    """A request's target may be a whole URL, as proxies send it."""
    body = run(_raw(_application(_nothing_new), [], target=target))
    assert body.startswith(b"# HELP")


@pytest.mark.parametrize(
    "target",
    [
        "http://[/",
        "http://[::1/metrics",
        "http:///metrics",
        "http://exporter:99999/metrics",
        "http://exporter:port/metrics",
        "ftp://exporter/metrics",
        "metrics",
        "*",
        "exporter:443",
        "",
    ],
)
def test_malformed_targets(target: str, caplog: pytest.LogCaptureFixture) -> None:
    """A malformed target gets 400 and no log line, because anybody may send it."""
    body = run(_raw(_application(_nothing_new), [], target=target))
    assert body == b"malformed request target\n"
    assert caplog.records == []


@given(target=st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), max_size=200))
@example(target="http://[/")
@example(target="http://[v]/")
@example(target="//[")
@example(target="http://a]b/metrics")
def test_any_target(target: str) -> None:
    """Whatever the target is, the answer is the metrics, a page, or one line of text."""
    body = run(_raw(_application(_nothing_new), [], target=target))
    assert body.startswith((b"# HELP", b"<!DOCTYPE")) or body.count(b"\n") == 1
    assert not body.startswith(b"internal error")


def test_many_meetings_are_sent_in_slices() -> None:
    """A large exposition arrives complete, in slices that limit memory use."""
    system = setup(*[scripted(f"meeting-{number}") for number in range(300)])
    body = run(_raw(system.exporter.application, []))
    assert len(body) > 5 * 64 * 1024
    assert 300 * 7 == len(samples(body.decode(), "rk_recording_status"))
