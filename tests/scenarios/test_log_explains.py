"""
The log alone says why a meeting or its recording is not shown, or has old values, and what to do.

Each row of the table in the troubleshooting guide is a story here, so the table cannot be wrong.
"""

import logging
import os
import re
import time

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rk_exporter.collector.pass_log import PassLog
from rk_exporter.config.config import Config
from rk_exporter.simulator import Fault, Recording, Session
from tests.support.building import (
    APP,
    NOW,
    Call,
    Simulation,
    config,
    scripted,
    simulate,
)
from tests.support.markdown import rows, text_of
from tools.docs.log_messages import messages


TABLE = rows(
    text_of("docs/how-to/troubleshooting.md"), "## What the log says about a missing meeting"
)
Change = Callable[[Simulation], object]
Story = Callable[[Path], None]


def story(
    *recordings: Recording,
    change: Change = lambda _: None,
    scrapes: int = 2,
    configuration: Config | None = None,
    **options: Any,
) -> None:
    """Scrape once, make a *change*, and scrape again."""

    async def steps(simulation: Simulation) -> None:
        await simulation.scrape()
        change(simulation)
        await simulation.last_scrape(scrapes)

    simulate(
        steps,
        *(recordings or (running("m"),)),
        configuration=configuration or config(meeting_ids=["m"]),
        **options,
    )


def running(meeting_id: str = "m") -> Recording:
    return scripted(meeting_id, paused=(), stopped_at=None, uploaded_at=None)


def with_fault(fault: Fault, **options: Any) -> Story:
    """Return the story of a meeting that can be read at first, and has a *fault* from then on."""
    return lambda _: story(
        change=lambda simulation: simulation.simulator.inject("m", fault), **options
    )


def raising(error: Callable[[], Exception], path: str = "recordings/active-recording/m") -> Change:
    """Return the change after which calls for a *path* end in an *error*."""

    def before(call: Call) -> None:
        if call.path == path:
            raise error()

    def change(simulation: Simulation) -> None:
        simulation.proxy.before = before

    return change


def no_network() -> Exception:
    return httpx.ConnectError("unreachable")


def hide(path: str) -> Change:
    """Return the change after which the API has nothing at a *path*."""

    def change(simulation: Simulation) -> None:
        simulation.proxy.hidden = frozenset({path})

    return change


def many(*, budget: str = "100000") -> Config:
    return config(meeting_ids=["m", *(f"m-{number}" for number in range(99))], api__budget=budget)


def slow_calls(_folder: Path) -> None:
    def hang(simulation: Simulation) -> None:
        simulation.simulator.inject("*", Fault.HANG)

    story(change=hang, configuration=config(meeting_ids=[*"abcdm"]), workers_per_app=1)


def listed(path: Path, *lines: str) -> None:
    """Write a meetings file that seems to be a minute old."""
    path.write_text("".join(f"{line}\n" for line in lines))
    moment = time.time() - 60
    os.utime(path, (moment, moment))


def rewritten(*lines: str) -> Story:
    """Return the story of a meetings file with a meeting `m`, which then has these *lines*."""

    def run(folder: Path) -> None:
        path = folder / "meetings.txt"
        listed(path, "m", "other")
        story(
            change=lambda _: listed(path, *lines),
            configuration=config(meeting_ids=[], meetings__files=[str(path)]),
        )

    return run


def listed_twice(folder: Path) -> None:
    path = folder / "meetings.txt"
    listed(path, "m", "n")
    story(configuration=config(meeting_ids=["m"], meetings__files=[str(path)]))


def ended(number: int) -> Recording:
    begun = NOW - 1000 * (number + 1)
    return scripted(
        "m",
        invoked_at=begun,
        started_at=begun + 2,
        paused=(),
        stopped_at=begun + 50,
        uploaded_at=begun + 60,
    )


def too_many(_folder: Path) -> None:
    few = config(meeting_ids=["m"], follow__max_recordings="1")
    story(*map(ended, range(3)), configuration=few, linger_seconds=0)


