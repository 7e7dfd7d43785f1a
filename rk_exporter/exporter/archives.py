"""The buckets that an exporter lists: one list for all apps whose copies are in the same place."""

from collections.abc import Callable
from dataclasses import replace

from rk_exporter.archive.reader import AppArchive, BucketReader
from rk_exporter.model.archive import Archive, Bucket
from rk_exporter.runtime.clock import Clock


ReaderFactory = Callable[[Bucket, Clock], BucketReader]


def bucket_reader(bucket: Bucket, clock: Clock) -> BucketReader:
    """Return a reader of a real bucket."""
    return BucketReader(bucket, clock=clock)


class Archives:
    """The readers of all buckets in use, each made by *make_reader*."""

    def __init__(self, clock: Clock, make_reader: ReaderFactory) -> None:
        self._clock = clock
        self._make_reader = make_reader
        self._readers: dict[Bucket, BucketReader] = {}

    def of(self, wanted: Archive | None, before: AppArchive | None = None) -> AppArchive | None:
        """
        Return the archive that an app wants, or None if it wants none.

        If it is the one that the app had *before*, what is known about the copies stays. Otherwise
        only the counters go on, because they are the app's.
        """
        if before is not None:
            if wanted is not None and _is_same(before.archive, wanted):
                before.archive = wanted
                return before
            self.leave(before)
        if wanted is None:
            return None
        reader = self._readers.get(wanted.bucket)
        if reader is None:
            reader = self._readers[wanted.bucket] = self._make_reader(wanted.bucket, self._clock)
        app = reader.add(wanted)
        if before is not None:
            app.status = app.status.counting_on(before.status)
        return app

    def leave(self, archive: AppArchive | None) -> None:
        """Look for no more copies of an app that is gone, or has another archive now."""
        if archive is None:
            return
        archive.leave()
        bucket = archive.archive.bucket
        if not self._readers[bucket].is_used:
            del self._readers[bucket]

    def close(self) -> None:
        """End all lists soon; nobody waits for them."""
        for reader in self._readers.values():
            reader.close()


def _is_same(before: Archive, after: Archive) -> bool:
    """Return whether two archives differ in nothing that matters for what is found."""
    return replace(before, interval_seconds=after.interval_seconds) == after
