import asyncio
import json
import logging
import os
import re
import threading

from collections.abc import Callable, Sequence
from pathlib import Path, PosixPath
from typing import Any

import pytest
import yaml

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.config.meeting_file import MeetingFile, parse_meeting_file
from rk_exporter.model.meeting import Meeting
from rk_exporter.runtime.background_call import late_calls
from rk_exporter.runtime.files import FileError
from tests.support.building import NOW, Time, run


IDS = st.text("abcXYZ0189-_", min_size=1, max_size=128)
NAMES = st.text(max_size=30).map(str.strip).filter(str.isprintable)


def parsed(text: str | bytes) -> tuple[Meeting, ...]:
    return parse_meeting_file(Path("list"), text.encode() if isinstance(text, str) else text)


def named(*ids: str) -> tuple[Meeting, ...]:
    """Return meetings without names of their own."""
    return tuple(Meeting(meeting_id, meeting_id) for meeting_id in ids)


def meetings(entries: Sequence[tuple[str, str]]) -> tuple[Meeting, ...]:
    """Return each meeting once, with its first name, computed in another way than in the code."""
    names = {meeting_id: name for meeting_id, name in reversed(entries) if name}
    return tuple(
        Meeting(meeting_id, names.get(meeting_id, meeting_id)) for meeting_id in dict(entries)
    )


