"""The table of stale meetings on the exporter's dashboard."""

from collections.abc import Iterator

from dashboards.exporter_data import ages_of_stale, last_reads_of_stale
from tests.support.monitoring.asking import asked, by_label
from tests.support.monitoring.shown import app, meeting
from tests.support.monitoring.timelines import APP, Scraping, Series, Target


MINUTE = 40


def never_read(name: str) -> Iterator[Series]:
    """Yield the series of a meeting whose reads have always failed."""
    labels = {"rk_app": APP, "meeting_id": name}
    yield Series("rk_meeting_info", {**labels, "meeting_name": name}, [(0, 1)])
    yield Series("rk_meeting_up", labels, [(0, 0)])


def failed(name: str, *, read_at: float) -> Iterator[Series]:
    """Yield the series of a meeting that was last read at a time, before its reads failed."""
    yield from never_read(name)
    labels = {"rk_app": APP, "meeting_id": name}
    yield Series("rk_meeting_last_success_timestamp_seconds", labels, [(0, read_at)])


def table(promtool: str, *shown: Series) -> tuple[dict[str, float], dict[str, float]]:
    """Return the last read of each meeting with a row, and its age, by the meeting's id."""
    target = Target("a", [*app(), *shown])
    scraping = Scraping(60, None)
    reads, ages = (
        asked(promtool, promql, [target], minutes=[MINUTE], scraping=scraping)[0]
        for promql in (last_reads_of_stale(), ages_of_stale())
    )
    return {**by_label(reads, "meeting_id")}, {**by_label(ages, "meeting_id")}


def test_stale_meetings(promtool: str) -> None:
    """A meeting is stale if it was not read lately, or if its last read failed."""
    labels = {"rk_app": APP, "meeting_id": "old"}
    old = [
        Series("rk_meeting_up", labels, [(0, 1)]),
        Series("rk_meeting_last_success_timestamp_seconds", labels, [(0, 60.0)]),
    ]
    reads, ages = table(
        promtool, *meeting("fine"), *old, *failed("failed", read_at=2370.0), *never_read("never")
    )
    assert {"old": 1, "failed": 0, "never": 0} == reads
    assert {"old": 60 * MINUTE - 60, "failed": 60 * MINUTE - 2370} == ages


def test_more_stale_meetings_than_rows(promtool: str) -> None:
    """Meetings that were never read have a row, then the oldest, and each row has all columns."""
    shown = [
        series for number in range(1, 151) for series in failed(f"m{number}", read_at=float(number))
    ]
    reads, ages = table(promtool, *shown, *never_read("never"))
    oldest = {f"m{number}" for number in range(1, 100)}
    assert oldest == {*ages}
    assert {*oldest, "never"} == {*reads}
