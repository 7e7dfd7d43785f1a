import math
import time

from datetime import UTC, datetime

import pytest

from rk_exporter.simulator.payloads import (
    meeting_payload,
    recording_in_full,
    recording_in_list,
    recording_payload,
    session_payload,
)

from rk_exporter.simulator import (
    CANARY,
    AcceleratedClock,
    Meeting,
    Recording,
    ScriptedStory,
    Session,
    Status,
    Story,
)


INVOKED_AT = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC).timestamp()
WHOLE_LIFE = Recording.scripted(
    "m1",
    invoked_at=INVOKED_AT,
    started_at=INVOKED_AT + 2,
    paused=[(INVOKED_AT + 62, INVOKED_AT + 92)],
    stopped_at=INVOKED_AT + 122,
    uploaded_at=INVOKED_AT + 140,
)
WEEK = 7 * 86_400


class TestLife:
    """The states that a recording goes through."""

    @pytest.mark.parametrize(
        ("seconds", "status"),
        [
            (-1, None),
            (0, Status.INVOKED),
            (2, Status.RECORDING),
            (62, Status.PAUSED),
            (92, Status.RECORDING),
            (122, Status.UPLOADING),
            (140, Status.UPLOADED),
            (10**9, Status.UPLOADED),
        ],
    )
    def test_state(self, seconds: float, status: Status | None) -> None:
        """A recording is in the state whose phase began last."""
        assert status == WHOLE_LIFE.status(INVOKED_AT + seconds)

    def test_recorded_seconds(self) -> None:
        """Pauses do not count as recorded."""
        assert WHOLE_LIFE.recorded_seconds == 90

    def test_vanishing(self) -> None:
        """A recording that vanishes has no state from then on, as if it had never been."""
        recording = Recording.scripted("m1", invoked_at=0, started_at=1, vanishes_at=60)

        assert recording.status(59) == Status.RECORDING
        assert recording.status(60) is None
        assert not recording.is_active(60)

    def test_errored_before_it_started(self) -> None:
        """A recording that never started has no stop time either."""
        recording = Recording.scripted("m1", invoked_at=0, errored_at=30)

        assert (recording.started_at, recording.stopped_at) == (None, None)
        assert recording.url_expires_at(31) is None

    def test_errored_while_recording(self) -> None:
        """A recording that fails midway stops at that moment."""
        assert Recording.scripted("m1", invoked_at=0, started_at=2, errored_at=30).stopped_at == 30

    def test_url_expiry(self) -> None:
        """A download URL lives for a week from the recording's stop."""
        assert INVOKED_AT + 122 + WEEK == WHOLE_LIFE.url_expires_at(INVOKED_AT + 140)
        assert INVOKED_AT + 122 + WEEK == WHOLE_LIFE.url_expires_at(INVOKED_AT + 10 * WEEK)

    def test_refreshed_url(self) -> None:
        """A URL that is refreshed lives for a week from then on, and before then no longer."""
        recording = _uploaded(url_refreshed_at=86_400)

        assert recording.url_expires_at(86_399) == 50 + WEEK
        assert recording.url_expires_at(86_400) == 86_400 + WEEK

    def test_refreshed_url_without_a_file(self) -> None:
        """Where there is no URL, there is none to refresh."""
        errored = Recording.scripted("m1", invoked_at=0, errored_at=30, url_refreshed_at=40)

        assert errored.url_expires_at(50) is None
        assert _uploaded(bucket_enabled=False, url_refreshed_at=70).url_expires_at(80) is None

    def test_linger(self) -> None:
        """After its end a recording is active no longer than it lingers."""
        assert not WHOLE_LIFE.is_active(INVOKED_AT + 140)
        assert WHOLE_LIFE.is_active(INVOKED_AT + 149, linger_seconds=10)
        assert not WHOLE_LIFE.is_active(INVOKED_AT + 150, linger_seconds=10)


