"""Checks the files of one app's recordings with the URLs that its readings bring."""

import logging
import math

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial

from rk_exporter.downloads import schedule
from rk_exporter.downloads.check_queue import CheckQueue
from rk_exporter.downloads.fetch import FetchFailed
from rk_exporter.downloads.hosts import DownloadRules
from rk_exporter.downloads.remedies import REMEDIES
from rk_exporter.downloads.verdict import Answer, judge
from rk_exporter.model.download import CheckFailure, DownloadChecks, FileCheck, FileKind, FileUrls
from rk_exporter.model.recording import Recording
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.server_clock import ServerClock


logger = logging.getLogger(__name__)
Fetch = Callable[[Secret, DownloadRules], Awaitable[Answer]]
# At the rate of the queue these take a few minutes. The URLs of more are not kept.
MOST_WAITING = 1000
# A recording that was read by its id without a URL is not read again soon.
_ASK_AGAIN_SECONDS = 600.0
# To look at each of up to 100,000 recordings in every pass would take time.
_LOOK_SECONDS = 25.0


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckTools:
    """What the checks of all apps share."""

    fetch: Fetch
    queue: CheckQueue
    clock: Callable[[], float]
    count_bug: Callable[[str], None]
    """Counts an unexpected exception of an app, which it gets by name."""


@dataclass(frozen=True, slots=True)
class _Offer:
    """A recording that is due, and the URLs that a reading brought."""

    recording: Recording
    files: tuple[FileUrls, ...]


