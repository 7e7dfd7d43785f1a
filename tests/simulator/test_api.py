import asyncio
import re
import time

from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

import rk_exporter.simulator as simulator_package

from rk_exporter.simulator import (
    Fault,
    Meeting,
    MeetingInList,
    Recording,
    ScriptedStory,
    Session,
    Simulator,
)
from tests.support.processes import started, url_in


APP = "/client/v4/accounts/account-1/realtime/kit/app_1"
NOW = 1_772_000_000.0  # 2026-02-25T06:13:20Z

UPLOADED = Recording.scripted(
    "m1",
    id="r-uploaded",
    invoked_at=NOW - 900,
    started_at=NOW - 898,
    stopped_at=NOW - 700,
    uploaded_at=NOW - 690,
)
ERRORED = Recording.scripted("m1", id="r-errored", invoked_at=NOW - 600, errored_at=NOW - 500)
RUNNING = Recording.scripted(
    "m1", id="r-running", invoked_at=NOW - 300, started_at=NOW - 298, storage_type="gcs"
)
PAUSED = Recording.scripted(
    "m2",
    id="r-paused",
    invoked_at=NOW - 100,
    started_at=NOW - 98,
    paused=[(NOW - 50, None)],
)
EXPIRED = Recording.scripted(
    "m3",
    id="r-expired",
    invoked_at=NOW - 700_000,
    started_at=NOW - 699_998,
    stopped_at=NOW - 690_000,
    uploaded_at=NOW - 689_000,
)
LIVE = Session("s-live", "m1", started_at=NOW - 300, live_participants=3)
ENDED = Session("s-ended", "m1", started_at=NOW - 900, ended_at=NOW - 700)
STORY = ScriptedStory(
    meetings=[
        Meeting(id="m1", title="Cardiology follow-up"),
        Meeting(id="m2", title="Algebra II, group 4", active=False),
        Meeting(id="a/b c", title="Odd id"),
    ],
    recordings=[UPLOADED, ERRORED, RUNNING, PAUSED, EXPIRED],
    sessions=[LIVE, ENDED],
)


def make_simulator(**options: Any) -> Simulator:
    """Simulate the story above, at NOW."""
    return Simulator(STORY, clock=lambda: NOW, **options)


def call(
    path: str,
    simulator: Simulator | None = None,
    *,
    method: str = "GET",
    authorization: str | None = "Bearer simulated",
) -> httpx.Response:
    """Send one request to a simulator, without a network."""
    headers = {} if authorization is None else {"authorization": authorization}

    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(simulator or make_simulator())
        async with httpx.AsyncClient(transport=transport, base_url="http://simulator") as client:
            return await client.request(method, path, headers=headers)

    return asyncio.run(send())


def recordings(query: str, simulator: Simulator | None = None) -> list[str]:
    """List recordings and return their ids."""
    answer = call(f"{APP}/recordings?{query}", simulator)
    assert answer.status_code == 200, answer.text
    return [item["id"] for item in answer.json()["data"]]


def dates(answer: httpx.Response) -> list[str]:
    """Return the values of all Date headers."""
    return answer.headers.get_list("date")


def test_independence() -> None:
    """The simulator imports nothing of the exporter, and so cannot share its mistakes."""
    modules = list(Path(simulator_package.__file__).parent.glob("*.py"))
    sources = "".join(path.read_text() for path in modules)

    assert len(modules) > 10
    assert re.findall(r"(?:from|import) rk_exporter(?!\.simulator)", sources) == []


def test_story() -> None:
    """A simulator tells which story it answers from."""
    assert make_simulator().story is STORY


