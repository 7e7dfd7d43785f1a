import asyncio
import json

from datetime import datetime
from typing import Any

import httpx
import pytest

from rk_exporter.simulator import Fault, Recording, ScriptedStory, Session, Simulator


APP = "/client/v4/accounts/a/realtime/kit/b"
ACTIVE = f"{APP}/recordings/active-recording/m1"
NOW = 1_772_000_000.0
REPLACED = {
    Fault.UNAUTHORIZED: (401, "errors", 10000),
    Fault.FORBIDDEN: (403, "errors", 10000),
    Fault.GATEWAY_NOT_FOUND: (404, "errors", 7003),
    Fault.RATE_LIMITED: (429, "errors", 971),
    Fault.RATE_LIMITED_971_AS_500: (500, "errors", 971),
    Fault.BAD_REQUEST: (400, "error", 400),
    Fault.UNPROCESSABLE: (422, "error", 422),
    Fault.SERVER_ERROR: (500, "error", 500),
    Fault.UNAVAILABLE: (503, "error", 503),
    Fault.SUCCESS_FALSE: (200, "error", 500),
    Fault.SUCCESS_FALSE_ERRORS: (200, "errors", 10013),
}


@pytest.fixture
def simulator() -> Simulator:
    """Simulate an uploaded recording that is still shown in m1, and a running one in m2."""
    uploaded = Recording.scripted(
        "m1",
        id="r1",
        invoked_at=NOW - 100,
        started_at=NOW - 98,
        stopped_at=NOW - 50,
        uploaded_at=NOW - 40,
    )
    running = Recording.scripted("m2", id="r2", invoked_at=NOW - 100, started_at=NOW - 98)
    session = Session("s1", "m1", started_at=NOW - 100)
    story = ScriptedStory(recordings=[uploaded, running], sessions=[session])
    return Simulator(story, clock=lambda: NOW, linger_seconds=3600)


def call(simulator: Simulator, path: str = ACTIVE, method: str = "GET") -> httpx.Response:
    """Send one request to a simulator, without a network."""

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(simulator)
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            headers = {"authorization": "Bearer simulated"} if path.startswith("/client") else {}
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def data(simulator: Simulator, fault: Fault, path: str = ACTIVE) -> Any:
    """Return the `data` of an answer with a fault in it."""
    simulator.inject("m1", fault)
    return call(simulator, path).json()["data"]


class TestKinds:
    """Faults that replace the whole answer."""

    @pytest.mark.parametrize("fault", REPLACED)
    def test_refusals(self, simulator: Simulator, fault: Fault) -> None:
        """Refusals come in the envelope of whoever refuses, the backend or the gateway."""
        simulator.inject("m1", fault)
        status, envelope, code = REPLACED[fault]

        answer = call(simulator)
        error = answer.json()[envelope]

        assert status == answer.status_code
        assert answer.json()["success"] is False
        assert code == (error[0] if envelope == "errors" else error)["code"]

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(Fault.BAD_GATEWAY, 502), (Fault.CLOUDFLARE_520, 520), (Fault.HTML, 200)],
    )
    def test_pages(self, simulator: Simulator, fault: Fault, status: int) -> None:
        """The edge speaks HTML."""
        simulator.inject("m1", fault)

        answer = call(simulator)

        assert status == answer.status_code
        assert answer.headers["content-type"].startswith("text/html")
        assert "<html>" in answer.text

    def test_retry_after(self, simulator: Simulator) -> None:
        """Only an unavailable service says when to come again, not every rate limit."""
        simulator.inject("m1", Fault.UNAVAILABLE, 1)
        unavailable = call(simulator)
        simulator.inject("m1", Fault.RATE_LIMITED)

        assert unavailable.headers["retry-after"] == "30"
        assert "retry-after" not in call(simulator).headers

    @pytest.mark.parametrize(("fault", "status"), [(Fault.EMPTY, 200), (Fault.NO_CONTENT, 204)])
    def test_nothing(self, simulator: Simulator, fault: Fault, status: int) -> None:
        """An answer can be empty."""
        simulator.inject("m1", fault)

        answer = call(simulator)

        assert (status, b"") == (answer.status_code, answer.content)
        assert ("content-length" in answer.headers) == (status == 200)

    def test_not_json(self, simulator: Simulator) -> None:
        """What says it is JSON may not be."""
        simulator.inject("m1", Fault.NOT_JSON)

        with pytest.raises(json.JSONDecodeError):
            call(simulator).json()

    def test_redirect(self, simulator: Simulator) -> None:
        """A redirect leads to somebody else, who should not get the token."""
        simulator.inject("m1", Fault.REDIRECT)

        assert call(simulator).headers["location"] == "https://login.example.com/"

    def test_oversized(self, simulator: Simulator) -> None:
        """An answer can be sound but have more than two megabytes."""
        simulator.inject("m1", Fault.OVERSIZED)

        answer = call(simulator)

        assert len(answer.content) > 2 * 1024 * 1024
        assert answer.json()["success"] is True

    def test_truncated(self, simulator: Simulator) -> None:
        """A truncated answer is shorter than it says."""
        simulator.inject("m1", Fault.TRUNCATED)

        answer = call(simulator)

        assert len(answer.content) * 2 <= int(answer.headers["content-length"])

    def test_hang(self, simulator: Simulator) -> None:
        """A hanging call sends nothing until the client has gone."""
        simulator.inject("m1", Fault.HANG)
        messages = iter([{"type": "http.request"}, {"type": "http.disconnect"}])

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            raise AssertionError(message)

        headers = [(b"authorization", b"Bearer simulated")]
        scope = {"type": "http", "method": "GET", "query_string": b"", "headers": headers}
        asyncio.run(simulator({**scope, "path": ACTIVE}, receive, send))

        assert next(messages, None) is None


