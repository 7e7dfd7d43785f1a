from collections.abc import Iterable
from dataclasses import replace

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.collector import announcements
from rk_exporter.collector.announcements import Announcements, Change, changes
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.webhook import WebhookEvidence
from rk_exporter.tracking.lifecycle import KnownRecording


NOW = 1_795_000_000.0
STARTED = Change("recording", Status.RECORDING)


def known(
    status: Status,
    *,
    read_at: float = NOW,
    invoked_at: float = NOW,
    recording_id: str = "recording",
) -> KnownRecording:
    return KnownRecording(
        meeting=Meeting("meeting", "meeting"),
        recording=Recording(
            recording_id=recording_id, status=status, invoked_timestamp_seconds=invoked_at
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

    def test_several(self) -> None:
        """What has not changed hides none of the changes after it."""
        before = {key: known(Status.INVOKED, recording_id=key) for key in "abc"}
        after = [
            before["a"],
            known(Status.RECORDING, recording_id="b"),
            before["c"],
            known(Status.RECORDING, recording_id="d"),
        ]
        expected = [Change(key, Status.RECORDING) for key in "bd"]
        assert [*changes(before, after, since=NOW)] == expected


def observe(seen: Announcements, changes: Iterable[Change], *, at: float) -> None:
    """Let a pass see *changes* while nobody sets the clock."""
    seen.observe(changes, now=at, monotonic=at)


class TestAnnouncements:
    def test_announced_before(self) -> None:
        """A change that an event announced before polling saw it is a proof."""
        seen = Announcements()
        seen.announce(STARTED, now=NOW)
        observe(seen, [STARTED], at=NOW + 600)
        assert seen.evidence.last_announced_at == NOW + 600
        assert seen.evidence.missed == 0

    def test_announced_after(self) -> None:
        """An event may be late by less than two minutes."""
        seen = Announcements()
        observe(seen, [STARTED], at=NOW)
        observe(seen, [], at=NOW + 119)
        seen.announce(STARTED, now=NOW + 119)
        observe(seen, [], at=NOW + 200)
        assert seen.evidence.last_announced_at == NOW + 119
        assert seen.evidence.missed == 0

    def test_missed(self) -> None:
        """A change without an event counts once, after two minutes; a late event does not help."""
        seen = Announcements()
        observe(seen, [STARTED], at=NOW)
        for later in (120, 135, 150):
            observe(seen, [STARTED], at=NOW + later)
        missed = WebhookEvidence(last_missed_at=NOW + 120, missed_in_a_row=1, missed=1)
        assert seen.evidence == missed
        seen.announce(STARTED, now=NOW + 300)
        observe(seen, [STARTED], at=NOW + 301)
        assert seen.evidence == replace(missed, last_event_at=NOW + 300)

    def test_several_missed(self) -> None:
        """Changes that were judged already hide none of the changes after them."""
        seen, ended = Announcements(), Change("recording", Status.UPLOADED)
        observe(seen, [STARTED], at=NOW)
        observe(seen, [STARTED, ended, Change("another", Status.UPLOADED)], at=NOW + 120)
        observe(seen, [], at=NOW + 240)
        assert (seen.evidence.missed, seen.evidence.missed_in_a_row) == (3, 3)
        observe(seen, [STARTED, ended, Change("third", Status.ERRORED)], at=NOW + 300)
        observe(seen, [], at=NOW + 420)
        assert seen.evidence.missed == 4

    @pytest.mark.parametrize("jump", [-3600.0, 3600.0])
    def test_clock_that_is_set(self, jump: float) -> None:
        """An event has as much time as otherwise, whatever somebody does to the clock."""
        seen = Announcements()
        seen.observe([STARTED], now=NOW, monotonic=0.0)
        seen.observe([], now=NOW + jump, monotonic=119.0)
        assert seen.evidence.missed == 0
        seen.observe([], now=NOW + jump + 1, monotonic=120.0)
        assert seen.evidence.missed == 1

    def test_most_changes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Of very many changes, the oldest announcements and the newest sightings are dropped."""
        monkeypatch.setattr(announcements, "_MOST_CHANGES", 2)
        seen = Announcements()
        first, second, third = (Change(key, Status.RECORDING) for key in "abc")
        for change in (first, second, third):
            seen.announce(change, now=NOW)
        for change in (second, third):
            observe(seen, [change], at=NOW + 1)
        observe(seen, [], at=NOW + 200)
        assert seen.evidence.missed == 0
        observe(seen, [first], at=NOW + 300)
        observe(seen, [Change(key, Status.RECORDING) for key in "def"], at=NOW + 301)
        # The first change and one of the others wait.
        observe(seen, [], at=NOW + 421)
        assert seen.evidence.missed == 2

    def test_recovered(self) -> None:
        """An announced change ends a row of missed ones."""
        seen = Announcements()
        observe(seen, [STARTED], at=NOW)
        observe(seen, [], at=NOW + 120)
        ended = Change("recording", Status.UPLOADED)
        seen.announce(ended, now=NOW + 130)
        observe(seen, [ended], at=NOW + 135)
        assert (seen.evidence.missed, seen.evidence.missed_in_a_row) == (1, 0)

    @pytest.mark.parametrize("status", [Status.INVOKED, Status.PAUSED])
    def test_learned_statuses(self, status: Status) -> None:
        """States that the documentation leaves out are missed only if an event has had them."""
        seen = Announcements()
        observe(seen, [Change("one", status)], at=NOW)
        observe(seen, [], at=NOW + 120)
        assert seen.evidence.missed == 0
        seen.announce(Change("two", status), now=NOW + 121)
        observe(seen, [Change("three", status)], at=NOW + 122)
        observe(seen, [], at=NOW + 242)
        assert seen.evidence.missed == 1
        # Those of the documentation still are.
        observe(seen, [Change("three", Status.ERRORED)], at=NOW + 243)
        observe(seen, [], at=NOW + 363)
        assert seen.evidence.missed == 2

    def test_learned_from_another_app(self) -> None:
        """Such a state is expected as soon as it is certain that the event was about this app."""
        seen = Announcements()
        seen.announce(Change("one", Status.PAUSED), now=NOW, is_certain=False)
        observe(seen, [Change("one", Status.PAUSED)], at=NOW)
        for number, status in enumerate((Status.PAUSED, Status.RECORDING), start=1):
            observe(seen, [Change("two", status)], at=NOW + 200 * number)
            observe(seen, [], at=NOW + 200 * number + 120)
            assert seen.evidence.missed == number

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
        observe(seen, [Change("here", Status.INVOKED)], at=NOW + 1)
        observe(seen, [], at=NOW + 300)
        assert seen.evidence == WebhookEvidence()

    def test_last_event(self) -> None:
        """The last event is the newest one, although polling confirms an older one after it."""
        seen = Announcements()
        seen.announce(STARTED, now=NOW)
        seen.announce(None, now=NOW + 10)
        observe(seen, [STARTED], at=NOW + 15)
        assert seen.evidence == WebhookEvidence(last_event_at=NOW + 10, last_announced_at=NOW + 15)

    @pytest.mark.parametrize("order", ["event first", "polling first"])
    def test_uncertain_event_confirmed(self, order: str) -> None:
        """When polling sees the change here, the event was about this app."""
        seen, polled_at = Announcements(), NOW + 1
        if order == "polling first":
            polled_at = NOW - 1
            observe(seen, [STARTED], at=polled_at)
        seen.announce(STARTED, now=NOW, is_certain=False)
        observe(seen, [STARTED], at=polled_at)
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
                observe(seen, [change], at=now)
        observe(seen, [], at=now + 120)
        assert seen.evidence.missed <= len(polled)
        assert seen.evidence.missed_in_a_row <= seen.evidence.missed
