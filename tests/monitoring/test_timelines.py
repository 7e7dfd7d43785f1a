"""The alerts fire, stay and resolve in time at every supported scrape interval."""

from pathlib import Path

import pytest

from tests.support.monitoring.firing import Fires, Silent
from tests.support.monitoring.shown import app, meeting, recording
from tests.support.monitoring.timelines import Target, Timeline, check


WARD = {"meeting_id": "ward"}
FAILED = [(6, "INVOKED"), (7, "RECORDING"), (20, "ERRORED")]
SAVED = [(6, "INVOKED"), (7, "RECORDING"), (20, "UPLOADING"), (22, "UPLOADED")]


@pytest.fixture(scope="module")
def rules(root: Path) -> Path:
    """Return the shipped rules."""
    return root / "dashboards/rules/rk-exporter.rules.yml"


def test_a_recording_that_fails(promtool: str, rules: Path) -> None:
    """One alert fires about a failed recording, also after the exporter moved to another pod."""
    shown = [
        *app(),
        *meeting("ward", name="Ward round"),
        *recording("failed", meeting="ward", states=FAILED),
        *recording("saved", meeting="ward", states=SAVED),
    ]
    moved = Timeline(90, [Target("a", shown, until=50), Target("b", shown, since=52)])
    check(promtool, rules, moved, Fires("RealtimeKitRecordingErrored", begins=20, waits=1))


def test_meetings_that_cannot_be_read(promtool: str, rules: Path) -> None:
    """The alert about old data fires until the API can be read again."""
    outage = Timeline(
        120, [Target("a", [*app(), *meeting("ward"), *meeting("round")], unreadable=[(20, 70)])]
    )
    meetings = {"what": "meetings"}
    # 10 minutes are too old, and the alert waits 5 minutes more.
    fires = Fires(
        "RealtimeKitDataStale", begins=20, waits=15, ends=70, labels=meetings, counts_from_read=True
    )
    check(promtool, rules, outage, fires)


def test_meetings_that_can_be_read(promtool: str, rules: Path) -> None:
    """A scrape that fails now and then makes no data look old."""
    fine = Timeline(120, [Target("a", [*app(), *meeting("ward")])])
    check(promtool, rules, fine, Silent("RealtimeKitDataStale"))


def test_people_who_are_not_recorded(promtool: str, rules: Path) -> None:
    """The alert fires until everybody has left, and not about meetings that need no recording."""
    people = [(10, 3), (60, None)]
    unrecorded = Timeline(
        100,
        [
            Target(
                "a",
                [
                    *app(),
                    *meeting("ward", people=people, record_on_start=True),
                    *meeting("optional", people=people, record_on_start=False),
                    *meeting("recorded", people=people, record_on_start=True, active=[(0, 1)]),
                    *recording("runs", meeting="recorded", states=[(9, "RECORDING")]),
                ],
            )
        ],
    )
    fires = Fires("RealtimeKitMeetingNotRecorded", begins=10, waits=5, ends=60, labels=WARD)
    others = [
        Silent("RealtimeKitMeetingNotRecorded", {"meeting_id": meeting_id})
        for meeting_id in ("optional", "recorded")
    ]
    check(promtool, rules, unrecorded, fires, *others)


def test_exporters_that_disagree_about_a_setting(promtool: str, rules: Path) -> None:
    """The exporter counts that listed the live meetings last."""
    people = [(10.0, 3.0)]
    older = [*app(), *meeting("ward", people=people, record_on_start=True)]
    newer = [*app(), *meeting("ward", people=people, record_on_start=False)]
    # The first exporter cannot list the meetings any more, after it read the old setting.
    timeline = Timeline(
        60, [Target("a", older, unreadable=[(11, 60)]), Target("b", newer, since=10.5)]
    )
    check(promtool, rules, timeline, Silent("RealtimeKitMeetingNotRecorded"))
