import asyncio
import time

from email.utils import parsedate_to_datetime
from typing import Any

import httpx
import pytest

from rk_exporter.simulator import Fault, Simulator
from tests.support.processes import started, url_in
from tests.support.simulator import APP, NOW, SCENARIO, call, make_simulator


def dates(response: httpx.Response) -> list[str]:
    """Return the values of all Date headers."""
    return response.headers.get_list("date")


def test_scenario() -> None:
    """A simulator exposes the scenario that it responses from."""
    assert make_simulator().scenario is SCENARIO


class TestGateway:
    """Calls that the gateway rejects."""

    @pytest.mark.parametrize(
        "path",
        [
            "/client/v4/user",
            f"{APP}/",
            f"{APP}/livestreams",
            f"{APP}/recordings/active-recording/",
            f"{APP}/meetings/m1/participants",
            f"{APP}/a/b/c/d",
            "/client/v4/accounts/a.b/realtime/kit/app/recordings",
        ],
    )
    def test_no_route(self, path: str) -> None:
        """An unknown path gets the gateway's envelope with a list of `errors`."""
        response = call(path)

        assert response.status_code == 404
        errors = [{"code": 7003, "message": "No route for the URI"}]
        expected = {"success": False, "errors": errors, "messages": [], "result": None}
        assert expected == response.json()

    def test_method(self) -> None:
        """The API is read-only."""
        response = call(f"{APP}/recordings", method="POST")

        assert response.status_code == 405
        assert "errors" in response.json()

    @pytest.mark.parametrize(
        ("authorization", "status", "code"),
        [
            (None, 400, 9106),
            ("Basic c2VjcmV0", 400, 6003),
            ("Bearer", 400, 6003),
            ("Bearer a b", 400, 6003),
            ("simulated", 400, 6003),
            ("Bearer wrong", 401, 10000),
            ("Bearer forbidden", 403, 10000),
        ],
    )
    def test_rejected(self, authorization: str | None, status: int, code: int) -> None:
        """The gateway rejects a missing, malformed, wrong or unauthorized token."""
        response = call(f"{APP}/recordings", authorization=authorization)

        assert (status, code) == (response.status_code, response.json()["errors"][0]["code"])

    def test_malformed_chain(self) -> None:
        """An error chain explains a malformed header."""
        response = call(f"{APP}/recordings", authorization="Bearer a b").json()

        assert response["errors"][0]["error_chain"][0]["code"] == 6111

    def test_tokens(self) -> None:
        """The accepted tokens can be chosen; the case of the scheme does not matter."""
        simulator = make_simulator(token=["one", "two"], forbidden_token="weak")

        for authorization, status in (
            ("Bearer one", 200),
            ("bearer two", 200),
            ("Bearer weak", 403),
            ("Bearer simulated", 401),
        ):
            response = call(f"{APP}/recordings", simulator, authorization=authorization)
            assert status == response.status_code


class TestDate:
    """The Date header."""

    @pytest.mark.parametrize("path", [f"{APP}/recordings", f"{APP}/nothing", "/", "/nowhere"])
    def test_simulated_time(self, path: str) -> None:
        """The Date of every response is simulated time in whole seconds, in HTTP's format."""
        now = [NOW + 0.9]
        simulator = Simulator(SCENARIO, clock=lambda: now[0])

        assert dates(call(path, simulator)) == ["Wed, 25 Feb 2026 06:13:20 GMT"]
        now[0] += 86_400
        assert dates(call(path, simulator)) == ["Thu, 26 Feb 2026 06:13:20 GMT"]

    @pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.HANG}))
    def test_faults(self, fault: Fault) -> None:
        """Faulty responses have a Date too."""
        simulator = make_simulator()
        simulator.inject("*", fault)

        assert len(dates(call(f"{APP}/recordings/active-recording/m1", simulator))) == 1

    def test_rejections(self) -> None:
        """Errors of the gateway have a Date too."""
        simulator = make_simulator(rate_limit=1)

        responses = [call(f"{APP}/recordings", simulator) for _ in range(2)]
        responses.append(call(f"{APP}/recordings", simulator, authorization=None))

        assert [200, 429, 400] == [response.status_code for response in responses]
        assert {1} == {len(dates(response)) for response in responses}

    def test_latency(self) -> None:
        """The Date is the time of the response, not of the request."""
        now = [NOW]

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        simulator = Simulator(SCENARIO, clock=lambda: now[0], latency_seconds=60, sleep=sleep)

        assert dates(call(f"{APP}/recordings", simulator)) == ["Wed, 25 Feb 2026 06:14:20 GMT"]

    def test_served(self) -> None:
        """`rk-exporter simulate` adds no second Date with real time."""
        address = ("--web.listen-address", "127.0.0.1:0")
        with started("simulate", "--speed", "1e6", *address) as process:
            assert process.stdout
            url = url_in(process.stdout.readline())
            time.sleep(0.1)  # a day, at that speed
            (date,) = dates(httpx.get(f"{url}{APP}/recordings"))

        assert parsedate_to_datetime(date).timestamp() > time.time() + 43_200

    def test_served_by_the_demo(self) -> None:
        """In the demo, the simulated API and the exporter each send one Date."""
        anywhere = "127.0.0.1:0"
        addresses = ("--web.listen-address", anywhere, "--simulator.listen-address", anywhere)
        with started("demo", *addresses) as process:
            assert process.stdout
            urls = [url_in(process.stdout.readline()) for _ in range(2)]
            exporter, simulated = (dates(httpx.get(url)) for url in urls)

        assert (1, 1) == (len(exporter), len(simulated))


class TestProtocol:
    """The ASGI application."""

    def test_latency(self) -> None:
        """Each API call waits for the latency; control endpoints do not."""
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        simulator = make_simulator(latency_seconds=0.2, sleep=sleep)
        call(f"{APP}/recordings", simulator)
        call("/", simulator)

        assert waits == [0.2]

    def test_lifespan(self) -> None:
        """The application acknowledges the events of a server's lifespan."""
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent: list[str] = []

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        asyncio.run(make_simulator()({"type": "lifespan"}, receive, send))

        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    def test_websocket(self) -> None:
        """The application rejects other protocols."""

        async def unused(*_: Any) -> Any:
            raise AssertionError

        with pytest.raises(RuntimeError, match="does not support websocket"):
            asyncio.run(make_simulator()({"type": "websocket"}, unused, unused))

    def test_without_raw_path(self) -> None:
        """Without a raw path, the application uses the decoded one."""
        sent: list[Any] = []

        async def unused() -> Any:
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        asyncio.run(make_simulator()(scope, unused, send))

        assert sent[0]["status"] == 200
