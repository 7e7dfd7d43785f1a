import logging
import os
import time

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from rk_exporter.collector.meeting_list import MeetingList, combine
from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.model.meeting import FileState, Meeting
from rk_exporter.simulator import Fault
from tests.support.building import (
    NOW,
    by_meeting,
    config,
    labelled,
    run,
    samples,
    scripted,
    setup,
    value,
)


READ = "rk_meetings_file_last_read_successful"
READ_AT = "rk_meetings_file_last_read_success_timestamp_seconds"


def named(*ids: str) -> tuple[Meeting, ...]:
    """Return meetings whose names are their ids."""
    return tuple(Meeting(name, name) for name in ids)


def settled(path: Path) -> Path:
    """Let a file seem to be written a minute ago."""
    moment = time.time() - 60
    os.utime(path, (moment, moment))
    return path


def write(path: Path, *lines: str) -> Path:
    """Write a file in place."""
    path.write_text("\n".join(lines))
    return settled(path)


def replace(path: Path, *ids: str) -> None:
    """Replace a file by another one."""
    write(path.with_suffix(".new"), *ids).replace(path)


class TestCombine:
    def test_each_once(self) -> None:
        """Each meeting comes once, in the order of its first mention."""
        assert combine(named("b", "a", "b", "c", "a")) == named("b", "a", "c")

    def test_names(self) -> None:
        """The first name that is not the id counts."""
        given = [Meeting("a", "a"), Meeting("a", "daily"), Meeting("a", "weekly"), *named("a")]
        assert combine(given) == (Meeting("a", "daily"),)
        assert combine(reversed(given)) == (Meeting("a", "weekly"),)

    def test_spellings_of_one_id(self) -> None:
        """A UUID is one meeting in capitals and in lower case: its first spelling counts."""
        upper, lower = (
            "497F6ECA-6276-4993-BFEB-53CBBBBA6F08",
            "497f6eca-6276-4993-bfeb-53cbbbba6f08",
        )
        assert combine(named(upper, lower)) == named(upper)
        assert combine([*named(upper), Meeting(lower, "daily")]) == (Meeting(upper, "daily"),)
        assert combine(named("Room", "room")) == named("Room", "room")

    def test_name_of_another(self) -> None:
        """A meeting may have another meeting's id as its name."""
        given = (Meeting("a", "b"), Meeting("b", "a"))
        assert combine([*given, *named("b", "a")]) == given

    def test_none(self) -> None:
        """Without meetings, the list is empty."""
        assert combine([]) == ()


class TestMeetingList:
    def file(self, path: Path, *ids: str) -> MeetingFile:
        return MeetingFile(
            write(path, *ids),
            option="meetings.files[0]",
            clock=lambda: 7.0,
            max_wait_seconds=60,
        )

    def test_fixed(self) -> None:
        """Without files, the list has each configured meeting once."""
        meeting_list = MeetingList(named("a", "b", "a"))
        run(meeting_list.refresh())
        assert (meeting_list.meetings, meeting_list.files) == (named("a", "b"), ())

    def test_files(self, tmp_path: Path) -> None:
        """Configured meetings come first, then file by file; a refresh shows changes."""
        files = [self.file(tmp_path / "one", "a", "b"), self.file(tmp_path / "two", "c", "b")]
        meeting_list = MeetingList(named("c"), files)
        assert meeting_list.meetings == named("c", "a", "b")
        write(tmp_path / "one", "- {id: b, name: weekly}\n- d\n")
        assert meeting_list.meetings == named("c", "a", "b")
        run(meeting_list.refresh())
        assert meeting_list.meetings == (*named("c"), Meeting("b", "weekly"), *named("d"))

    def test_nothing_new(self, tmp_path: Path) -> None:
        """While no file changes, the list is the same object."""
        meeting_list = MeetingList((), [self.file(tmp_path / "one", "a")])
        before = meeting_list.meetings
        run(meeting_list.refresh())
        assert meeting_list.meetings is before

    def test_states(self, tmp_path: Path) -> None:
        """The list has the state of each file."""
        files = [self.file(tmp_path / "one", "a"), self.file(tmp_path / "two", "b")]
        meeting_list = MeetingList((), files)
        (tmp_path / "two").unlink()
        run(meeting_list.refresh())
        assert meeting_list.meetings == named("a", "b")
        assert meeting_list.files == (
            FileState(str(tmp_path / "one"), is_read=True, last_success_timestamp_seconds=7.0),
            FileState(
                str(tmp_path / "two"),
                is_read=False,
                last_success_timestamp_seconds=7.0,
                problem=f"{tmp_path / 'two'}: cannot be read (No such file or directory); "
                "create it, or correct the path",
            ),
        )


