"""Alerts of the optional rules fire, stay and resolve in time at every scrape interval."""

from collections.abc import Iterable
from pathlib import Path

import pytest

from tests.support.monitoring.firing import Fires, Silent
from tests.support.monitoring.shown import app, meeting, recording
from tests.support.monitoring.timelines import APP, SCRAPINGS, Series, Target, Timeline, check


BURN = "RealtimeKitErrorBudgetBurn"
RUNAWAY = "RealtimeKitRecordingRunaway"
# Windows of days take long to evaluate, so these are fewer scrape intervals than other alerts have.
SCRAPED = [scraping for scraping in SCRAPINGS if scraping.interval_seconds in (60, 300)]
SUCCEED = {"objective": "succeed", "severity": "critical"}


@pytest.fixture(scope="module")
def rules(root: Path) -> Path:
    """Return the folder with all shipped rules."""
    return root / "dashboards/rules"


def finished(outcome: str, minutes: Iterable[float], *, begins: float = 0) -> Series:
    """Return the counter of recordings that ended in these minutes, or *begins* with a number."""
    grown = [(minute, begins + number) for number, minute in enumerate(sorted(minutes), 1)]
    labels = {"rk_app": APP, "outcome": outcome}
    return Series("rk_recordings_finished_total", labels, [(0, begins), *grown])


def ended(failed: Iterable[float], uploaded: Iterable[float], *, begins: float = 0) -> list[Series]:
    """Return the counters of an exporter that saw recordings end in these minutes."""
    return [
        *app(),
        finished("errored", failed, begins=begins),
        finished("uploaded", uploaded, begins=begins),
    ]


def test_recordings_that_fail(promtool: str, rules: Path) -> None:
    """The alert fires at the third failure, also after a failover, and resolves with successes."""
    failed, uploaded = [40, 45, 50], range(80, 180)
    timeline = Timeline(
        180,
        [
            Target("a", ended(failed, uploaded), until=60),
            Target("b", ended(failed, uploaded, begins=70), since=5),
        ],
    )
    # The counts within half an hour decide when it resolves.
    fires = Fires(BURN, begins=50, waits=2, ends=80, lags=30, labels=SUCCEED)
    check(promtool, rules, timeline, fires, scrapings=SCRAPED)


def test_one_recording_that_fails(promtool: str, rules: Path) -> None:
    """One failure, or two, of a few recordings alert nobody, however many exporters see them."""
    failed, uploaded = [40, 90], [20, 60]
    timeline = Timeline(
        120,
        [
            Target("a", ended(failed, uploaded)),
            Target("b", ended(failed, uploaded, begins=7), since=1),
            Target("c", ended(failed, uploaded, begins=7), since=50, until=100),
        ],
    )
    check(promtool, rules, timeline, Silent(BURN), scrapings=SCRAPED)


def test_an_exporter_that_restarts(promtool: str, rules: Path) -> None:
    """Old failures that a new exporter restores and shows from the start are not new ones."""
    timeline = Timeline(
        120,
        [
            Target("a", ended([], [20], begins=50), until=60),
            Target("b", ended([], [100], begins=50), since=61),
        ],
    )
    check(promtool, rules, timeline, Silent(BURN), scrapings=SCRAPED)


def test_a_meeting_that_everybody_has_left(promtool: str, rules: Path) -> None:
    """The alert fires half an hour after the last person left, until the recording ends."""
    runs = [(2, "INVOKED"), (3, "RECORDING"), (90, "UPLOADING"), (92, "UPLOADED")]
    timeline = Timeline(
        130,
        [
            Target(
                "a",
                [
                    *app(),
                    *meeting("ward", people=[(2, 3), (20, 1)]),
                    *meeting("round", people=[(2, 3), (20, 2)]),
                    *meeting("break", people=[(2, 3), (20, 1), (40, 3)]),
                    *recording("left", meeting="ward", states=runs),
                    *recording("talks", meeting="round", states=runs),
                    *recording("waits", meeting="break", states=runs),
                ],
            )
        ],
    )
    alone = {"what": "alone"}
    fires = Fires(RUNAWAY, begins=20, waits=32, ends=90, labels={**alone, "meeting_id": "ward"})
    check(
        promtool,
        rules,
        timeline,
        fires,
        *(Silent(RUNAWAY, {"meeting_id": other}) for other in ("round", "break")),
        scrapings=SCRAPED,
    )


def test_a_recording_without_an_end(promtool: str, rules: Path) -> None:
    """The alert fires when a recording becomes longer than the limit, until it ends."""
    runs = [(-1400, "INVOKED"), (-1400, "RECORDING"), (90, "UPLOADING"), (92, "UPLOADED")]
    series = [*app(), *meeting("ward"), *recording("long", meeting="ward", states=runs)]
    timeline = Timeline(130, [Target("a", series)])
    fires = Fires(RUNAWAY, begins=40, waits=2, ends=90, labels={"what": "long"})
    check(promtool, rules, timeline, fires, scrapings=SCRAPED)
