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

from rk_exporter.config.meeting_file import MeetingFile, MeetingFileError, parse_meetings
from rk_exporter.model.meeting import Meeting
from tests.support.building import NOW, Time, run


IDS = st.text("abcXYZ0189-_", min_size=1, max_size=128)
NAMES = st.text(max_size=30).filter(str.isprintable)


def parsed(text: str | bytes) -> tuple[Meeting, ...]:
    return parse_meetings(Path("list"), text.encode() if isinstance(text, str) else text)


def named(*ids: str) -> tuple[Meeting, ...]:
    """Return meetings that are called by their ids."""
    return tuple(Meeting(each, each) for each in ids)


def meetings(entries: Sequence[tuple[str, str]]) -> tuple[Meeting, ...]:
    """Return each meeting once, with its first name, computed another way than by the code."""
    first_named = {each: name for each, name in reversed(entries) if name}
    return tuple(Meeting(each, first_named.get(each, each)) for each in dict(entries))


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
        """YAML and JSON, in blocks or in brackets, with tabs in JSON, are the same list."""
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
        """Ids stand one a line, or in a list; they are text, whatever they look like."""
        assert named("a", "-b", "0123") == parsed(text)

    def test_numbers(self) -> None:
        """What JSON takes for numbers is the id that is written there."""
        assert named("123", "1e3", "7") == parsed('[123, 1e3, {"id": 7}]')

    @pytest.mark.parametrize("text", ["[]", "[ ]\n", "---\n[]\n", "# none yet\n[] # soon\n"])
    def test_empty_lists(self, text: str) -> None:
        """An empty list is a list."""
        assert () == parsed(text)

    def test_examples_in_the_documentation(self, root: Path) -> None:
        """The three examples of the documentation are one list, but for the name."""
        section = (root / "docs/configuration.md").read_text().split("## Meetings in files\n")[1]
        examples = re.findall(r"```(?:yaml|json|text)\n(.*?)```", section, re.DOTALL)
        in_yaml, in_json, in_lines = (parsed(each) for each in examples[:3])
        assert in_yaml == in_json
        assert [each.meeting_id for each in in_yaml] == [each.meeting_id for each in in_lines]
        assert "weekly review" == in_yaml[1].name

    def test_name_in_another_alphabet(self) -> None:
        """JSON may write a name with escapes that YAML does not know."""
        text = json.dumps([{"id": "a", "name": "päd 🎥"}])
        assert "\\ud83c" in text
        assert (Meeting("a", "päd 🎥"),) == parsed(text)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "list: is empty; list meetings there, or write [] if there are none"),
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
            ("- a\n-\n", "list:2: [1]: has to be an id, or a mapping like {id: a, name: b}"),
            ("- a\n- [b]\n", "list:2: [1]: has to be an id, or a mapping"),
            ("- a\n- name: b\n", "list:2: [1]: `id` is missing"),
            ("- id: [a]\n", "list:1: [0].id: has to be one text"),
            ("- id: a\n  nmae: b\n", "list:2: [0].nmae: is no option; is `name` meant?"),
            ("- id: a\n  app_id: b\n", "list:2: [0].app_id: is no option; here may stand id, name"),
            ("- id: a\n  id: b\n", "list:2: id stands here a second time"),
            (f"- id: a\n  {'x' * 1_000}: b\n", f"list:2: [0].{'x' * 76}: is no option"),
            (f"- ? {'x' * 100_000}\n  : *a\n", f"list:2: [0].{'x' * 76}: write the value out"),
            ('- a\n- id: b\n  name: "\\e"\n', "list:3: [1].name: has to be printable"),
            (f"- id: b\n  name: {'x' * 129}\n", "list:2: [0].name: has to be printable and at m"),
            ("meetings: [a]\n", "list:1: has to be a list, like [a, b]"),
            ("{a: b}\n", "list:1: has to be a list"),
            ("'a'\n", "list:1: has to be a list"),
            ("- a\n---\n- b\n", "list:3: a second document begins here"),
            ("- a: b: c\n", "list:1: not YAML: "),
            ("[a,\n b\n", "list:3: not YAML: "),
            ('["a", "b/c"]', "list: [1]: 'b/c' is not a valid id"),
            ('[{"id": "a", "name": "\\u001b"}]', "list: [0].name: has to be printable"),
            ('["a",\n{"nmae": "b"}]', "list:2: [1].nmae: is no option; is `name` meant?"),
            ("[" * 100_000 + "]" * 100_000, "list:1: nested too deeply"),
            (b"- a\n- \xff\n", "list:2: not UTF-8"),
            ("- a\n".encode("utf-16"), "list:1: not UTF-8"),
            (b"- a\n" + b"#" * (16 << 20), "list: larger than 16 MiB"),
        ],
        ids=lambda value: str(value)[:30],
    )
    def test_what_is_refused(self, text: str | bytes, message: str) -> None:
        """What is no list of meetings is refused with file and line, and never at length."""
        with pytest.raises(MeetingFileError, match=re.escape(message)) as caught:
            parsed(text)
        assert str(caught.value).startswith(message)
        assert len(str(caught.value)) < 150

    @given(text=st.binary() | st.text().map(str.encode))
    @example(b'["\\ud83c"]')
    @example(b'[{"id": "a", "name": "\\ud83c"}]')
    @example(b'- {id: a, name: "\\ud83c"}')
    def test_any_bytes_at_all(self, text: bytes) -> None:
        """Any bytes are a list of meetings or a MeetingFileError."""
        try:
            assert all(each.meeting_id and each.name for each in parsed(text))
        except MeetingFileError as error:
            assert str(error).startswith("list")

    @given(entries=st.lists(st.tuples(IDS, NAMES)))
    def test_same_list_in_yaml_and_json(self, entries: list[tuple[str, str]]) -> None:
        """A list that is written as YAML or JSON comes back, each meeting once."""
        items = [{"id": each, "name": name} if name else each for each, name in entries]
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
        """A list with one id a line comes back, each meeting once."""
        # A dash alone begins YAML, in the first line.
        assert named(*dict.fromkeys(["first", *ids])) == parsed(line_break.join(["first", *ids]))


