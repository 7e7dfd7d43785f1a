"""When an exporter checks downloads, in virtual time against the simulator's files."""

import logging

from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rk_exporter.config.config import Config
from rk_exporter.downloads.fetch import FetchFailed
from rk_exporter.downloads.hosts import DownloadRules
from rk_exporter.downloads.verdict import Answer
from rk_exporter.model.download import CheckFailure
from rk_exporter.model.secret import Secret
from rk_exporter.simulator import CANARY, FileFault, Recording
from tests.support.building import (
    NOW,
    Simulation,
    config,
    in_process,
    labelled,
    simulate,
    value,
)


HOUR = 3600.0
VERIFIED = "rk_recording_download_verified"
CHECKED_AT = "rk_recording_download_last_check_timestamp_seconds"
FAILURES = "rk_download_check_failures_total"


class Files:
    """Requests files from the simulator itself, and keeps the times of the requests."""

    def __init__(self) -> None:
        self.simulation: Simulation | None = None
        self.requested_at: list[float] = []
        self.failure: CheckFailure | None = None
        """Why no request succeeds, if none does."""
        self.has_bug = False

    async def __call__(self, url: Secret, rules: DownloadRules) -> Answer:
        """Request a file."""
        assert self.simulation
        assert rules.hosts
        self.requested_at.append(self.simulation.now() - NOW)
        if self.has_bug:
            raise RuntimeError(url.reveal())
        if self.failure:
            raise FetchFailed(self.failure)
        parts = urlsplit(url.reveal())
        async with in_process(self.simulation.simulator)() as client:
            address = f"http://files{parts.path}?{parts.query}"
            answer = await client.get(address, headers={"Range": "bytes=0-511"})
        size = answer.headers.get("content-range", "/").rpartition("/")[2]
        return Answer(answer.status_code, int(size) if size else None, answer.content)


def uploaded(number: int = 0, **details: Any) -> Recording:
    """Return a recording that stopped a minute before NOW, and expires a week after that."""
    moments = {"invoked_at": NOW - 120 - number, "started_at": NOW - 118 - number}
    ends = {"stopped_at": NOW - 60 - number, "uploaded_at": NOW - 50 - number}
    return Recording.scripted("meeting-1", **{**moments, **ends, "id": f"r-{number}", **details})


def verifying(**changes: str | list[str]) -> Config:
    return config(**{"downloads__verify": "true", **changes})


def checked(
    steps: Callable[[Simulation, Files], Awaitable[None]],
    *recordings: Recording,
    configuration: Config | None = None,
    **options: Any,
) -> Files:
    """Run *steps* with an exporter that verifies downloads, and return the requests."""
    files = Files()

    async def run(simulation: Simulation) -> None:
        files.simulation = simulation
        await steps(simulation, files)

    simulate(
        run,
        *recordings,
        meetings=["meeting-1"],
        configuration=configuration or verifying(),
        fetch=files,
        files_url="https://files.test",
        **options,
    )
    return files


async def shown(simulation: Simulation, after: float = 15.0) -> str:
    """Return the exposition after a scrape, and the checks that follow from it."""
    await simulation.scrape(after)
    return await simulation.scrape(60)


@pytest.mark.parametrize("read", ["active-recording", "list"])
def test_end_of_a_recording(read: str) -> None:
    """A recording is checked after the scrape that shows it UPLOADED, and then not again."""
    running = uploaded(stopped_at=NOW + 100, uploaded_at=NOW + 130)

    async def steps(simulation: Simulation, files: Files) -> None:
        await simulation.last_scrape(9)  # up to 120 s
        assert [] == files.requested_at
        await simulation.last_scrape(20)
        assert 1 == len(files.requested_at)
        assert 130 <= files.requested_at[0] <= 165
        text = await simulation.scrape()
        assert 1 == value(text, VERIFIED, recording_id="r-0", kind="composite")
        assert NOW + files.requested_at[0] == pytest.approx(value(text, CHECKED_AT), abs=1)

    checked(steps, running, configuration=verifying(api__read=read))


def test_a_week() -> None:
    """A file is checked each day, and a day and an hour before its URL expires."""

    async def steps(simulation: Simulation, files: Files) -> None:
        calls = simulation.simulator.requests
        for _ in range(7 * 24 * 4):
            text = await simulation.scrape(900)
        hours = [at / HOUR for at in files.requested_at]
        assert hours == pytest.approx([0, 23.5, 47, 70.5, 94, 117.5, 141, 144, 167], abs=0.6)
        assert 1 == value(text, VERIFIED)
        # One for the reason of its end, one a day before the expiry, and one for the last check.
        assert calls.by_endpoint["recording"] <= 3
        # Until its URL has expired.
        text = await simulation.scrape(HOUR)
        assert value(text, VERIFIED) is None
        assert value(text, "rk_recording_download_url_expires_in_seconds") is not None

    checked(steps, uploaded())


