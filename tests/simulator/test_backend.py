from dataclasses import replace
from typing import Any

import pytest

from rk_exporter.simulator import MeetingInList, Recording, ScriptedScenario, Simulator
from tests.support.simulator import (
    APP,
    ENDED,
    EXPIRED,
    NOW,
    SCENARIO,
    UPLOADED,
    call,
    make_simulator,
)


def recordings(query: str, simulator: Simulator | None = None) -> list[str]:
    """List recordings and return their ids."""
    response = call(f"{APP}/recordings?{query}", simulator)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["data"]]


class TestActiveRecording:
    """The endpoint that the exporter calls most."""

    def test_active(self) -> None:
        """The response has `success` and the active recording in `data`."""
        response = call(f"{APP}/recordings/active-recording/m1")

        assert response.status_code == 200
        assert response.headers["content-type"] == "application/json"
        assert {"success", "data"} == set(response.json())
        assert (
            response.json()["data"]["id"],
            response.json()["data"]["status"],
        ) == ("r-running", "RECORDING")

    @pytest.mark.parametrize("meeting_id", ["m3", "unknown"])
    def test_none(self, meeting_id: str) -> None:
        """Without an active recording, the backend returns 404 with its singular `error`."""
        response = call(f"{APP}/recordings/active-recording/{meeting_id}")

        assert response.status_code == 404
        message = f"No active recording found for meeting_id {meeting_id}"
        assert {"success": False, "error": {"code": 404, "message": message}} == response.json()

    def test_linger(self) -> None:
        """A recording that has ended stays visible while it lingers."""
        scenario = ScriptedScenario(recordings=[UPLOADED])
        path = f"{APP}/recordings/active-recording/m1"

        gone = call(path, Simulator(scenario, clock=lambda: NOW - 680))
        there = call(path, Simulator(scenario, clock=lambda: NOW - 680, linger_seconds=60))

        assert gone.status_code == 404
        assert there.json()["data"]["status"] == "UPLOADED"

    def test_hidden_uploading(self) -> None:
        """With the switch off, UPLOADING does not count as active; lingering starts at the end."""
        running = Recording.scripted("m1", id="r-next", invoked_at=NOW - 695)
        path = f"{APP}/recordings/active-recording/m1"

        def statuses(scenario: ScriptedScenario, ago: float, **options: Any) -> list[str]:
            simulator = Simulator(
                scenario, clock=lambda: NOW - ago, active_as_list=True, linger_seconds=5, **options
            )
            response = call(path, simulator)
            return [item["status"] for item in response.json().get("data", [])]

        alone, followed = (
            ScriptedScenario(recordings=[UPLOADED, *more]) for more in ([], [running])
        )
        assert statuses(alone, 695) == ["UPLOADING"]
        assert statuses(followed, 695) == ["INVOKED", "UPLOADING"]
        hidden = {"uploading_is_active": False}
        assert statuses(alone, 701, **hidden) == ["RECORDING"]
        assert statuses(alone, 695, **hidden) == []
        assert statuses(followed, 695, **hidden) == ["INVOKED"]
        assert statuses(alone, 690, **hidden) == ["UPLOADED"]
        assert statuses(alone, 685, **hidden) == []

    def test_uploading_elsewhere(self) -> None:
        """A recording that the active endpoint hides with 404 still appears in the list."""
        simulator = Simulator(SCENARIO, clock=lambda: NOW - 695, uploading_is_active=False)

        assert call(f"{APP}/recordings/active-recording/m1", simulator).status_code == 404
        assert recordings("status=UPLOADING", simulator) == ["r-uploaded"]
        one = call(f"{APP}/recordings/r-uploaded", simulator)
        assert one.json()["data"]["status"] == "UPLOADING"

    def test_several(self) -> None:
        """The response has the newest of several active recordings, or all of them in a list."""
        scenario = ScriptedScenario(
            recordings=[
                Recording.scripted("m", invoked_at=NOW - ago, id=f"{ago}") for ago in (9, 5)
            ]
        )
        path = f"{APP}/recordings/active-recording/m"

        one = call(path, Simulator(scenario, clock=lambda: NOW))
        both = call(path, Simulator(scenario, clock=lambda: NOW, active_as_list=True))

        assert one.json()["data"]["id"] == "5"
        assert [item["id"] for item in both.json()["data"]] == ["5", "9"]

    def test_encoded_id(self) -> None:
        """Percent-encoded ids may contain any character."""
        response = call(f"{APP}/recordings/active-recording/a%2Fb%20c")

        assert response.json()["error"]["message"].endswith("meeting_id a/b c")