class Listed:
    """A file with meetings, and the clock of the one who reads it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.time = Time()
        self.write("a\nb\nc\n")

    def write(self, text: str | bytes, *, age: float = 60.0) -> None:
        """Write *text* to the file in place, as if *age* seconds ago."""
        self.path.write_bytes(text.encode() if isinstance(text, str) else text)
        self.touch(age=age)

    def touch(self, *, age: float) -> None:
        """Set the time that the file was written to *age* seconds ago."""
        moment = self.time.now - age
        os.utime(self.path, (moment, moment))

    def open(self) -> MeetingFile:
        """Begin to read the file."""
        return MeetingFile(self.path, option="meetings.files[0]", clock=self.time)


class Restless(PosixPath):
    """The path of a file that is written to whenever somebody has looked at it."""

    def stat(self, *, follow_symlinks: bool = True) -> os.stat_result:
        """Return what the file was like before it changes."""
        status = super().stat(follow_symlinks=follow_symlinks)
        with self.open("a") as file:
            file.write("x\n")
        os.utime(self, (status.st_mtime, status.st_mtime))
        return status


@pytest.fixture
def listed(tmp_path: Path) -> Listed:
    return Listed(tmp_path / "meetings.txt")


def in_place_of(make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Return what removes a file and makes something else of its name."""

    def replace(path: Path) -> None:
        path.unlink()
        make(path)

    return replace


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in log.records if each.levelno == logging.WARNING]