class TestActiveRecording:
    """The endpoint that an exporter calls most."""

    def test_active(self) -> None:
        """The active recording stands in `data`, beside `success`."""
        answer = call(f"{APP}/recordings/active-recording/m1")

        assert answer.status_code == 200
        assert answer.headers["content-type"] == "application/json"
        assert {"success", "data"} == set(answer.json())
        assert (
            answer.json()["data"]["id"],
            answer.json()["data"]["status"],
        ) == ("r-running", "RECORDING")

    @pytest.mark.parametrize("meeting_id", ["m3", "unknown"])
    def test_none(self, meeting_id: str) -> None:
        """Without an active recording the backend answers 404 with its singular `error`."""
        answer = call(f"{APP}/recordings/active-recording/{meeting_id}")

        assert answer.status_code == 404
        message = f"No active recording found for meeting_id {meeting_id}"
        assert {"success": False, "error": {"code": 404, "message": message}} == answer.json()

    def test_linger(self) -> None:
        """A recording that has ended stays visible for as long as it lingers."""
        story = ScriptedStory(recordings=[UPLOADED])
        path = f"{APP}/recordings/active-recording/m1"

        gone = call(path, Simulator(story, clock=lambda: NOW - 680))
        there = call(path, Simulator(story, clock=lambda: NOW - 680, linger_seconds=60))

        assert gone.status_code == 404
        assert there.json()["data"]["status"] == "UPLOADED"

    def test_hidden_uploading(self) -> None:
        """A deployment can call a recording ended while UPLOADING; it lingers from its end on."""
        running = Recording.scripted("m1", id="r-next", invoked_at=NOW - 695)
        path = f"{APP}/recordings/active-recording/m1"

        def shown(story: ScriptedStory, ago: float, **options: Any) -> list[str]:
            simulator = Simulator(
                story, clock=lambda: NOW - ago, active_as_list=True, linger_seconds=5, **options
            )
            answer = call(path, simulator)
            return [item["status"] for item in answer.json().get("data", [])]

        alone, followed = (ScriptedStory(recordings=[UPLOADED, *more]) for more in ([], [running]))
        assert shown(alone, 695) == ["UPLOADING"]
        assert shown(followed, 695) == ["INVOKED", "UPLOADING"]
        hidden = {"uploading_is_active": False}
        assert shown(alone, 701, **hidden) == ["RECORDING"]
        assert shown(alone, 695, **hidden) == []
        assert shown(followed, 695, **hidden) == ["INVOKED"]
        assert shown(alone, 690, **hidden) == ["UPLOADED"]
        assert shown(alone, 685, **hidden) == []

    def test_uploading_elsewhere(self) -> None:
        """What the active recording's endpoint hides is told with 404, and listed all the same."""
        simulator = Simulator(STORY, clock=lambda: NOW - 695, uploading_is_active=False)

        assert call(f"{APP}/recordings/active-recording/m1", simulator).status_code == 404
        assert recordings("status=UPLOADING", simulator) == ["r-uploaded"]
        one = call(f"{APP}/recordings/r-uploaded", simulator)
        assert one.json()["data"]["status"] == "UPLOADING"

    def test_several(self) -> None:
        """Of several active recordings the newest is shown, or all as a list."""
        story = ScriptedStory(
            recordings=[
                Recording.scripted("m", invoked_at=NOW - ago, id=f"{ago}") for ago in (9, 5)
            ]
        )
        path = f"{APP}/recordings/active-recording/m"

        one = call(path, Simulator(story, clock=lambda: NOW))
        both = call(path, Simulator(story, clock=lambda: NOW, active_as_list=True))

        assert one.json()["data"]["id"] == "5"
        assert [item["id"] for item in both.json()["data"]] == ["5", "9"]

    def test_encoded_id(self) -> None:
        """Ids may hold anything, once percent-encoded."""
        answer = call(f"{APP}/recordings/active-recording/a%2Fb%20c")

        assert answer.json()["error"]["message"].endswith("meeting_id a/b c")


