"""What the events of webhooks mean for the passes over one app."""

from collections.abc import Iterable
from dataclasses import dataclass

from rk_exporter.collector.announcements import Announcements, Change, changes
from rk_exporter.collector.hints import Hints
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import Meeting
from rk_exporter.model.recording import Status
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus, health
from rk_exporter.runtime.clock import Clock
from rk_exporter.tracking.lifecycle import KnownRecording


LONGEST_IDLE_SECONDS = 600.0
"""How long an idle meeting may wait for its next read while webhooks are healthy."""
# A meeting may not show such a recording any more.
_STOPPED = frozenset({Status.UPLOADING, Status.UPLOADED, Status.ERRORED})


@dataclass(frozen=True, slots=True)
class Notice:
    """What an event says, as far as it matters here: only that something may have changed."""

    meeting_ids: tuple[str, ...]
    """The ids that the event has for its meeting; the first that is known counts."""
    recording_id: str | None = None
    status: Status | None = None
    changes_something: bool = True
    """Whether the kind of event is about recordings, or the start or end of a meeting."""


class AppWebhook:
    """
    The hints for one app, and the proof that events arrive.

    Events make reads due, and never change a value that is shown.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._started_at = clock.monotonic()
        self.hints = Hints()
        self._announcements = Announcements()
        self._meetings: frozenset[str] = frozenset()
        self._known: dict[str, KnownRecording] = {}
        # An earlier process may have read idle meetings as rarely.
        self._relaxed_at = clock.monotonic()

    def set_meetings(self, meetings: Iterable[Meeting]) -> None:
        """Set the meetings that are read."""
        self._meetings = frozenset(canonical(meeting.meeting_id) for meeting in meetings)
        self.hints.keep_meetings(self._meetings)

    def knows(self, notice: Notice) -> str | None:
        """Return the id of the meeting that an event is about, if it is read."""
        ids = map(canonical, notice.meeting_ids)
        return next((meeting_id for meeting_id in ids if meeting_id in self._meetings), None)

    def take(self, notice: Notice, *, finds_meetings: bool, is_certain: bool = True) -> bool:
        """
        Make due what an event is about, and return whether there is anything.

        If discovery *finds_meetings*, an event of an unknown one makes the list of sessions due.
        Unless it *is_certain* that the event is about this app, it does not show that the app's
        webhooks work.
        """
        meeting_id = self.knows(notice)
        if meeting_id is None and not finds_meetings:
            return False
        change = None
        if notice.recording_id and notice.status:
            change = Change(notice.recording_id, notice.status)
        self._announcements.announce(change, now=self._clock.wall(), is_certain=is_certain)
        if not notice.changes_something:
            return True
        if meeting_id is None:
            self.hints.add_discovery()
            return True
        self.hints.add_meeting(meeting_id)
        self._hint_recording(notice)
        return True

    def _hint_recording(self, notice: Notice) -> None:
        """Make due what its meeting does not show of the recording that an event is about."""
        if not notice.recording_id:
            return
        known = self._known.get(notice.recording_id)
        if known is None:
            if notice.status in _STOPPED:
                self.hints.add_recordings_list()
        elif known.missing_since is not None and not known.is_finished:
            self.hints.add_recording(known.recording_id)

    def observe(
        self, recordings: Iterable[KnownRecording], *, api_ahead_seconds: float
    ) -> WebhookStatus:
        """Take in the *recordings* after a pass, and return how well events announce changes."""
        now, monotonic = self._clock.wall(), self._clock.monotonic()
        # By the clock as it is now: at the start it may have been wrong.
        since = now - (monotonic - self._started_at)
        after = {known.recording_id: known for known in recordings}
        seen = changes(self._known, after.values(), since=since + max(0.0, api_ahead_seconds))
        self._announcements.observe(seen, now=now, monotonic=monotonic)
        self._known = after
        return self.status

    @property
    def status(self) -> WebhookStatus:
        """Return how well events announce changes."""
        evidence = self._announcements.evidence
        return WebhookStatus(
            health=health(evidence, now=self._clock.wall()),
            last_event_timestamp_seconds=evidence.last_event_at,
            missed=evidence.missed,
        )

    def idle_seconds(self, *, interval_seconds: float) -> float:
        """
        Return how long an idle meeting waits for its next read; 0 unless webhooks are healthy.

        The pass after that reads it, so that it does not wait for more than ten minutes.
        """
        if self.status.health is not WebhookHealth.HEALTHY:
            return 0.0
        self._relaxed_at = self._clock.monotonic()
        return max(0.0, LONGEST_IDLE_SECONDS - 2 * interval_seconds)

    @property
    def idle_age_seconds(self) -> float:
        """Return how much older than others the last reading of an idle meeting may be."""
        # When webhooks fall silent, it takes a while until all idle meetings were read.
        was_relaxed = self._clock.monotonic() - self._relaxed_at < 2 * LONGEST_IDLE_SECONDS
        return LONGEST_IDLE_SECONDS if was_relaxed else 0.0
