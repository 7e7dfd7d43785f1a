import pytest

from rk_exporter.simulator import CANARY, Meeting, Recording, Session
from rk_exporter.simulator.api.payloads import (
    meeting_payload,
    recording_in_full,
    recording_in_list,
    recording_payload,
    session_payload,
)
from tests.support.simulator import INVOKED_AT, WHOLE_LIFE, uploaded


class TestRecordingPayload:
    """The fields of a recording in each state."""

    def test_invoked(self) -> None:
        """While INVOKED, unknown values are null and the duration is absent."""
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
        """While RECORDING or PAUSED, it has a start time and no stop time."""
        payload = recording_payload(WHOLE_LIFE, INVOKED_AT + seconds)

        assert payload["started_time"] == "2026-03-01T12:00:02.000Z"
        assert payload["stopped_time"] is None
        assert payload["file_size"] is None

    def test_uploading(self) -> None:
        """While UPLOADING, it has a size and no URL."""
        payload = recording_payload(WHOLE_LIFE, INVOKED_AT + 122)

        assert payload["stopped_time"] == "2026-03-01T12:02:02.000Z"
        assert WHOLE_LIFE.file_size_bytes == payload["file_size"]
        assert payload["download_url"] is None
        assert "recording_duration" not in payload

    def testuploaded(self) -> None:
        """Once UPLOADED, it has a duration and a secret URL, valid for a week after its stop."""
        payload = recording_payload(WHOLE_LIFE, INVOKED_AT + 140)

        assert len(payload) == 12
        assert payload["recording_duration"] == 90
        assert payload["download_url_expiry"] == "2026-03-08T12:02:02.000Z"
        assert str(payload["download_url"]).startswith("https://bucket.r2.cloudflarestorage.com/")
        assert CANARY in str(payload["download_url"])
        assert payload["audio_download_url"] is None

    def test_refreshed_url(self) -> None:
        """A refreshed URL's new expiry appears at the time of the refresh."""
        recording = uploaded(url_refreshed_at=86_400)

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
        recording = uploaded(bucket_enabled=False)

        payload = recording_payload(recording, 100)

        assert recording.file_size_bytes == payload["file_size"]
        assert payload["download_url"] is None
        assert payload["download_url_expiry"] is None

    def test_audio(self) -> None:
        """An exported audio file has its own secret URL."""
        payload = recording_payload(uploaded(audio=True), 100)

        assert CANARY in str(payload["audio_download_url"])
        assert payload["audio_download_url"] != payload["download_url"]

    def test_track(self) -> None:
        """A track recording has a list of URLs, size 0 and a template as file name."""
        payload = recording_payload(uploaded(track=True), 100)

        assert payload["file_size"] == 0
        assert isinstance(payload["download_url"], list)
        assert CANARY in str(payload["download_url"])
        assert "{{peer_id}}.webm" in str(payload["output_file_name"])

    def test_zero_duration(self) -> None:
        """The duration can be 0, as in the vendor's sample."""
        assert recording_payload(uploaded(zero_duration=True), 100)["recording_duration"] == 0


class TestOtherPayloads:
    """The fields of other objects."""

    def test_recording_in_full(self) -> None:
        """A single recording has its reasons and its storage, including secrets."""
        recording = uploaded(storage_type="aws")

        before = recording_in_full(recording, 5)
        after = recording_in_full(recording, 100)

        assert after["start_reason"]["reason"] == "API_CALL"  # type: ignore[index]
        assert "stop_reason" not in before
        assert after["stop_reason"] == {"reason": "ALL_PEERS_LEFT"}
        assert CANARY in after["storage_config"]["secret"]  # type: ignore[index]

    def test_record_on_start(self) -> None:
        """A recording that the meeting itself started has no caller."""
        recording = uploaded(start_reason="RECORD_ON_START", stop_reason=None)

        payload = recording_in_full(recording, 100)

        assert payload["start_reason"] == {"reason": "RECORD_ON_START"}
        assert "stop_reason" not in payload

    def test_recording_in_list(self) -> None:
        """An item in the list has its meeting."""
        payload = recording_in_list(uploaded(), Meeting(id="m1", title="Weekly"), 100)

        assert payload["meeting"]["title"] == "Weekly"  # type: ignore[index]
        assert payload["storage_config"] is None
        assert recording_in_list(uploaded(), None, 100)["meeting"] is None

    def test_meeting(self) -> None:
        """A meeting has `record_on_start` and `status`; its stream key contains the canary."""
        payload = meeting_payload(Meeting(id="m1", record_on_start=True, active=False))

        assert payload["record_on_start"] is True
        assert payload["status"] == "INACTIVE"
        assert CANARY in str(payload["recording_config"])

    def test_session(self) -> None:
        """A session has participants while it is live, and minutes until it ends."""
        session = Session("s1", "m1", started_at=0, ended_at=120, live_participants=3)

        live = session_payload(session, Meeting(id="m1", title="Weekly"), "app", 60)
        ended = session_payload(session, None, "app", 600)

        assert _status_fields(live) == ("LIVE", 3, 3.0)
        assert "ended_at" not in live
        assert _status_fields(ended) == ("ENDED", 0, 6.0)
        assert ended["ended_at"] == "1970-01-01T00:02:00.000Z"


def _status_fields(payload: dict[str, object]) -> tuple[object, ...]:
    return payload["status"], payload["live_participants"], payload["minutes_consumed"]
