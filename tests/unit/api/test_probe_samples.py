"""Which recordings of a page can answer which question."""

from typing import Any

import pytest

from rk_exporter.api.probe_samples import EMPTY, Sample, iso_time, sample_of, two_statuses
from rk_exporter.api.replies import Reply
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.recording import Status
from tests.support.probe_answers import ENDED, item, page, reply


NOW = 1_795_000_000.0


def sample(*items: Any) -> Sample:
    found = sample_of(reply(page(*items)))
    assert found
    return found


@pytest.mark.parametrize(
    "unreadable",
    [
        Reply.failed("recordings", Failure(Reason.TIMEOUT, "no answer"), 0.0),
        reply(ENDED, 404),
        reply(b"text"),
    ],
)
def test_no_page(unreadable: Reply) -> None:
    """Anything but a page has no sample."""
    assert sample_of(unreadable) is None


def test_counts() -> None:
    """All items of the page count, also those that cannot be read; the list may be longer."""
    items = [item("a"), {"id": "lost"}, item("b", status="PAUSED"), item("c")]
    found = sample_of(reply(page(*items, total=70), 201))
    assert found
    assert (4, 70, {"a", "b", "c"}) == (found.item_count, found.total_count, found.ids)
    assert {Status.UPLOADED: 2, Status.PAUSED: 1} == found.statuses
    assert sample(*items).total_count is None


def test_creation() -> None:
    """A recording has the creation of its meeting, if the page has both."""
    found = sample(
        item("a", created=NOW),
        item("b"),
        {"id": "c", "meeting_id": "m-1"},
        "text",
        {**item("d"), "meeting": {"id": "m-1", "created_at": "soon"}},
        {**item("e"), "id": None},
        item("f", created=NOW + 60),
    )
    assert {"a": NOW, "f": NOW + 60} == found.created_at
    assert ({"a"}, {"a", "f"}) == (found.created_before(NOW + 60), found.created_before(NOW + 61))


def test_invocation() -> None:
    """A recording without a time was not invoked before any moment."""
    found = sample(item("a", invoked=NOW), item("b"), item("c", invoked=NOW - 60))
    assert {"c"} == found.invoked_before(NOW)
    assert {"a", "c"} == found.invoked_before(NOW + 1)


RUNNING = item("running", status="RECORDING", meeting="BUSY")
ENDED_THERE = item("ended", meeting="busy")
ERRORED = item("errored", status="ERRORED", meeting="once")


def test_meetings() -> None:
    """A meeting with a recording in progress is busy, in whatever case its id is written."""
    found = sample(RUNNING, ENDED_THERE, ERRORED)
    assert {"busy"} == found.busy_meetings
    assert ["errored"] == [listed.recording.recording_id for listed in found.finished]
    configured = ["other", "Busy", "ONCE", "another"]
    assert ["ONCE", "other", "another"] == found.idle_meetings(configured)
    assert configured == EMPTY.idle_meetings(configured)


def test_recording_with_a_url() -> None:
    """The newest recording is followed that has a URL and its expiry."""
    url: dict[str, Any] = {"download_url": "https://host/a"}
    expiry: dict[str, Any] = {"download_url_expiry": "2026-12-01T00:00:00Z"}
    found = sample(item("none"), item("a", **url), item("b", **expiry), item("c", **url, **expiry))
    assert found.with_url
    assert "c" == found.with_url.recording_id
    assert EMPTY.with_url is None


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], None),
        # Nothing older to compare with.
        ([item("a", invoked=NOW, created=NOW - 99)], None),
        (
            [item("a", invoked=NOW + 0.5, created=NOW - 99), item("b", invoked=NOW - 50)],
            NOW - 1,
        ),
        (
            [item("a", invoked=NOW, created=NOW - 3), item("b", invoked=NOW - 50)],
            NOW - 1,
        ),
        # The meeting is too new, so the next recording decides.
        (
            [
                item("a", invoked=NOW, created=NOW - 2.9),
                item("b", invoked=NOW - 50, created=NOW - 99),
                item("c", invoked=NOW - 80),
            ],
            NOW - 51,
        ),
        (
            [
                item("a", created=NOW - 99),
                item("b", invoked=NOW - 20),
                item("c", invoked=NOW - 50, created=NOW - 99),
                item("d", invoked=NOW - 80),
            ],
            NOW - 51,
        ),
    ],
)
def test_telling_start(items: list[dict[str, Any]], expected: float | None) -> None:
    """The time is a second before a recording, after its meeting and after another recording."""
    assert expected == sample(*items).telling_start


@pytest.mark.usefixtures("far_east")
def test_time_in_a_query() -> None:
    """Times in queries have whole seconds, and Z, wherever this machine is."""
    assert "2026-11-18T11:06:40Z" == iso_time(NOW + 0.9)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], ()),
        (["PAUSED"], ()),
        (["NEW", "PAUSED"], ()),
        (["PAUSED", "ERRORED"], (Status.PAUSED, Status.ERRORED)),
        (
            ["PAUSED", *["NEW"] * 9, *["UPLOADED"] * 3, *["ERRORED"] * 2],
            (Status.UPLOADED, Status.ERRORED),
        ),
    ],
)
def test_two_statuses(statuses: list[str], expected: tuple[Status, ...]) -> None:
    """The filter is tried with the two most frequent states that are known."""
    items = [item(f"r-{number}", status=status) for number, status in enumerate(statuses)]
    assert expected == two_statuses(sample(*items))
