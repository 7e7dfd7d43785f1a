from dataclasses import replace

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.collector.announcements import Announcements, Change, changes
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.webhook import WebhookEvidence
from rk_exporter.tracking.lifecycle import KnownRecording


NOW = 1_795_000_000.0
STARTED = Change("recording", Status.RECORDING)


def known(status: Status, *, read_at: float = NOW, invoked_at: float = NOW) -> KnownRecording:
    return KnownRecording(
        meeting=Meeting("meeting", "meeting"),
        recording=Recording(
            recording_id="recording", status=status, invoked_timestamp_seconds=invoked_at
        ),
        read_at=read_at,
    )


class TestChanges:
    def test_new(self) -> None:
        """A recording that was invoked while events arrive is a change when it is first seen."""
        assert [*changes({}, [known(Status.RECORDING)], since=NOW)] == [STARTED]

    @pytest.mark.parametrize("invoked_at", [NOW - 1, NOW - 1e6])
    def test_old(self, invoked_at: float) -> None:
        """A recording from before the start is none: an earlier process may have got its event."""
        old = known(Status.RECORDING, invoked_at=invoked_at)
        assert not [*changes({}, [old], since=NOW)]

    def test_moved(self) -> None:
        """A new state of a recording that was read after the start is a change."""
        before = known(Status.INVOKED)
        assert [*changes({"recording": before}, [known(Status.RECORDING)], since=NOW)] == [STARTED]

    def test_moved_unseen(self) -> None:
        """A state that may have been reached before the start is none."""
        before = known(Status.INVOKED, read_at=NOW - 1)
        assert not [*changes({"recording": before}, [known(Status.RECORDING)], since=NOW)]

    def test_unchanged(self) -> None:
        """Another reading of the same state is no change, nor is a state that is not known."""
        before = known(Status.RECORDING)
        after = [replace(before, read_at=NOW + 1)]
        assert not [*changes({"recording": before}, after, since=NOW)]
        assert not [*changes({"recording": before}, [known(Status.UNKNOWN)], since=NOW)]


class TestAnnouncements:
    def test_announced_before(self) -> None:
        """A change that an event announced before polling saw it is a proof."""
        seen = Announcements()
        seen.announce(STARTED, now=NOW)
        seen.observe([STARTED], now=NOW + 600)
        assert seen.evidence.last_announced_at == NOW + 600
        assert seen.evidence.missed == 0

    def test_announced_after(self) -> None:
        """An event may be late by less than two minutes."""
        seen = Announcements()
        seen.observe([STARTED], now=NOW)
        seen.observe([], now=NOW + 119)
        seen.announce(STARTED, now=NOW + 119)
        seen.observe([], now=NOW + 200)
        assert seen.evidence.last_announced_at == NOW + 119
        assert seen.evidence.missed == 0

    def test_missed(self) -> None:
        """A change without an event counts once, after two minutes; a late event does not help."""
        seen = Announcements()
        seen.observe([STARTED], now=NOW)
        for later in (120, 135, 150):
            seen.observe([STARTED], now=NOW + later)
        assert (seen.evidence.missed, seen.evidence.missed_in_a_row) == (1, 1)
        seen.announce(STARTED, now=NOW + 300)
        seen.observe([STARTED], now=NOW + 301)
        assert seen.evidence.last_announced_at is None
        assert (seen.evidence.missed, seen.evidence.missed_in_a_row) == (1, 1)

    def test_recovered(self) -> None:
        """An announced change ends a row of missed ones."""
        seen = Announcements()
        seen.observe([STARTED], now=NOW)
        seen.observe([], now=NOW + 120)
        ended = Change("recording", Status.UPLOADED)
        seen.announce(ended, now=NOW + 130)
        seen.observe([ended], now=NOW + 135)
        assert (seen.evidence.missed, seen.evidence.missed_in_a_row) == (1, 0)

    @pytest.mark.parametrize("status", [Status.INVOKED, Status.PAUSED])
    def test_learned_statuses(self, status: Status) -> None:
        """States that the documentation leaves out are missed only if an event has had them."""
        seen = Announcements()
        seen.observe([Change("one", status)], now=NOW)
        seen.observe([], now=NOW + 120)
        assert seen.evidence.missed == 0
        seen.announce(Change("two", status), now=NOW + 121)
        seen.observe([Change("three", status)], now=NOW + 122)
        seen.observe([], now=NOW + 242)
        assert seen.evidence.missed == 1

    def test_other_event(self) -> None:
        """An event that announces no change shows only that events arrive."""
        seen = Announcements()
        seen.announce(None, now=NOW)
        seen.announce(Change("recording", Status.UNKNOWN), now=NOW + 1)
        assert seen.evidence.last_event_at == NOW + 1
        assert seen.evidence.last_announced_at is None

    def test_uncertain_event(self) -> None:
        """An event that may be about another app shows nothing, and no new state is expected."""
        seen = Announcements()
        seen.announce(Change("elsewhere", Status.INVOKED), now=NOW, is_certain=False)
        seen.announce(None, now=NOW, is_certain=False)
        seen.observe([Change("here", Status.INVOKED)], now=NOW + 1)
        seen.observe([], now=NOW + 300)
        assert seen.evidence == WebhookEvidence()

    @pytest.mark.parametrize("order", ["event first", "polling first"])
    def test_uncertain_event_confirmed(self, order: str) -> None:
        """When polling sees the change here, the event was about this app."""
        seen, polled_at = Announcements(), NOW + 1
        if order == "polling first":
            polled_at = NOW - 1
            seen.observe([STARTED], now=polled_at)
        seen.announce(STARTED, now=NOW, is_certain=False)
        seen.observe([STARTED], now=polled_at)
        assert seen.evidence == WebhookEvidence(
            last_event_at=NOW, last_announced_at=max(NOW, polled_at)
        )

    @given(
        steps=st.lists(
            st.tuples(
                st.booleans(), st.sampled_from("abc"), st.sampled_from(Status), st.integers(0, 200)
            )
        )
    )
    def test_any_order(self, steps: list[tuple[bool, str, Status, int]]) -> None:
        """In any order of events and passes, each change counts at most once."""
        seen, now, polled = Announcements(), NOW, set[Change]()
        for is_event, recording_id, status, seconds in steps:
            now += seconds
            change = Change(recording_id, status)
            if is_event:
                seen.announce(change, now=now)
            else:
                polled.add(change)
                seen.observe([change], now=now)
        seen.observe([], now=now + 120)
        assert seen.evidence.missed <= len(polled)
        assert seen.evidence.missed_in_a_row <= seen.evidence.missed