class TestRecordingPayload:
    """The fields of a recording in each state."""

    def test_invoked(self) -> None:
        """While INVOKED all that is not known yet is null, and the duration absent."""
        assert {
            "id": WHOLE_LIFE.id,
            "audio_download_url": None,
            "download_url": None,
            "download_url_expiry": None,
            "file_size": None,
            "invoked_time": "2026-03-01T12:00:00.000Z",
            "output_file_name": f"m1_{INVOKED_AT:.0f}000.mp4",
            "session_id": WHOLE_LIFE.session_id,
            "started_time": None,
            "status": "INVOKED",
            "stopped_time": None,
        } == recording_payload(WHOLE_LIFE, INVOKED_AT)

    @pytest.mark.parametrize("seconds", [3, 63])
    def test_recording_and_paused(self, seconds: float) -> None:
        """While it records or pauses, it has a start and no stop."""
        payload = recording_payload(WHOLE_LIFE, INVOKED_AT + seconds)

        assert payload["started_time"] == "2026-03-01T12:00:02.000Z"
        assert payload["stopped_time"] is None
        assert payload["file_size"] is None

    def test_uploading(self) -> None:
        """While UPLOADING it has a size and no URL."""
        payload = recording_payload(WHOLE_LIFE, INVOKED_AT + 122)

        assert payload["stopped_time"] == "2026-03-01T12:02:02.000Z"
        assert WHOLE_LIFE.file_size_bytes == payload["file_size"]
        assert payload["download_url"] is None
        assert "recording_duration" not in payload

    def test_uploaded(self) -> None:
        """Once UPLOADED it has a duration and a secret URL that lives for a week from its stop."""
        payload = recording_payload(WHOLE_LIFE, INVOKED_AT + 140)

        assert len(payload) == 12
        assert payload["recording_duration"] == 90
        assert payload["download_url_expiry"] == "2026-03-08T12:02:02.000Z"
        assert str(payload["download_url"]).startswith("https://bucket.r2.cloudflarestorage.com/")
        assert CANARY in str(payload["download_url"])
        assert payload["audio_download_url"] is None

    def test_refreshed_url(self) -> None:
        """A refreshed URL's expiry is told from the moment of the refresh on."""
        recording = _uploaded(url_refreshed_at=86_400)

        before, after = recording_payload(recording, 86_399), recording_payload(recording, 86_400)

        assert before["download_url_expiry"] == "1970-01-08T00:00:50.000Z"
        assert after["download_url_expiry"] == "1970-01-09T00:00:00.000Z"

    def test_errored(self) -> None:
        """An ERRORED recording has no file."""
        recording = Recording.scripted("m1", invoked_at=0, started_at=2, errored_at=30)

        payload = recording_payload(recording, 31)

        assert payload["stopped_time"] == "1970-01-01T00:00:30.000Z"
        assert payload["file_size"] is None
        assert payload["download_url"] is None

    def test_bucket_disabled(self) -> None:
        """Without RealtimeKit's bucket there is a file but never a URL."""
        recording = _uploaded(bucket_enabled=False)

        payload = recording_payload(recording, 100)

        assert recording.file_size_bytes == payload["file_size"]
        assert payload["download_url"] is None
        assert payload["download_url_expiry"] is None

    def test_audio(self) -> None:
        """An exported audio file has a secret URL of its own."""
        payload = recording_payload(_uploaded(audio=True), 100)

        assert CANARY in str(payload["audio_download_url"])
        assert payload["audio_download_url"] != payload["download_url"]

    def test_track(self) -> None:
        """A track recording has a list of URLs, no size, and a template for a file name."""
        payload = recording_payload(_uploaded(track=True), 100)

        assert payload["file_size"] == 0
        assert isinstance(payload["download_url"], list)
        assert CANARY in str(payload["download_url"])
        assert "{{peer_id}}.webm" in str(payload["output_file_name"])

    def test_zero_duration(self) -> None:
        """The duration can be reported as 0, as the vendor's sample has it."""
        assert recording_payload(_uploaded(zero_duration=True), 100)["recording_duration"] == 0