class DownloadVerifier:
    """
    Decides which recordings of one app to check, and keeps the results.

    A reading offers the URLs of recordings that are due. `start` checks those that are shown, and
    forgets the URLs of the others. *list_seconds* is how often the whole list is read.
    """

    def __init__(
        self,
        app: str,
        rules: DownloadRules,
        tools: CheckTools,
        *,
        server_clock: ServerClock,
        list_seconds: float,
        checks: Iterable[FileCheck] = (),
    ) -> None:
        self._tools = tools
        self._server_clock = server_clock
        self._offers: dict[str, _Offer] = {}
        self._running: set[str] = set()
        self._asked_at: dict[str, float] = {}
        self._looked_at = -math.inf
        self._is_on = True
        self.result = DownloadChecks(_by_recording(checks), failed=_no_failures())
        """The last checks, replaced as a whole."""
        self.change(app, rules, list_seconds=list_seconds)

    def change(self, app: str, rules: DownloadRules, *, list_seconds: float) -> None:
        """Go on under another name of the *app*, with other *rules*."""
        self._app, self._rules, self._list_seconds = app, rules, list_seconds

    def restart_counters(self) -> None:
        """Let the counts of checks begin at 0; the last checks stay."""
        self.result = DownloadChecks(self.result.by_recording, failed=_no_failures())

    def leave(self) -> None:
        """Make no more checks."""
        self._is_on = False
        self._offers.clear()

    def wants(self, recording: Recording) -> bool:
        """Return whether the URLs of a *recording* are needed now."""
        key = recording.recording_id
        has_room = len(self._offers) + len(self._running) < MOST_WAITING
        return has_room and key not in self._running and self._is_due(recording)

    def offer(self, recording: Recording, files: tuple[FileUrls, ...]) -> None:
        """Take the URLs that a reading of a *recording* has brought."""
        if self._is_on and files:
            self._offers[recording.recording_id] = _Offer(recording, files)

    def start(self, shown: Iterable[tuple[str, Recording]]) -> None:
        """Check those offered recordings that are *shown*, each with the id of its meeting."""
        offers, self._offers = self._offers, {}
        ids = set()
        for meeting_id, recording in shown:
            ids.add(recording.recording_id)
            if offer := offers.get(recording.recording_id):
                self._running.add(recording.recording_id)
                check = partial(self._check, meeting_id, offer)
                self._tools.queue.submit(check, count_bug=self._count_bug)
        self._forget_all_but(ids | self._running)

    def to_read(self, shown: Iterable[Recording], *, most: int) -> list[str]:
        """Return the ids of *most* recordings whose URLs are needed, and that no list brought."""
        now, ids = self._tools.clock(), list[str]()
        if 0 <= now - self._looked_at < _LOOK_SECONDS:
            return ids
        self._looked_at = now
        for recording in shown:
            key = recording.recording_id
            is_asked = now - self._asked_at.get(key, -_ASK_AGAIN_SECONDS) < _ASK_AGAIN_SECONDS
            if len(ids) < most and not is_asked and key not in self._running:
                is_needed = schedule.needs_reading(
                    recording,
                    self._checks(key),
                    now=now,
                    list_seconds=self._list_seconds,
                    api_ahead_seconds=self._server_clock.offset_seconds,
                )
                ids += [key] if is_needed else []
        return ids

    def was_read(self, recording_id: str) -> None:
        """Remember that a recording was read by its id."""
        self._asked_at[recording_id] = self._tools.clock()

    def _is_due(self, recording: Recording) -> bool:
        return schedule.is_due(
            recording,
            self._checks(recording.recording_id),
            now=self._tools.clock(),
            api_ahead_seconds=self._server_clock.offset_seconds,
        )

    def _checks(self, recording_id: str) -> tuple[FileCheck, ...]:
        return self.result.by_recording.get(recording_id, ())

    async def _check(self, meeting_id: str, offer: _Offer) -> None:
        """Check all files of a recording."""
        key = offer.recording.recording_id
        try:
            if self._is_on:
                found = [await self._check_kind(offer.recording, files) for files in offer.files]
                if self._is_on:
                    self._record(meeting_id, key, found)
        finally:
            self._running.discard(key)

    def _count_bug(self) -> None:
        # The app may have left in the meantime, with all of its series.
        if self._is_on:
            self._tools.count_bug(self._app)

    async def _check_kind(self, recording: Recording, files: FileUrls) -> FileCheck:
        """Check the files of one kind, up to the first that fails."""
        sizes: list[float] = []
        # Something is in the URL's place, but it is nothing that can be requested.
        failure = None if files.urls else CheckFailure.REFUSED_HOST
        is_comparable = files.kind is FileKind.COMPOSITE
        expected_size = recording.file_size_bytes if is_comparable else None
        for url in files.urls:
            await self._tools.queue.turn()
            failure, size = await self._check_file(url, expected_size)
            sizes += [] if size is None else [size]
            if failure:
                break
        is_known = bool(sizes) and len(sizes) == len(files.urls)
        before = {check.kind: check for check in self._checks(recording.recording_id)}
        last = before.get(files.kind)
        return FileCheck(
            recording_id=recording.recording_id,
            kind=files.kind,
            checked_at=self._tools.clock(),
            failure=failure,
            size_bytes=sum(sizes) if is_known else None,
            failures=(last.failures if last else 0) + 1 if failure else 0,
        )

    async def _check_file(
        self, url: Secret, expected_size: float | None
    ) -> tuple[CheckFailure | None, float | None]:
        try:
            answer = await self._tools.fetch(url, self._rules)
        except FetchFailed as error:
            return error.failure, None
        return judge(answer, expected_size=expected_size), answer.size

    def _record(self, meeting_id: str, recording_id: str, found: list[FileCheck]) -> None:
        before = {check.kind: check.failure for check in self._checks(recording_id)}
        failed = dict(self.result.failed)
        for check in found:
            if check.failure:
                failed[check.failure] += 1
            if check.failure != before.get(check.kind):
                self._log(meeting_id, check)
        self.result = DownloadChecks(
            {**self.result.by_recording, recording_id: tuple(found)},
            made=self.result.made + len(found),
            failed=failed,
        )

    def _log(self, meeting_id: str, check: FileCheck) -> None:
        fields = {
            "app": self._app,
            "meeting_id": meeting_id,
            "recording_id": check.recording_id,
            "kind": check.kind.value,
        }
        if check.failure is None:
            logger.info("recording's file can be downloaded again", extra=fields)
            return
        more = {"reason": check.failure.value, "remedy": REMEDIES[check.failure]}
        logger.warning("recording's file cannot be downloaded", extra=fields | more)

    def _forget_all_but(self, ids: set[str]) -> None:
        kept = self.result.by_recording
        if not kept.keys() <= ids:
            kept = {key: checks for key, checks in kept.items() if key in ids}
            self.result = replace(self.result, by_recording=kept)
        self._asked_at = {key: at for key, at in self._asked_at.items() if key in ids}


def _no_failures() -> Mapping[CheckFailure, int]:
    return dict.fromkeys(CheckFailure, 0)


def _by_recording(checks: Iterable[FileCheck]) -> Mapping[str, tuple[FileCheck, ...]]:
    found: dict[str, tuple[FileCheck, ...]] = {}
    for check in checks:
        found[check.recording_id] = (*found.get(check.recording_id, ()), check)
    return found
