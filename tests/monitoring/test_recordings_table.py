"""The table of the dashboard Recordings shows problems first, without rules."""

from dashboards import expressions
from dashboards import recordings_queries as recordings
from tests.support.monitoring.asking import asked, by_label
from tests.support.monitoring.shown import app, meeting, recording
from tests.support.monitoring.timelines import Target


def test_problems_of_the_rows(promtool: str) -> None:
    """Each row has the trouble of its recording."""
    shown = [
        *app(),
        *meeting("ward"),
        *recording("stuck", meeting="ward", states=[(1, "INVOKED")]),
        *recording("failed", meeting="ward", states=[(1, "INVOKED"), (2, "ERRORED")]),
        *recording("paused", meeting="ward", states=[(1, "RECORDING"), (2, "PAUSED")]),
        *recording("fine", meeting="ward", states=[(1, "INVOKED"), (2, "RECORDING")]),
    ]
    (found,) = asked(promtool, recordings.most_urgent(), [Target("a", shown)], minutes=[30])
    assert {
        "stuck": expressions.STUCK,
        "failed": expressions.FAILED,
        "paused": expressions.CHECK,
        "fine": expressions.FINE,
    } == by_label(found, "recording_id")