class TestReading:
    def test_begin(self, listed: Listed) -> None:
        """The list is there from the beginning, even if it was written this very moment."""
        listed.touch(age=0)
        file = listed.open()
        assert named("a", "b", "c") == file.meetings
        assert (listed.path, True, NOW) == (
            file.path,
            file.last_read_successful,
            file.last_success_timestamp_seconds,
        )
        assert repr(file) == f"MeetingFile({str(listed.path)!r})"

    @pytest.mark.parametrize(
        ("prepare", "message"),
        [
            (Path.unlink, "cannot be read (No such file or directory)"),
            (lambda path: path.write_text(""), "is empty; list meetings there"),
            (lambda path: path.write_text("a\n/\n"), "'/' is not a valid id"),
            (in_place_of(Path.mkdir), "has to be a file, with a list in it"),
            (in_place_of(os.mkfifo), "has to be a file, with a list in it"),
            (in_place_of(lambda path: path.symlink_to("/dev/zero")), "has to be a file"),
            (in_place_of(lambda path: path.symlink_to(path)), "cannot be read (Too many"),
        ],
        ids=["missing", "empty", "no id", "folder", "fifo", "device", "loop"],
    )
    def test_bad_begin(
        self, listed: Listed, prepare: Callable[[Path], object], message: str
    ) -> None:
        """Where the list is bad from the beginning it is refused, and nothing hangs."""
        prepare(listed.path)
        with pytest.raises(MeetingFileError, match=re.escape(message)) as caught:
            listed.open()
        assert str(caught.value).startswith(str(listed.path))

    def test_nothing_changed(self, listed: Listed) -> None:
        """A file that has not changed is not read."""
        file = listed.open()
        listed.time.now += 100
        assert not run(file.refresh())
        assert (True, NOW) == (file.last_read_successful, file.last_success_timestamp_seconds)

    def test_replaced(self, listed: Listed, tmp_path: Path) -> None:
        """A file that takes another's place changes the list, and says when."""
        file = listed.open()
        other = Listed(tmp_path / "new")
        other.write("- a\n- {id: d, name: daily}\n")
        other.path.replace(listed.path)
        listed.time.now += 10
        assert run(file.refresh())
        assert (Meeting("a", "a"), Meeting("d", "daily")) == file.meetings
        assert NOW + 10 == file.last_success_timestamp_seconds
        assert not run(file.refresh())

    def test_same_list_written_again(self, listed: Listed) -> None:
        """The same list in another form has been read, but has not changed."""
        file = listed.open()
        listed.time.now += 10
        listed.write("[a, b, c]")
        assert not run(file.refresh())
        assert NOW + 10 == file.last_success_timestamp_seconds

    def test_same_length_and_time(self, listed: Listed) -> None:
        """A tool that sets the time of a file back does not hide that the list has changed."""
        file = listed.open()
        status = listed.path.stat()
        # The system's own note of the change is only as exact as its ticks.
        while listed.path.stat().st_ctime_ns == status.st_ctime_ns:
            listed.write("x\ny\nz\n")
        assert status.st_mtime_ns == listed.path.stat().st_mtime_ns
        assert run(file.refresh())
        assert named("x", "y", "z") == file.meetings

    @pytest.mark.parametrize("age", [0.0, 0.9, -0.9])
    def test_written_just_now(self, listed: Listed, age: float) -> None:
        """Half a list is never taken: what was written just now is left for the next time."""
        file = listed.open()
        listed.write("", age=age)
        assert not run(file.refresh())
        listed.write("a\n", age=age)
        assert not run(file.refresh())
        assert (named("a", "b", "c"), True) == (file.meetings, file.last_read_successful)
        listed.write("a\nb\nc\nd\n", age=age)
        listed.time.now += 2
        assert run(file.refresh())
        assert named("a", "b", "c", "d") == file.meetings

    def test_clock_of_another_machine(self, listed: Listed) -> None:
        """A file from the future is read: its clock may never be caught up with."""
        file = listed.open()
        listed.write("d\n", age=-3600)
        assert run(file.refresh())
        assert named("d") == file.meetings

    def test_changed_while_it_is_read(self, listed: Listed) -> None:
        """A file that changes between a look at it and its reading is left for the next time."""
        with pytest.raises(MeetingFileError, match="changed while it was read; try again"):
            MeetingFile(Restless(listed.path), option="o", clock=listed.time)
        listed.write("a\nb\nc\n")
        file = listed.open()
        listed.write("a\n")
        file.path = Restless(listed.path)
        assert not run(file.refresh())
        assert (named("a", "b", "c"), True) == (file.meetings, file.last_read_successful)
        file.path = listed.path
        assert run(file.refresh())
        assert named("a", "x") == file.meetings


