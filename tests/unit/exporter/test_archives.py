"""What an app keeps of its archive when a reload gives it another one."""

from collections.abc import Iterator

from rk_exporter.archive.listing import Objects
from rk_exporter.archive.reader import AppArchive, BucketReader
from rk_exporter.exporter.archives import Archives
from rk_exporter.model.archive import (
    Archive,
    ArchiveError,
    ArchiveFailure,
    ArchiveReason,
    Bucket,
)
from rk_exporter.runtime.clock import Clock
from tests.support.building import Time


FORBIDDEN = ArchiveFailure(ArchiveReason.FORBIDDEN, "the answer is HTTP status 403")
GOOD, BAD = Archive(bucket=Bucket("good")), Archive(bucket=Bucket("bad"))


def listed(bucket: Bucket) -> Iterator[Objects]:
    """Return the objects of a bucket, unless it is the bad one."""
    if bucket == BAD.bucket:
        raise ArchiveError(FORBIDDEN)
    yield [("a", 1)]


def reader(bucket: Bucket, clock: Clock) -> BucketReader:
    """Return a reader that lists at once."""
    return BucketReader(bucket, clock=clock, lister=listed, start=lambda work: work())


def counted(app: AppArchive | None) -> tuple[int, int]:
    """Let an app list its bucket; return how many lists of the app succeeded and failed so far."""
    assert app
    for _ in range(2):
        status = app.update((), is_complete=True)
    return sum(status.durations.counts), sum(status.failures.values())


def test_another_bucket() -> None:
    """The counters of an app go on with another bucket, of which nothing else is known."""
    archives = Archives(Time(), reader)
    first = archives.of(GOOD)
    assert counted(first) == (1, 0)
    second = archives.of(BAD, first)
    assert second
    assert (second.status.copies, second.status.up, second.status.bucket) == (
        None,
        None,
        BAD.bucket,
    )
    assert counted(second) == (1, 1)
    third = archives.of(GOOD, second)
    assert counted(third) == (2, 1)


def test_another_app() -> None:
    """A new app counts from 0, also in a bucket that another one has."""
    archives = Archives(Time(), reader)
    assert counted(archives.of(BAD)) == (0, 1)
    new = archives.of(BAD)
    assert new
    assert (sum(new.status.durations.counts), sum(new.status.failures.values())) == (0, 0)


def test_the_same_bucket() -> None:
    """All that is known stays if only the interval changes."""
    archives = Archives(Time(), reader)
    first = archives.of(GOOD)
    counted(first)
    assert archives.of(Archive(bucket=GOOD.bucket, interval_seconds=60.0), first) is first
    assert first
    assert first.status.copies