class TestOtherPayloads:
    """The fields of everything else."""

    def test_recording_in_full(self) -> None:
        """On its own, a recording tells its reasons and its storage, secrets included."""
        recording = _uploaded(storage_type="aws")

        before = recording_in_full(recording, 5)
        after = recording_in_full(recording, 100)

        assert after["start_reason"]["reason"] == "API_CALL"  # type: ignore[index]
        assert "stop_reason" not in before
        assert after["stop_reason"] == {"reason": "ALL_PEERS_LEFT"}
        assert CANARY in after["storage_config"]["secret"]  # type: ignore[index]

    def test_record_on_start(self) -> None:
        """Nobody in particular started what the meeting itself records."""
        recording = _uploaded(start_reason="RECORD_ON_START", stop_reason=None)

        payload = recording_in_full(recording, 100)

        assert payload["start_reason"] == {"reason": "RECORD_ON_START"}
        assert "stop_reason" not in payload

    def test_recording_in_list(self) -> None:
        """In a list, a recording comes with its meeting."""
        payload = recording_in_list(_uploaded(), Meeting(id="m1", title="Weekly"), 100)

        assert payload["meeting"]["title"] == "Weekly"  # type: ignore[index]
        assert payload["storage_config"] is None
        assert recording_in_list(_uploaded(), None, 100)["meeting"] is None

    def test_meeting(self) -> None:
        """A meeting tells whether recordings are expected; its stream key is marked as secret."""
        payload = meeting_payload(Meeting(id="m1", record_on_start=True, active=False))

        assert payload["record_on_start"] is True
        assert payload["status"] == "INACTIVE"
        assert CANARY in str(payload["recording_config"])

    def test_session(self) -> None:
        """A session counts its participants while it is live, and its minutes until it ends."""
        session = Session("s1", "m1", started_at=0, ended_at=120, live_participants=3)

        live = session_payload(session, Meeting(id="m1", title="Weekly"), "app", 60)
        ended = session_payload(session, None, "app", 600)

        assert _standing(live) == ("LIVE", 3, 3.0)
        assert "ended_at" not in live
        assert _standing(ended) == ("ENDED", 0, 6.0)
        assert ended["ended_at"] == "1970-01-01T00:02:00.000Z"


class TestScriptedStory:
    """Stories written out beforehand."""

    def test_is_a_story(self) -> None:
        """A scripted story is a Story; nothing bounds how long its recordings last."""
        story: Story = ScriptedStory()

        assert math.inf == story.longest_seconds

    def test_meetings(self) -> None:
        """Meetings that only recordings and sessions name belong to the story too."""
        story = ScriptedStory(
            meetings=["m0", Meeting(id="m1", title="One")],
            recordings=[Recording.scripted("m2", invoked_at=0)],
            sessions=[Session("s", "m3", started_at=0)],
        )

        assert [meeting.id for meeting in story.meetings()] == ["m0", "m1", "m2", "m3"]
        assert story.meeting("m9") is None

    def test_recordings(self) -> None:
        """Recordings come newest first, once they were invoked, until they vanish."""
        old = Recording.scripted("m1", invoked_at=10)
        new = Recording.scripted("m2", invoked_at=20, vanishes_at=40)
        story = ScriptedStory(recordings=[old, new])

        assert story.recordings(9) == ()
        assert (new, old) == story.recordings(20)
        assert (new,) == story.recordings(20, since=15)
        assert (old,) == story.recordings(20, meeting_id="m1")
        assert (old,) == story.recordings(40)
        assert story.recording(new.id, 20) == new
        assert story.recording(new.id, 40) is None

    def test_active(self) -> None:
        """Several recordings of a meeting can be active, the newest first."""
        first, second = (Recording.scripted("m1", invoked_at=at) for at in (1, 2))
        story = ScriptedStory(recordings=[first, second, Recording.scripted("m2", invoked_at=3)])

        assert (second, first) == story.active("m1", 5)

    def test_sessions(self) -> None:
        """Sessions are there once they have begun."""
        session = Session("s1", "m1", started_at=10)
        story = ScriptedStory(sessions=[session])

        assert story.sessions(9) == ()
        assert (session,) == story.sessions(10, meeting_id="m1")
        assert story.sessions(10, meeting_id="m2") == ()
        assert session == story.session("s1", 10)
        assert story.session("s1", 9) is None


def test_accelerated_clock() -> None:
    """An accelerated clock passes as many times faster as it was told."""
    real = [100.0]
    clock = AcceleratedClock(60, monotonic=lambda: real[0], starts_at=1000.0)

    real[0] += 2

    assert clock() == 1120.0


def test_accelerated_clock_starts_now() -> None:
    """Without a start, simulated time starts now."""
    assert AcceleratedClock()() == pytest.approx(time.time(), abs=5)


def _uploaded(**details: object) -> Recording:
    return Recording.scripted(
        "m1",
        invoked_at=0,
        started_at=2,
        stopped_at=50,
        uploaded_at=60,
        **details,  # type: ignore[arg-type]
    )


def _standing(payload: dict[str, object]) -> tuple[object, ...]:
    return payload["status"], payload["live_participants"], payload["minutes_consumed"]