class TestTrouble:
    @pytest.mark.parametrize(
        ("spoil", "message"),
        [
            (lambda path: path.write_text(""), "is empty; list meetings there"),
            (lambda path: path.write_text("# later\n"), "is empty; list meetings there"),
            (lambda path: path.write_text("a\n../b\n"), ":2: '../b' is not a valid id"),
            (lambda path: path.write_bytes(b"\xff"), ":1: not UTF-8"),
            (lambda path: os.truncate(path, (16 << 20) + 1), "larger than 16 MiB"),
            (Path.unlink, "cannot be read (No such file or directory)"),
            (in_place_of(Path.mkdir), "has to be a file, with a list in it"),
            (in_place_of(os.mkfifo), "has to be a file, with a list in it"),
        ],
        ids=["emptied", "comments", "no id", "bytes", "huge", "deleted", "folder", "fifo"],
    )
    def test_last_good_list(
        self,
        listed: Listed,
        spoil: Callable[[Path], object],
        message: str,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """What turns bad leaves the last good list in use; the log says so once, and its end."""
        caplog.set_level(logging.INFO)
        file = listed.open()
        spoil(listed.path)
        if listed.path.is_file():
            listed.touch(age=60)
        listed.time.now += 100
        assert [False] * 3 == [run(file.refresh()) for _ in range(3)]
        assert (named("a", "b", "c"), False, NOW) == (
            file.meetings,
            file.last_read_successful,
            file.last_success_timestamp_seconds,
        )
        (warning,) = warnings(caplog)
        assert message in warning
        assert warning.endswith("; the last good list stays in use")
        if listed.path.is_dir():
            listed.path.rmdir()
        listed.path.unlink(missing_ok=True)
        listed.write("a\nb\nc\nd\n")
        assert run(file.refresh())
        assert (named("a", "b", "c", "d"), True, NOW + 100) == (
            file.meetings,
            file.last_read_successful,
            file.last_success_timestamp_seconds,
        )
        assert "it can be read again" in caplog.text
        assert {("meetings.files[0]", str(listed.path))} == {
            (record.__dict__["option"], record.__dict__["path"]) for record in caplog.records
        }

    def test_other_trouble(self, listed: Listed, caplog: pytest.LogCaptureFixture) -> None:
        """The log speaks again when something else is wrong."""
        file = listed.open()
        for text in ("/", "/", "\n/", "\n/"):
            listed.write(text)
            run(file.refresh())
        assert [":1: '/'", ":2: '/'"] == [
            found for each in warnings(caplog) for found in re.findall(r":\d: '/'", each)
        ]

    def test_same_file_comes_back(self, tmp_path: Path) -> None:
        """A file that was away, like one on a disk that was not mounted, is good again."""
        folder = tmp_path / "disk"
        folder.mkdir()
        inside = Listed(folder / "list")
        file = inside.open()
        folder.rename(tmp_path / "away")
        assert (False, False) == (run(file.refresh()), file.last_read_successful)
        (tmp_path / "away").rename(folder)
        assert (False, True) == (run(file.refresh()), file.last_read_successful)

    def test_symlinks_of_kubernetes(self, tmp_path: Path) -> None:
        """A volume whose content is swapped as a whole changes the list, however it is linked."""
        volumes = [Listed(tmp_path / name) for name in ("first", "second")]
        for volume, text in zip(volumes, ("a\nb\n", "a\nc\n"), strict=True):
            volume.path.unlink()
            volume.path.mkdir()
            Listed(volume.path / "list").write(text)
        (tmp_path / "..data").symlink_to("first")
        (tmp_path / "list").symlink_to("..data/list")
        file = MeetingFile(tmp_path / "list", option="o", clock=Time())
        (tmp_path / "..data_tmp").symlink_to("second")
        (tmp_path / "..data_tmp").replace(tmp_path / "..data")
        assert run(file.refresh())
        assert named("a", "c") == file.meetings


class Hanging(PosixPath):
    """A path on a file system that answers only when it is let."""

    answers = threading.Event()

    def stat(self, **options: Any) -> os.stat_result:
        self.answers.wait(30)
        return super().stat(**options)


def test_file_system_that_hangs(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A look that hangs, as on NFS, holds nobody up: the last list stays, and the log says so."""
    caplog.set_level(logging.INFO)
    path = Hanging(tmp_path / "list")
    path.write_text("a\n")
    path.answers.set()
    file = MeetingFile(path, option="meetings.files", max_wait_seconds=0.001)
    path.answers.clear()

    async def looks() -> None:
        for _ in range(3):
            assert not await file.refresh()
            assert (named("a"), False) == (file.meetings, file.last_read_successful)
        path.answers.set()
        while not file.last_read_successful:
            await file.refresh()

    run(looks())
    (trouble, end) = (record.getMessage() for record in caplog.records)
    assert "the file system does not answer; the last good list stays in use" in trouble
    assert "it can be read again" in end
    assert named("a") == file.meetings


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
        listed: Listed,
        text: str,
        counts: tuple[int, int, int],
        alarms: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The log counts what came and went, and warns where most of it went; it is taken."""
        caplog.set_level(logging.INFO)
        listed.write("a\nb\nc\nd\n")
        file = listed.open()
        listed.write(text)
        assert run(file.refresh())
        assert parsed(text) == file.meetings
        assert {counts} == {
            tuple(record.__dict__[key] for key in ("meetings", "added", "removed"))
            for record in caplog.records
        }
        assert alarms == len(warnings(caplog))
