from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TypedDict

import cloudflare
import httpx
import pytest

from rk_exporter.simulator import (
    CANARY,
    Fault,
    Meeting,
    Recording,
    ScriptedScenario,
    Session,
    Simulator,
    Status,
)
from tests.support.serving import served
from tests.support.simulator import NOW


STATES = {
    Status.INVOKED: {},
    Status.RECORDING: {"started_at": NOW - 90},
    Status.PAUSED: {"started_at": NOW - 90, "paused": [(NOW - 30, None)]},
    Status.UPLOADING: {"started_at": NOW - 90, "stopped_at": NOW - 30},
    Status.UPLOADED: {"started_at": NOW - 90, "stopped_at": NOW - 30, "uploaded_at": NOW - 10},
    Status.ERRORED: {"started_at": NOW - 90, "errored_at": NOW - 10},
}
RECORDINGS = {
    status: Recording.scripted(
        f"meeting-{status.lower()}",
        invoked_at=NOW - 100 + number,
        storage_type="aws",
        audio=True,
        **moments,  # type: ignore[arg-type]
    )
    for number, (status, moments) in enumerate(STATES.items())
}
SESSIONS = [
    Session("s-live", "meeting-recording", started_at=NOW - 100, live_participants=4),
    Session("s-ended", "meeting-uploaded", started_at=NOW - 100, ended_at=NOW - 30),
]
MEETINGS = [Meeting(id=r.meeting_id, title=f"Title {r.meeting_id}") for r in RECORDINGS.values()]


class _Account(TypedDict):
    account_id: str


class _App(_Account):
    app_id: str


APP_ID = "2a95132c-1573-2412-a221-6fd0a01e0000"
ACCOUNT: _Account = {"account_id": "023e105f4ecef8ad9ca31a8372d0c353"}
APP: _App = {**ACCOUNT, "app_id": APP_ID}


@pytest.fixture
def simulator() -> Simulator:
    """Simulate a recording in every state; all of them count as active."""
    scenario = ScriptedScenario(
        meetings=MEETINGS, recordings=RECORDINGS.values(), sessions=SESSIONS
    )
    return Simulator(scenario, clock=lambda: NOW, linger_seconds=3600, rate_limit=20)


@pytest.fixture
def base_url(simulator: Simulator) -> Iterator[str]:
    """Serve the simulator on a free port."""
    with served(simulator) as url:
        yield url


@pytest.fixture
def client(base_url: str) -> Iterator[cloudflare.Cloudflare]:
    """Use the official SDK in its strict mode, which rejects undocumented responses."""
    with _connect(base_url, "simulated") as client:
        yield client


def _connect(base_url: str, token: str) -> cloudflare.Cloudflare:
    return cloudflare.Cloudflare(
        api_token=token,
        base_url=f"{base_url}/client/v4",
        max_retries=0,
        _strict_response_validation=True,
    )