class TestRecordings:
    """The list of recordings, and one of them."""

    def test_newest_first(self) -> None:
        """The list holds recordings of every state, newest first, with their meetings."""
        answer = call(f"{APP}/recordings").json()

        ids = [item["id"] for item in answer["data"]]
        assert ids == ["r-paused", "r-running", "r-errored", "r-uploaded", "r-expired"]
        assert answer["paging"] == {"total_count": 5, "start_offset": 1, "end_offset": 5}
        assert answer["data"][0]["meeting"]["id"] == "m2"
        assert answer["data"][1]["storage_config"]["type"] == "gcs"

    def test_ascending(self) -> None:
        """The list can begin with the oldest."""
        assert recordings("sort_by=invokedTime&sort_order=ASC")[0] == "r-expired"

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("meeting_id=m2", ["r-paused"]),
            ("meeting_id=nobody", []),
            ("meeting_id=", ["r-paused", "r-running", "r-errored", "r-uploaded", "r-expired"]),
            ("search=CARDIO", ["r-running", "r-errored", "r-uploaded"]),
            ("search=m2", ["r-paused"]),
            ("status=ERRORED", ["r-errored"]),
            ("status=RECORDING,PAUSED", ["r-paused", "r-running"]),
            ("status=RECORDING&status=PAUSED", ["r-paused", "r-running"]),
            ("status[]=RECORDING&status[]=PAUSED", ["r-paused", "r-running"]),
            ("expired=true", ["r-expired"]),
            ("expired=false&status=UPLOADED", ["r-uploaded"]),
            ("start_time=2026-02-25T06:08:21Z", ["r-paused"]),
            ("start_time=2026-02-25T06:03:20&end_time=2026-02-25T08:03:20%2B02:00", ["r-errored"]),
        ],
    )
    def test_filters(self, query: str, expected: list[str]) -> None:
        """Each filter narrows the list down."""
        assert expected == recordings(query)

    def test_refreshed_url(self) -> None:
        """A recording is not expired once its download URL was refreshed."""
        story = ScriptedStory(recordings=[replace(EXPIRED, url_refreshed_at=NOW)])

        before = Simulator(story, clock=lambda: NOW - 1)
        after = Simulator(story, clock=lambda: NOW)

        assert recordings("expired=true", before) == ["r-expired"]
        assert recordings("expired=true", after) == []
        item = call(f"{APP}/recordings/r-expired", after).json()["data"]
        assert item["download_url_expiry"] == "2026-03-04T06:13:20.000Z"

    def test_pages(self) -> None:
        """Pages are numbered from 1, and their offsets count from 1 and include both ends."""
        pages = [call(f"{APP}/recordings?per_page=2&page_no={n}").json() for n in (1, 2, 3, 4)]

        assert [len(page["data"]) for page in pages] == [2, 2, 1, 0]
        offsets = [(p["paging"]["start_offset"], p["paging"]["end_offset"]) for p in pages]
        assert offsets == [(1, 2), (3, 4), (5, 5), (0, 0)]
        assert {5} == {page["paging"]["total_count"] for page in pages}

    def test_default_page(self) -> None:
        """A page has 25 items unless more are asked for; pages may be written as floats."""
        story = ScriptedStory(recordings=[Recording.scripted("m", invoked_at=n) for n in range(30)])
        simulator = Simulator(story, clock=lambda: NOW)

        assert len(recordings("page_no=0", simulator)) == 25
        assert len(recordings("page_no=2.0", simulator)) == 5
        assert len(recordings("per_page=100", simulator)) == 30

    @pytest.mark.parametrize(
        "query",
        [
            "page_no=-1",
            "page_no=first",
            "page_no=1.5",
            "page_no=nan",
            "per_page=0",
            "per_page=101",
            "status=TRANSCODING",
            "sort_by=size",
            "sort_order=UP",
            "expired=maybe",
            "start_time=soon",
            "end_time=1",
        ],
    )
    def test_bad_query(self, query: str) -> None:
        """A parameter that makes no sense is refused by name."""
        answer = call(f"{APP}/recordings?{query}")

        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == 400
        assert f'"{query.partition("=")[0]}"' in answer.json()["error"]["message"]

    @pytest.mark.parametrize("status", ["ERRORED", "PAUSED", "RECORDING,PAUSED"])
    def test_refused_statuses(self, status: str) -> None:
        """A deployment can refuse the statuses that older descriptions do not list."""
        simulator = make_simulator(refuse_later_statuses=True)

        assert call(f"{APP}/recordings?status={status}", simulator).status_code == 400
        assert recordings("status=RECORDING", simulator) == ["r-running"]

    @pytest.mark.parametrize("query", ["status=RECORDING", "status[]=UPLOADED", "status=TRANS"])
    def test_refused_filter(self, query: str) -> None:
        """A deployment can refuse every status, so that nothing can be filtered by it."""
        simulator = make_simulator(refuse_status_filter=True)

        answer = call(f"{APP}/recordings?{query}", simulator)

        message = 'BAD_REQUEST: "status" is not allowed'
        assert {"success": False, "error": {"code": 400, "message": message}} == answer.json()
        assert len(recordings("", simulator)) == 5

    @pytest.mark.parametrize(
        ("choice", "told"),
        [
            (MeetingInList.MEETING, {"meeting"}),
            (MeetingInList.MEETING_ID, {"meeting_id"}),
            (MeetingInList.NONE, set()),
        ],
    )
    def test_meeting_of_an_item(self, choice: MeetingInList, told: set[str]) -> None:
        """An item tells its meeting, only the meeting's id, or neither; the file's name always."""
        answer = call(f"{APP}/recordings", make_simulator(meeting_in_list=choice))

        item = answer.json()["data"][0]
        assert told == {"meeting", "meeting_id"} & set(item)
        assert item.get("meeting_id", "m2") == "m2"
        assert item["output_file_name"].startswith("m2_")

    def test_one(self) -> None:
        """A recording's own endpoint tells its reasons, and 404 for an unknown id."""
        answer = call(f"{APP}/recordings/r-uploaded")
        unknown = call(f"{APP}/recordings/r-nobody")

        assert answer.json()["data"]["stop_reason"] == {"reason": "ALL_PEERS_LEFT"}
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, 404)