class Watched:
    """An exporter that reads files with meetings; every meeting has a recording."""

    def __init__(self, *paths: Path, ids: Iterable[str] = (), **changes: str) -> None:
        files = [str(path) for path in paths]
        configuration = config(meeting_ids=list(ids), meetings__files=files, **changes)
        self.setup = setup(*map(scripted, "abcdef"), configuration=configuration)

    def scrape(self) -> str:
        """Return the exposition ten seconds after the last one."""
        self.setup.time.now += 10

        async def get() -> str:
            return (await self.setup.get()).text

        return run(get())

    def meetings(self) -> str:
        """Return the ids of the meetings in the next scrape; each must show a recording."""
        text = self.scrape()
        ids = list(by_meeting(text, "rk_meeting_up"))
        assert set(by_meeting(text, "rk_meeting_info")) == set(ids)
        assert by_meeting(text, "rk_meeting_active_recordings") == dict.fromkeys(ids, 1.0)
        assert {labels["meeting_id"] for labels, _ in labelled(text, "rk_recording_status")} == set(
            ids
        )
        assert value(text, "rk_meetings") == len(ids)
        return "".join(ids)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return a file with three meetings."""
    return write(tmp_path / "meetings.txt", *"abc")


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> Callable[[], list[tuple[str, str]]]:
    """Return a function that returns the log of meetings files."""
    caplog.set_level(logging.INFO, logger="rk_exporter")

    def records() -> list[tuple[str, str]]:
        ours = [
            record for record in caplog.records if record.name == "rk_exporter.config.meeting_file"
        ]
        return [(record.levelname, record.getMessage()) for record in ours]

    return records


@pytest.mark.parametrize("read", ["active-recording", "list"])
@pytest.mark.parametrize("change", [replace, write])
def test_changes(path: Path, change: Callable[..., object], read: str) -> None:
    """However a file is changed, meetings come and go without a restart."""
    watched = Watched(path, api__read=read)
    assert watched.meetings() == "abc"
    for ids in ("abcd", "bd", "fb"):
        change(path, *ids)
        assert watched.meetings() == ids
    assert not [line for line in watched.scrape().splitlines() if 'meeting_id="a"' in line]


def test_no_calls_for_removed_meetings(path: Path) -> None:
    """A meeting that was removed from the list is not read."""
    watched = Watched(path)
    watched.scrape()
    write(path, *"ac")
    watched.scrape()
    watched.scrape()
    assert watched.setup.simulator.requests.by_meeting == {"a": 3, "b": 1, "c": 3}


def test_change_within_the_interval(path: Path) -> None:
    """A new meeting is read immediately, even while the other readings are fresh."""
    watched = Watched(path, scrape__min_interval="1h", scrape__stale_after="2h")
    watched.scrape()
    write(path, *"acd")
    text = watched.scrape()
    assert list(by_meeting(text, "rk_meeting_active_recordings")) == ["a", "c", "d"]
    assert watched.setup.simulator.requests.by_meeting == dict.fromkeys("abcd", 1)
    assert value(text, "rk_meetings_deferred") == 0


def test_meeting_that_comes_back(path: Path) -> None:
    """Old readings of a meeting that was removed and comes back are not shown."""
    watched = Watched(path)
    watched.scrape()
    write(path, *"bc")
    watched.scrape()
    write(path, *"abc")
    watched.setup.simulator.inject("*", Fault.SERVER_ERROR)
    text = watched.scrape()
    assert by_meeting(text, "rk_meeting_up") == {"a": 0, "b": 0, "c": 0}
    assert by_meeting(text, "rk_meeting_active_recordings") == {"b": 1, "c": 1}


@pytest.mark.parametrize(
    ("at", "keep_removed", "is_shown"),
    [(200, "true", True), (200, "false", False), (10, "true", False)],
)
def test_recordings_of_removed_meetings(
    path: Path, at: float, keep_removed: str, *, is_shown: bool
) -> None:
    """They leave with the meeting, except finished ones with follow.keep_removed."""
    watched = Watched(path, follow__keep_removed=keep_removed)
    watched.setup.time.now = NOW + at
    watched.scrape()
    write(path, *"bc")
    text = watched.scrape()
    assert list(by_meeting(text, "rk_meeting_up")) == ["b", "c"]
    for name in ("rk_meeting_info", "rk_recording_last_success_timestamp_seconds"):
        assert ("a" in by_meeting(text, name)) == is_shown


def test_names(path: Path) -> None:
    """A name may come, change and go; the meeting stays the same."""
    watched = Watched(path, ids=["a"])
    for content, name in (("[{id: a, name: x}]", "x"), ("[{id: a, name: y}]", "y"), ("[a]", "a")):
        write(path, content)
        text = watched.scrape()
        assert [labels["meeting_name"] for labels, _ in labelled(text, "rk_meeting_info")] == [name]


def test_several_files(path: Path, tmp_path: Path) -> None:
    """A meeting stays while any source lists it; a bad file does not affect other files."""
    other = write(tmp_path / "other", *"cd")
    watched = Watched(path, other, ids=["e"])
    assert watched.meetings() == "eabcd"
    write(path, "a")
    assert watched.meetings() == "eacd"
    write(other, "")
    write(path, *"bf")
    assert watched.meetings() == "ebfcd"
    states = labelled(watched.scrape(), READ)
    assert {labels["file"]: number for labels, number in states} == {str(path): 1, str(other): 0}


def test_no_meetings(path: Path, log: Callable[[], list[tuple[str, str]]]) -> None:
    """An explicitly empty list is valid."""
    watched = Watched(path)
    assert watched.meetings() == "abc"
    write(path, "[]")
    assert watched.meetings() == ""
    assert value(watched.scrape(), READ) == 1
    warning = ("WARNING", "meetings file has lost more than half of its meetings")
    assert log() == [("INFO", "meetings file has changed"), warning]


def test_file_that_is_being_written(path: Path) -> None:
    """A file that was written just now is read at a later scrape."""
    watched = Watched(path)
    path.write_text("a\nb")
    assert watched.meetings() == "abc"
    path.write_text("a\nb\nd\ne")
    assert watched.meetings() == "abc"
    settled(path)
    assert watched.meetings() == "abde"


SPOILED = {
    "emptied": (lambda path: write(path, ""), "is empty; list meetings in it"),
    "commented out": (lambda path: write(path, "# a\n# b\n"), "is empty; list meetings in it"),
    "deleted": (Path.unlink, "cannot be read (No such file or directory)"),
    "half an entry": (lambda path: write(path, "- a\n- {id: b"), "not YAML"),
    "no id": (lambda path: write(path, "a\nb c\n"), "'b c' is not a valid id"),
}


@pytest.mark.parametrize(("spoil", "problem"), SPOILED.values(), ids=SPOILED)
def test_bad_file(
    path: Path,
    spoil: Callable[[Path], object],
    problem: str,
    log: Callable[[], list[tuple[str, str]]],
) -> None:
    """A bad file leaves the last good list in use; a metric and one log line show it."""
    watched = Watched(path)
    begun = time.time()
    good = watched.scrape()
    assert value(good, READ, file=str(path)) == 1
    read_at = value(good, READ_AT, file=str(path))
    assert read_at
    assert begun - 60 < read_at < time.time()

    spoil(path)
    for _ in range(3):
        assert watched.meetings() == "abc"
    bad = watched.scrape()
    assert (value(bad, READ), value(bad, READ_AT)) == (0, read_at)
    ((level, message),) = log()
    assert level == "WARNING"
    assert problem in message
    assert "the last good list stays in use: " in message

    write(path, *"abcd")
    assert watched.meetings() == "abcd"
    restored = watched.scrape()
    assert value(restored, READ) == 1
    assert (value(restored, READ_AT) or 0) > read_at
    again = ("INFO", "meetings file can be used again")
    assert log()[1:] == [again, ("INFO", "meetings file has changed")]


def test_same_list_restored(path: Path) -> None:
    """A file that comes back unchanged is read again, and no meeting has left."""
    watched = Watched(path)
    path.unlink()
    assert watched.meetings() == "abc"
    write(path, *"abc")
    assert watched.meetings() == "abc"
    assert value(watched.scrape(), READ) == 1


def test_without_files() -> None:
    """Without files, there are no metrics of files."""
    text = Watched(ids="ab").scrape()
    assert (samples(text, READ), samples(text, READ_AT)) == ({}, {})
