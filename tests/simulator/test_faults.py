import asyncio
import json

from datetime import datetime
from typing import Any

import httpx
import pytest

from rk_exporter.simulator import Fault, Recording, ScriptedScenario, Session, Simulator
from tests.support import simulator as support
from tests.support.simulator import APP, NOW


ACTIVE = f"{APP}/recordings/active-recording/m1"
REPLACEMENTS = {
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
    """Simulate an uploaded recording that lingers in m1, and a running one in m2."""
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
    scenario = ScriptedScenario(recordings=[uploaded, running], sessions=[session])
    return Simulator(scenario, clock=lambda: NOW, linger_seconds=3600)


def call(simulator: Simulator, path: str = ACTIVE, method: str = "GET") -> httpx.Response:
    """Send one request, with a token only if it is for the API."""
    authorization = "Bearer simulated" if path.startswith("/client") else None
    return support.call(path, simulator, method=method, authorization=authorization)


def data(simulator: Simulator, fault: Fault, path: str = ACTIVE) -> Any:
    """Return the `data` of a response with a fault."""
    simulator.inject("m1", fault)
    return call(simulator, path).json()["data"]


class TestKinds:
    """Faults that replace the whole response."""

    @pytest.mark.parametrize("fault", REPLACEMENTS)
    def test_errors(self, simulator: Simulator, fault: Fault) -> None:
        """Errors have the envelope of the backend or of the gateway."""
        simulator.inject("m1", fault)
        status, envelope, code = REPLACEMENTS[fault]

        response = call(simulator)
        error = response.json()[envelope]

        assert status == response.status_code
        assert response.json()["success"] is False
        assert code == (error[0] if envelope == "errors" else error)["code"]

    @pytest.mark.parametrize(
        ("fault", "status"),
        [(Fault.BAD_GATEWAY, 502), (Fault.CLOUDFLARE_520, 520), (Fault.HTML, 200)],
    )
    def test_pages(self, simulator: Simulator, fault: Fault, status: int) -> None:
        """Cloudflare's edge returns HTML pages."""
        simulator.inject("m1", fault)

        response = call(simulator)

        assert status == response.status_code
        assert response.headers["content-type"].startswith("text/html")
        assert "<html>" in response.text

    def test_retry_after(self, simulator: Simulator) -> None:
        """An unavailable service sends Retry-After; an injected rate limit does not."""
        simulator.inject("m1", Fault.UNAVAILABLE, 1)
        unavailable = call(simulator)
        simulator.inject("m1", Fault.RATE_LIMITED)

        assert unavailable.headers["retry-after"] == "30"
        assert "retry-after" not in call(simulator).headers

    @pytest.mark.parametrize(("fault", "status"), [(Fault.EMPTY, 200), (Fault.NO_CONTENT, 204)])
    def test_nothing(self, simulator: Simulator, fault: Fault, status: int) -> None:
        """A response can be empty."""
        simulator.inject("m1", fault)

        response = call(simulator)

        assert (status, b"") == (response.status_code, response.content)
        assert ("content-length" in response.headers) == (status == 200)

    def test_not_json(self, simulator: Simulator) -> None:
        """A response can be invalid JSON."""
        simulator.inject("m1", Fault.NOT_JSON)

        with pytest.raises(json.JSONDecodeError):
            call(simulator).json()

    def test_redirect(self, simulator: Simulator) -> None:
        """A redirect leads to another host, which must not get the token."""
        simulator.inject("m1", Fault.REDIRECT)

        assert call(simulator).headers["location"] == "https://login.example.com/"

    def test_oversized(self, simulator: Simulator) -> None:
        """A valid response can have more than two megabytes."""
        simulator.inject("m1", Fault.OVERSIZED)

        response = call(simulator)

        assert len(response.content) > 2 * 1024 * 1024
        assert response.json()["success"] is True

    def test_truncated(self, simulator: Simulator) -> None:
        """A truncated response is shorter than its content-length."""
        simulator.inject("m1", Fault.TRUNCATED)

        response = call(simulator)

        assert len(response.content) * 2 <= int(response.headers["content-length"])

    def test_hang(self, simulator: Simulator) -> None:
        """A hanging call sends nothing until the client disconnects."""
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


class TestChangedData:
    """Faults that change the data of a correct response."""

    def test_garbage(self, simulator: Simulator) -> None:
        """Every optional field can be malformed while the others stay correct."""
        garbage = data(simulator, Fault.GARBAGE_FIELDS)

        assert (garbage["id"], garbage["status"]) == ("r1", "UPLOADED")
        assert garbage["file_size"] == -1
        assert garbage["download_url_expiry"] == "soon"
        assert "1e999" in call(simulator).text

    def test_half_character(self, simulator: Simulator) -> None:
        """A text can end in the first half of a character, as JavaScript writes it."""
        simulator.inject("m1", Fault.HALF_CHARACTER)

        assert rb'"half of \ud83d"' in call(simulator).content

    def test_unknown_status(self, simulator: Simulator) -> None:
        """A status can be unknown, also in a list."""
        listed = data(simulator, Fault.UNKNOWN_STATUS, f"{APP}/recordings?meeting_id=m1")

        assert [item["status"] for item in listed] == ["TRANSCODING"]
        assert data(simulator, Fault.UNKNOWN_STATUS)["status"] == "TRANSCODING"

    def test_data_list(self, simulator: Simulator) -> None:
        """`data` can be a list instead of an object; a list stays a list."""
        listed = data(simulator, Fault.DATA_LIST, f"{APP}/recordings?meeting_id=m1")

        assert data(simulator, Fault.DATA_LIST)[0]["id"] == "r1"
        assert listed[0]["id"] == "r1"

    def test_data_null(self, simulator: Simulator) -> None:
        """`data` can be null instead of an object."""
        assert data(simulator, Fault.DATA_NULL) is None

    def test_odd_timestamps(self, simulator: Simulator) -> None:
        """The same times and size can have other formats."""
        plain = call(simulator).json()["data"]
        odd = data(simulator, Fault.ODD_TIMESTAMPS)

        assert odd["invoked_time"] == "2026-02-25 06:11:40.000000Z"
        assert odd["started_time"] == "2026-02-25T08:11:42+02:00"
        assert odd["stopped_time"] == "2026-02-25T06:12:30.000000000Z"
        assert str(plain["file_size"]) == odd["file_size"]
        for name in ("invoked_time", "started_time", "download_url_expiry"):
            assert datetime.fromisoformat(plain[name]) == datetime.fromisoformat(odd[name])

    def test_odd_timestamps_of_nothing(self, simulator: Simulator) -> None:
        """A null stays null."""
        simulator.inject("m2", Fault.ODD_TIMESTAMPS)

        odd = call(simulator, f"{APP}/recordings/active-recording/m2").json()["data"]

        assert odd["file_size"] is None
        assert odd["stopped_time"] is None

    def test_nothing_to_change(self, simulator: Simulator) -> None:
        """Without an active recording there is no data to change."""
        simulator.inject("m9", Fault.UNKNOWN_STATUS)

        assert call(simulator, f"{APP}/recordings/active-recording/m9").status_code == 404


class TestScope:
    """Which calls a fault affects."""

    def test_times(self, simulator: Simulator) -> None:
        """A fault can affect only the next few calls."""
        simulator.inject("m1", Fault.SERVER_ERROR, times=2)

        assert [call(simulator).status_code for _ in range(3)] == [500, 500, 200]

    @pytest.mark.parametrize("times", [0, -1])
    def test_invalid_times(self, simulator: Simulator, times: int) -> None:
        """A fault must affect at least one call."""
        with pytest.raises(ValueError, match="times must be at least 1"):
            simulator.inject("m1", Fault.HTML, times)

    def test_clear(self, simulator: Simulator) -> None:
        """Faults can be removed one by one or all together."""
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
    def test_meeting(self, simulator: Simulator, path: str) -> None:
        """A fault affects every call about its meeting, and no other call."""
        simulator.inject("m1", Fault.SERVER_ERROR)

        assert call(simulator, f"{APP}/{path}").status_code == 500
        assert simulator.requests.by_meeting["m1"] == 1
        assert call(simulator, f"{APP}/recordings/r2").status_code == 200
        assert call(simulator, f"{APP}/recordings").status_code == 200

    @pytest.mark.parametrize("path", ["recordings", "sessions", "meetings", "livestreams"])
    def test_all(self, simulator: Simulator, path: str) -> None:
        """A fault for all meetings also affects calls about no meeting in particular."""
        simulator.inject("*", Fault.BAD_GATEWAY)

        assert call(simulator, f"{APP}/{path}").status_code == 502

    def test_unknown_parts(self, simulator: Simulator) -> None:
        """Calls about unknown recordings and sessions do not count for any meeting."""
        call(simulator, f"{APP}/recordings/nobody")
        call(simulator, f"{APP}/sessions/nobody")

        assert simulator.requests.by_meeting.total() == 0


class TestControl:
    """The control endpoints."""

    def test_faults(self, simulator: Simulator) -> None:
        """Faults can be injected, shown and removed over HTTP without a token."""
        injected = call(simulator, "/simulator/faults/m1?kind=html&times=3", "PUT")
        call(simulator, "/simulator/faults/a%2Fb?kind=hang", "PUT")
        shown = call(simulator, "/simulator/faults")
        affected = call(simulator)
        left = call(simulator, "/simulator/faults/m1", "DELETE")
        none = call(simulator, "/simulator/faults", "DELETE")

        html, hang = {"kind": "html", "times": 3}, {"kind": "hang", "times": None}
        assert {"m1": html} == injected.json()
        assert {"m1": html, "a/b": hang} == shown.json()
        assert "<html>" in affected.text
        assert ({"a/b": hang}, {}) == (left.json(), none.json())

    @pytest.mark.parametrize(
        "query", ["", "kind=bad_luck", "kind=html&times=0", "kind=html&times=x"]
    )
    def test_invalid_fault(self, simulator: Simulator, query: str) -> None:
        """The response to an invalid fault contains the reason."""
        response = call(simulator, f"/simulator/faults/m1?{query}", "PUT")

        assert response.status_code == 400
        assert response.json()["message"]
        assert call(simulator, "/simulator/faults").json() == {}

    def test_requests(self, simulator: Simulator) -> None:
        """The request log counts API calls, but not control requests."""
        call(simulator)
        call(simulator, f"{APP}/recordings")

        response = call(simulator, "/simulator/requests").json()

        assert 2 == response["total"] == response["peak"]
        assert response["by_endpoint"] == {"active_recording": 1, "recordings": 1}
        assert response["by_meeting"] == {"m1": 1}
        assert response["by_app"] == {"app_1": 2}
        assert response["refused"] == 0

    def test_requests_without_an_app(self, simulator: Simulator) -> None:
        """A call to a path that the API does not have counts, but for no app."""
        call(simulator, "/client/v4/accounts/account-1/elsewhere")

        response = call(simulator, "/simulator/requests").json()

        assert response["total"] == 1
        assert response["by_app"] == {}

    def test_index(self, simulator: Simulator) -> None:
        """The index lists the control endpoints and every kind of fault."""
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
    def test_unknown(self, simulator: Simulator, method: str, path: str, status: int) -> None:
        """Other paths and methods get an error."""
        assert status == call(simulator, path, method).status_code
