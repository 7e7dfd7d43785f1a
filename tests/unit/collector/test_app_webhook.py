from collections.abc import Iterable
from dataclasses import replace

import pytest

from rk_exporter.collector.app_webhook import AppWebhook, Notice
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus
from rk_exporter.runtime.clock import Clock
from rk_exporter.tracking.lifecycle import KnownRecording
from tests.support.building import NOW


UPPER = "182BD5E5-6E1A-4FE4-A799-AA6D9A6AB26E"
MEETINGS = [Meeting(name, name) for name in ("a", "b", UPPER)]


class Clocks(Clock):
    """A wall clock and a monotonic clock that stand still until they are set."""

    def __init__(self) -> None:
        # The machine runs for longer than the process.
        self.now, self.seconds = NOW, 50.0

    def wall(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        """Let some seconds pass."""
        self.now += seconds
        self.seconds += seconds


class Hooked:
    """The webhook of an app that reads three meetings."""

    def __init__(self) -> None:
        self.clock = Clocks()
        self.webhook = AppWebhook(self.clock)
        self.webhook.set_meetings(MEETINGS)

    @property
    def due(self) -> tuple[str, str, bool, bool]:
        """Return the meetings and recordings that are due, and whether the two lists are."""
        pending = self.webhook.hints.pending
        return (
            " ".join(pending.meetings),
            " ".join(pending.recordings),
            pending.discovery is not None,
            pending.recordings_list is not None,
        )

    def observe(self, *recordings: KnownRecording, api_ahead_seconds: float = 0.0) -> WebhookStatus:
        """Let polling see *recordings*."""
        return self.webhook.observe(recordings, api_ahead_seconds=api_ahead_seconds)

    def announce(self, *known: KnownRecording) -> None:
        """Send events about *recordings*, and let polling see them."""
        for one in known:
            self.webhook.take(
                Notice(("a",), one.recording_id, one.recording.status), finds_meetings=False
            )
        self.observe(*known)


def known(
    recording_id: str = "r",
    status: Status = Status.RECORDING,
    *,
    invoked_at: float = NOW,
    missing_since: float | None = None,
) -> KnownRecording:
    return KnownRecording(
        meeting=MEETINGS[0],
        recording=Recording(
            recording_id=recording_id, status=status, invoked_timestamp_seconds=invoked_at
        ),
        read_at=NOW,
        missing_since=missing_since,
    )


class TestMeetings:
    """The meeting that an event is about."""

    @pytest.mark.parametrize(
        ("ids", "meeting_id"),
        [
            (["a"], "a"),
            (["x", "b", "a"], "b"),
            ([UPPER], UPPER.lower()),
            ([UPPER.lower()], UPPER.lower()),
            (["x"], None),
            ([], None),
        ],
    )
    def test_known(self, ids: Iterable[str], meeting_id: str | None) -> None:
        """The first id that is read counts, in any spelling."""
        hooked = Hooked()
        assert hooked.webhook.knows(Notice((*ids,))) == meeting_id
        is_known = meeting_id is not None
        assert hooked.webhook.take(Notice((*ids,)), finds_meetings=False) is is_known
        assert hooked.due == (meeting_id or "", "", False, False)

    def test_unknown(self) -> None:
        """An event about another meeting makes the list of sessions due if that finds meetings."""
        hooked = Hooked()
        assert hooked.webhook.take(Notice(("x",), "r", Status.UPLOADED), finds_meetings=True)
        assert hooked.due == ("", "", True, False)

    def test_nothing_to_find(self) -> None:
        """An event about another meeting is nothing, not even a proof, if none can be found."""
        hooked = Hooked()
        assert not hooked.webhook.take(Notice(("x",)), finds_meetings=False)
        assert hooked.webhook.status == WebhookStatus()

    def test_other_kind(self) -> None:
        """An event of another kind makes nothing due, but it shows that events arrive."""
        hooked = Hooked()
        hooked.clock.sleep(5)
        for ids in (("a",), ("x",)):
            notice = Notice(ids, "r", Status.UPLOADED, changes_something=False)
            assert hooked.webhook.take(notice, finds_meetings=True) is True
        assert hooked.due == ("", "", False, False)
        assert hooked.webhook.status == WebhookStatus(last_event_timestamp_seconds=NOW + 5)

    def test_other_list(self) -> None:
        """With other meetings, events about the former ones make nothing due any longer."""
        hooked = Hooked()
        for name in ("a", "b"):
            hooked.webhook.take(Notice((name,)), finds_meetings=False)
        hooked.webhook.set_meetings(MEETINGS[1:])
        assert hooked.due == ("b", "", False, False)
        assert hooked.webhook.knows(Notice(("a",))) is None

    def test_none_yet(self) -> None:
        """Before the meetings are known, no event is about one of them."""
        assert AppWebhook(Clocks()).knows(Notice(("a",))) is None


class TestRecordings:
    """What an event makes due besides its meeting."""

    @pytest.mark.parametrize("status", [None, *Status])
    def test_unknown(self, status: Status | None) -> None:
        """The end of a recording that nobody has seen is in the app's list only."""
        hooked = Hooked()
        hooked.observe(known("another"))
        hooked.webhook.take(Notice(("a",), "r", status), finds_meetings=False)
        is_end = status in {Status.UPLOADING, Status.UPLOADED, Status.ERRORED}
        assert hooked.due == ("a", "", False, is_end)

    def test_no_id(self) -> None:
        """An event without the id of a recording makes its meeting due and nothing else."""
        hooked = Hooked()
        hooked.observe(known())
        hooked.webhook.take(Notice(("a",), None, Status.UPLOADED), finds_meetings=False)
        assert hooked.due == ("a", "", False, False)
        # It announces nothing, so nothing is expected because of it.
        hooked.webhook.take(Notice(("a",), None, Status.PAUSED), finds_meetings=False)
        hooked.observe(known("paused", Status.PAUSED))
        hooked.clock.sleep(120)
        assert hooked.observe(known("paused", Status.PAUSED)).missed == 1

    @pytest.mark.parametrize(
        ("recording", "recordings"),
        [
            (known(), ""),
            (known(missing_since=NOW), "r"),
            (known(status=Status.UPLOADED, missing_since=NOW), ""),
            (replace(known(missing_since=NOW), outcome=Outcome.ERRORED), ""),
        ],
    )
    def test_known(self, recording: KnownRecording, recordings: str) -> None:
        """A recording is read by its id if its meeting no longer shows it, and its end is open."""
        hooked = Hooked()
        hooked.observe(recording, known("another", missing_since=NOW))
        hooked.webhook.take(Notice(("a",), "r", Status.UPLOADED), finds_meetings=False)
        assert hooked.due == ("a", recordings, False, False)

    def test_no_longer_known(self) -> None:
        """What polling no longer shows is not known."""
        hooked = Hooked()
        hooked.observe(known())
        hooked.observe()
        hooked.webhook.take(Notice(("a",), "r", Status.UPLOADED), finds_meetings=False)
        assert hooked.due == ("a", "", False, True)


class TestStatus:
    """How well events announce what polling sees."""

    def test_announced(self) -> None:
        """An announced change is a proof, as of the time of the pass."""
        hooked = Hooked()
        hooked.clock.sleep(10)
        hooked.webhook.take(Notice(("a",), "r", Status.RECORDING), finds_meetings=False)
        hooked.clock.sleep(5)
        status = WebhookStatus(WebhookHealth.HEALTHY, NOW + 10, 0)
        assert hooked.observe(known()) == status
        hooked.clock.sleep(86_400)
        assert hooked.webhook.status == status
        hooked.clock.sleep(1)
        assert hooked.webhook.status == replace(status, health=WebhookHealth.UNPROVEN)

    def test_uncertain(self) -> None:
        """An event that may be about another app proves nothing until polling sees its change."""
        hooked = Hooked()
        notice = Notice(("x",), "r", Status.RECORDING)
        assert hooked.webhook.take(notice, finds_meetings=True, is_certain=False)
        assert hooked.webhook.status == WebhookStatus()
        assert hooked.observe(known()) == WebhookStatus(WebhookHealth.HEALTHY, NOW, 0)

    def test_missed(self) -> None:
        """Changes that no event announces within two minutes are missed."""
        hooked = Hooked()
        hooked.observe(known("r"), known("s"))
        hooked.clock.sleep(120)
        status = hooked.observe(known("r"), known("s"))
        assert status == WebhookStatus(WebhookHealth.SILENT, None, 2)

    @pytest.mark.parametrize(
        ("ahead", "invoked", "missed"),
        [(0.0, 0, 1), (0.0, -1, 0), (60.0, 59, 0), (60.0, 60, 1), (-60.0, -1, 0), (-60.0, 0, 1)],
    )
    def test_start(self, ahead: float, invoked: float, missed: int) -> None:
        """Recordings from before the start, by the API's clock, do not count."""
        hooked = Hooked()
        recording = known(invoked_at=NOW + invoked)
        hooked.observe(recording, api_ahead_seconds=ahead)
        hooked.clock.sleep(120)
        assert hooked.observe(recording, api_ahead_seconds=ahead).missed == missed

    @pytest.mark.parametrize("jump", [-3600.0, 3600.0])
    def test_clock_that_is_set(self, jump: float) -> None:
        """An event that arrives in time announces a change, although the clock is set meanwhile."""
        hooked = Hooked()
        hooked.observe(known("r"), known("s"))
        hooked.clock.now += jump
        hooked.clock.sleep(15)
        assert hooked.observe(known("r"), known("s")).missed == 0
        hooked.announce(known("r"), known("s"))
        assert hooked.webhook.status == WebhookStatus(WebhookHealth.HEALTHY, hooked.clock.now, 0)

    @pytest.mark.parametrize("jump", [-86_400.0, 86_400.0])
    def test_clock_that_was_wrong_at_the_start(self, jump: float) -> None:
        """What counts is whether a recording began after the start, by the clock as it is now."""
        hooked = Hooked()
        hooked.clock.sleep(15)
        hooked.clock.now += jump
        before, after = hooked.clock.now - 16, hooked.clock.now
        recordings = known("r", invoked_at=before), known("s", invoked_at=after)
        hooked.observe(*recordings)
        hooked.clock.sleep(120)
        assert hooked.observe(*recordings).missed == 1


class TestIdleMeetings:
    """How rarely idle meetings are read."""

    @pytest.mark.parametrize(
        ("interval", "seconds"), [(15.0, 570.0), (120.0, 360.0), (300.0, 0.0), (400.0, 0.0)]
    )
    def test_healthy(self, interval: float, seconds: float) -> None:
        """They wait for ten minutes at most, which end in the pass after the next one."""
        hooked = Hooked()
        assert hooked.webhook.idle_seconds(interval_seconds=interval) == 0.0
        hooked.announce(known())
        assert hooked.webhook.idle_seconds(interval_seconds=interval) == seconds

    def test_age(self) -> None:
        """Their readings may be as old until twenty minutes after webhooks were healthy."""
        hooked = Hooked()
        # An earlier process may have read them as rarely.
        hooked.clock.sleep(1199.9)
        assert hooked.webhook.idle_age_seconds == 600.0
        hooked.clock.sleep(0.1)
        assert hooked.webhook.idle_age_seconds == 0.0
        hooked.announce(known(invoked_at=hooked.clock.now))
        hooked.webhook.idle_seconds(interval_seconds=15.0)
        hooked.clock.sleep(1199.9)
        assert hooked.webhook.idle_age_seconds == 600.0
        hooked.clock.sleep(0.1)
        assert hooked.webhook.idle_age_seconds == 0.0
