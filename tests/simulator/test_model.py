import pytest

from rk_exporter.simulator import Recording, Status
from tests.support.simulator import INVOKED_AT, WHOLE_LIFE, uploaded


WEEK = 7 * 86_400


class TestLife:
    """The lifecycle of a recording."""

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
        """A recording is in the state that began last."""
        assert status == WHOLE_LIFE.status(INVOKED_AT + seconds)

    def test_recorded_seconds(self) -> None:
        """The recorded time excludes pauses."""
        assert WHOLE_LIFE.recorded_seconds == 90

    def test_vanishing(self) -> None:
        """After it vanishes, a recording has no state."""
        recording = Recording.scripted("m1", invoked_at=0, started_at=1, vanishes_at=60)

        assert recording.status(59) == Status.RECORDING
        assert recording.status(60) is None
        assert not recording.is_active(60)

    def test_errored_before_it_started(self) -> None:
        """A recording that never started has no stop time."""
        recording = Recording.scripted("m1", invoked_at=0, errored_at=30)

        assert (recording.started_at, recording.stopped_at) == (None, None)
        assert recording.url_expires_at(31) is None

    def test_errored_while_recording(self) -> None:
        """A recording that fails while RECORDING stops at that time."""
        assert Recording.scripted("m1", invoked_at=0, started_at=2, errored_at=30).stopped_at == 30

    def test_url_expiry(self) -> None:
        """A download URL is valid for a week after the recording stops."""
        assert INVOKED_AT + 122 + WEEK == WHOLE_LIFE.url_expires_at(INVOKED_AT + 140)
        assert INVOKED_AT + 122 + WEEK == WHOLE_LIFE.url_expires_at(INVOKED_AT + 10 * WEEK)

    def test_refreshed_url(self) -> None:
        """A refreshed URL is valid for a week after the refresh, and until then as before."""
        recording = uploaded(url_refreshed_at=86_400)

        assert recording.url_expires_at(86_399) == 50 + WEEK
        assert recording.url_expires_at(86_400) == 86_400 + WEEK

    def test_refreshed_url_without_a_file(self) -> None:
        """A refresh creates no URL for a recording without one."""
        errored = Recording.scripted("m1", invoked_at=0, errored_at=30, url_refreshed_at=40)

        assert errored.url_expires_at(50) is None
        assert uploaded(bucket_enabled=False, url_refreshed_at=70).url_expires_at(80) is None

    def test_linger(self) -> None:
        """An ended recording counts as active only while it lingers."""
        assert not WHOLE_LIFE.is_active(INVOKED_AT + 140)
        assert WHOLE_LIFE.is_active(INVOKED_AT + 149, linger_seconds=10)
        assert not WHOLE_LIFE.is_active(INVOKED_AT + 150, linger_seconds=10)