def unreadable_recording(_folder: Path) -> None:
    # It ends between two scrapes, so it is read by its id.
    recording = scripted("m", paused=(), stopped_at=NOW + 10, uploaded_at=NOW + 12)
    story(
        recording,
        change=raising(no_network, f"recordings/{recording.id}"),
        linger_seconds=0,
    )


def vanished(_folder: Path) -> None:
    story(scripted("m", paused=(), vanishes_at=NOW + 10), scrapes=8, linger_seconds=0)


def bug() -> Exception:
    return RuntimeError("bug")


STORIES: dict[str, Story] = {
    "The API rejects the id": with_fault(Fault.BAD_REQUEST),
    "The account id or the app id is wrong": lambda _: story(
        change=lambda simulation: simulation.simulator.inject("*", Fault.GATEWAY_NOT_FOUND)
    ),
    "The token is refused": lambda _: story(
        change=lambda simulation: simulation.simulator.inject("*", Fault.UNAUTHORIZED)
    ),
    "A firewall or proxy refuses the calls": lambda _: story(blocked_app=APP),
    "The rate limit is reached": lambda _: story(
        change=lambda simulation: simulation.simulator.inject("*", Fault.RATE_LIMITED)
    ),
    "API calls are suspended": lambda _: story(
        change=lambda simulation: simulation.simulator.inject("*", Fault.RATE_LIMITED)
    ),
    "The API cannot be reached": lambda _: story(change=raising(no_network)),
    "The API does not answer in time": with_fault(Fault.HANG),
    "The API has a problem": with_fault(Fault.SERVER_ERROR),
    "The answer is not the API's JSON": with_fault(Fault.NOT_JSON),
    "The budget is too small": lambda _: story(configuration=many(budget="30")),
    "The time is too short": slow_calls,
    "The last values are too old": with_fault(
        Fault.SERVER_ERROR,
        scrapes=8,
        configuration=config(meeting_ids=["m"], scrape__stale_after="1m"),
    ),
    "The id is mistyped, of another app, or nobody records": lambda _: story(
        running("other"), meetings=["m", "other"]
    ),
    "The meeting was removed from all lists": rewritten("other"),
    "The meeting is in several lists": listed_twice,
    "A meetings file cannot be read": rewritten("[m"),
    "A meetings file has an invalid id": rewritten("m", "no/id"),
    "Too many finished recordings": too_many,
    "Live meetings cannot be found": lambda _: story(
        change=raising(no_network, "sessions"),
        scrapes=3,
        configuration=config(meeting_ids=["m"], meetings__discover="true"),
    ),
    "The budget is too small to find live meetings in time": lambda _: story(
        sessions=[Session(f"s-{number}", f"m-{number}", NOW) for number in range(900)],
        scrapes=24,
        configuration=config(meeting_ids=["m"], meetings__discover="true", api__budget="10"),
    ),
    "The list of recordings cannot be read": lambda _: story(
        change=hide("recordings"), scrapes=120
    ),
    "A recording cannot be read": unreadable_recording,
    "The recording no longer exists": vanished,
    "A field of the answer is malformed": with_fault(Fault.GARBAGE_FIELDS),
    "A recording is in an unknown state": with_fault(Fault.UNKNOWN_STATUS),
    "The exporter has a bug": lambda _: story(change=raising(bug)),
}
# These are not about one meeting, so they name the app, the field or the file.
SUBJECTS = {
    "The budget is too small": "m-5",
    "The time is too short": "a",
    "API calls are suspended": APP,
    "A meetings file cannot be read": "meetings.txt",
    "A meetings file has an invalid id": "meetings.txt",
    "Too many finished recordings": APP,
    "Live meetings cannot be found": APP,
    "The budget is too small to find live meetings in time": APP,
    "The list of recordings cannot be read": APP,
    "A field of the answer is malformed": "file_size",
    "A recording is in an unknown state": "TRANSCODING",
    "The exporter has a bug": APP,
}


def test_each_cause_has_a_story() -> None:
    """The table has the causes that are tested here, and no others."""
    assert [row[0] for row in TABLE] == [*STORIES]