class TestBentData:
    """Faults within an answer that is otherwise sound."""

    def test_garbage(self, simulator: Simulator) -> None:
        """Every optional field can be malformed while the rest stays sound."""
        garbage = data(simulator, Fault.GARBAGE_FIELDS)

        assert (garbage["id"], garbage["status"]) == ("r1", "UPLOADED")
        assert garbage["file_size"] == -1
        assert garbage["download_url_expiry"] == "soon"
        assert "1e999" in call(simulator).text

    def test_unknown_status(self, simulator: Simulator) -> None:
        """A status can be new, in a list as well."""
        listed = data(simulator, Fault.UNKNOWN_STATUS, f"{APP}/recordings?meeting_id=m1")

        assert [item["status"] for item in listed] == ["TRANSCODING"]
        assert data(simulator, Fault.UNKNOWN_STATUS)["status"] == "TRANSCODING"

    def test_data_list(self, simulator: Simulator) -> None:
        """A list can stand where an object is documented; a list stays a list."""
        listed = data(simulator, Fault.DATA_LIST, f"{APP}/recordings?meeting_id=m1")

        assert data(simulator, Fault.DATA_LIST)[0]["id"] == "r1"
        assert listed[0]["id"] == "r1"

    def test_data_null(self, simulator: Simulator) -> None:
        """Null can stand where an object is documented."""
        assert data(simulator, Fault.DATA_NULL) is None

    def test_odd_timestamps(self, simulator: Simulator) -> None:
        """The same moments and size can be written in other ways."""
        plain = call(simulator).json()["data"]
        odd = data(simulator, Fault.ODD_TIMESTAMPS)

        assert odd["invoked_time"] == "2026-02-25 06:11:40.000000Z"
        assert odd["started_time"] == "2026-02-25T08:11:42+02:00"
        assert odd["stopped_time"] == "2026-02-25T06:12:30.000000000Z"
        assert str(plain["file_size"]) == odd["file_size"]
        for name in ("invoked_time", "started_time", "download_url_expiry"):
            assert datetime.fromisoformat(plain[name]) == datetime.fromisoformat(odd[name])

    def test_odd_timestamps_of_nothing(self, simulator: Simulator) -> None:
        """What is null stays null."""
        simulator.inject("m2", Fault.ODD_TIMESTAMPS)

        odd = call(simulator, f"{APP}/recordings/active-recording/m2").json()["data"]

        assert odd["file_size"] is None
        assert odd["stopped_time"] is None

    def test_nothing_to_bend(self, simulator: Simulator) -> None:
        """Without an active recording there is no data to bend."""
        simulator.inject("m9", Fault.UNKNOWN_STATUS)

        assert call(simulator, f"{APP}/recordings/active-recording/m9").status_code == 404