class TestRecordings:
    """Recordings, read with the SDK."""

    @pytest.mark.parametrize("status", Status)
    def test_active(self, client: cloudflare.Cloudflare, status: Status) -> None:
        """An active recording matches the documentation in every state."""
        recording = RECORDINGS[status]

        response = client.realtime_kit.recordings.get_active_recordings(recording.meeting_id, **APP)

        data = response.data
        assert (recording.id, status) == (data.id, data.status)
        assert data.invoked_time == datetime.fromtimestamp(recording.invoked_at, UTC)
        assert (data.started_time is None) == (status == Status.INVOKED)
        assert (data.download_url is None) == (status != Status.UPLOADED)

    def test_uploaded(self, client: cloudflare.Cloudflare) -> None:
        """An uploaded recording has all twelve fields, and its URLs contain the canary."""
        recordings = client.realtime_kit.recordings

        data = recordings.get_active_recordings("meeting-uploaded", **APP).data

        assert data.download_url is not None
        assert data.audio_download_url is not None
        assert CANARY in data.download_url
        assert CANARY in data.audio_download_url
        assert (data.recording_duration, data.file_size) == (60, 20_212_537)
        assert data.download_url_expiry is not None
        assert data.download_url_expiry.timestamp() == NOW - 30 + 7 * 86_400

    @pytest.mark.parametrize("status", Status)
    def test_one(self, client: cloudflare.Cloudflare, status: Status) -> None:
        """A single recording matches the documentation in every state."""
        recording = RECORDINGS[status]

        response = client.realtime_kit.recordings.get_one_recording(recording.id, **APP)

        assert response.data is not None
        assert response.data.status == status
        assert response.data.start_reason is not None
        assert response.data.start_reason.reason == "API_CALL"
        assert response.data.storage_config is not None
        assert response.data.storage_config.type == "aws"

    def test_list(self, client: cloudflare.Cloudflare) -> None:
        """The list matches the documentation, newest first."""
        response = client.realtime_kit.recordings.get_recordings(APP_ID, **ACCOUNT)

        expected = [recording.id for recording in reversed(RECORDINGS.values())]
        assert expected == [item.id for item in response.data]
        assert response.paging.total_count == 6
        assert response.data[0].meeting is not None
        assert response.data[0].meeting.title == "Title meeting-errored"

    def test_statuses(self, client: cloudflare.Cloudflare) -> None:
        """The list accepts several states as the SDK writes them: a key for each."""
        response = client.realtime_kit.recordings.get_recordings(
            APP_ID, **ACCOUNT, status=["PAUSED", "ERRORED"]
        )

        assert {"PAUSED", "ERRORED"} == {item.status for item in response.data}

    def test_window(self, client: cloudflare.Cloudflare) -> None:
        """The list accepts times as the SDK writes them."""
        response = client.realtime_kit.recordings.get_recordings(
            APP_ID,
            **ACCOUNT,
            start_time=datetime.fromtimestamp(NOW - 99, UTC),
            end_time=datetime.fromtimestamp(NOW - 98, UTC),
            sort_by="invokedTime",
            sort_order="ASC",
            expired=False,
            search="meeting",
        )

        assert [item.status for item in response.data] == ["RECORDING", "PAUSED"]

    def test_pages(self, client: cloudflare.Cloudflare) -> None:
        """Pages have neither gaps nor overlaps."""
        recordings = client.realtime_kit.recordings
        pages = [
            recordings.get_recordings(APP_ID, **ACCOUNT, page_no=number, per_page=4)
            for number in (1, 2)
        ]

        assert len({item.id for page in pages for item in page.data}) == 6
        assert [(p.paging.start_offset, p.paging.end_offset) for p in pages] == [(1, 4), (5, 6)]

    def test_meeting(self, client: cloudflare.Cloudflare) -> None:
        """The list can be limited to one meeting."""
        response = client.realtime_kit.recordings.get_recordings(
            APP_ID, **ACCOUNT, meeting_id="meeting-paused"
        )

        assert [RECORDINGS[Status.PAUSED].id] == [item.id for item in response.data]


class TestSessionsAndMeetings:
    """Sessions and meetings, read with the SDK."""

    def test_sessions(self, client: cloudflare.Cloudflare) -> None:
        """Live sessions match the documentation."""
        response = client.realtime_kit.sessions.get_sessions(APP_ID, **ACCOUNT, status="LIVE")

        assert response.data is not None
        assert response.data.sessions is not None
        (session,) = response.data.sessions
        assert (session.id, session.live_participants) == ("s-live", 4)
        assert session.associated_id == "meeting-recording"

    def test_session(self, client: cloudflare.Cloudflare) -> None:
        """A session that has ended matches the documentation."""
        response = client.realtime_kit.sessions.get_session_details("s-ended", **APP)

        assert response.data is not None
        assert response.data.status == "ENDED"

    def test_meetings(self, client: cloudflare.Cloudflare) -> None:
        """The list of meetings matches the documentation."""
        response = client.realtime_kit.meetings.get(
            APP_ID, **ACCOUNT, search="uploaded", per_page=1
        )

        assert [meeting.id for meeting in response.data] == ["meeting-uploaded"]
        assert response.paging.total_count == 1

    def test_meeting(self, client: cloudflare.Cloudflare) -> None:
        """A single meeting matches the documentation."""
        response = client.realtime_kit.meetings.get_meeting_by_id("meeting-paused", **APP)

        assert response.data is not None
        assert response.data.title == "Title meeting-paused"

    def test_active_session(self, client: cloudflare.Cloudflare) -> None:
        """The live session of a meeting matches the documentation."""
        sessions = client.realtime_kit.active_session

        response = sessions.get_active_session("meeting-recording", **APP)

        assert response.data is not None
        assert response.data.id == "s-live"