class TestRecordings:
    """The list of recordings, and a single recording."""

    def test_newest_first(self) -> None:
        """The list contains recordings of every state, newest first, with their meetings."""
        response = call(f"{APP}/recordings").json()

        ids = [item["id"] for item in response["data"]]
        assert ids == ["r-paused", "r-running", "r-errored", "r-uploaded", "r-expired"]
        assert response["paging"] == {"total_count": 5, "start_offset": 1, "end_offset": 5}
        assert response["data"][0]["meeting"]["id"] == "m2"
        assert response["data"][1]["storage_config"]["type"] == "gcs"

    def test_ascending(self) -> None:
        """The list can start with the oldest recording."""
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
        """Each filter limits the list."""
        assert expected == recordings(query)

    def test_refreshed_url(self) -> None:
        """A recording is not expired after its download URL was refreshed."""
        scenario = ScriptedScenario(recordings=[replace(EXPIRED, url_refreshed_at=NOW)])

        before = Simulator(scenario, clock=lambda: NOW - 1)
        after = Simulator(scenario, clock=lambda: NOW)

        assert recordings("expired=true", before) == ["r-expired"]
        assert recordings("expired=true", after) == []
        item = call(f"{APP}/recordings/r-expired", after).json()["data"]
        assert item["download_url_expiry"] == "2026-03-04T06:13:20.000Z"

    def test_pages(self) -> None:
        """Pages and offsets start at 1; offsets are inclusive."""
        pages = [call(f"{APP}/recordings?per_page=2&page_no={n}").json() for n in (1, 2, 3, 4)]

        assert [len(page["data"]) for page in pages] == [2, 2, 1, 0]
        offsets = [(p["paging"]["start_offset"], p["paging"]["end_offset"]) for p in pages]
        assert offsets == [(1, 2), (3, 4), (5, 5), (0, 0)]
        assert {5} == {page["paging"]["total_count"] for page in pages}

    def test_default_page(self) -> None:
        """A page has 25 items by default; page numbers may be floats."""
        scenario = ScriptedScenario(
            recordings=[Recording.scripted("m", invoked_at=n) for n in range(30)]
        )
        simulator = Simulator(scenario, clock=lambda: NOW)

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
        """The error names the invalid parameter."""
        response = call(f"{APP}/recordings?{query}")

        assert response.status_code == 400
        assert response.json()["error"]["code"] == 400
        assert f'"{query.partition("=")[0]}"' in response.json()["error"]["message"]

    @pytest.mark.parametrize("status", ["ERRORED", "PAUSED", "RECORDING,PAUSED"])
    def test_rejected_statuses(self, status: str) -> None:
        """A switch rejects the statuses that older descriptions do not list."""
        simulator = make_simulator(refuse_later_statuses=True)

        assert call(f"{APP}/recordings?status={status}", simulator).status_code == 400
        assert recordings("status=RECORDING", simulator) == ["r-running"]

    @pytest.mark.parametrize("query", ["status=RECORDING", "status[]=UPLOADED", "status=TRANS"])
    def test_rejected_filter(self, query: str) -> None:
        """A switch rejects every status filter."""
        simulator = make_simulator(refuse_status_filter=True)

        response = call(f"{APP}/recordings?{query}", simulator)

        message = 'BAD_REQUEST: "status" is not allowed'
        assert {"success": False, "error": {"code": 400, "message": message}} == response.json()
        assert len(recordings("", simulator)) == 5

    @pytest.mark.parametrize(
        ("choice", "fields"),
        [
            (MeetingInList.MEETING, {"meeting"}),
            (MeetingInList.MEETING_ID, {"meeting_id"}),
            (MeetingInList.NONE, set()),
        ],
    )
    def test_meeting_of_an_item(self, choice: MeetingInList, fields: set[str]) -> None:
        """An item has its meeting, the meeting's id, or neither; the file name has the id."""
        response = call(f"{APP}/recordings", make_simulator(meeting_in_list=choice))

        item = response.json()["data"][0]
        assert fields == {"meeting", "meeting_id"} & set(item)
        assert item.get("meeting_id", "m2") == "m2"
        assert item["output_file_name"].startswith("m2_")

    def test_one(self) -> None:
        """A recording's own endpoint returns its reasons, and 404 for an unknown id."""
        response = call(f"{APP}/recordings/r-uploaded")
        unknown = call(f"{APP}/recordings/r-nobody")

        assert response.json()["data"]["stop_reason"] == {"reason": "ALL_PEERS_LEFT"}
        assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, 404)


class TestSessionsAndMeetings:
    """Sessions and meetings."""

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
        """Sessions are in data.sessions and can be filtered."""
        response = call(f"{APP}/sessions?{query}").json()

        assert expected == [session["id"] for session in response["data"]["sessions"]]
        assert response["paging"]["total_count"] >= len(expected)

    def test_session(self) -> None:
        """A session can be requested by its id."""
        assert call(f"{APP}/sessions/s-live").json()["data"]["organization_id"] == "app_1"
        assert "error" in call(f"{APP}/sessions/nobody").json()

    def test_active_session(self) -> None:
        """The active session of a meeting is its live one; without one the response is 404."""
        none = call(f"{APP}/meetings/m2/active-session")

        assert call(f"{APP}/meetings/m1/active-session").json()["data"]["id"] == "s-live"
        message = "No active session found for meeting_id m2"
        assert (404, message) == (none.status_code, none.json()["error"]["message"])
        ended = Simulator(ScriptedScenario(sessions=[ENDED]), clock=lambda: NOW)
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
        """Meetings come in pages and can be filtered."""
        response = call(f"{APP}/meetings?{query}").json()

        assert expected == [meeting["id"] for meeting in response["data"]]

    def test_meeting(self) -> None:
        """A meeting can be requested by its id."""
        assert call(f"{APP}/meetings/m1").json()["data"]["title"] == "Cardiology follow-up"
        assert call(f"{APP}/meetings/nobody").status_code == 404
