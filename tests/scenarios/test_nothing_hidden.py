"""What matters is shown, however many recordings there are."""

import logging

from typing import Any

import pytest

from rk_exporter.simulator import Fault, Meeting, Recording, Session
from tests.support.building import (
    NOW,
    Simulation,
    by_meeting,
    config,
    labelled,
    samples,
    scripted,
    setup,
    simulate,
    value,
)
from tests.support.exporters import scrape


HOUR, DAY = 3600.0, 86_400.0
STATUS = "rk_recording_status"
EXPIRES_IN = "rk_recording_download_url_expires_in_seconds"


def running(count: int) -> list[Recording]:
    """Return recordings that never end, each in a meeting of its own, a second apart."""
    unending = {"paused": (), "stopped_at": None, "uploaded_at": None}
    return [
        scripted(f"m{number}", invoked_at=NOW - 5000 + number, **unending)
        for number in range(count)
    ]


def uploaded(count: int, *, within_days: float) -> list[Recording]:
    """Return recordings that ended in the last days, so that their URLs expire evenly."""
    pause = within_days * DAY / count
    return [
        Recording.scripted(
            "m",
            invoked_at=NOW - pause * number - 100,
            started_at=NOW - pause * number - 98,
            stopped_at=NOW - pause * number - 40,
            uploaded_at=NOW - pause * number - 20,
        )
        for number in range(count)
    ]


def test_all_in_progress() -> None:
    """All of 1,500 meetings that record have their series, whatever the limit is."""
    recordings = running(1500)
    configuration = config(
        meeting_ids=[recording.meeting_id for recording in recordings], api__read="list"
    )

    async def steps(simulation: Simulation) -> list[str]:
        return await simulation.scrapes(3)

    text = simulate(steps, *recordings, configuration=configuration)[-1]
    assert {1.0} == set(by_meeting(text, "rk_meeting_active_recordings").values())
    in_progress = [labels for labels, number in labelled(text, STATUS) if number]
    assert (1500, {"RECORDING"}) == (len(in_progress), {labels["status"] for labels in in_progress})
    assert 1500 == value(text, "rk_recordings", status="RECORDING")
    assert 0 == value(text, "rk_recordings_hidden")


def test_files_that_expire_next(caplog: pytest.LogCaptureFixture) -> None:
    """Of 1,200 files that expire within a week, the 1,000 that expire first are shown."""
    configuration = config(meeting_ids=["m"])

    async def steps(simulation: Simulation) -> list[str]:
        return await simulation.scrapes(20)

    texts = simulate(steps, *uploaded(1200, within_days=6.9), configuration=configuration)
    expires_in = sorted(samples(texts[-1], EXPIRES_IN).values())
    within_a_day = [seconds for seconds in expires_in if 0 < seconds <= DAY]
    assert 1000 == len(expires_in)
    assert 150 <= len(within_a_day) == value(texts[-1], "rk_recordings_expiring", within="24h")
    assert 1200 == value(texts[-1], "rk_recordings", status="UPLOADED")
    assert 200 == value(texts[-1], "rk_recordings_hidden")
    assert 0 == value(texts[-1], "rk_recordings_dropped_total")
    earliest = value(texts[-1], "rk_recordings_earliest_expiry_timestamp_seconds")
    assert earliest is not None
    assert expires_in[0] == pytest.approx(earliest - NOW - 19 * 15, abs=15)
    hidden = [record for record in caplog.records if "no series" in record.getMessage()]
    assert [logging.WARNING] == [record.levelno for record in hidden]


def test_failed_uploads_count_separately() -> None:
    """A recording that failed after UPLOADING has the outcome upload_failed."""
    failing: dict[str, Any] = {"paused": (), "uploaded_at": None}
    recordings = [
        scripted("early", stopped_at=None, errored_at=NOW + 50, **failing),
        scripted("late", stopped_at=NOW + 40, errored_at=NOW + 80, **failing),
    ]

    async def steps(simulation: Simulation) -> list[str]:
        return await simulation.scrapes(10)

    text = simulate(steps, *recordings, configuration=config(meeting_ids=["early", "late"]))[-1]
    finished = {
        labels["outcome"]: number
        for labels, number in labelled(text, "rk_recordings_finished_total")
    }
    assert {"uploaded": 0, "errored": 1, "upload_failed": 1, "vanished": 0} == finished
    assert 2 == value(text, "rk_recordings", status="ERRORED")


def test_recorded_totals() -> None:
    """The length and size of a recording count once, when it is UPLOADED."""

    async def steps(simulation: Simulation) -> list[str]:
        return await simulation.scrapes(12)

    texts = simulate(steps, scripted(invoked_at=NOW + 5), configuration=config())
    for name, field in (
        ("rk_recorded_seconds_total", "rk_recording_duration_seconds"),
        ("rk_recorded_bytes_total", "rk_recording_file_size_bytes"),
    ):
        counts = [value(text, name, kind="composite") for text in texts]
        expected = value(texts[-1], field)
        assert expected
        assert {0, expected} == set(counts)
        assert sorted(counts, key=float) == counts  # type: ignore[arg-type] # none of them is None


def test_expired() -> None:
    """An expired recording is shown for a day, with a negative time to the expiry."""
    (recording,) = uploaded(1, within_days=7)

    async def steps(simulation: Simulation) -> list[str]:
        texts = await simulation.scrapes(3)
        return [*texts, *await simulation.scrapes(8 * 24, HOUR)]

    texts = simulate(steps, recording, configuration=config(meeting_ids=["m"]))
    left = [value(text, EXPIRES_IN) for text in texts]
    shown = [seconds for seconds in left if seconds is not None]
    assert left[: len(shown)] == shown
    assert -DAY < shown[-1] < -DAY + 2 * HOUR
    assert any(0 < seconds < DAY for seconds in shown)
    assert 23 <= sum(seconds < 0 for seconds in shown) <= 25


def test_documented_sample() -> None:
    """A meeting that returns a recording whose URL expired years ago has series for it."""
    long_ago = NOW - 2000 * DAY
    sample = Recording.scripted(
        "meeting-1",
        invoked_at=long_ago,
        started_at=long_ago + 2,
        stopped_at=long_ago + 60,
        uploaded_at=long_ago + 90,
    )
    text = scrape(setup(sample))
    assert 1 == value(text, STATUS, status="UPLOADED")
    expires_in = value(text, EXPIRES_IN)
    assert expires_in is not None
    assert expires_in < -1000 * DAY
    assert 0 == value(text, "rk_meeting_active_recordings")
    assert 0 == value(text, "rk_recordings_expiring", within="72h")


def test_unknown_state(caplog: pytest.LogCaptureFixture) -> None:
    """A recording in an unknown state is in progress, and one warning has the state."""
    unending = {"paused": (), "stopped_at": None, "uploaded_at": None}
    meetings = [Meeting("odd", record_on_start=True)]
    configuration = config(meeting_ids=["odd"], meetings__discover="true")

    async def steps(simulation: Simulation) -> list[str]:
        simulation.simulator.inject("odd", Fault.UNKNOWN_STATUS)
        return await simulation.scrapes(6)

    texts = simulate(
        steps,
        scripted("odd", **unending),
        meetings=meetings,
        sessions=[Session("live", "odd", NOW - 60, live_participants=2)],
        configuration=configuration,
    )
    assert 1 == value(texts[-1], "rk_meeting_active_recordings")
    assert 1 == value(texts[-1], "rk_recordings", status="UNKNOWN")
    warnings = [record for record in caplog.records if "unknown state" in record.getMessage()]
    assert ["TRANSCODING"] == [vars(record)["status"] for record in warnings]
