"""The settings that make assumptions about the API wrong."""

import pytest

from rk_exporter.simulator import NotFoundBody, Recording, ScriptedScenario, Simulator
from rk_exporter.simulator.api.faults import Fault
from tests.support.simulator import APP, NOW, call, make_simulator, uploaded


@pytest.mark.parametrize("body", NotFoundBody)
def test_not_found(body: NotFoundBody) -> None:
    """The body of RealtimeKit's 404 can change; that of the gateway does not."""
    simulator = make_simulator(not_found_body=body)

    for path in ("recordings/active-recording/m3", "recordings/none", "meetings/none"):
        assert call(f"{APP}/{path}", simulator).status_code == 404
    bodies = {b"", b"not found", b"<html>not found</html>"}
    got = call(f"{APP}/recordings/none", simulator).content
    plain = body in (NotFoundBody.EMPTY, NotFoundBody.TEXT, NotFoundBody.HTML)
    assert (got in bodies) == plain
    assert call(f"{APP}/nothing", simulator).json()["errors"][0]["code"] == 7003


def test_unknown_meeting() -> None:
    """The 404 of a meeting that does not exist can differ."""
    response = call(f"{APP}/recordings/active-recording/x", make_simulator(knows_meetings=True))

    assert response.json()["error"]["message"] == "No meeting found with id x"


def test_creation() -> None:
    """The times of the list can filter by the creation of the meeting."""
    path = f"{APP}/recordings?start_time=2026-02-25T06:00:00Z"

    assert call(path).json()["data"]
    assert call(path, make_simulator(filter_by_creation=True)).json()["data"] == []


@pytest.mark.parametrize(("lag", "count"), [(70, 1), (71, 0)])
def test_lag_of_the_list(lag: int, count: int) -> None:
    """The list does not have what was invoked in the last seconds."""
    scenario = ScriptedScenario(recordings=[uploaded()])
    simulator = Simulator(scenario, clock=lambda: 70.0, list_lag_seconds=lag)
    assert count == len(call(f"{APP}/recordings", simulator).json()["data"])


@pytest.mark.parametrize("path", ["recordings", "sessions"])
def test_largest_page(path: str) -> None:
    """A larger page is refused with the chosen status."""
    simulator = make_simulator(most_recordings=50, most_sessions=50, page_refusal=422)

    assert call(f"{APP}/{path}?per_page=51", simulator).status_code == 422
    assert call(f"{APP}/{path}?per_page=50", simulator).status_code == 200


def test_many_files() -> None:
    """A page of 100 track recordings with 13 files exceeds one megabyte."""
    scenario = ScriptedScenario(recordings=[uploaded(id=str(n), track=True) for n in range(100)])
    simulator = Simulator(scenario, clock=lambda: 70.0, track_files=13)

    assert len(call(f"{APP}/recordings?per_page=100", simulator).content) > 1_048_576


@pytest.mark.parametrize("status", [204, 304])
def test_statuses_without_a_body(status: int) -> None:
    """A list whose status allows no body has none, because a server would refuse to send it."""
    response = call(f"{APP}/recordings", make_simulator(list_status=status))
    assert (status, b"") == (response.status_code, response.content)
    assert "content-length" not in response.headers


def test_capitals() -> None:
    """Lists show capitals, single calls lower case."""
    simulator = make_simulator(capital_ids=True)
    item = call(f"{APP}/recordings?meeting_id=M2", simulator).json()["data"][0]
    one = call(f"{APP}/recordings/{item['id']}", simulator).json()["data"]

    assert (item["id"], item["meeting"]["id"], one["id"]) == ("R-PAUSED", "M2", "r-paused")


@pytest.mark.parametrize("path", ["meetings/M2", "recordings/R-PAUSED", "recordings?meeting_id=M2"])
def test_fault_of_capitals(path: str) -> None:
    """A fault of a meeting meets calls that name it, or its recording, in capitals."""
    simulator = make_simulator(capital_ids=True)
    simulator.inject("m2", Fault.UNAVAILABLE)

    assert call(f"{APP}/{path}", simulator).status_code == 503
    assert simulator.requests.by_meeting["m2"] == 1


def test_headers_and_statuses() -> None:
    """Age, Content-Encoding and the status of the list can change."""
    simulator = make_simulator(cached_seconds=600, content_encoding="none", list_status=201)
    response = call(f"{APP}/recordings", simulator)

    assert (response.status_code, response.headers["age"]) == (201, "600")
    assert response.headers["date"] == "Wed, 25 Feb 2026 06:03:20 GMT"
    assert response.headers["content-encoding"] == "none"