class TestParsing:
    @pytest.mark.parametrize(
        "text",
        [
            "- a\n- {id: b, name: weekly review}\n- '0123'\n",
            "---\n# comment\n-\n  id: a\n-\n  id: b\n  name: weekly review\n- 0123\n",
            "%YAML 1.2\n---\n- a\n- {id: b, name: weekly review}\n- 0123\n...\n",
            "[a, {id: b, name: weekly review}, 0123]",
            '["a", {"id": "b", "name": "weekly review"}, "0123"]',
            '\n\t[\n\t\t"a",\n\t\t{"name":\t"weekly review", "id":\t"b"},\n\t\t"0123"\n\t]\n',
            '\ufeff["a", {"id": "b", "name": "weekly review"}, "0123"]',
            "\ufeff- a\n- {id: b, name: weekly review}\n- 0123\n",
            "# comment\r\n- a # tail\r\n- {id: b, name: weekly review}\r\n- 0123\r\n",
        ],
    )
    def test_lists_with_names(self, text: str) -> None:
        """YAML and JSON can contain the same list, in blocks or brackets, and JSON with tabs."""
        assert (Meeting("a", "a"), Meeting("b", "weekly review"), Meeting("0123", "0123")) == (
            parsed(text)
        )

    @pytest.mark.parametrize(
        "text",
        [
            "a\n-b\n0123\n",
            "\ufeff# comment\r\n\r\n  a\r\n-b\t# tail\r\n#\r\n0123#tail",
            "a\r-b\r0123",
            "---\n- a\n- -b\n- 0123",
            '["a", "-b", "0123"]',
            "['a', \"-b\", 0123]",
            "[\n  a, # comment\n  -b,\n  0123,\n]",
        ],
    )
    def test_lists_of_ids(self, text: str) -> None:
        """Ids are on lines of their own, or in a list; they are text, whatever they look like."""
        assert named("a", "-b", "0123") == parsed(text)

    def test_numbers(self) -> None:
        """A number in JSON is an id with the same characters."""
        assert named("123", "1e3", "7") == parsed('[123, 1e3, {"id": 7}]')

    @pytest.mark.parametrize("text", ["[]", "[ ]\n", "---\n[]\n", "# none yet\n[] # soon\n"])
    def test_empty_lists(self, text: str) -> None:
        """An empty list is valid."""
        assert () == parsed(text)

    def test_examples_in_the_documentation(self, root: Path) -> None:
        """The three examples in the documentation are the same list; lines have no names."""
        section = (
            (root / "docs/reference/configuration.md")
            .read_text()
            .split("## Meetings in files\n")[1]
        )
        examples = re.findall(r"```(?:yaml|json|text)\n(.*?)```", section, re.DOTALL)
        in_yaml, in_json, in_lines = (parsed(example) for example in examples[:3])
        assert in_yaml == in_json
        assert [meeting.meeting_id for meeting in in_yaml] == [
            meeting.meeting_id for meeting in in_lines
        ]
        assert "weekly review" == in_yaml[1].name

    def test_unicode_name(self) -> None:
        """JSON can contain escapes that YAML does not have."""
        text = json.dumps([{"id": "a", "name": "päd 🎥"}])
        assert "\\ud83c" in text
        assert (Meeting("a", "päd 🎥"),) == parsed(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "list: is empty; list meetings in it, or write [] if there are none"),
            ("\ufeff", "list: is empty"),
            (" \n\t\r\n", "list: is empty"),
            ("# a\n  # b\n", "list: is empty"),
            ("---\n# a\n", "list: is empty"),
            ("null\n", "list: is empty"),
            ("a\n\n../b # x\n", "list:3: '../b' is not a valid id: use 1 to 128 letters"),
            ("a, b\n", "list:1: 'a, b' is not a valid id"),
            ("a b\n", "list:1: 'a b' is not a valid id"),
            ("https://x/y\n", "list:1: 'https://x/y' is not a valid id"),
            ("x" * 129, f"list:1: {'x' * 40!r} is not a valid id"),
            ("a\n" + "/" * 100_000, f"list:2: {'/' * 40!r} is not a valid id"),
            ("a\x0bb\n", "list:1: 'a\\x0bb' is not a valid id"),
            ("- a\n- b/c\n", "list:2: [1]: 'b/c' is not a valid id"),
            ("- a\n-\n", "list:2: [1]: expected an id, or a mapping, e.g. {id: abc, name:"),
            ("- a\n- [b]\n", "list:2: [1]: expected an id, or a mapping"),
            ("- a\n- name: b\n", "list:2: [1]: id: missing"),
            ("- id: [a]\n", "list:1: [0].id: expected text"),
            ("- id: a\n  nmae: b\n", "list:2: [0].nmae: unknown option; did you mean name?"),
            (
                "- id: a\n  app_id: b\n",
                "list:2: [0].app_id: unknown option; expected one of id, name",
            ),
            ("- id: a\n  id: b\n", "list:2: [0].id: duplicate key"),
            (f"- id: a\n  {'x' * 1_000}: b\n", f"list:2: [0].{'x' * 76}: unknown option"),
            (f"- ? {'x' * 100_000}\n  : *a\n", f"list:2: [0].{'x' * 76}: aliases are not allowed"),
            ("meetings: [a]\n", "list:1: expected a list of meetings, e.g. [id1, id2]"),
            ("{a: b}\n", "list:1: expected a list of meetings"),
            ("'a'\n", "list:1: expected a list of meetings"),
            ("- a\n---\n- b\n", "list:3: a second document begins here"),
            ("- a: b: c\n", "list:1: not YAML: "),
            ("[a,\n b\n", "list:3: not YAML: "),
            ('["a", "b/c"]', "list:1: [1]: 'b/c' is not a valid id"),
            ('["a",\n{"nmae": "b"}]', "list:2: [1].nmae: unknown option; did you mean name?"),
            ("[" * 100_000 + "]" * 100_000, "list:1: nested too deeply"),
            (b"- a\n- \xff\n", "list:2: [1]: '\ufffd' is not a valid id"),
            ("- a\n".encode("utf-16"), "list:1: not UTF-8"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_mistakes(self, text: str | bytes, message: str) -> None:
        """An invalid file is a short error with file and line."""
        with pytest.raises(FileError, match=re.escape(message)) as caught:
            parsed(text)
        assert str(caught.value).startswith(message)
        assert len(str(caught.value)) < 150

    @given(text=st.binary() | st.text().map(str.encode))
    @example(b'["\\ud83c"]')
    @example(b'[{"id": "a", "name": "\\ud83c"}]')
    @example(b'- {id: a, name: "\\ud83c"}')
    def test_any_bytes_at_all(self, text: bytes) -> None:
        """Any bytes are a list of meetings or a FileError."""
        try:
            assert all(meeting.meeting_id and meeting.name for meeting in parsed(text))
        except FileError as error:
            assert str(error).startswith("list")

    @given(names=st.lists(st.text(st.characters(), max_size=300), min_size=1))
    @example(names=["第一\u3000会議室", "Dr.\u00a0Who", "1\u202f000", "left\u202eright"])
    @example(names=["a\u2028b", "a\u0085b", "\x07", "\x00", "\ud83c", "\ufeff", "\ufffe", "\x7f"])
    @example(names=["a\nb", "\t", " ", "", "ä" * 300])
    def test_no_name_loses_a_meeting(self, names: list[str]) -> None:
        """Whatever their names contain, all meetings are read, with names of one printable line."""
        items = [{"id": f"m{number}", "name": name} for number, name in enumerate(names)]
        for text in (
            json.dumps(items),
            json.dumps(items, ensure_ascii=False),
            yaml.safe_dump(items),
            json.dumps(items, ensure_ascii=False).replace("[", "[ # YAML\n", 1),
            "".join(f"- id: {i['id']}\n  name: {json.dumps(i['name'])}\n" for i in items),
        ):
            read = parsed(text.encode(errors="surrogatepass"))
            assert [item["id"] for item in items] == [meeting.meeting_id for meeting in read]
            assert all(meeting.name.isprintable() for meeting in read)
            assert all(1 <= len(meeting.name) <= 255 for meeting in read)

    def test_name_in_another_encoding(self) -> None:
        """A name that is not UTF-8 loses its letters, not its meeting."""
        content = "- {id: a, name: Müller}\n- b\n".encode("latin-1")
        assert (Meeting("a", "M\ufffdller"), Meeting("b", "b")) == parsed(content)

    @given(entries=st.lists(st.tuples(IDS, NAMES)))
    def test_same_list_in_yaml_and_json(self, entries: list[tuple[str, str]]) -> None:
        """A list written as YAML or JSON is read back, each meeting once."""
        items = [
            {"id": meeting_id, "name": name} if name else meeting_id for meeting_id, name in entries
        ]
        for text in (
            json.dumps(items, indent="\t"),
            json.dumps(items, ensure_ascii=False),
            yaml.safe_dump(items),
            yaml.safe_dump(items, allow_unicode=True, default_flow_style=True),
        ):
            assert meetings(entries) == parsed(text)

    @given(ids=st.lists(IDS, min_size=1), line_break=st.sampled_from(["\n", "\r\n", "\n\n# x\n"]))
    @example(ids=["a", "-", "---", "null"], line_break="\n")
    def test_same_list_in_lines(self, ids: list[str], line_break: str) -> None:
        """A list with one id per line is read back, each meeting once."""
        # A single dash in the first line would begin YAML.
        assert named(*dict.fromkeys(["first", *ids])) == parsed(line_break.join(["first", *ids]))


class ListFile:
    """A file with meetings, and the clock of its reader."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.time = Time()
        self.write("a\nb\nc\n")

    def write(self, text: str | bytes, *, age: float = 60.0) -> None:
        """Write *text* to the file in place, with a timestamp *age* seconds ago."""
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.touch(age=age)

    def touch(self, *, age: float) -> None:
        """Set the timestamp of the file to *age* seconds ago."""
        moment = self.time.now - age
        os.utime(self.path, (moment, moment))

    def open(self) -> MeetingFile:
        """Read the file for the first time."""
        # A busy machine may take seconds to start a thread.
        return MeetingFile(
            self.path, option="meetings.files[0]", clock=self.time, max_wait_seconds=60
        )


class Restless(PosixPath):
    """The path of a file that changes after each stat call."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return the status before the change."""
        status = super().stat(follow_symlinks=follow_symlinks)
        with self.open("a") as file:
            file.write("x\n")
        os.utime(self, (status.st_mtime, status.st_mtime))
        return status


@pytest.fixture
def list_file(tmp_path: Path) -> ListFile:
    return ListFile(tmp_path / "meetings.txt")


def in_place_of(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return a function that replaces a file with something else."""

    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == logging.WARNING]


class TestReading:
    def test_first_read(self, list_file: ListFile) -> None:
        """The first read takes the list even if it was written just now."""
        list_file.touch(age=0)
        file = list_file.open()
        assert named("a", "b", "c") == file.meetings
        assert (list_file.path, True, NOW) == (
            file.path,
            file.last_read_successful,
            file.last_success_timestamp_seconds,
        )
        assert repr(file) == f"MeetingFile({str(list_file.path)!r})"

    @pytest.mark.parametrize(
        ("prepare", "message"),
        [
            (Path.unlink, "cannot be read (No such file or directory)"),
            (lambda path: path.write_text(""), "is empty; list meetings in it"),
            (lambda path: path.write_text("a\n/\n"), "'/' is not a valid id"),
            (in_place_of(Path.mkdir), "cannot be read (Is a directory); give the path of a file"),
            (in_place_of(os.mkfifo), "must be a regular file"),
            (in_place_of(lambda path: path.symlink_to("/dev/zero")), "must be a regular file"),
            (in_place_of(lambda path: path.symlink_to(path)), "cannot be read (Too many"),
        ],
        ids=["missing", "empty", "no id", "folder", "fifo", "device", "loop"],
    )
    def test_invalid_at_the_start(
        self, list_file: ListFile, prepare: Callable[[Path], object], message: str
    ) -> None:
        """An invalid file at the start is an error, and nothing hangs."""
        prepare(list_file.path)
        with pytest.raises(FileError, match=re.escape(message)) as caught:
            list_file.open()
        assert str(caught.value).startswith(str(list_file.path))

    def test_unchanged(self, list_file: ListFile) -> None:
        """An unchanged file is not read again."""
        file = list_file.open()
        list_file.time.now += 100
        assert not run(file.refresh())
        assert (True, NOW) == (file.last_read_successful, file.last_success_timestamp_seconds)

    def test_replaced(self, list_file: ListFile, tmp_path: Path) -> None:
        """A file that replaces another changes the list and the time of the last success."""
        file = list_file.open()
        other = ListFile(tmp_path / "new")
        other.write("- a\n- {id: d, name: daily}\n")
        other.path.replace(list_file.path)
        list_file.time.now += 10
        assert run(file.refresh())
        assert (Meeting("a", "a"), Meeting("d", "daily")) == file.meetings
        assert NOW + 10 == file.last_success_timestamp_seconds
        assert not run(file.refresh())

    def test_same_list(self, list_file: ListFile) -> None:
        """The same list in another format is a successful read, but no change."""
        file = list_file.open()
        list_file.time.now += 10
        list_file.write("[a, b, c]")
        assert not run(file.refresh())
        assert NOW + 10 == file.last_success_timestamp_seconds

    def test_same_length_and_time(self, list_file: ListFile) -> None:
        """A change is detected even if size and modification time stay the same."""
        file = list_file.open()
        status = list_file.path.stat()
        # The time of the metadata change has the resolution of the system's clock ticks.
        while list_file.path.stat().st_ctime_ns == status.st_ctime_ns:
            list_file.write("x\ny\nz\n")
        assert status.st_mtime_ns == list_file.path.stat().st_mtime_ns
        assert run(file.refresh())
        assert named("x", "y", "z") == file.meetings

    @pytest.mark.parametrize("age", [0.0, 0.9, -0.9])
    def test_written_just_now(self, list_file: ListFile, age: float) -> None:
        """A file written just now waits for the next refresh, so that no half list is used."""
        file = list_file.open()
        list_file.write("", age=age)
        assert not run(file.refresh())
        list_file.write("a\n", age=age)
        assert not run(file.refresh())
        assert (named("a", "b", "c"), True) == (file.meetings, file.last_read_successful)
        list_file.write("a\nb\nc\nd\n", age=age)
        list_file.time.now += 2
        assert run(file.refresh())
        assert named("a", "b", "c", "d") == file.meetings

    def test_clock_of_another_machine(self, list_file: ListFile) -> None:
        """A file with a timestamp in the future is read, because the other clock may stay ahead."""
        file = list_file.open()
        list_file.write("d\n", age=-3600)
        assert run(file.refresh())
        assert named("d") == file.meetings

    def test_change_during_read(self, list_file: ListFile) -> None:
        """A file that changes while it is read waits for the next refresh."""
        with pytest.raises(FileError, match="changed while it was read; try again"):
            MeetingFile(Restless(list_file.path), option="o", clock=list_file.time)
        list_file.write("a\nb\nc\n")
        file = list_file.open()
        list_file.write("a\n")
        file.path = Restless(list_file.path)
        assert not run(file.refresh())
        assert (named("a", "b", "c"), True) == (file.meetings, file.last_read_successful)
        file.path = list_file.path
        assert run(file.refresh())
        assert named("a", "x") == file.meetings


class TestProblems:
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda path: path.write_text(""), "is empty; list meetings in it"),
            (lambda path: path.write_text("# later\n"), "is empty; list meetings in it"),
            (lambda path: path.write_text("a\n../b\n"), ":2: '../b' is not a valid id"),
            (lambda path: path.write_bytes(b"\xff\xfea\x00"), ":1: not UTF-8"),
            (lambda path: os.truncate(path, (16 << 20) + 1), "larger than 16 MiB"),
            (Path.unlink, "cannot be read (No such file or directory)"),
            (in_place_of(Path.mkdir), "cannot be read (Is a directory); give the path of a file"),
            (in_place_of(os.mkfifo), "must be a regular file"),
        ],
        ids=["emptied", "comments", "no id", "bytes", "huge", "deleted", "folder", "fifo"],
    )
    def test_last_good_list(
        self,
        list_file: ListFile,
        spoil: Callable[[Path], object],
        message: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """An invalid file leaves the last good list in use, with one log line before and after."""
        caplog.set_level(logging.INFO)
        file = list_file.open()
        spoil(list_file.path)
        if list_file.path.is_file():
            list_file.touch(age=60)
        list_file.time.now += 100
        assert [False] * 3 == [run(file.refresh()) for _ in range(3)]
        assert (named("a", "b", "c"), False, NOW) == (
            file.meetings,
            file.last_read_successful,
            file.last_success_timestamp_seconds,
        )
        (warning,) = warnings(caplog)
        assert message in warning
        assert "the last good list stays in use: " in warning
        if list_file.path.is_dir():
            list_file.path.rmdir()
        list_file.path.unlink(missing_ok=True)
        list_file.write("a\nb\nc\nd\n")
        assert run(file.refresh())
        assert (named("a", "b", "c", "d"), True, NOW + 100) == (
            file.meetings,
            file.last_read_successful,
            file.last_success_timestamp_seconds,
        )
        assert "can be used again" in caplog.text
        assert {("meetings.files[0]", str(list_file.path))} == {
            (record.__dict__["option"], record.__dict__["path"]) for record in caplog.records
        }

    def test_other_problem(self, list_file: ListFile, caplog: pytest.LogCaptureFixture) -> None:
        """Another problem is logged again."""
        file = list_file.open()
        for text in ("/", "/", "\n/", "\n/"):
            list_file.write(text)
            run(file.refresh())
        assert [":1: '/'", ":2: '/'"] == [
            found for warning in warnings(caplog) for found in re.findall(r":\d: '/'", warning)
        ]

    def test_file_that_returns(self, tmp_path: Path) -> None:
        """A file that was missing for a while, e.g. on an unmounted disk, is valid again."""
        folder = tmp_path / "disk"
        folder.mkdir()
        inside = ListFile(folder / "list")
        file = inside.open()
        folder.rename(tmp_path / "away")
        assert (False, False) == (run(file.refresh()), file.last_read_successful)
        (tmp_path / "away").rename(folder)
        assert (False, True) == (run(file.refresh()), file.last_read_successful)

    def test_kubernetes_volume(self, tmp_path: Path) -> None:
        """A Kubernetes volume, which swaps all its content by a symbolic link, changes the list."""
        volumes = [ListFile(tmp_path / name) for name in ("first", "second")]
        for volume, text in zip(volumes, ("a\nb\n", "a\nc\n"), strict=True):
            volume.path.unlink()
            volume.path.mkdir()
            ListFile(volume.path / "list").write(text)
        (tmp_path / "..data").symlink_to("first")
        (tmp_path / "list").symlink_to("..data/list")
        file = MeetingFile(tmp_path / "list", option="o", clock=Time())
        (tmp_path / "..data_tmp").symlink_to("second")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        assert run(file.refresh())
        assert named("a", "c") == file.meetings


class Hanging(PosixPath):
    """A path on a file system that hangs until it is released."""

    released = threading.Event()

    def stat(self, **options: Any) -> os.stat_result:
        self.released.wait(30)
        return super().stat(**options)


def test_file_system_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A refresh waits for a bounded time for a file system that hangs, and keeps the last list."""
    caplog.set_level(logging.INFO)
    path = Hanging(tmp_path / "list")
    path.write_text("a\n")
    path.released.set()
    file = MeetingFile(path, option="meetings.files", max_wait_seconds=0.001)
    path.released.clear()

    async def refreshes() -> None:
        for _ in range(3):
            assert not await file.refresh()
            assert (named("a"), False) == (file.meetings, file.last_read_successful)
        path.released.set()
        while not file.last_read_successful:
            await file.refresh()

    run(refreshes())
    (problem, end) = (record.getMessage() for record in caplog.records)
    assert "the last good list stays in use: " in problem
    assert "can be used again" in end
    assert named("a") == file.meetings


class Slow(MeetingFile):
    """A file whose list is parsed slowly, by a process that gets little CPU."""

    may_end = threading.Event()

    def parse(self, content: bytes) -> tuple[Meeting, ...]:
        """Return the list when it may."""
        self.parsed_in = threading.current_thread()
        self.may_end.wait(30)
        return super().parse(content)


def test_slow_parsing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Only the file system has a time limit; a list that is parsed slowly is used later."""
    caplog.set_level(logging.INFO)
    path = tmp_path / "list"
    path.write_text("a\n")
    Slow.may_end.set()
    file = Slow(path, option="meetings.files", clock=lambda: 0.0, max_wait_seconds=0.5)
    # Nothing limits the caller's thread.
    assert threading.current_thread() == file.parsed_in
    path.write_text("a\nb\n")
    Slow.may_end.clear()

    async def refreshes() -> None:
        earlier = late_calls()
        for _ in range(2):
            assert not await file.refresh()
            assert (named("a"), True) == (file.meetings, file.last_read_successful)
        assert late_calls() == earlier
        Slow.may_end.set()
        while file.meetings == named("a"):
            await file.refresh()

    run(refreshes())
    assert named("a", "b") == file.meetings
    assert ["meetings file has changed"] == [record.getMessage() for record in caplog.records]


def test_refreshes_at_the_same_time(tmp_path: Path) -> None:
    """Refreshes at the same time, e.g. by webhooks, share what the file has."""
    path = tmp_path / "list"
    path.write_text("a\n")
    file = MeetingFile(path, option="meetings.files", clock=lambda: 0.0)
    path.write_text("a\nb\n")

    async def refreshes() -> list[bool]:
        return await asyncio.gather(*(file.refresh() for _ in range(3)))

    assert 1 == sum(run(refreshes()))
    assert named("a", "b") == file.meetings


class TestChanges:
    @pytest.mark.parametrize(
        ("text", "counts", "alarms"),
        [
            ("a\nb\nc\nd\ne\n", (5, 1, 0), 0),
            ("a\nb\ne\n", (3, 1, 2), 0),
            ("a\n", (1, 0, 3), 1),
            ("e\nf\ng\nh\ni\n", (5, 5, 4), 1),
            ("[]", (0, 0, 4), 1),
            ("[{id: a, name: new}, b, c, d]", (4, 0, 0), 0),
        ],
    )
    def test_counts(
        self,
        list_file: ListFile,
        text: str,
        counts: tuple[int, int, int],
        alarms: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The log counts added and removed meetings, and warns if most are gone."""
        caplog.set_level(logging.INFO)
        list_file.write("a\nb\nc\nd\n")
        file = list_file.open()
        list_file.write(text)
        assert run(file.refresh())
        assert parsed(text) == file.meetings
        assert {counts} == {
            tuple(record.__dict__[key] for key in ("meetings", "added", "removed"))
            for record in caplog.records
        }
        assert alarms == len(warnings(caplog))