def test_failures_are_repeated(caplog: pytest.LogCaptureFixture) -> None:
    """A failed check is repeated soon, then rarely; the log tells of changes, without the URL."""
    caplog.set_level(logging.INFO, logger="rk_exporter")

    async def steps(simulation: Simulation, files: Files) -> None:
        simulation.simulator.settings = replace(
            simulation.simulator.settings, file_fault=FileFault.GONE
        )
        for _ in range(2 * 60):
            text = await simulation.scrape(60)
        assert 0 == value(text, VERIFIED)
        minutes = [at / 60 for at in files.requested_at]
        assert 5 == len(minutes)
        assert minutes == pytest.approx([0, 5, 13, 29, 61], abs=3)
        assert 5 == value(text, FAILURES, reason="gone")
        assert 1 == value(text, "rk_recording_download_failure_info", reason="gone")
        simulation.simulator.settings = replace(
            simulation.simulator.settings, file_fault=FileFault.NONE
        )
        for _ in range(30):
            text = await simulation.scrape(60)
        assert 1 == value(text, VERIFIED)
        assert [] == labelled(text, "rk_recording_download_failure_info")

    checked(steps, uploaded())
    about_files = [r for r in caplog.records if "file" in r.message and "download" in r.message]
    assert [
        ("WARNING", "recording's file cannot be downloaded"),
        ("INFO", "recording's file can be downloaded again"),
    ] == [(record.levelname, record.message) for record in about_files]
    assert "gone" == about_files[0].__dict__["reason"]
    assert CANARY not in str([record.__dict__ for record in caplog.records])


@pytest.mark.parametrize("reason", CheckFailure)
def test_every_reason(reason: CheckFailure) -> None:
    """Each reason has its counter from the start, its own series, and advice in the log."""

    async def steps(simulation: Simulation, files: Files) -> None:
        files.failure = reason
        first = await simulation.scrape()
        zeros = {labels["reason"] for labels, number in labelled(first, FAILURES) if number == 0}
        assert set(CheckFailure) == zeros
        text = await shown(simulation)
        assert 1 == value(text, FAILURES, reason=reason.value)
        assert 1 == value(text, "rk_recording_download_failure_info", reason=reason.value)
        assert 0 == value(text, VERIFIED)

    checked(steps, uploaded())


def test_size() -> None:
    """A file that is shorter than the API says is a failure, which shows both sizes."""

    async def steps(simulation: Simulation, _: Files) -> None:
        text = await shown(simulation)
        assert 0 == value(text, VERIFIED)
        assert 1 == value(text, "rk_recording_download_failure_info", reason="size_mismatch")
        assert 10_106_268 == value(text, "rk_recording_download_size_bytes")
        assert 20_212_537 == value(text, "rk_recording_file_size_bytes")

    checked(steps, uploaded(), file_fault=FileFault.WRONG_SIZE)


def test_kinds() -> None:
    """The recording and its sound are checked, and the tracks of participants together."""

    async def steps(simulation: Simulation, files: Files) -> None:
        text = await shown(simulation)
        kinds = {(labels["recording_id"], labels["kind"]) for labels, _ in labelled(text, VERIFIED)}
        assert {("r-0", "composite"), ("r-0", "audio"), ("r-1", "track")} == kinds
        assert 2 + 4 == len(files.requested_at)
        assert 3 == value(text, "rk_download_checks_total")

    checked(steps, uploaded(audio=True), uploaded(1, track=True), track_files=4)


@pytest.mark.parametrize(
    "recording",
    [
        uploaded(bucket_enabled=False),
        uploaded(stopped_at=None, uploaded_at=None),
        uploaded(uploaded_at=None),
        uploaded(uploaded_at=None, stopped_at=None, errored_at=NOW - 60),
        Recording.scripted(
            "meeting-1",
            invoked_at=NOW - 7 * 24 * HOUR - 100,
            started_at=NOW - 7 * 24 * HOUR - 90,
            stopped_at=NOW - 7 * 24 * HOUR - 60,
            uploaded_at=NOW - 7 * 24 * HOUR - 30,
        ),
    ],
    ids=["no bucket", "recording", "uploading", "errored", "expired"],
)
def test_nothing_to_check(recording: Recording) -> None:
    """A recording without a file that could be downloaded is not checked."""

    async def steps(simulation: Simulation, files: Files) -> None:
        text = "".join(await simulation.scrapes(20))
        assert [] == files.requested_at
        assert f"{VERIFIED}{{" not in text

    checked(steps, recording)


def test_meetings_of_others() -> None:
    """Recordings that have no series are not checked: their meeting is not in the list."""
    other = replace(uploaded(1), meeting_id="meeting-2")

    async def steps(simulation: Simulation, files: Files) -> None:
        await simulation.last_scrape(5)
        assert 1 == len(files.requested_at)

    checked(steps, uploaded(), other)