def test_apps() -> None:
    """One app can be unavailable, or blocked by a page."""
    response = call(f"{APP}/recordings", make_simulator(unavailable_app="app_1"))
    assert (response.status_code, response.headers["retry-after"]) == (503, "30")
    response = call(f"{APP}/recordings", make_simulator(blocked_app="app_1"))
    assert (response.status_code, response.headers["content-type"]) == (403, "text/html")


def test_recordings() -> None:
    """Status lists can be refused, words unknown, and the expiry can move."""
    simulator = make_simulator(refuse_status_lists=True, status_word="NEW", moving_expiry=True)

    assert call(f"{APP}/recordings?status=PAUSED,RECORDING", simulator).status_code == 400
    assert call(f"{APP}/recordings/r-running", simulator).json()["data"]["status"] == "NEW"
    expiry = call(f"{APP}/recordings/r-uploaded", simulator).json()["data"]["download_url_expiry"]
    assert expiry == "2026-03-04T06:13:20.000Z"


def test_users() -> None:
    """All tokens belong to one user by default, and share its limit."""
    simulator = make_simulator(token=["a", "b"], rate_limit=1)
    codes = [
        call(f"{APP}/recordings", simulator, authorization=f"Bearer {token}").status_code
        for token in "ab"
    ]

    assert codes == [200, 429]
    assert simulator.requests.busiest_window(300) == 2
    assert call("/simulator/busiest-window?seconds=300", simulator).json()["calls"] == 2


def test_busiest_window() -> None:
    """The busiest window counts arrivals, and is open at its start."""
    now = [NOW]
    recording = Recording.scripted("m", invoked_at=0)
    simulator = Simulator(ScriptedScenario(recordings=[recording]), clock=lambda: now[0])
    for step in (0, 299, 1, 1):
        now[0] += step
        call(f"{APP}/recordings", simulator)

    assert (simulator.requests.busiest_window(300), simulator.requests.busiest_window(1)) == (3, 1)


def test_control() -> None:
    """A control endpoint changes settings, and rejects what does not exist."""
    simulator = make_simulator()

    assert call("/simulator/settings/list_status?value=201", simulator, method="PUT").is_success
    assert call(f"{APP}/recordings", simulator).status_code == 201
    for bad in ("token?value=x", "none?value=x", "list_status?value=x", "not_found_body?value=x"):
        assert call(f"/simulator/settings/{bad}", simulator, method="PUT").status_code == 400
    assert call("/simulator/settings", simulator).json()["list_status"] == 201


@pytest.mark.parametrize(
    "bad",
    [
        "list_status?value=199",
        "apps_status?value=199",
        "page_refusal?value=200",
        "cached_seconds?value=-1",
        "latency_seconds?value=nan",
        "latency_seconds?value=inf",
        "latency_seconds?value=3601",
        "linger_seconds?value=-0.1",
        "most_recordings?value=0",
        "track_files?value=10001",
    ],
)
def test_numbers_out_of_range(bad: str) -> None:
    """A number that makes no sense is refused with the name and the range of the setting."""
    simulator = make_simulator()
    response = call(f"/simulator/settings/{bad}", simulator, method="PUT")
    assert response.status_code == 400
    name = bad.partition("?")[0]
    assert f"invalid {name}: must be between " in response.text


@pytest.mark.parametrize("name", ["latency_seconds", "linger_seconds"])
def test_fraction(name: str) -> None:
    """A setting takes a fraction although its value is a whole number, as that of an option is."""
    simulator = make_simulator(latency_seconds=0, linger_seconds=0)
    call(f"/simulator/settings/{name}?value=0.25", simulator, method="PUT")
    assert call("/simulator/settings", simulator).json()[name] == 0.25


@pytest.mark.parametrize("seconds", ["0", "-5", "nan", "soon"])
def test_no_window(seconds: str) -> None:
    """A window that is no positive number of seconds is refused."""
    simulator = make_simulator()
    call(f"{APP}/recordings", simulator)
    response = call(f"/simulator/busiest-window?seconds={seconds}", simulator)
    assert response.status_code == 400


def test_shortest_window() -> None:
    """A window that is shorter than times can tell has one call."""
    simulator = make_simulator()
    call(f"{APP}/recordings", simulator)
    response = call("/simulator/busiest-window?seconds=1e-9", simulator)
    assert response.json()["calls"] == 1


def test_status_of_the_key() -> None:
    """The status of the public key can be one without a name."""
    simulator = make_simulator(webhook_key_status=299)
    assert call("/.well-known/webhooks.json", simulator).status_code == 299