class TestApps:
    """The apps of an account, read with the SDK."""

    @pytest.fixture
    def simulator(self) -> Simulator:
        """Simulate an account with three apps."""
        return Simulator(
            ScriptedScenario(meetings=[], recordings=[]), apps="a=production,b=staging,c=test"
        )

    def test_list(self, client: cloudflare.Cloudflare) -> None:
        """The list matches the documentation, oldest first."""
        response = client.realtime_kit.apps.get(**ACCOUNT)

        assert response.success is True
        assert response.data is not None
        names = {"a": "production", "b": "staging", "c": "test"}
        assert names == {app.id: app.name for app in response.data}
        created = [app.created_at for app in response.data]
        assert all(moment is not None and moment.tzinfo is not None for moment in created)
        assert response.paging is not None
        assert (1, 3, 3) == (
            response.paging.start_offset,
            response.paging.end_offset,
            response.paging.total_count,
        )

    def test_nothing_undocumented(self, client: cloudflare.Cloudflare) -> None:
        """Neither the answer nor an app has a field that the documentation does not have."""
        response = client.realtime_kit.apps.get(**ACCOUNT)

        assert response.data
        assert response.paging is not None
        for part in (response, response.paging, *response.data):
            assert not part.model_extra
            assert part.model_fields_set == set(type(part).model_fields)

    def test_filters(self, client: cloudflare.Cloudflare) -> None:
        """The list understands the search, the order and the pages of the SDK."""
        apps = client.realtime_kit.apps
        found = [
            apps.get(**ACCOUNT, search="STAG"),
            apps.get(**ACCOUNT, sort_order="DESC"),
            apps.get(**ACCOUNT, page_no=2, per_page=2),
        ]

        ids = [[app.id for app in response.data or ()] for response in found]
        assert [["b"], ["c", "b", "a"], ["c"]] == ids

    @pytest.mark.parametrize(
        ("token", "error"),
        [
            ("wrong", cloudflare.AuthenticationError),
            ("forbidden", cloudflare.PermissionDeniedError),
        ],
    )
    def test_token(self, base_url: str, token: str, error: type[Exception]) -> None:
        """A token that may not list the apps raises the errors of the SDK."""
        with _connect(base_url, token) as client, pytest.raises(error):
            client.realtime_kit.apps.get(**ACCOUNT)


class TestErrors:
    """Errors, read with the SDK."""

    def test_no_active_recording(self, client: cloudflare.Cloudflare) -> None:
        """Without an active recording, the SDK raises NotFoundError; it cannot parse `error`."""
        with pytest.raises(cloudflare.NotFoundError) as caught:
            client.realtime_kit.recordings.get_active_recordings("nobody", **APP)

        message = "No active recording found for meeting_id nobody"
        assert {"success": False, "error": {"code": 404, "message": message}} == caught.value.body
        assert not caught.value.errors

    def test_wrong_token(self, base_url: str) -> None:
        """A wrong token raises AuthenticationError with Cloudflare's code."""
        with (
            _connect(base_url, "wrong") as client,
            pytest.raises(cloudflare.AuthenticationError) as caught,
        ):
            client.realtime_kit.recordings.get_recordings(APP_ID, **ACCOUNT)

        assert [error.code for error in caught.value.errors] == [10000]

    def test_weak_token(self, base_url: str) -> None:
        """A token without the permission raises PermissionDeniedError."""
        with (
            _connect(base_url, "forbidden") as client,
            pytest.raises(cloudflare.PermissionDeniedError),
        ):
            client.realtime_kit.recordings.get_recordings(APP_ID, **ACCOUNT)

    def test_rate_limit(self, client: cloudflare.Cloudflare) -> None:
        """One call too many raises RateLimitError with a Retry-After header."""
        recordings = client.realtime_kit.recordings
        for _ in range(20):
            recordings.get_active_recordings("meeting-paused", **APP)

        with pytest.raises(cloudflare.RateLimitError) as caught:
            recordings.get_active_recordings("meeting-paused", **APP)

        assert caught.value.response.headers["retry-after"] == "300"
        assert [error.code for error in caught.value.errors] == [971]

    @pytest.mark.parametrize("fault", [Fault.UNKNOWN_STATUS, Fault.GARBAGE_FIELDS])
    def test_strictness(
        self, client: cloudflare.Cloudflare, simulator: Simulator, fault: Fault
    ) -> None:
        """The strict SDK rejects undocumented data."""
        simulator.inject("meeting-paused", fault)

        with pytest.raises(cloudflare.APIResponseValidationError):
            client.realtime_kit.recordings.get_active_recordings("meeting-paused", **APP)


class TestConnections:
    """Faults that need a real connection."""

    URL = f"/client/v4/accounts/a/realtime/kit/{APP_ID}/recordings/active-recording/meeting-paused"
    HEADERS = {"authorization": "Bearer simulated"}  # noqa: RUF012 - read only

    def test_truncated(self, base_url: str, simulator: Simulator) -> None:
        """A truncated response ends in a closed connection."""
        simulator.inject("meeting-paused", Fault.TRUNCATED)

        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(base_url + self.URL, headers=self.HEADERS)

    def test_hang(self, base_url: str, simulator: Simulator) -> None:
        """A hanging call ends with the client's timeout and does not affect later calls."""
        simulator.inject("meeting-paused", Fault.HANG, times=1)

        with pytest.raises(httpx.ReadTimeout):
            httpx.get(base_url + self.URL, headers=self.HEADERS, timeout=0.1)

        assert httpx.get(base_url + self.URL, headers=self.HEADERS).status_code == 200