def test_many_recordings() -> None:
    """A thousand recordings are checked at five requests a second, from one reading of the list."""
    recordings = [uploaded(number) for number in range(1000)]

    async def steps(simulation: Simulation, files: Files) -> None:
        await simulation.last_scrape(20)
        assert 1000 == len(files.requested_at)
        assert 199 <= max(files.requested_at) - min(files.requested_at) <= 201
        calls = simulation.simulator.requests.by_endpoint
        assert 0 == calls["recording"]

    checked(steps, *recordings, configuration=verifying(follow__max_recordings="1000"))


def test_switched_on_with_a_state_file(tmp_path: Path) -> None:
    """If many files have to be checked, the whole list is read, not each recording by its id."""
    recordings = [uploaded(number) for number in range(150)]
    state = {"state__file": str(tmp_path / "state")}

    async def steps(simulation: Simulation, files: Files) -> None:
        await simulation.last_scrape(20)
        assert [] == files.requested_at
        await simulation.restart(verifying(**state))
        before = simulation.simulator.requests.by_endpoint["recording"]
        await simulation.last_scrape(20)
        assert 150 == len(files.requested_at)
        assert 40 > simulation.simulator.requests.by_endpoint["recording"] - before

    checked(steps, *recordings, configuration=config(**state))


def test_restart(tmp_path: Path) -> None:
    """The last checks survive a restart, and the state file has no URL."""
    path = tmp_path / "state"

    async def steps(simulation: Simulation, files: Files) -> None:
        before = await shown(simulation)
        await simulation.restart()
        after = await simulation.scrape()
        assert labelled(before, CHECKED_AT) == labelled(after, CHECKED_AT)
        await simulation.last_scrape(10)
        assert 1 == len(files.requested_at)

    checked(steps, uploaded(), configuration=verifying(state__file=str(path)))
    assert CANARY not in path.read_text()
    assert "https" not in path.read_text()


def test_reload() -> None:
    """A reload switches the checks off with their series, and on again."""

    async def steps(simulation: Simulation, files: Files) -> None:
        assert VERIFIED in await shown(simulation)
        await simulation.reload(config())
        text = await simulation.scrape()
        assert "rk_recording_download_verified" not in text
        assert "rk_download_check" not in text
        await simulation.last_scrape(5)
        assert 1 == len(files.requested_at)
        await simulation.reload(verifying())
        assert VERIFIED in await shown(simulation, after=120)
        assert 2 == len(files.requested_at)

    checked(steps, uploaded())


def test_counters_that_begin_again() -> None:
    """Under a name that another app had, the counts begin at 0, and no file is checked again."""

    async def steps(simulation: Simulation, files: Files) -> None:
        assert 1 == value(await shown(simulation), "rk_download_checks_total")
        (parts,) = simulation.exporter.parts.values()
        assert parts.verifier is not None
        parts.verifier.restart_counters()
        text = await simulation.scrape()
        assert 0 == value(text, "rk_download_checks_total")
        assert VERIFIED in text
        assert 1 == len(files.requested_at)

    checked(steps, uploaded())


def test_off() -> None:
    """Without the option no URL is read, no request is made, and no metric exists."""

    async def steps(simulation: Simulation, files: Files) -> None:
        text = "".join(await simulation.scrapes(5))
        assert [] == files.requested_at
        assert "rk_recording_download_verified" not in text
        assert "rk_recording_download_size" not in text
        assert "rk_download_check" not in text
        assert all(parts.client.files is None for parts in simulation.exporter.parts.values())

    checked(steps, uploaded(), configuration=config())


def test_labels() -> None:
    """The series of a check have the same ids as those of its recording."""

    async def steps(simulation: Simulation, _files: Files) -> None:
        text = await shown(simulation)
        ((check, _),) = labelled(text, VERIFIED)
        ((size, _),) = labelled(text, "rk_recording_file_size_bytes")
        assert check == {**size, "kind": "composite"}

    checked(steps, uploaded())


def test_url_that_cannot_be_found() -> None:
    """Something else in the URL's place is a failure, which is not repeated all the time."""

    async def steps(simulation: Simulation, files: Files) -> None:
        text = await simulation.last_scrape(40)
        assert 0 == value(text, VERIFIED, kind="track")
        assert 2 == value(text, FAILURES, reason="refused_host")
        assert [] == files.requested_at

    checked(steps, uploaded(track=True), track_urls_elsewhere=True)


def test_bug(caplog: pytest.LogCaptureFixture) -> None:
    """Each bug in a check counts for its app, and is logged once; a later check may succeed."""

    async def steps(simulation: Simulation, files: Files) -> None:
        files.has_bug = True
        text = (await simulation.scrapes(10))[-1]
        errors = value(text, "rk_exporter_internal_errors_total")
        assert errors == len(files.requested_at) > 1
        assert not labelled(text, VERIFIED)
        files.has_bug = False
        text = (await simulation.scrapes(10))[-1]
        assert 1 == value(text, VERIFIED)
        assert errors == value(text, "rk_exporter_internal_errors_total")

    with caplog.at_level(logging.ERROR):
        checked(steps, uploaded())
    (record,) = caplog.records
    assert "RuntimeError" in record.__dict__["traceback"]
    assert CANARY not in str(record.__dict__)
