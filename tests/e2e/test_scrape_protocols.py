"""Each version of Prometheus gets an exposition in a format that it asks for."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import scripted
from tests.support.monitoring.servers import eventually, exporter, started_prometheus
from tests.support.programs import Monitoring
from tests.support.serving import served


OPENMETRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"
TEXT = "text/plain; version=0.0.4; charset=utf-8"


class Observing:
    """An ASGI application that passes scrapes on and stores their header Accept and their type."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen: set[tuple[str, str]] = set()

    async def __call__(self, scope: Any, _receive: Any, send: Any) -> None:
        """Answer a scrape as the exporter does."""
        asked = {name.decode(): value.decode() for name, value in scope["headers"]}
        asked = {name: asked[name] for name in asked if name.startswith(("accept", "x-prometheus"))}
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{self._url}/metrics", headers=asked)
        content_type = response.headers["content-type"]
        self.seen.add((asked["accept"], content_type))
        headers = [(b"content-type", content_type.encode())]
        await send(
            {"type": "http.response.start", "status": response.status_code, "headers": headers}
        )
        await send({"type": "http.response.body", "body": response.content})


@pytest.fixture(scope="module")
def exporting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an exporter and give its URL."""
    simulator = Simulator(ScriptedScenario(recordings=[scripted("weekly")]), rate_limit=0)
    with served(simulator) as api:
        server = exporter(
            tmp_path_factory.mktemp("exporter"),
            *("--account-id", "account", "--app-id", "app", "--meeting-id", "weekly"),
            *("--api.base-url", f"{api}/client/v4"),
            environment={"CLOUDFLARE_API_TOKEN": "simulated"},
        )
        with server:
            yield server.url


def scraped(program: str, folder: Path, url: str, protocols: list[str]) -> tuple[str, str]:
    """Return the header Accept of a Prometheus and the type of the answer, which it stores."""
    observing = Observing(url)
    scraping = {"scrape_protocols": protocols} if protocols else {}
    with (
        served(observing) as target,
        started_prometheus(
            program,
            folder,
            targets={"rk": [target.removeprefix("http://")]},
            scraping=scraping,
        ) as server,
    ):
        eventually(lambda: server.number("up") == 1, what="the scrape succeeds")
        # Both formats have types and the same names.
        assert server.number("rk_recordings_started_total") == 0
        assert server.number('rk_recording_start_delay_seconds_bucket{le="5.0"}') == 0
    (seen,) = observing.seen
    return seen


def test_default_protocols(
    prometheus: str, monitoring: Monitoring, exporting: str, tmp_path: Path
) -> None:
    """Both versions prefer OpenMetrics and get it. Version 3 allows UTF-8 in names."""
    accept, content_type = scraped(prometheus, tmp_path, exporting, [])
    assert OPENMETRICS == content_type
    assert ("escaping=allow-utf-8" in accept) == (monitoring is Monitoring.BUILT)


@pytest.mark.parametrize(
    ("protocol", "expected"),
    [
        ("OpenMetricsText1.0.0", OPENMETRICS),
        ("OpenMetricsText0.0.1", TEXT),
        ("PrometheusText1.0.0", TEXT),
        ("PrometheusText0.0.4", TEXT),
        ("PrometheusProto", TEXT),
    ],
)
def test_one_protocol(protocol: str, expected: str, exporting: str, tmp_path: Path) -> None:
    """Prometheus 3 understands the answer to each protocol without fallback_scrape_protocol."""
    program = Monitoring.BUILT.required("prometheus", package="prometheus")
    assert expected == scraped(program, tmp_path, exporting, [protocol])[1]