class TestSessionsAndMeetings:
    """What else can be listed."""

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", ["s-live", "s-ended"]),
            ("status=LIVE", ["s-live"]),
            ("status=ENDED", ["s-ended"]),
            ("associated_id=m2", []),
            ("associated_id=m1&per_page=1&page_no=2", ["s-ended"]),
            ("end_time=2026-02-25T06:00:00Z", ["s-ended"]),
        ],
    )
    def test_sessions(self, query: str, expected: list[str]) -> None:
        """Sessions stand in data.sessions and can be filtered."""
        answer = call(f"{APP}/sessions?{query}").json()

        assert expected == [session["id"] for session in answer["data"]["sessions"]]
        assert answer["paging"]["total_count"] >= len(expected)

    def test_session(self) -> None:
        """A session can be asked for by its id."""
        assert call(f"{APP}/sessions/s-live").json()["data"]["organization_id"] == "app_1"
        assert "error" in call(f"{APP}/sessions/nobody").json()

    def test_active_session(self) -> None:
        """A meeting's active session is its live one, or 404 with `error`."""
        none = call(f"{APP}/meetings/m2/active-session")

        assert call(f"{APP}/meetings/m1/active-session").json()["data"]["id"] == "s-live"
        message = "No active session found for meeting_id m2"
        assert (404, message) == (none.status_code, none.json()["error"]["message"])
        ended = Simulator(ScriptedStory(sessions=[ENDED]), clock=lambda: NOW)
        assert call(f"{APP}/meetings/m1/active-session", ended).status_code == 404

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            ("", ["m1", "m2", "a/b c", "m3"]),
            ("search=algebra", ["m2"]),
            ("status=INACTIVE", ["m2"]),
            ("status=ACTIVE&per_page=2", ["m1", "a/b c"]),
        ],
    )
    def test_meetings(self, query: str, expected: list[str]) -> None:
        """Meetings are listed in pages and can be filtered."""
        answer = call(f"{APP}/meetings?{query}").json()

        assert expected == [meeting["id"] for meeting in answer["data"]]

    def test_meeting(self) -> None:
        """A meeting can be asked for by its id."""
        assert call(f"{APP}/meetings/m1").json()["data"]["title"] == "Cardiology follow-up"
        assert call(f"{APP}/meetings/nobody").status_code == 404


class TestGateway:
    """What never reaches the API behind the gateway."""

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
        """A path that does not exist gets the gateway's envelope, with a list of `errors`."""
        answer = call(path)

        assert answer.status_code == 404
        errors = [{"code": 7003, "message": "No route for the URI"}]
        expected = {"success": False, "errors": errors, "messages": [], "result": None}
        assert expected == answer.json()

    def test_method(self) -> None:
        """Everything is read-only."""
        answer = call(f"{APP}/recordings", method="POST")

        assert answer.status_code == 405
        assert "errors" in answer.json()

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
    def test_refused(self, authorization: str | None, status: int, code: int) -> None:
        """A token that is missing, malformed, wrong or too weak is refused."""
        answer = call(f"{APP}/recordings", authorization=authorization)

        assert (status, code) == (answer.status_code, answer.json()["errors"][0]["code"])

    def test_malformed_chain(self) -> None:
        """A malformed header is explained in an error chain."""
        answer = call(f"{APP}/recordings", authorization="Bearer a b").json()

        assert answer["errors"][0]["error_chain"][0]["code"] == 6111

    def test_tokens(self) -> None:
        """The tokens accepted are told to the simulator; the scheme's case does not matter."""
        simulator = make_simulator(token=["one", "two"], forbidden_token="weak")

        for authorization, status in (
            ("Bearer one", 200),
            ("bearer two", 200),
            ("Bearer weak", 403),
            ("Bearer simulated", 401),
        ):
            answer = call(f"{APP}/recordings", simulator, authorization=authorization)
            assert status == answer.status_code


