"""Lists of one bucket in a thread, for all apps whose copies are in it."""

import logging
import threading

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass

from rk_exporter.archive.listing import Objects, list_objects
from rk_exporter.archive.search import Search
from rk_exporter.archive.status import ArchiveStatus, Copies
from rk_exporter.model.archive import (
    ARCHIVE_REMEDIES,
    Archive,
    ArchiveError,
    ArchiveFailure,
    ArchiveReason,
    Bucket,
)
from rk_exporter.runtime.clock import Clock
from rk_exporter.runtime.daemon_executor import complete
from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.runtime.tracebacks import redacted_traceback
from rk_exporter.tracking.lifecycle import KnownRecording


logger = logging.getLogger(__name__)
LONGEST_LIST_SECONDS = 900.0
# However rarely a bucket is listed, a failed list is repeated after this time.
_RETRY_SECONDS = 300.0
_LATE = ArchiveFailure(
    ArchiveReason.TIMEOUT, f"the list takes longer than {LONGEST_LIST_SECONDS / 60:.0f} minutes"
)
_BUG = ArchiveFailure(ArchiveReason.INTERNAL, "a bug in the exporter")
_Lister = Callable[[Bucket], Iterator[Objects]]


def _in_thread(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="archive", daemon=True).start()


class AppArchive:
    """The copies of one app's recordings that the lists of its bucket have shown."""

    def __init__(self, archive: Archive, reader: "BucketReader") -> None:
        self.archive = archive
        self.status = ArchiveStatus(bucket=archive.bucket)
        """The status after the last list; it is replaced as a whole, and never changed."""
        self.recordings: tuple[KnownRecording, ...] | None = None
        """The recordings to look for; None before the first pass."""
        self._reader = reader

    def update(self, recordings: tuple[KnownRecording, ...], *, is_complete: bool) -> ArchiveStatus:
        """
        Return what is known about the copies, and begin a list if one is due.

        This waits for nothing. *is_complete* says that the recordings from before the start of the
        process are among the *recordings*.
        """
        self._reader.collect()
        self.recordings = recordings
        self._reader.begin_if_due(self, is_complete=is_complete)
        return self.status

    def leave(self) -> None:
        """Look for no more copies."""
        self._reader.remove(self)


@dataclass(frozen=True, slots=True)
class _Found:
    """The copies in a list that took *seconds* and ended at *ended_at* (unix seconds)."""

    copies: Mapping[AppArchive, Copies]
    seconds: float
    ended_at: float


@dataclass(frozen=True, slots=True)
class _Running:
    """A list that runs in a thread, and for whom."""

    future: "Future[_Found]"
    apps: tuple[AppArchive, ...]
    begun_at: float
    stop: threading.Event


class BucketReader:
    """
    Lists one bucket, at most once per interval, and searches the copies of several apps in it.

    A bucket that hangs keeps one thread, and neither scrapes nor the end of the process wait for
    it. Passes start the lists and take their results, so there is no timer.
    """

    def __init__(
        self,
        bucket: Bucket,
        *,
        clock: Clock,
        lister: _Lister = list_objects,
        start: Callable[[Callable[[], None]], object] = _in_thread,
    ) -> None:
        self._bucket = bucket
        self._clock = clock
        self._lister = lister
        self._start = start
        self._apps: list[AppArchive] = []
        self._waiting_since: dict[AppArchive, float] = {}
        """Since when the apps wait that no list was made for yet."""
        self._running: _Running | None = None
        self._is_late = False
        self._last_begun_at: float | None = None
        self._last_logged: LastLogged[ArchiveFailure | None] = LastLogged(None)

    def add(self, archive: Archive) -> AppArchive:
        """Return what the lists will show of another app."""
        app = AppArchive(archive, self)
        self._apps.append(app)
        self._waiting_since[app] = self._clock.monotonic()
        return app

    def remove(self, app: AppArchive) -> None:
        """Forget an app."""
        self._apps.remove(app)
        self._waiting_since.pop(app, None)
        if not self._apps:
            self.close()

    @property
    def is_used(self) -> bool:
        """Return whether any app needs the bucket."""
        return bool(self._apps)

    def close(self) -> None:
        """End the running list after its current page; nobody waits for that."""
        if self._running:
            self._running.stop.set()

    def begin_if_due(self, app: AppArchive, *, is_complete: bool) -> None:
        """Begin a list for all apps if one is due for *app*, and none is running."""
        if self._running is not None or not self._is_due(app, is_complete=is_complete):
            return
        now = self._clock.monotonic()
        apps = tuple(other for other in self._apps if other.recordings is not None)
        for other in apps:
            self._waiting_since.pop(other, None)
        running = _Running(Future(), apps, now, threading.Event())
        wanted = {other: (other.archive, other.recordings or ()) for other in apps}
        self._running, self._last_begun_at, self._is_late = running, now, False
        self._start(lambda: complete(running.future, lambda: self._list(wanted, running)))

    def _is_due(self, app: AppArchive, *, is_complete: bool) -> bool:
        now, interval_seconds = self._clock.monotonic(), app.archive.interval_seconds
        if app in self._waiting_since:
            return is_complete or now - self._waiting_since[app] >= interval_seconds
        if app.status.failure:
            interval_seconds = min(interval_seconds, _RETRY_SECONDS)
        return self._last_begun_at is None or now - self._last_begun_at >= interval_seconds

    def _list(
        self,
        wanted: Mapping[AppArchive, tuple[Archive, tuple[KnownRecording, ...]]],
        running: _Running,
    ) -> _Found:
        """Return what the bucket has, in a thread. Raises ArchiveError."""
        listed_at, objects = self._clock.wall(), 0
        searches = {app: Search(*looked_for) for app, looked_for in wanted.items()}
        for page in self._lister(self._bucket):
            if running.stop.is_set():
                raise ArchiveError(_LATE)
            objects += len(page)
            for search in searches.values():
                for key, size in page:
                    search.see(key, size)
        copies = {
            app: search.result(listed_at=listed_at, objects=objects)
            for app, search in searches.items()
        }
        seconds = self._clock.monotonic() - running.begun_at
        return _Found(copies, seconds, self._clock.wall())

    def collect(self) -> None:
        """Take the result of a list that has ended, or is late."""
        running = self._running
        if running is None:
            return
        if not running.future.done():
            seconds = self._clock.monotonic() - running.begun_at
            if seconds >= LONGEST_LIST_SECONDS and not self._is_late:
                self._is_late = True
                running.stop.set()
                self._fail(running.apps, _LATE)
            return
        self._running = None
        if self._is_late:
            return
        error = running.future.exception()
        if error is None:
            self._succeed(running.future.result())
        elif isinstance(error, ArchiveError):
            self._fail(running.apps, error.failure)
        else:
            self._fail(running.apps, _BUG, traceback=redacted_traceback(error))

    def _succeed(self, found: _Found) -> None:
        for app, copies in found.copies.items():
            app.status = app.status.after_success(copies, seconds=found.seconds, now=found.ended_at)
        if self._last_logged.changes_to(None):
            logger.info("archive can be listed again", extra={"bucket": self._bucket.name})

    def _fail(self, apps: tuple[AppArchive, ...], failure: ArchiveFailure, **more: str) -> None:
        for app in apps:
            app.status = app.status.after_failure(failure)
        if self._last_logged.changes_to(failure):
            logger.warning(
                "archive could not be listed; what the last list showed stays in use",
                extra={
                    "bucket": self._bucket.name,
                    "reason": failure.reason,
                    "error": failure.explanation,
                    "remedy": ARCHIVE_REMEDIES[failure.reason],
                    **more,
                },
            )
