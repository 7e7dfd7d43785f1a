"""The tracker goes on with other rules after a reload."""

from dataclasses import replace
from typing import Any

import pytest

from rk_exporter.tracking.tracker import RecordingTracker
from tests.support.building import NOW
from tests.support.tracker import (
    DAY,
    HOUR,
    ID,
    MEETING,
    OTHER,
    Harness,
    elapse,
    recording,
    uploaded,
)


class TestChange:
    """The tracker goes on with other rules after a reload."""

    def change(self, harness: Harness, app: str = "app-1", **rules: Any) -> None:
        """Give other rules, and then the meetings as before."""
        harness.tracker.change(app, replace(harness.rules, **rules))
        harness.tracker.set_meetings(harness.meetings)

    @pytest.mark.parametrize("changes", [{}, {"any_meeting": True}])
    def test_before_the_first_list(self, changes: dict[str, Any]) -> None:
        """With the first list nothing is followed that was ignored, except by wider rules."""
        harness = Harness()
        rules = harness.rules
        tracker = RecordingTracker(
            "app-1", rules, clock=harness.time, server_clock=harness.server_clock
        )
        tracker.change("app-1", replace(rules, **changes))
        assert bool(changes) == tracker.set_meetings([MEETING])

    @pytest.mark.parametrize(("before", "after", "expected"), [(1, 30, [ID]), (30, 9, [])])
    def test_retention(self, before: int, after: int, expected: list[str]) -> None:
        """A recording that was known before is shown for as long as the new rules say."""
        harness = Harness(retain_seconds=before * DAY)
        harness.read_list(uploaded(ID, expires_at=NOW + 6 * DAY))
        assert [ID] == harness.ids
        self.change(harness, retain_seconds=after * DAY)
        elapse(harness, 10 * DAY)
        assert expected == harness.ids

    @pytest.mark.parametrize("keeps", [True, False])
    def test_removed_meeting(self, keeps: bool) -> None:  # noqa: FBT001 # a parameter
        """Recordings of a meeting that is not listed follow the new rule immediately."""
        harness = Harness(keep_removed=not keeps)
        harness.read_list(uploaded(ID, expires_at=NOW + HOUR))
        harness.tracker.change("app-1", replace(harness.rules, keep_removed=keeps))
        harness.tracker.set_meetings([OTHER])
        assert ([ID] if keeps else []) == harness.ids

    def test_rules_alone(self) -> None:
        """New rules evict at the next list of meetings, even if that is the same."""
        harness = Harness(MEETING, keep_removed=True)
        harness.read_list(uploaded(ID, expires_at=NOW + HOUR))
        harness.meetings = (OTHER,)
        harness.tracker.set_meetings(harness.meetings)
        assert [ID] == harness.ids
        self.change(harness, keep_removed=False)
        assert [] == harness.ids

    def test_most_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        """The new limit is shown and logged, under the new name of the app."""
        harness = Harness(max_recordings=5)
        for number in range(3):
            harness.read_list(uploaded(str(number), expires_at=NOW + DAY * (number + 1)))
        assert 3 == len(harness.ids)
        self.change(harness, "renamed", max_recordings=1)
        assert 1 == len(harness.ids)
        (record,) = caplog.records
        assert ("renamed", 2, 1) == (record.app, record.hidden, record.max_recordings)  # type: ignore[attr-defined] # fields
        assert 1 == harness.tracker.rules.max_recordings

    def test_new_name_alone(self, caplog: pytest.LogCaptureFixture) -> None:
        """Messages name the app as it is called now."""
        harness = Harness()
        harness.read_meeting(recording())
        self.change(harness, "renamed")
        harness.observe_missing_twice()
        (record,) = caplog.records
        assert "renamed" == record.__dict__["app"]

    def test_no_change(self, caplog: pytest.LogCaptureFixture) -> None:
        """The same rules do not repeat the warning about hidden recordings."""
        harness = Harness(max_recordings=1)
        for number in range(2):
            harness.read_list(uploaded(str(number), expires_at=NOW + DAY * (number + 1)))
        for _ in range(2):
            assert 1 == len(harness.ids)
            self.change(harness)
        assert 1 == len(caplog.records)