class TestDate:
    """The time that answers tell."""

    @pytest.mark.parametrize("path", [f"{APP}/recordings", f"{APP}/nothing", "/", "/nowhere"])
    def test_simulated_time(self, path: str) -> None:
        """Every answer is dated by the simulated clock, whole seconds in HTTP's own format."""
        now = [NOW + 0.9]
        simulator = Simulator(STORY, clock=lambda: now[0])

        assert dates(call(path, simulator)) == ["Wed, 25 Feb 2026 06:13:20 GMT"]
        now[0] += 86_400
        assert dates(call(path, simulator)) == ["Thu, 26 Feb 2026 06:13:20 GMT"]

    @pytest.mark.parametrize("fault", sorted(set(Fault) - {Fault.HANG}))
    def test_faults(self, fault: Fault) -> None:
        """Trouble has a date too."""
        simulator = make_simulator()
        simulator.inject("*", fault)

        assert len(dates(call(f"{APP}/recordings/active-recording/m1", simulator))) == 1

    def test_refusals(self) -> None:
        """What the gateway refuses has a date too."""
        simulator = make_simulator(rate_limit=1)

        answers = [call(f"{APP}/recordings", simulator) for _ in range(2)]
        answers.append(call(f"{APP}/recordings", simulator, authorization=None))

        assert [200, 429, 400] == [answer.status_code for answer in answers]
        assert {1} == {len(dates(answer)) for answer in answers}

    def test_latency(self) -> None:
        """An answer is dated when it goes out, not when it was asked for."""
        now = [NOW]

        async def sleep(seconds: float) -> None:
            now[0] += seconds

        simulator = Simulator(STORY, clock=lambda: now[0], latency_seconds=60, sleep=sleep)

        assert dates(call(f"{APP}/recordings", simulator)) == ["Wed, 25 Feb 2026 06:14:20 GMT"]

    def test_served(self) -> None:
        """The server that it comes with adds no Date of its own, which would be another time."""
        address = ("--web.listen-address", "127.0.0.1:0")
        with started("simulate", "--speed", "1e6", *address) as process:
            assert process.stdout
            url = url_in(process.stdout.readline())
            time.sleep(0.1)  # a day, at that speed
            (date,) = dates(httpx.get(f"{url}{APP}/recordings"))

        assert parsedate_to_datetime(date).timestamp() > time.time() + 43_200

    def test_served_by_the_demo(self) -> None:
        """In the demo, the simulated API and the exporter each tell one Date."""
        anywhere = "127.0.0.1:0"
        addresses = ("--web.listen-address", anywhere, "--simulator.listen-address", anywhere)
        with started("demo", *addresses) as process:
            assert process.stdout
            urls = [url_in(process.stdout.readline()) for _ in range(2)]
            exporter, simulated = (dates(httpx.get(url)) for url in urls)

        assert (1, 1) == (len(exporter), len(simulated))


class TestProtocol:
    """How the application speaks ASGI."""

    def test_latency(self) -> None:
        """Each API call waits for the latency first; the simulator's own paths do not."""
        waits: list[float] = []

        async def sleep(seconds: float) -> None:
            waits.append(seconds)

        simulator = make_simulator(latency_seconds=0.2, sleep=sleep)
        call(f"{APP}/recordings", simulator)
        call("/", simulator)

        assert waits == [0.2]

    def test_lifespan(self) -> None:
        """A server's lifespan is gone along with."""
        messages = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
        sent: list[str] = []

        async def receive() -> Any:
            return next(messages)

        async def send(message: Any) -> None:
            sent.append(message["type"])

        asyncio.run(make_simulator()({"type": "lifespan"}, receive, send))

        assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]

    def test_websocket(self) -> None:
        """Other protocols are refused."""

        async def unused(*_: Any) -> Any:
            raise AssertionError

        with pytest.raises(RuntimeError, match="does not speak websocket"):
            asyncio.run(make_simulator()({"type": "websocket"}, unused, unused))

    def test_without_raw_path(self) -> None:
        """Servers that do not tell the raw path are served by the decoded one."""
        sent: list[Any] = []

        async def unused() -> Any:
            raise AssertionError

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
        asyncio.run(make_simulator()(scope, unused, send))

        assert sent[0]["status"] == 200
