import asyncio
import json
import logging
import os
import socket
import stat
import threading

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path, PosixPath
from typing import Any

import httpx
import pytest

from click.testing import CliRunner, Result

from rk_exporter.cli.main import main
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.account import AccountApps, ListedApp
from rk_exporter.model.meeting import App
from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.simulator import CANARY, Recording
from rk_exporter.tracking import state_file
from rk_exporter.tracking.state_file import StateFile, StateFileError
from rk_exporter.tracking.state_records import SavedApp, SavedState, decode, encode
from rk_exporter.tracking.tracker_state import TrackerState
from tests.support.building import (
    NOW,
    Setup,
    Simulation,
    Time,
    by_meeting,
    run,
    scripted,
    settings,
    setup,
    simulate,
    value,
)
from tests.support.exporters import every_state
from tests.support.log_lines import lines
from tests.support.state_files import (
    FINISHED,
    MEETINGS,
    RECORDINGS,
    STARTED,
    WRITTEN,
    WRITTEN_AT,
    counts,
    file_version,
    restart,
    rewrite,
    saved_counts,
    wait_for_change,
    with_state_file,
)


TOKEN = "canary-token-4f1b9a"
ENVIRONMENT = {"CLOUDFLARE_API_TOKEN": "simulated", "RK_API_BUDGET": "100000"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "folder"
    folder.mkdir()
    return folder / "state"


@pytest.fixture(scope="module")
def intact(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the content of an intact state file."""
    path = tmp_path_factory.mktemp("intact") / "state"

    async def steps(simulation: Simulation) -> None:
        await simulation.last_scrape(9)

    simulate(steps, *RECORDINGS, configuration=with_state_file(path, meeting_ids=MEETINGS))
    return path.read_bytes()


async def scraped_once(system: Setup) -> httpx.Response:
    """Return the response to a scrape, and close the exporter."""
    response = await system.get()
    await system.exporter.close()
    return response


def warnings(log: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in log.records if record.levelno == logging.WARNING]


def hooked_path(path: Path, before_replace: Callable[[str], object]) -> Path:
    """Return a path that calls *before_replace* with a file's name before it is moved."""

    class HookedPath(PosixPath):
        def replace(self, target: Any) -> Any:
            before_replace(str(self))
            return super().replace(target)

    return HookedPath(path)


class TestWriting:
    def test_interval(self, path: Path) -> None:
        """The exporter writes the file after each change, and every minute."""

        async def steps(simulation: Simulation) -> list[bool]:
            await simulation.scrape()
            versions = [file_version(path)]
            for _ in range(12):
                await simulation.scrape()
                versions.append(file_version(path))
            return [before != after for before, after in pairwise(versions)]

        # The exporter sees it at 90 s and 105 s.
        later = Recording.scripted("meeting-1", invoked_at=NOW + 80, started_at=NOW + 91)
        written = simulate(steps, later, configuration=with_state_file(path))
        assert [60, 90, 105, 165] == [
            15 * number for number, is_written in enumerate(written, 1) if is_written
        ]

    def test_due(self, path: Path) -> None:
        """A write is due a minute after the start, or after the last write."""
        time = Time()

        async def steps() -> list[bool]:
            file, due = StateFile(path, clock=time), []
            for seconds in (0, 59, 1):
                time.now += seconds
                due.append(file.is_due())
            await file.save([], max_wait_seconds=10)
            due.append(file.is_due())
            file.close()
            return due

        assert [False, False, True, False] == run(steps())

    def test_clock_set_back(self, path: Path) -> None:
        """The exporter writes the file every minute, even if the clock was set back."""

        async def steps(simulation: Simulation) -> bool:
            await simulation.scrape()
            simulation.clock.ahead_seconds = -3600.0
            await simulation.scrape()
            before = file_version(path)
            await simulation.last_scrape(5)
            return file_version(path) != before

        assert simulate(steps, configuration=with_state_file(path))

    def test_written_before_shown(self, path: Path) -> None:
        """The exporter shows new counts only after it has replaced the file."""
        shown, saved = [], []

        async def steps(simulation: Simulation) -> list[int]:
            def compare(new: str) -> None:
                snapshot = simulation.exporter.collector.snapshot
                shown.append(snapshot.apps[0].counters.started)
                saved.append(saved_counts(Path(new))[0])

            configuration = with_state_file(hooked_path(path, compare), meeting_ids=MEETINGS)
            await restart(simulation, configuration)
            return [int(value(await simulation.scrape(1.0), STARTED) or 0) for _ in range(5)]

        started = simulate(
            steps, *RECORDINGS, configuration=with_state_file(path, meeting_ids=MEETINGS)
        )
        # The recordings start after 2 s.
        assert [0, 0, 4, 4, 4] == started
        first_write = saved.index(4)
        assert (0, 4) == (shown[first_write], saved[first_write])

    def test_concurrent_reader(self, path: Path) -> None:
        """A reader never sees half a file, however often the exporter replaces it."""
        is_done = threading.Event()

        def read() -> set[bytes]:
            seen = set()
            while not is_done.is_set():
                seen.add(path.read_bytes())
            return seen

        def enlarge(document: Any) -> None:
            document["apps"][0]["past"]["departed"] = {f"{n:0>99}": {} for n in range(9000)}

        async def steps(simulation: Simulation) -> set[bytes]:
            await simulation.scrape()
            await restart(
                simulation, with_state_file(path), between=partial(rewrite, path, enlarge)
            )
            with ThreadPoolExecutor(1) as pool:
                seen = pool.submit(read)
                try:
                    await simulation.last_scrape(25, 60)
                finally:
                    is_done.set()
                return seen.result()

        contents = simulate(steps, configuration=with_state_file(path))
        assert len(contents) > 2
        for content in contents:
            assert 9000 == len(json.loads(content)["apps"][0]["past"]["departed"])

    def test_all_that_is_saved(self, path: Path) -> None:
        """The next process gets what was saved of apps, of calls and of accounts."""
        app = App("app", "account", "app-id")
        saved = SavedApp(app=app, tracker=TrackerState(listed_until=NOW), newest_ids=("a",))
        calls = SavedCalls(group="shared", until=NOW, ends=(NOW - 1,))
        apps = AccountApps("account", (ListedApp("app-id", "app"),), NOW)

        async def save() -> bool:
            file = StateFile(path, clock=Time())
            is_saved = await file.save([saved], [calls], [apps])
            file.close()
            return is_saved

        assert run(save())
        restored = StateFile(path, clock=Time())
        assert saved == restored.restored_apps.get(app)
        assert calls == restored.restored_calls("shared")
        assert restored.restored_calls(None) is None
        assert {"account": apps} == restored.restored_accounts
        restored.close()

    def test_permissions(self, path: Path) -> None:
        """Only the owner may read the files, whatever the umask; no temporary file stays."""
        before = os.umask(0)
        try:
            system = setup(*every_state(), configuration=with_state_file(path))
            run(scraped_once(system))
        finally:
            os.umask(before)
        files = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert {"state": 0o600, "state.lock": 0o600} == files

    def test_no_secrets(self, path: Path) -> None:
        """The file contains neither the token nor a download URL."""
        given = settings(meeting_ids=[recording.meeting_id for recording in every_state()])
        configuration = replace(load(None, given, {TOKEN_VARIABLE: TOKEN}), state_file=path)
        system = setup(*every_state(), configuration=configuration, token=TOKEN)
        run(scraped_once(system))
        content = path.read_text()
        assert all(recording.id in content for recording in every_state())
        for canary in (CANARY, TOKEN, "X-Amz", "https:"):
            assert canary not in content


def saved_app(*, ids: int) -> SavedApp:
    """Return the state of an app that takes more room the more *ids* it has."""
    newest_ids = tuple(f"recording-{number}" for number in range(ids))
    return SavedApp(
        app=App("app", "account", "app-id"), tracker=TrackerState(), newest_ids=newest_ids
    )


class TestSize:
    def test_readable_again(self, path: Path) -> None:
        """Whatever is written can be read: the largest file that is written is restored."""
        state = saved_app(ids=10)
        max_bytes = len(encode([state]))

        async def save() -> bool:
            file = StateFile(path, clock=Time(), max_bytes=max_bytes)
            is_saved = await file.save([state], max_wait_seconds=10)
            file.close()
            return is_saved

        assert run(save())
        assert max_bytes == path.stat().st_size
        restored = StateFile(path, clock=Time(), max_bytes=max_bytes)
        assert state == restored.restored_apps.get(state.app)
        restored.close()

    def test_too_large(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A state that could not be read again is not written; the old file stays."""
        small, large = saved_app(ids=10), saved_app(ids=1000)
        max_bytes = len(encode([large])) - 1

        async def save() -> list[bool]:
            file = StateFile(path, clock=Time(), max_bytes=max_bytes)
            saved = [await file.save([app], max_wait_seconds=10) for app in (small, large)]
            saved.append(file.status.is_written)
            file.close()
            return saved

        assert [True, False, False] == run(save())
        (warning,) = warnings(caplog)
        assert "cannot be written (it would be larger than" in warning
        assert "follow.max_recordings" in warning
        restored = StateFile(path, clock=Time(), max_bytes=max_bytes)
        assert small == restored.restored_apps.get(small.app)
        restored.close()


def test_slow_decoding(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the file system has a time limit at the start: decoding runs in the caller's thread."""
    threads = []

    def observed(content: bytes) -> SavedState:
        threads.append(threading.current_thread())
        return decode(content)

    path.write_bytes(encode([saved_app(ids=1)]))
    monkeypatch.setattr(state_file, "decode", observed)
    StateFile(path, clock=Time()).close()
    assert [threading.current_thread()] == threads


def with_counters(**values: str) -> Callable[[bytes], bytes]:
    """Return a change that replaces counters by any JSON."""

    def change(content: bytes) -> bytes:
        document = json.loads(content)
        counters = document["apps"][0]["past"]["tally"]
        counters.update({key: f"<{key}>" for key in values})
        text = json.dumps(document)
        for key, value_json in values.items():
            text = text.replace(f'"<{key}>"', value_json)
        return text.encode()

    return change


def edited(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """Return a function that applies a *change* to the content of a state file."""

    def edit(content: bytes) -> bytes:
        document = json.loads(content)
        change(document)
        return json.dumps(document).encode()

    return edit


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda intact: intact[: len(intact) // 2],
    "all but the end": lambda intact: intact[:-1],
    "twice": lambda intact: intact + intact,
    "something after it": lambda intact: intact + b"\0",
    "zeros": lambda intact: bytes(len(intact)),
    "text": lambda _: b"rk-exporter\n",
    "binary": lambda _: bytes(range(256)),
    "not UTF-8": lambda intact: intact.replace(b"uploaded", b"\xff\xfe"),
    "list": lambda _: b"[]",
    "null": lambda _: b"null",
    "no version": lambda _: b"{}",
    "no apps": lambda _: b'{"version": 1}',
    "apps of another type": lambda _: b'{"version": 1, "apps": {}}',
    "wrong type": with_counters(started='"4"'),
    "fraction": with_counters(started="4.5"),
    "null for a count": with_counters(dropped="null"),
    "NaN": with_counters(start_delay='{"bounds": [1], "counts": [0, 0], "total": NaN}'),
    "infinity": with_counters(start_delay='{"bounds": [1], "counts": [0, 0], "total": Infinity}'),
    "number out of range": with_counters(
        start_delay='{"bounds": [1], "counts": [0, 0], "total": 1e400}'
    ),
    "count out of range": with_counters(started=f"1{400 * '0'}"),
    "count of thousands of digits": with_counters(started=f"1{9000 * '0'}"),
    "negative count": with_counters(started="-4"),
    "unknown outcome": with_counters(finished='{"exploded": 1}'),
    "nested": lambda _: 100_000 * b"[" + 100_000 * b"]",
    "nested in an unknown key": lambda intact: intact.replace(
        b"{", b'{"x": ' + 100_000 * b"[" + 100_000 * b"]" + b",", 1
    ),
    "nested in a known key": with_counters(transitions=100_000 * '{"PAUSED": ' + 100_000 * "}"),
    "later version": edited(lambda document: document.update(version=2)),
    "version of another type": edited(lambda document: document.update(version="1")),
}


class TestDamage:
    @pytest.mark.parametrize("name", DAMAGES)
    def test_quarantine(
        self, path: Path, intact: bytes, name: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The exporter moves a damaged file aside with one warning, and starts from 0."""
        damaged = DAMAGES[name](intact)
        path.write_bytes(damaged)
        aside = path.with_name("state.damaged")
        aside.write_text("of an earlier time")
        system = setup(*RECORDINGS, configuration=with_state_file(path, meeting_ids=MEETINGS))
        (warning,) = warnings(caplog)
        reason = "was written by another version" if name == "later version" else "is damaged"
        assert f"state file {reason} and was moved aside; counters start at 0" == warning
        fields = caplog.records[0].__dict__
        assert (str(path), str(aside)) == (fields["path"], fields["moved_to"])
        assert damaged == aside.read_bytes()
        answer = run(scraped_once(system))
        assert (200, (0, 0)) == (answer.status_code, counts(answer.text))
        StateFile(path, clock=Time()).close()
        assert 1 == caplog.text.count("was moved aside")

    def test_later_version_of_another_shape(
        self, path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The warning does not call a file of another version damaged."""
        path.write_text('{"version": 2, "apps": {"one": {}}}')
        StateFile(path, clock=Time()).close()
        (warning,) = warnings(caplog)
        assert "was written by another version and was moved aside" in warning

    @pytest.mark.parametrize(
        ("keys", "odd"),
        [
            (("past", "tally", "finished"), {}),
            (("past", "tally", "finished"), {"uploaded": 1}),
            (("past", "tally", "transitions"), {}),
            (("past", "tally", "transitions"), {"DANCING": {"SINGING": 1}}),
            (("past", "tally"), {}),
            (("past", "departed"), {"": {}}),
            (("past", "listed_until"), -1e308),
            (("past", "listed_until"), None),
            (("past",), {}),
            (("past", "recordings", 1, "recording", "status"), "DANCING"),
            (("past", "recordings", 1, "recording", "recording_id"), "../\n\0/x"),
            (("past", "recordings", 1, "recording", "recording_id"), ""),
            (("past", "recordings", 1, "recording", "started_timestamp_seconds"), -1e308),
            (("past", "recordings", 1, "read_at"), 1e308),
            (("past", "recordings", 1, "missing_since"), -1e308),
            (("past", "recordings", 1, "meeting", "meeting_id"), "../\n\0/x"),
            (("past", "recordings", 1, "meeting", "name"), "\n\0"),
            (("meetings", 0, "read_at"), -1e308),
            (("meetings", 0, "read_at"), 1e308),
            (("meetings", 0, "meeting_id"), "nobody's"),
            (("newest_ids",), ["", "x"]),
            (("newest_ids",), []),
        ],
        # pytest cannot find a name with a backslash again.
        ids=lambda part: ascii(part).replace("\\", ""),
    )
    def test_odd_values(
        self,
        path: Path,
        keys: tuple[str | int, ...],
        odd: object,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        """The exporter works and counts on with any readable file."""
        configuration = with_state_file(path, meeting_ids=MEETINGS)

        def change(document: Any) -> None:
            *parents, last = keys
            part = document["apps"][0]
            for key in parents:
                part = part[key]
            part[last] = odd

        async def steps(simulation: Simulation) -> list[str]:
            await simulation.last_scrape(2)
            await restart(simulation, configuration, between=partial(rewrite, path, change))
            return await simulation.scrapes(8)

        *_, last = simulate(steps, *RECORDINGS, configuration=configuration)
        assert {1} == {*by_meeting(last, "rk_meeting_up").values()}
        assert 1 == value(last, FINISHED, outcome="errored")
        assert 1 == value(last, WRITTEN)
        StateFile(path, clock=Time()).close()
        assert not path.with_name("state.damaged").exists()
        assert "state file" not in caplog.text


IDS = ("--account-id", "account", "--app-id", "app", "--meeting-id", "weekly")


def invoke(command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [command, *IDS, *arguments], env=ENVIRONMENT)


def occupy_by_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        # A socket path is limited to 107 characters.
        before = Path.cwd()
        os.chdir(path.parent)
        try:
            listener.bind(path.name)
        finally:
            os.chdir(before)


ROOT_MAY = pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")


class TestRefusals:
    @pytest.mark.parametrize(
        ("prepare", "message"),
        [
            (Path.mkdir, "--state.file: {path} is a folder; give the path of a file in it"),
            (os.mkfifo, "state.file: {path}: must be a regular file"),
            (
                lambda path: path.symlink_to("/dev/zero"),
                "--state.file: {path} is a link; give the path that it leads to",
            ),
            (
                lambda path: path.symlink_to("not-yet"),
                "--state.file: {path} is a link; give the path that it leads to",
            ),
            (occupy_by_socket, "state.file: {path}: must be a regular file"),
            (lambda path: path.symlink_to(path), "--state.file: cannot be used (Too many"),
            (
                lambda path: path.parent.rmdir(),
                "--state.file: there is no folder {path.parent}; create it, or give another path",
            ),
            (
                lambda path: path.with_name("state.lock").mkdir(),
                "state.file: {path}.lock: cannot be written (Is a directory)\n",
            ),
            (
                lambda path: path.with_name("state.lock").symlink_to(path.with_name("other")),
                "state.file: {path}.lock: cannot be written (Too many levels of symbolic links)\n",
            ),
            pytest.param(
                lambda path: path.touch(mode=0),
                "state.file: {path}: cannot be read (Permission denied); allow the",
                marks=ROOT_MAY,
            ),
            pytest.param(
                lambda path: path.parent.chmod(0o500),
                "state.file: {path}.lock: cannot be written (Permission denied); the user with the",
                marks=ROOT_MAY,
            ),
        ],
        ids=[
            *("folder", "FIFO", "link to a device", "link to nothing", "socket", "loop"),
            *("no folder", "no lock"),
            "linked lock",
            *("unreadable", "read-only"),
        ],
    )
    def test_unusable_path(
        self, path: Path, prepare: Callable[[Path], object], message: str
    ) -> None:
        """An unusable path gives one line with the reason and exit code 2; nothing hangs."""
        prepare(path)
        result = invoke("scrape", "--state.file", str(path), "--api.budget", "1200")
        assert 2 == result.exit_code
        assert result.output.startswith(f"Error: {message.format(path=path)}")
        assert 1 == result.output.count("\n")

    def test_link(self, path: Path) -> None:
        """A link is no second name for the file of another exporter, to which its lock belongs."""
        path.write_bytes(b"{}")
        link = path.with_name("link")
        link.symlink_to(path)
        result = invoke("scrape", "--state.file", str(link))
        assert (2, True, b"{}") == (result.exit_code, link.is_symlink(), path.read_bytes())

    def test_link_to_the_folder(self, path: Path) -> None:
        """The folder of the file may be a link, as systemd's is."""
        folder = path.parent.with_name("linked")
        folder.symlink_to(path.parent)
        invoke("scrape", "--state.file", str(folder / path.name))
        assert path.is_file()

    def test_file_system_without_files(self) -> None:
        """A folder in which not even root can create a file is refused as well."""
        if not Path("/proc/self").is_dir():
            pytest.skip("there is no /proc")
        result = invoke("scrape", "--state.file", "/proc/self/state")
        assert 2 == result.exit_code
        assert "Error: state.file: /proc/self/state.lock: cannot be written (" in result.output

    def test_damaged_and_not_movable(self, path: Path) -> None:
        """A damaged file that cannot be moved aside is refused, and stays as it is."""
        path.touch()
        aside = path.with_name("state.damaged")
        aside.mkdir()
        with pytest.raises(StateFileError, match="is damaged, and cannot be moved"):
            StateFile(path, clock=Time())
        assert path.exists()


def with_slow_disk(path: Path) -> tuple[Setup, threading.Event]:
    """Return an exporter of one recording, and an event that its writes wait for."""
    responds = threading.Event()
    responds.set()
    slow_path = hooked_path(path, lambda _: responds.wait(30))
    configuration = with_state_file(slow_path)
    return setup(scripted(paused=[]), configuration=configuration, linger_seconds=0.0), responds


class TestWriteErrors:
    def test_disk_fails(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """Scrapes continue, each change is logged once, and a later write makes up for it."""
        caplog.set_level(logging.INFO, logger="rk_exporter.tracking.state_file")
        away = path.parent.with_name("away")

        async def steps(simulation: Simulation) -> list[str]:
            texts = [await simulation.scrape()]
            path.parent.rename(away)
            # First there is nothing to write; then a recording starts.
            texts += await simulation.scrapes(3)
            path.parent.mkdir()
            path.with_name("state.new").mkdir()
            texts += await simulation.scrapes(2)
            path.with_name("state.new").rmdir()
            path.parent.rmdir()
            away.rename(path.parent)
            texts.append(await simulation.scrape())
            assert (1, 0) == saved_counts(path)
            return [*texts, *await simulation.scrapes(2)]

        later = Recording.scripted("meeting-1", invoked_at=NOW + 20, started_at=NOW + 22)
        texts = simulate(steps, later, configuration=with_state_file(path))
        assert [0, 0, 1, 1, 1, 1, 1, 1, 1] == [value(text, STARTED) for text in texts]
        assert [1, 1, 0, 0, 0, 0, 1, 1, 1] == [value(text, WRITTEN) for text in texts]
        written_at = [value(text, WRITTEN_AT) for text in texts]
        assert [written_at[0]] * 6 == written_at[:6]
        assert [NOW + 90] * 3 == written_at[6:]
        logged = lines(caplog, "tracking.state_file")
        end, new = "; new state will be lost on restart", path.with_name("state.new")
        assert [
            f"state file cannot be written (No such file or directory){end}",
            f"state file cannot be written ({new} is not a regular file; remove it){end}",
            "state file can be written again",
        ] == [message for _, message, _ in logged]
        assert ["WARNING", "WARNING", "INFO"] == [level for level, _, _ in logged]
        assert [{"path": str(path)}] * 3 == [fields for _, _, fields in logged]

    @pytest.mark.parametrize(
        ("obstruct", "is_written"),
        [
            (lambda new, other: new.symlink_to(other), False),
            (lambda new, _: new.symlink_to("/dev/full"), False),
            (lambda new, _: os.mkfifo(new), False),
            (lambda new, other: new.hardlink_to(other), True),
            (lambda new, _: new.touch(mode=0o666), True),
        ],
        ids=["link", "link to a device", "FIFO", "hard link", "file of a killed process"],
    )
    def test_temporary_file(
        self, path: Path, obstruct: Callable[[Path, Path], object], *, is_written: bool
    ) -> None:
        """A link in place of the temporary file is refused, and no other file is written."""
        other = path.with_name("other")
        other.write_text("precious")
        obstruct(path.with_name("state.new"), other)

        async def steps(simulation: Simulation) -> str:
            return await simulation.scrape()

        text = simulate(steps, configuration=with_state_file(path))
        assert is_written == value(text, WRITTEN)
        assert "precious" == other.read_text()
        if is_written:
            assert 0o600 == stat.S_IMODE(path.stat().st_mode)

    def test_immediate_retry(self, path: Path) -> None:
        """The next pass repeats a failed write, even if nothing has changed."""
        away = path.parent.with_name("away")

        async def steps(simulation: Simulation) -> list[str]:
            texts = [await simulation.scrape()]
            path.parent.rename(away)
            texts.append(await simulation.scrape(75))
            away.rename(path.parent)
            return [*texts, await simulation.scrape()]

        texts = simulate(steps, configuration=with_state_file(path))
        assert [1, 0, 1] == [value(text, WRITTEN) for text in texts]

    def test_file_system_hangs(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A hanging write, as on NFS, delays no scrape; a later scrape says that it hangs."""
        caplog.set_level(logging.INFO, logger="rk_exporter.tracking.state_file")
        system, responds = with_slow_disk(path)

        async def scrapes() -> list[str]:
            # The third scrape shows the current values of counters.
            for _ in range(2):
                await system.get()
            while not value((await system.get()).text, WRITTEN):
                pass
            caplog.clear()
            responds.clear()
            texts = []
            # The recording starts, stops, and is uploaded.
            for seconds in (10, 60, 50):
                system.time.now += seconds
                texts.append((await system.get()).text)
            responds.set()
            while not value((await system.get()).text, WRITTEN):
                pass
            assert (1, 1) == saved_counts(path)
            await system.exporter.close()
            return texts

        texts = run(scrapes())
        assert [1, 0, 0] == [value(text, WRITTEN) for text in texts]
        assert [(1, 0), (1, 0), (1, 1)] == [counts(text) for text in texts]
        problem = "the file system does not answer"
        message = f"state file cannot be written ({problem}); new state will be lost on restart"
        fields = {"path": str(path)}
        assert [
            ("WARNING", message, fields),
            ("INFO", "state file can be written again", fields),
        ] == lines(caplog, "tracking.state_file")

    @pytest.mark.parametrize(
        ("late_seconds", "expected", "warned"),
        [(3, [1, 1, 1], 0), (4, [0, 0, 0], 1)],
    )
    def test_slow_disk(
        self,
        path: Path,
        caplog: pytest.LogCaptureFixture,
        late_seconds: int,
        expected: list[int],
        warned: int,
    ) -> None:
        """
        A disk that always answers after a scrape writes every state, and that is no failure.

        If each write takes so long that the file system may hang, there is one warning.
        """
        system, responds = with_slow_disk(path)

        async def scrapes() -> list[str]:
            # The third scrape shows the current values of counters.
            for _ in range(2):
                await system.get()
            while not value((await system.get()).text, WRITTEN_AT):
                pass
            caplog.clear()
            texts = []
            for seconds in (10, 60, 50):
                system.time.now += seconds
                before = file_version(path)
                responds.clear()
                await system.get()
                system.time.now += late_seconds
                texts.append((await system.get()).text)
                responds.set()
                wait_for_change(path, before)
                assert counts(texts[-1]) == saved_counts(path)
            await system.exporter.close()
            return texts

        texts = run(scrapes())
        assert expected == [value(text, WRITTEN) for text in texts]
        written_at = [value(text, WRITTEN_AT) for text in texts]
        assert NOW == written_at[0]
        assert len(texts) == len({*written_at})
        assert warned == len(warnings(caplog))

    def test_wait_for_a_hanging_write(self, path: Path) -> None:
        """The caller that finds a hanging write waits no longer than it wants to."""
        time, responds = Time(), threading.Event()
        slow_path = hooked_path(path, lambda _: responds.wait(30))

        async def saves() -> list[bool]:
            file = StateFile(slow_path, clock=time)
            saved = [await file.save([], max_wait_seconds=0)]
            time.now += 10
            timer = asyncio.get_running_loop().call_later(0.9, responds.set)
            saved.append(await file.save([], max_wait_seconds=0) or responds.is_set())
            timer.cancel()
            responds.set()
            saved.append(await file.save([], max_wait_seconds=10))
            file.close()
            return saved

        assert [False, False, True] == run(saves())

    def test_slow_disk_at_the_start(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """A first write that takes longer than a scrape waits for it is no failure."""
        system, responds = with_slow_disk(path)

        async def scrape() -> str:
            responds.clear()
            text = (await system.get()).text
            responds.set()
            await system.exporter.close()
            return text

        text = run(scrape())
        assert (1, None) == (value(text, WRITTEN), value(text, WRITTEN_AT))
        assert [] == warnings(caplog)

    def test_end_after_a_hang(self, path: Path) -> None:
        """The last write saves what happened during a hanging write."""
        system, responds = with_slow_disk(path)

        async def scrapes() -> None:
            await system.get()
            responds.clear()
            for seconds in (10, 110):
                system.time.now += seconds
                await system.get()
            responds.set()
            await system.exporter.close()

        run(scrapes())
        assert (1, 1) == saved_counts(path)

    def test_end_on_a_slow_disk(self, path: Path, caplog: pytest.LogCaptureFixture) -> None:
        """The last write may take longer than a write that a scrape waits for."""
        system, responds = with_slow_disk(path)
        late = threading.Timer(1.0, responds.set)

        async def end() -> None:
            await system.get()
            system.time.now += 10
            caplog.clear()
            responds.clear()
            late.start()
            await system.exporter.close()

        run(end())
        late.join()
        assert [] == warnings(caplog)