class TestOrders:
    """Which calls a fault strikes."""

    def test_times(self, simulator: Simulator) -> None:
        """A fault can be ordered for the next few calls only."""
        simulator.inject("m1", Fault.SERVER_ERROR, times=2)

        assert [call(simulator).status_code for _ in range(3)] == [500, 500, 200]

    @pytest.mark.parametrize("times", [0, -1])
    def test_bad_times(self, simulator: Simulator, times: int) -> None:
        """A fault cannot be ordered for no call."""
        with pytest.raises(ValueError, match="times must be at least 1"):
            simulator.inject("m1", Fault.HTML, times)

    def test_clear(self, simulator: Simulator) -> None:
        """Orders can be taken back, one by one or all at once."""
        simulator.inject("m1", Fault.HTML)
        simulator.inject("*", Fault.SERVER_ERROR)
        simulator.clear("m1")
        all_meetings = call(simulator).status_code
        simulator.clear()

        assert (all_meetings, call(simulator).status_code) == (500, 200)

    @pytest.mark.parametrize(
        "path",
        [
            "recordings/active-recording/m1",
            "recordings/r1",
            "recordings?meeting_id=m1",
            "sessions/s1",
            "sessions?associated_id=m1",
            "meetings/m1",
            "meetings/m1/active-session",
        ],
    )
    def test_reach(self, simulator: Simulator, path: str) -> None:
        """A fault strikes every call about its meeting, and no other."""
        simulator.inject("m1", Fault.SERVER_ERROR)

        assert call(simulator, f"{APP}/{path}").status_code == 500
        assert simulator.requests.by_meeting["m1"] == 1
        assert call(simulator, f"{APP}/recordings/r2").status_code == 200
        assert call(simulator, f"{APP}/recordings").status_code == 200

    @pytest.mark.parametrize("path", ["recordings", "sessions", "meetings", "livestreams"])
    def test_all(self, simulator: Simulator, path: str) -> None:
        """A fault for all meetings strikes calls about none in particular as well."""
        simulator.inject("*", Fault.BAD_GATEWAY)

        assert call(simulator, f"{APP}/{path}").status_code == 502

    def test_unknown_parts(self, simulator: Simulator) -> None:
        """Calls about unknown recordings and sessions are about no meeting."""
        call(simulator, f"{APP}/recordings/nobody")
        call(simulator, f"{APP}/sessions/nobody")

        assert simulator.requests.by_meeting.total() == 0


class TestControl:
    """The simulator's own paths."""

    def test_faults(self, simulator: Simulator) -> None:
        """Faults can be ordered, shown and taken back over HTTP, without a token."""
        ordered = call(simulator, "/simulator/faults/m1?kind=html&times=3", "PUT")
        call(simulator, "/simulator/faults/a%2Fb?kind=hang", "PUT")
        shown = call(simulator, "/simulator/faults")
        struck = call(simulator)
        left = call(simulator, "/simulator/faults/m1", "DELETE")
        none = call(simulator, "/simulator/faults", "DELETE")

        html, hang = {"kind": "html", "times": 3}, {"kind": "hang", "times": None}
        assert {"m1": html} == ordered.json()
        assert {"m1": html, "a/b": hang} == shown.json()
        assert "<html>" in struck.text
        assert ({"a/b": hang}, {}) == (left.json(), none.json())

    @pytest.mark.parametrize(
        "query", ["", "kind=bad_luck", "kind=html&times=0", "kind=html&times=x"]
    )
    def test_bad_order(self, simulator: Simulator, query: str) -> None:
        """An order that makes no sense is refused with the reason."""
        answer = call(simulator, f"/simulator/faults/m1?{query}", "PUT")

        assert answer.status_code == 400
        assert answer.json()["message"]
        assert call(simulator, "/simulator/faults").json() == {}

    def test_requests(self, simulator: Simulator) -> None:
        """What was called can be read, the simulator's own paths apart."""
        call(simulator)
        call(simulator, f"{APP}/recordings")

        answer = call(simulator, "/simulator/requests").json()

        assert 2 == answer["total"] == answer["peak"]
        assert answer["by_endpoint"] == {"active_recording": 1, "recordings": 1}
        assert answer["by_meeting"] == {"m1": 1}
        assert answer["refused"] == 0

    def test_index(self, simulator: Simulator) -> None:
        """The index tells the paths and every kind of fault."""
        text = call(simulator, "/").text

        assert "/simulator/faults" in text
        assert all(fault in text for fault in Fault)

    @pytest.mark.parametrize(
        ("method", "path", "status"),
        [
            ("GET", "/nowhere", 404),
            ("GET", "/client", 404),
            ("POST", "/", 405),
            ("DELETE", "/simulator/requests", 405),
            ("PUT", "/simulator/faults", 405),
        ],
    )
    def test_elsewhere(self, simulator: Simulator, method: str, path: str, status: int) -> None:
        """There is nothing else."""
        assert status == call(simulator, path, method).status_code
