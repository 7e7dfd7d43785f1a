"""Lists of a bucket for several apps: when they run, and what becomes of their results."""

import logging

from collections.abc import Callable, Iterator

import pytest

from rk_exporter.archive.listing import Objects
from rk_exporter.archive.reader import LONGEST_LIST_SECONDS, AppArchive, BucketReader
from rk_exporter.model.archive import (
    Archive,
    ArchiveError,
    ArchiveFailure,
    ArchiveReason,
    Bucket,
)
from rk_exporter.runtime.clock import Clock
from tests.support.building import NOW
from tests.support.uploaded import NAME, uploaded


BUCKET = Bucket("our-recordings", "recordings/")
ARCHIVE = Archive(bucket=BUCKET)
FORBIDDEN = ArchiveFailure(ArchiveReason.FORBIDDEN, "the answer is HTTP status 403")
SAVED = {f"recordings/{NAME}": 100}


class ManualClock(Clock):
    """A clock that stands still."""

    seconds = 0.0

    def wall(self) -> float:
        return NOW + self.seconds

    def monotonic(self) -> float:
        return self.seconds


class World:
    """A bucket, a reader of it, and a thread that runs when the test says so."""

    def __init__(self) -> None:
        self.objects: dict[str, int] = dict(SAVED)
        self.failure: Exception | None = None
        self.lists = 0
        self.clock = ManualClock()
        self.work: list[Callable[[], None]] = []
        self.reader = BucketReader(
            BUCKET, clock=self.clock, lister=self._list, start=self.work.append
        )

    def _list(self, bucket: Bucket) -> Iterator[Objects]:
        assert bucket == BUCKET
        self.lists += 1
        for item in self.objects.items():
            yield [item]
        if self.failure:
            raise self.failure

    def finish(self, *, after_seconds: float = 2.0) -> None:
        """Let the thread end its list."""
        self.clock.seconds += after_seconds
        for work in self.work:
            work()
        self.work.clear()

    def update(self, app: AppArchive, *, is_complete: bool = True) -> None:
        app.update((uploaded(),), is_complete=is_complete)


@pytest.fixture
def world() -> World:
    return World()


def test_first_list(world: World) -> None:
    """The first pass begins a list and waits for nothing; a pass after its end has the result."""
    app = world.reader.add(ARCHIVE)
    before = app.status
    assert (None, None) == (before.up, before.copies)
    world.update(app)
    assert app.status is before
    world.finish()
    world.clock.seconds += 10
    world.update(app)
    assert app.status.copies
    assert (True, frozenset({"r1"}), 1) == (
        app.status.up,
        app.status.copies.saved,
        app.status.copies.objects,
    )
    assert NOW + 2 == app.status.last_success_timestamp_seconds
    assert (1, 2.0) == (sum(app.status.durations.counts), app.status.durations.total)


def test_interval(world: World) -> None:
    """The bucket is listed once in each interval, and never twice at the same time."""
    app = world.reader.add(ARCHIVE)
    for _ in range(61):
        world.update(app)
        world.finish(after_seconds=15.0)
    assert 4 == world.lists
    world.clock.seconds += 300
    world.update(app)
    world.clock.seconds += 301
    world.update(app)
    assert 1 == len(world.work)


def test_waits_for_earlier_recordings(world: World) -> None:
    """The first list waits until the recordings before the start are known, but not forever."""
    app = world.reader.add(ARCHIVE)
    world.update(app, is_complete=False)
    assert not world.work
    world.update(app, is_complete=True)
    assert world.work
    late = World()
    app = late.reader.add(ARCHIVE)
    late.clock.seconds = 300
    late.update(app, is_complete=False)
    assert late.work


def test_failure_keeps_the_last_list(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """If the bucket cannot be listed, the last result stays, and the log says it once."""
    caplog.set_level(logging.INFO)
    app = world.reader.add(ARCHIVE)
    world.update(app)
    world.finish()
    world.failure = ArchiveError(FORBIDDEN)
    for _ in range(3):
        world.clock.seconds += 300
        world.update(app)
        world.finish()
    world.update(app)
    status = app.status
    assert (False, FORBIDDEN, 3) == (
        status.up,
        status.failure,
        status.failures[ArchiveReason.FORBIDDEN],
    )
    assert status.copies
    assert status.copies.has("r1")
    assert (1, NOW + 2) == (sum(status.durations.counts), status.last_success_timestamp_seconds)
    (line,) = caplog.records
    assert "archive could not be listed" in line.message
    assert "s3:ListBucket" in line.__dict__["remedy"]
    world.failure = None
    world.clock.seconds += 300
    world.update(app)
    world.finish()
    world.update(app)
    assert app.status.up
    assert ["archive can be listed again"] == [record.message for record in caplog.records[1:]]


def test_bug(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """A bug in the thread is logged without its message, and costs the pass nothing."""
    app = world.reader.add(ARCHIVE)
    world.failure = RuntimeError("canary-5d1f7c")
    world.update(app)
    world.finish()
    world.update(app)
    assert app.status.failure
    assert ArchiveReason.INTERNAL is app.status.failure.reason
    assert "_list: RuntimeError" in caplog.records[0].__dict__["traceback"]
    assert "canary" not in str([record.__dict__ for record in caplog.records])


def test_hanging(world: World) -> None:
    """A list that takes too long counts as failed once, and no other runs beside it."""
    app = world.reader.add(ARCHIVE)
    world.update(app)
    for _ in range(3):
        world.clock.seconds += LONGEST_LIST_SECONDS
        world.update(app)
    assert (1, 0) == (len(world.work), world.lists)
    assert app.status.failure
    assert (ArchiveReason.TIMEOUT, 1) == (
        app.status.failure.reason,
        app.status.failures[ArchiveReason.TIMEOUT],
    )
    # It wakes up, and ends after its first page because nobody waits for it.
    world.finish()
    world.update(app)
    assert (1, False) == (len(world.work), app.status.up)
    world.finish()
    world.update(app)
    assert (True, 1) == (app.status.up, app.status.failures[ArchiveReason.TIMEOUT])


def test_two_apps(world: World) -> None:
    """Two apps with one bucket share its lists, and each has its own recordings and template."""
    first = world.reader.add(ARCHIVE)
    second = world.reader.add(Archive(bucket=BUCKET, key="{meeting_id}/{recording_id}.mp4"))
    world.objects["recordings/m2/r2.mp4"] = 100
    first.update((uploaded(),), is_complete=True)
    # The first list began before this app had told its recordings.
    second.update((uploaded("r2", "m2"),), is_complete=True)
    world.finish()
    for _ in range(2):
        first.update((uploaded(),), is_complete=True)
        second.update((uploaded("r2", "m2"),), is_complete=True)
        world.finish()
    first.update((uploaded(),), is_complete=True)
    assert first.status.copies
    assert second.status.copies
    assert (frozenset({"r1"}), frozenset({"r2"})) == (
        first.status.copies.saved,
        second.status.copies.saved,
    )
    assert 2 == world.lists
    assert [2, 1] == [sum(app.status.durations.counts) for app in (first, second)]
    second.leave()
    world.clock.seconds += 300
    world.update(first)
    world.finish()
    world.update(first)
    assert [3, 1] == [sum(app.status.durations.counts) for app in (first, second)]
    assert world.reader.is_used


def test_stop(world: World) -> None:
    """When the last app leaves, a running list ends after its page."""
    app = world.reader.add(ARCHIVE)
    world.update(app)
    app.leave()
    world.finish()
    assert not world.reader.is_used
    assert app.status.up is None
