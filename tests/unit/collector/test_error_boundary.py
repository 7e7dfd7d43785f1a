import asyncio
import itertools
import logging

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.collector.app_collector import AppCollector
from rk_exporter.collector.collector import Collector
from rk_exporter.collector.error_boundary import ErrorBoundary
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE, FixedToken
from rk_exporter.model.meeting import App, Meeting, ReadMode
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.tracebacks import redacted_traceback
from rk_exporter.simulator import Fault, Session
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.state_file import StateFile
from tests.support import virtual_time
from tests.support.app_parts import app_parts
from tests.support.building import (
    NOW,
    Call,
    Setup,
    VirtualClock,
    run,
    samples,
    scripted,
    setup,
    value,
)
from tests.support.log_lines import line_of


SECRET = "https://bucket.test/file?signature=c0ffee"
INTERNAL_ERRORS = "rk_exporter_internal_errors_total"
TWO_APPS = """\
account_id: account
api: {budget: 100000}
scrape: {min_interval: 0s}
apps:
  - {app_id: buggy, meetings: {ids: [a], discover: true}}
  - {app_id: sound, meetings: {ids: [b]}}
"""


class Bug(Exception):
    """An exception that nobody expects."""


def fail() -> None:
    raise Bug(SECRET)


class TestContain:
    """An app's boundary ends its unexpected exceptions, and no others."""

    def boundary(self) -> tuple[ErrorBoundary, list[int]]:
        """Return a boundary, and a list that has an item for each error counted."""
        counted: list[int] = []
        return ErrorBoundary("app-1", count=lambda: counted.append(1)), counted

    def test_bug(self, caplog: pytest.LogCaptureFixture) -> None:
        """A bug is counted and logged, without the message of the exception."""
        boundary, counted = self.boundary()
        assert boundary.has_failed is False
        with boundary.contain():
            fail()
        assert (len(counted), boundary.has_failed) == (1, True)
        (record,) = caplog.records
        level, message, fields = line_of(record)
        assert (level, fields.pop("app"), [*fields]) == ("ERROR", "app-1", ["traceback"])
        assert message == "internal error in the pass over an app; its last snapshot stays in use"
        assert fields["traceback"].endswith(": Bug")
        assert SECRET not in str(record.__dict__)

    def test_logged_on_change(self, caplog: pytest.LogCaptureFixture) -> None:
        """The same bug is logged once in a row, another one and one after a success again."""
        boundary, counted = self.boundary()
        bugs: Sequence[Callable[[], object]] = (fail, fail, lambda: 1 // 0, fail, dict, fail)
        for bug in bugs:
            with boundary.contain():
                bug()
        kinds = [record.__dict__["traceback"].rpartition(": ")[2] for record in caplog.records]
        assert kinds == ["Bug", "ZeroDivisionError", "Bug", "Bug"]
        assert len(counted) == 5

    @pytest.mark.parametrize("kind", [asyncio.CancelledError, KeyboardInterrupt, SystemExit])
    def test_not_contained(self, kind: type[BaseException]) -> None:
        """Cancellation and the end of the process are no bugs of an app."""
        boundary, counted = self.boundary()
        with pytest.raises(kind), boundary.contain():
            raise kind
        assert counted == []


class TestRedactedTraceback:
    """The frames and types of an exception, without its values."""

    def traceback_of(self, bug: Callable[[], object]) -> str:
        try:
            bug()
        except Bug as error:
            return redacted_traceback(error)
        except ExceptionGroup as group:
            return redacted_traceback(group)
        raise AssertionError

    def test_frames(self) -> None:
        """It shows the file, line and function of each frame, and the type of the exception."""
        text = self.traceback_of(fail)
        _, fail_frame = text.split(" > ")
        line = fail.__code__.co_firstlineno + 1
        assert fail_frame == f"test_error_boundary.py:{line} fail: Bug"

    def test_group(self) -> None:
        """It shows each exception of a group."""

        async def fail_soon() -> None:
            fail()

        async def group() -> None:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(2):
                    tasks.create_task(fail_soon())

        text = self.traceback_of(lambda: asyncio.run(group()))
        assert [part.rpartition(" ")[2] for part in text.split("; ")] == ["Bug", "Bug"]
        assert SECRET not in text

    def test_cause(self) -> None:
        """It shows the causes as well."""

        def translate() -> None:
            try:
                int(SECRET)
            except ValueError as error:
                raise Bug(SECRET) from error

        first, second = self.traceback_of(translate).split("; ")
        assert first.endswith(" translate: Bug")
        assert second.startswith("caused by ")
        assert second.endswith(" translate: ValueError")

    def test_never_raised(self) -> None:
        """An exception without a traceback is its type."""
        assert redacted_traceback(Bug(SECRET)) == "Bug"


def two_apps(folder: Path) -> Config:
    """Return a configuration of an app that will have a bug, and of one that will not."""
    file = folder / "rk.yml"
    file.write_text(TWO_APPS)
    return load(file, {}, {TOKEN_VARIABLE: "simulated"})


def with_buggy_app(config: Config, **changes: Any) -> Config:
    """Return *config* with *changes* of the first app."""
    buggy, sound = config.apps
    return replace(config, apps=(replace(buggy, **changes), sound))


class BuggyFile:
    """A file of meetings whose refresh has a bug."""

    path = Path("meetings")
    meetings = (Meeting("a", "a"),)
    last_read_successful = True
    problem: str | None = None
    last_success_timestamp_seconds: float | None = NOW

    async def refresh(self) -> bool:
        fail()
        return False


class BuggyToken(FixedToken):
    """A token that is there at the start, and then has a bug."""

    def __init__(self) -> None:
        super().__init__(Secret("simulated"))
        self._uses = 0

    def current(self) -> Secret:
        self._uses += 1
        if self._uses > 1:
            fail()
        return super().current()


def bug_in(path: str) -> Callable[[Call], None]:
    """Return a bug in calls for the buggy app whose path starts with *path*."""

    def before(call: Call) -> None:
        if call.app_id == "buggy" and call.path.startswith(path):
            fail()

    return before


def setup_of(configuration: Config) -> Setup:
    """Return an exporter of both apps, each of whose meetings is recorded and live."""
    sessions = [Session(name, name, NOW - 60, None, 2) for name in "ab"]
    return setup(scripted("a"), scripted("b"), sessions=sessions, configuration=configuration)


def check(system: Setup, log: pytest.LogCaptureFixture) -> None:
    """Check that four scrapes show the healthy app, and count and log the bug of the other app."""

    async def scrapes() -> list[str]:
        answers = []
        for seconds in (0, 10, 20, 30):
            system.time.now = NOW + seconds
            answers.append(await system.get())
        assert [answer.status_code for answer in answers] == [200] * 4
        await system.exporter.close()
        return [answer.text for answer in answers]

    for number, text in enumerate(run(scrapes()), start=1):
        # A new series shows its old value first.
        bugs = number if number > 2 else 0
        assert samples(text, INTERNAL_ERRORS) == {'{rk_app="buggy"}': bugs, '{rk_app="sound"}': 0}
        assert value(text, "rk_meeting_active_recordings", rk_app="sound") == 1
        age = "rk_meeting_last_success_timestamp_seconds"
        assert value(text, age, rk_app="sound") == NOW + 10 * (number - 1)
        assert value(text, "rk_up", rk_app="buggy") is None
    (record,) = (record for record in log.records if record.levelno == logging.ERROR)
    assert record.__dict__["app"] == "buggy"
    assert "Bug" in record.__dict__["traceback"]
    for logged in log.records:
        assert SECRET not in str(logged.__dict__)


@pytest.mark.parametrize(
    "changes",
    [lambda: {"meeting_files": (BuggyFile(),)}, lambda: {"token": BuggyToken()}],
    ids=["file", "token"],
)
def test_bug_in_a_source(
    changes: Callable[[], dict[str, Any]], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A bug in an app's list of meetings or its token costs the other app nothing."""
    check(setup_of(with_buggy_app(two_apps(tmp_path), **changes())), caplog)


@pytest.mark.parametrize("path", ["sessions", "recordings", "recordings/active", "meetings"])
def test_bug_in_a_call(path: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in a call of one app costs the other app nothing: discovery, lists and readings."""
    system = setup_of(two_apps(tmp_path))
    system.proxy.before = bug_in(path)
    check(system, caplog)


def test_bug_that_ends(tmp_path: Path) -> None:
    """During a bug the app keeps its last snapshot; afterwards it is read again."""
    system = setup_of(two_apps(tmp_path))

    async def scrapes() -> list[str]:
        texts = [(await system.get()).text]
        for before in (bug_in(""), lambda _: None):
            system.proxy.before = before
            system.time.now += 10
            texts.append((await system.get()).text)
        return texts

    texts = run(scrapes())
    age = "rk_meeting_last_success_timestamp_seconds"
    read_at = [value(text, age, rk_app="buggy", meeting_id="a") for text in texts]
    assert read_at == [NOW, NOW, NOW + 20]
    assert [value(text, INTERNAL_ERRORS, rk_app="buggy") for text in texts] == [0, 0, 1]
    assert [value(text, "rk_up", rk_app="buggy") for text in texts] == [1, 1, 1]


def test_state_file(tmp_path: Path) -> None:
    """The state of the healthy app is saved, and that of the other app as it was last shown."""
    file = tmp_path / "state.json"
    system = setup_of(replace(two_apps(tmp_path), state_file=file))

    async def scrapes() -> None:
        await system.get()
        system.proxy.before = bug_in("recordings/active")
        for _ in range(7):
            system.time.now += 20
            assert (await system.get()).status_code == 200
        await system.exporter.close()

    run(scrapes())
    store = StateFile(file, clock=system.time)
    buggy, sound = (
        store.restored_apps.get(App(name, "account", name)) for name in ("buggy", "sound")
    )
    store.close()
    assert buggy
    assert sound
    statuses = [
        {known.recording.status.value for known in saved.tracker.recordings}
        for saved in (buggy, sound)
    ]
    assert statuses == [{"INVOKED"}, {"UPLOADED"}]


def test_deadline_is_no_bug(tmp_path: Path) -> None:
    """A call that exceeds the deadline is a failed call, not an internal error."""
    system = setup_of(two_apps(tmp_path))
    system.simulator.inject("*", Fault.HANG)

    async def scrape() -> str:
        return (await system.get(headers={"X-Prometheus-Scrape-Timeout-Seconds": "1.5"})).text

    text = run(scrape())
    assert samples(text, INTERNAL_ERRORS) == {'{rk_app="buggy"}': 0, '{rk_app="sound"}': 0}
    assert value(text, "rk_up", rk_app="buggy") == 0


@pytest.mark.parametrize("before", [bug_in(""), lambda _: None], ids=["bug", "no bug"])
def test_close_during_a_pass(before: Callable[[Call], None], tmp_path: Path) -> None:
    """Closing ends a running pass, with a bug in another app or without."""
    system = setup_of(two_apps(tmp_path))
    system.proxy.before = before
    system.simulator.inject("b", Fault.HANG)

    async def scrape() -> None:
        waiting = asyncio.create_task(system.get())
        await asyncio.sleep(0.1)
        await system.exporter.close()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    run(scrape())


class BuggyClock(Clock):
    """A clock whose wall time has a bug the *n*th time that it is read; 0: it has none."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.fails_at = 0
        self.reads = 0

    def wall(self) -> float:
        self.reads += 1
        if self.reads == self.fails_at:
            fail()
        return self._clock.wall()

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def restart(self, fails_at: int) -> None:
        """Start counting again."""
        self.fails_at, self.reads = fails_at, 0


@pytest.mark.parametrize("read", ReadMode)
def test_bug_anywhere(read: ReadMode) -> None:
    """Wherever an app fails in its pass, it keeps its state, and the other app is read."""

    async def steps() -> None:
        clock = VirtualClock()
        buggy_clock = BuggyClock(clock)
        buggy, sound = (
            AppCollector(app_parts(name, app_clock, read), min_interval_seconds=0.0)
            for name, app_clock in (("buggy", buggy_clock), ("sound", clock))
        )
        counted: list[str] = []
        collector = Collector(
            [
                (buggy, ErrorBoundary("buggy", count=lambda: counted.append("buggy"))),
                (sound, ErrorBoundary("sound", count=lambda: counted.append("sound"))),
            ],
            clock=clock,
        )
        buggy_clock.restart(0)
        await collector.scrape(9.5)
        for number in itertools.count(1):
            await asyncio.sleep(60)
            buggy_clock.restart(number)
            before = buggy.state
            snapshot = await collector.scrape(9.5)
            if buggy_clock.reads < number:
                # The pass has come to its end.
                break
            assert buggy.state is before, number
            check_sound(snapshot.apps[1], clock.wall())
            assert counted == ["buggy"] * number
        assert number > 15
        for app in snapshot.apps:
            check_sound(app, clock.wall())
        await collector.close()

    virtual_time.run(steps())


def check_sound(app: AppSnapshot, now: float) -> None:
    """Check that both meetings of an app have just been read."""
    found = {
        reading.meeting.meeting_id: reading.last_success_timestamp_seconds
        for reading in app.readings
    }
    assert found.keys() == {"a", "b"}
    assert all(at is not None and now - at < 10 for at in found.values())
