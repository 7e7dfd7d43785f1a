"""When recordings are read by their ids, and until when they are shown."""

import pytest

from rk_exporter.model.recording import Status
from tests.support.building import NOW
from tests.support.tracker import DAY, HOUR, ID, Harness, elapse, recording, uploaded


class TestFollowing:
    """Recordings that are read by their ids until their final state is known."""

    @pytest.mark.parametrize("ahead", [-1.5 * HOUR, -60.0, 0.0, 60.0, 1.5 * HOUR])
    @pytest.mark.parametrize("is_refreshed", [False, True])
    def test_finished(self, ahead: float, *, is_refreshed: bool) -> None:
        """
        A finished recording is read for its details, and again a day before its URL expires.

        It is evicted a day after the URL expires, by the API's clock as far as that is certain.
        """
        harness = Harness(ahead=ahead)
        expires_at = NOW + 3 * DAY
        read_at: list[float] = []
        harness.read_meeting(recording(Status.UPLOADING))
        harness.read_meeting(
            recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expires_at), after=600
        )
        while harness.ids and len(read_at) < 9:
            for _ in harness.due:
                if is_refreshed and len(read_at) == 1:
                    expires_at += 4 * DAY
                read_at.append(harness.time.now)
                harness.tracker.observe_details(
                    recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=expires_at)
                )
            elapse(harness, 600)
        days = [2, 6] if is_refreshed else [2]
        assert [NOW + 600, *(NOW + day * DAY for day in days)] == pytest.approx(
            read_at, abs=abs(ahead) + 600
        )
        assert 0 <= harness.server_clock.earliest() - expires_at - DAY <= 600

    @pytest.mark.parametrize("ahead", [-1.5 * HOUR, 0.0, 1.5 * HOUR])
    def test_expiry_by_the_clock_of_the_api(self, ahead: float) -> None:
        """The reading before the expiry is due exactly a day before it, by the API's clock."""
        harness = Harness(ahead=ahead)
        read = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=NOW + 3 * DAY)
        harness.read_meeting(read)
        harness.tracker.observe_details(read)
        harness.time.now = NOW + 2 * DAY - ahead - 1
        assert [] == harness.due
        harness.time.now += 1
        assert [ID] == harness.due

    def test_expiry_in_the_list(self) -> None:
        """An item of the list less than a day before the expiry saves that reading."""
        harness = Harness()
        uploaded = recording(Status.UPLOADED, download_url_expiry_timestamp_seconds=NOW + 3 * DAY)
        harness.read_meeting(uploaded)
        harness.tracker.observe_details(uploaded)
        harness.time.now = NOW + 2 * DAY - 1
        harness.read_list(uploaded)
        assert [] == harness.due
        harness.time.now += 1
        assert [ID] == harness.due
        harness.read_list(uploaded)
        assert [] == harness.due

    def test_without_a_url(self) -> None:
        """A recording without a URL is read once, and evicted after the retention time."""
        harness = Harness()
        failed = recording(Status.ERRORED, stopped_timestamp_seconds=NOW - HOUR)
        harness.read_list(failed)
        assert [ID] == harness.due
        harness.tracker.observe_details(failed)
        elapse(harness, 23 * HOUR - 1)
        assert ([ID], []) == (harness.ids, harness.due)
        elapse(harness, 1)
        assert [] == harness.ids

    def test_expired_at_first(self) -> None:
        """A recording of the list that expired more than a day ago is not tracked."""
        harness = Harness()
        for days in (1, 2555):
            harness.read_list(uploaded(str(days), expires_at=NOW - days * DAY))
        assert [] == harness.ids
        assert not any(harness.counters.finished.values())

    def test_expired_but_returned(self) -> None:
        """A recording that the API returns is shown, even if its URL expired years ago."""
        harness = Harness()
        sample = recording(
            Status.UPLOADED,
            invoked_timestamp_seconds=NOW - 2562 * DAY,
            download_url_expiry_timestamp_seconds=NOW - 2555 * DAY,
        )
        for _ in range(3):
            harness.read_meeting(sample, after=15)
            harness.tracker.set_meetings(harness.meetings)
            assert [ID] == harness.ids
        harness.read_meeting(after=15)
        harness.tracker.set_meetings(harness.meetings)
        assert [] == harness.ids
        assert not any(harness.counters.finished.values())

    def test_returned_but_not_read_again(self) -> None:
        """A meeting that cannot be read for a day does not keep expired recordings."""
        harness = Harness()
        harness.read_meeting(uploaded(ID, expires_at=NOW - 10 * DAY))
        elapse(harness, DAY - 1)
        assert [ID] == harness.ids
        elapse(harness, 1)
        assert [] == harness.ids

    def test_expired(self) -> None:
        """An expired recording is shown for a day, and it is not read in that day."""
        harness = Harness()
        ended = uploaded(ID, expires_at=NOW + 60)
        harness.read_list(ended)
        harness.tracker.observe_details(ended)
        totals = harness.tracker.shown(oldest=NOW).totals
        assert ({"1h": 1, "24h": 1, "72h": 1}, NOW + 60) == (
            totals.expiring,
            totals.earliest_expiry_timestamp_seconds,
        )
        for after in (60, DAY - 1):
            elapse(harness, after)
            assert ([ID], []) == (harness.ids, harness.due)
            totals = harness.tracker.shown(oldest=NOW).totals
            assert (0, None) == (totals.expiring["72h"], totals.earliest_expiry_timestamp_seconds)
            assert 1 == totals.by_status[Status.UPLOADED]
        elapse(harness, 1)
        assert [] == harness.ids

    def test_failures(self) -> None:
        """Failed readings are repeated after 15 s, then twice as long, up to an hour."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        for pause in [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]:
            assert [ID] == harness.due
            harness.tracker.observe_failure(ID)
            harness.time.now += pause - 0.01
            assert [] == harness.due
            assert harness.tracker.due_one(ID, now=harness.time.now, is_hinted=False) is None
            harness.time.now += 0.01

    def test_failures_of_a_listed_recording(self) -> None:
        """The list does not shorten the back-off of a recording's own endpoint."""
        harness = Harness()
        harness.read_meeting(recording(Status.UPLOADED))
        calls = 0
        for scrape in range(240):
            if harness.due:
                calls += 1
                harness.tracker.observe_failure(ID)
            if scrape % 4 == 0:
                harness.read_list(recording(Status.UPLOADED))
            elapse(harness, 15)
        # After 0, 15, 45, 105, 225, 465, 945 and 1905 s.
        assert 8 == calls

    def test_success_after_failures(self) -> None:
        """A success ends the back-off."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        for _ in range(9):
            harness.tracker.observe_failure(ID)
        harness.tracker.observe_details(recording())
        harness.time.now += 10
        assert [ID] == harness.due

    @pytest.mark.parametrize("again", ["details", "meeting", "meeting listed again"])
    def test_failures_end(self, again: str) -> None:
        """After any success a recording that is missing again is due immediately."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        for _ in range(9):
            harness.tracker.observe_failure(ID)
        match again:
            case "details":
                harness.tracker.observe_details(recording())
            case "meeting listed again":
                harness.tracker.set_meetings([])
                harness.tracker.set_meetings(harness.meetings)
        harness.read_meeting(recording(), after=15)
        assert [ID] == harness.read_meeting(after=15)
        assert [ID] == harness.due

    @pytest.mark.parametrize("is_failing", [False, True])
    def test_a_clock_that_is_set_back(self, *, is_failing: bool) -> None:
        """After the clock was set back by an hour, readings do not wait for an hour."""
        harness = Harness()
        harness.read_meeting(recording())
        harness.read_meeting(after=15)
        if is_failing:
            harness.tracker.observe_failure(ID)
        harness.time.now -= HOUR
        read_at = []
        for _ in range(20):
            if harness.due:
                read_at.append(harness.time.now)
                harness.tracker.observe_details(recording())
            harness.time.now += 15
        assert len(read_at) >= 3