def test_messages_are_in_the_reference() -> None:
    """Each message of the table is one of the program's, as the reference has it."""
    texts = [found.text for found in messages()]
    for _, cell, advice in TABLE:
        message = cell.strip("`").partition("…")[0].strip()
        assert any(text.startswith(message) for text in texts), message
        assert advice


@pytest.mark.parametrize("row", TABLE, ids=lambda row: row[0])
def test_the_log_explains(row: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The log has the message once, with the meeting or what else is concerned, and the remedy."""
    caplog.set_level(logging.INFO, logger="rk_exporter")
    cause, message, _ = row
    STORIES[cause](tmp_path)
    text, _, reason = message.partition("` `reason=")
    beginning, _, end = text.strip("`").partition("…")
    matching = [
        record
        for record in caplog.records
        if record.getMessage().startswith(beginning)
        and record.getMessage().endswith(end)
        and (not reason or vars(record)["reason"] == reason.strip("`"))
        and SUBJECTS.get(cause, "m") in names_in(record)
    ]
    assert len(matching) == 1, "\n".join(map(text_of_record, caplog.records))
    assert "remedy" in vars(matching[0]) or documented_remedy(matching[0])


def names_in(record: logging.LogRecord) -> Iterator[str]:
    """Return the ids, and what else is named, in the fields of a line."""
    for key, value in vars(record).items():
        if key in {"app", "meeting_id", "meeting_ids", "field", "status"}:
            yield from re.split(r", | and ", str(value))
        elif key == "path":
            yield Path(value).name


def text_of_record(record: logging.LogRecord) -> str:
    return f"{record.levelname} {record.getMessage()} {vars(record).get('reason')}"


def documented_remedy(record: logging.LogRecord) -> bool:
    """Return whether the reference says what to do about a message that does not say it itself."""
    beginning = record.getMessage()[:30]
    reference = text_of("docs/reference/log-messages.md")
    (line,) = (line for line in reference.splitlines() if f"`{beginning}" in line)
    return bool(line.strip(" |").rpartition("|")[2].strip())


def test_recovery(caplog: pytest.LogCaptureFixture) -> None:
    """When a meeting works again, the log says so."""
    caplog.set_level(logging.INFO, logger="rk_exporter")

    async def steps(simulation: Simulation) -> None:
        await simulation.scrape()
        simulation.simulator.inject("m", Fault.SERVER_ERROR)
        await simulation.last_scrape(3)
        simulation.simulator.clear()
        await simulation.last_scrape(3)

    simulate(steps, running("m"), configuration=config(meeting_ids=["m"]))
    said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
    assert ["meetings cannot be read: the API answered 500", "all meetings can be read again"] == [
        message for message in said if "read" in message
    ]


@pytest.mark.parametrize(("mode", "count"), [("list", 5000), ("active-recording", 500)])
def test_many_failing_meetings(mode: str, count: int, caplog: pytest.LogCaptureFixture) -> None:
    """With thousands of failing meetings, the log has a few lines, and counts the meetings."""
    caplog.set_level(logging.INFO, logger="rk_exporter")
    ids = [f"m-{number}" for number in range(count)]

    async def steps(simulation: Simulation) -> list[int]:
        counts = []
        for fault in (Fault.SERVER_ERROR, Fault.SERVER_ERROR, Fault.NOT_JSON):
            simulation.simulator.inject("*", fault)
            before = len(caplog.records)
            await simulation.scrape(timeout_seconds=60)
            counts.append(len(ours(caplog.records[before:])))
        return counts

    options = config(meeting_ids=ids, api__read=mode)
    counts = simulate(steps, meetings=ids[:1], configuration=options)
    assert [True] * 3 == [lines <= 5 for lines in counts], counts
    first = vars(ours(caplog.records)[0])
    assert (count, count) == (first["meetings"], first["failed"])
    assert first["meeting_ids"].endswith(f" and {count - 10:,} more")


def ours(records: Iterable[logging.LogRecord]) -> list[logging.LogRecord]:
    """Return the records about passes."""
    return [record for record in records if record.name == PassLog.__module__]
