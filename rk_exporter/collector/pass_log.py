"""
The log of the passes over one app: why a meeting is not shown, or is shown with old values.

Each condition is logged when it begins, when it changes and when it ends. A line names ten meetings
at most and counts the others, so that the log stays short however many meetings there are.
"""

import logging

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rk_exporter.collector.failing import Changes, Failing
from rk_exporter.collector.waiting_log import WaitingLog
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Reading
from rk_exporter.model.remedies import EXISTENCE_REMEDY, REMEDIES, Wait
from rk_exporter.runtime.last_logged import LastLogged
from rk_exporter.runtime.printable import names_text
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.lifecycle import KnownRecording


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class PassReport:
    """The result of a pass that ended *now* (monotonic seconds), with the *snapshot* it made."""

    now: float
    snapshot: AppSnapshot
    meetings: Mapping[str, Failure | None]
    """The meetings that were read: None, or why that failed."""
    recordings: Mapping[str, Failure | None]
    """The recordings that were read by their ids: None, or why that failed."""
    waiting: Sequence[str]
    """The meetings that were due and not read."""
    cause: Wait
    """Why they were not."""
    followed: Sequence[KnownRecording] = ()
    """All recordings that may be read by their ids, shown or not."""
    duplicates: tuple[str, ...] = ()
    """The meetings that several lists have."""


class PassLog:
    """Logs the passes over one *app*; it remembers what it has logged."""

    def __init__(self, app: str) -> None:
        self._app = {"app": app}
        self._meetings, self._recordings = Failing(), Failing()
        self._waiting = WaitingLog(app)
        self._blocked_by: LastLogged[Reason | None] = LastLogged(None)
        self._duplicates: LastLogged[tuple[str, ...]] = LastLogged(())
        self._listed: dict[str, None] | None = None
        self._unread: set[str] = set()
        self._stale: set[str] = set()

    def log(self, report: PassReport) -> None:
        """Log what differs from the passes before."""
        readings = report.snapshot.readings
        listed = dict.fromkeys(reading.meeting.meeting_id for reading in readings)
        self._log_list(listed, report.duplicates)
        self._log_block(report)
        self._log_meetings(self._meetings.observe(report.meetings, listed=lambda: listed))
        self._log_recordings(report)
        self._waiting.log(report.waiting, report.cause, now=report.now)
        self._log_stale(readings, report)
        self._log_first_readings(readings)

    def _log_list(self, listed: dict[str, None], duplicates: tuple[str, ...]) -> None:
        """Log the meetings that have come and gone since the last pass."""
        before, self._listed = self._listed, listed
        self._unread |= listed.keys() if before is None else listed.keys() - before.keys()
        self._unread &= listed.keys()
        if self._duplicates.changes_to(duplicates) and duplicates:
            logger.info(
                "meetings are listed more than once; each is read once",
                extra=self._fields(duplicates),
            )
        if before is None:
            return
        if added := [key for key in listed if key not in before]:
            logger.info("meetings are read from now on", extra=self._fields(added))
        if removed := [key for key in before if key not in listed]:
            logger.info(
                "meetings are no longer read: no list has them, and they are not live",
                extra=self._fields(removed),
            )

    def _log_block(self, report: PassReport) -> None:
        status = report.snapshot.budget_status
        failure = status.block.failure if status and status.block else None
        reason = failure.reason if failure else None
        if not self._blocked_by.changes_to(reason):
            return
        if failure is None:
            logger.info("API calls are made again", extra=self._app)
        else:
            why = {"reason": failure.reason.value, "remedy": REMEDIES[failure.reason]}
            logger.warning(
                "API calls are suspended, and meetings keep their last values: %s",
                failure.explanation,
                extra=self._app | why,
            )

    def _log_meetings(self, changes: Changes) -> None:
        counts = {"failed": len(self._meetings), "reasons": self._meetings.reasons_text}
        for reason, new in changes.new.items():
            why = {"reason": reason.value, "remedy": REMEDIES[reason]}
            logger.warning(
                "meetings cannot be read: %s",
                new.failure.explanation,
                extra=self._fields(new.ids) | counts | why,
            )
        if not changes.recovered:
            return
        fields = self._fields(changes.recovered)
        if self._meetings:
            logger.info("meetings can be read again", extra=fields | counts)
        else:
            logger.info("all meetings can be read again", extra=fields)

    def _log_recordings(self, report: PassReport) -> None:
        if not (report.recordings or self._recordings):
            return
        meeting_ids = {known.recording_id: known.meeting.meeting_id for known in report.followed}
        changes = self._recordings.observe(report.recordings, listed=lambda: meeting_ids)
        for reason, new in changes.new.items():
            logger.warning(
                "recordings cannot be read: %s",
                new.failure.explanation,
                extra=self._app
                | {
                    "recording_ids": names_text(new.ids),
                    "meeting_ids": names_text(
                        [*dict.fromkeys(meeting_ids[key] for key in new.ids if key in meeting_ids)]
                    ),
                    "failed": len(self._recordings),
                    "reason": reason.value,
                    "remedy": REMEDIES[reason],
                },
            )
        if changes.recovered:
            logger.info(
                "recordings can be read again",
                extra=self._app | {"recording_ids": names_text(changes.recovered)},
            )

    def _log_stale(self, readings: Sequence[Reading], report: PassReport) -> None:
        """Log the meetings whose last values have become too old to be shown."""
        stale = {
            reading.meeting.meeting_id: reading.failure
            for reading in readings
            if reading.recordings is None and reading.last_success_timestamp_seconds is not None
        }
        if new := [key for key in stale if key not in self._stale]:
            failures = [failure.reason.value for key in new if (failure := stale[key])]
            causes = {*failures, *([report.cause.value] if len(failures) < len(new) else [])}
            logger.warning(
                "values of meetings are too old, and no longer shown",
                extra=self._fields(new) | {"reasons": ",".join(sorted(causes))},
            )
        listed = {reading.meeting.meeting_id for reading in readings} if self._stale else set()
        if back := [key for key in self._stale if key in listed and key not in stale]:
            logger.info("values of meetings are shown again", extra=self._fields(sorted(back)))
        self._stale = set(stale)

    def _log_first_readings(self, readings: Sequence[Reading]) -> None:
        """Log, as soon as all meetings had their turn, which of the new ones have no recording."""
        if not self._unread or any(reading.up is None for reading in readings):
            return
        new = [reading for reading in readings if reading.meeting.meeting_id in self._unread]
        self._unread -= {reading.meeting.meeting_id for reading in new if reading.up}
        # A live meeting exists, whether it is recorded or not.
        idle = [
            reading.meeting.meeting_id
            for reading in new
            if reading.up and not reading.recordings and not (reading.room and reading.room.is_live)
        ]
        if idle:
            logger.info(
                "meetings have no recording in progress; a mistyped id looks the same",
                extra=self._fields(idle) | {"remedy": EXISTENCE_REMEDY},
            )

    def _fields(self, meeting_ids: Sequence[str]) -> dict[str, object]:
        return {
            **self._app,
            "meeting_ids": names_text(meeting_ids),
            "meetings": len(meeting_ids),
        }
