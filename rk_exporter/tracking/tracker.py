"""The recordings of one app over time, and the counts of what happened to them."""

import logging

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace

from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking import lifecycle, retention, shown
from rk_exporter.tracking.counters import RecordingCounters, is_possible
from rk_exporter.tracking.lifecycle import FollowRules, KnownRecording
from rk_exporter.tracking.listed_period import ListedPeriod
from rk_exporter.tracking.meetings import TrackedMeetings
from rk_exporter.tracking.retries import Retries
from rk_exporter.tracking.shown import LimitLog, ShownRecordings
from rk_exporter.tracking.store import RecordingStore
from rk_exporter.tracking.tracker_state import TrackerState


logger = logging.getLogger(__name__)
# An older answer of the API does not keep an expired recording.
_RETURNED_SECONDS = 86_400.0


class RecordingTracker:
    """
    The recordings of one app that are worth showing, and the app's counters.

    *clock* gives this machine's time, *server_clock* the API's, both in unix seconds.
    """

    def __init__(
        self,
        app: str,
        rules: FollowRules,
        *,
        clock: Callable[[], float],
        server_clock: ServerClock,
        state: TrackerState | None = None,
    ) -> None:
        self.rules = rules
        self._has_new_rules = False
        self._has_wider_rules = False
        self._app = app
        self._clock = clock
        self._server_clock = server_clock
        self._meetings = TrackedMeetings()
        self._retries = Retries()
        state = state or TrackerState()
        self.counters = state.counters.resumed()
        self._store = RecordingStore(rules, state.recordings, state.tombstones)
        self._limit_log = LimitLog(app, rules.max_recordings)
        self._listed = ListedPeriod(state.listed_until, server_clock)

    def change(self, app: str, rules: FollowRules) -> None:
        """Go on with other *rules* under another name of the *app*; `set_meetings` must follow."""
        if (app, rules) != (self._app, self.rules):
            self._has_wider_rules |= rules.follows_more_than(self.rules)
            self._app, self.rules, self._has_new_rules = app, rules, True
            self._store.change_rules(rules)
            self._limit_log = LimitLog(app, rules.max_recordings)

    def restart_counters(self) -> None:
        """Let all counters begin at 0; nothing that they have counted is counted again."""
        self.counters = RecordingCounters().resumed()

    @property
    def oldest_invoked_at(self) -> float:
        """Return when the oldest recording was invoked that may still be shown."""
        return self._server_clock.earliest() - retention.listed_age_seconds(self.rules)

    @property
    def revision(self) -> int:
        """Return a revision number, incremented by every change that must be saved immediately."""
        return self._store.revision

    @property
    def state(self) -> TrackerState:
        """Return the state to save for the next process."""
        return TrackerState(
            recordings=tuple(self._store),
            tombstones=self._store.tombstones,
            counters=self.counters,
            listed_until=self._listed.until,
        )

    def shown(self, *, oldest: float) -> ShownRecordings:
        """Return what to show; readings of recordings in progress before *oldest* are too old."""
        selected = shown.select(
            self._store,
            most_finished=self.rules.max_recordings,
            returned=self._meetings.returned,
            oldest=oldest,
            now=self._server_clock(),
        )
        self._limit_log.log(hidden=selected.totals.hidden, is_full=self._store.is_full)
        return selected

    def in_progress(self) -> Mapping[str, Collection[Status]]:
        """Return, by meeting id, the states of the recordings that the meeting should show."""
        states: dict[str, set[Status]] = {}
        for recording_id in self._store.all_in_progress():
            known = self._store.get(recording_id)
            if known is not None and known.missing_since is None:
                states.setdefault(known.meeting.meeting_id, set()).add(known.recording.status)
        return states

    def due(self, *, now: float) -> list[tuple[float, KnownRecording]]:
        """Return the recordings to read by id, each after its waiting time (see *overdue*)."""
        return [
            (waiting, known)
            for known in self._store.perhaps_due(now=now + self._server_clock.offset_seconds)
            if (waiting := self._overdue(known, now)) is not None
        ]

    def due_one(self, recording_id: str, *, now: float, is_hinted: bool) -> KnownRecording | None:
        """Return a recording if it is still due, or *is_hinted* and its end is not known yet."""
        known = self._store.get(recording_id)
        if known is None or self._retries.is_waiting(recording_id, now=now):
            return None
        is_missing = not known.is_finished and known.missing_since is not None
        return known if (is_hinted and is_missing) or self._overdue(known, now) else None

    def observe_meeting(self, meeting: Meeting, recordings: Iterable[Recording]) -> list[str]:
        """
        Apply a reading of all recordings that a meeting shows.

        Return the ids of recordings in progress that the meeting has stopped showing.
        """
        returned = self._observe_shown(ListedRecording(meeting, item) for item in recordings)
        self._meetings.observe_meeting(meeting.meeting_id, returned)
        return self._mark_missing(self._store.in_progress(meeting.meeting_id) - returned)

    def observe_in_progress(
        self, listed: Iterable[ListedRecording], *, is_complete: bool
    ) -> list[str]:
        """
        Apply a list of the recordings in progress in all meetings.

        If the list is complete, return the ids of recordings that it has stopped showing.
        """
        returned = self._observe_shown(listed)
        if not is_complete:
            return []
        self._meetings.observe_all()
        return self._mark_missing(self._store.all_in_progress() - returned)

    def observe_listed(self, meeting: Meeting, recording: Recording, *, asked_at: float) -> None:
        """Apply an item of the app's list, which was requested at *asked_at*."""
        now = self._clock()
        known = self._store.get(recording.recording_id)
        if known is not None and asked_at < known.read_at <= now:
            # Another answer arrived in the meantime, and this one may be older.
            return
        self._observe(meeting, recording, now=now)
        after = self._store.get(recording.recording_id)
        if after is not None and after.is_finished:
            self._store.upsert(lifecycle.with_expiry(after, now=self._server_clock()))

    def observe_details(self, recording: Recording) -> None:
        """Apply an answer of the recording's own endpoint."""
        known = self._store.get(recording.recording_id)
        if known is not None:
            self._retries.forget(known.recording_id)
            after = self._apply(known, recording, now=self._clock())
            self._store.upsert(lifecycle.with_details(after, now=self._server_clock()))

    def observe_missing(self, recording_id: str) -> None:
        """Evict a recording that does not exist in the API, if a later answer confirms that."""
        known = self._store.get(recording_id)
        if known is None or not self._retries.confirms_missing(recording_id, now=self._clock()):
            return
        if known.outcome is None:
            self.counters = self.counters.finish(Outcome.VANISHED)
            logger.warning("recording no longer exists in the API (404)", extra=self._fields(known))
        self._evict(known, Outcome.VANISHED)

    def observe_failure(self, recording_id: str) -> None:
        """Put off the next reading of a recording that could not be read by its id."""
        self._retries.fail(recording_id, now=self._clock())

    def forget_failures(self) -> None:
        """Put off no reading any longer, because the failures were not about single recordings."""
        self._retries.forget_failures()

    def begin_counting(self, newest_invoked_at: float, *, moment: float) -> None:
        """
        Count recordings invoked from a *moment* (monotonic) on, unless counting has begun.

        The list was requested then, and its newest recording was invoked at *newest_invoked_at*.
        """
        self._listed.begin(newest_invoked_at, moment=moment)

    def is_listed_up_to(self, newest_invoked_at: float) -> None:
        """Remember that the list has shown all recordings invoked until *newest_invoked_at*."""
        self._listed.extend(newest_invoked_at)

    def begin_unlisted(self, *, moment: float) -> None:
        """Count recordings invoked from a *moment* (monotonic) on: the list cannot be read."""
        self.begin_counting(0.0, moment=moment)
        self.is_listed_up_to(0.0)

    def set_meetings(self, meetings: Iterable[Meeting]) -> bool:
        """
        Set the list of *meetings*, and evict recordings whose time is over.

        Return whether recordings are followed now that were ignored in the app's list before.
        """
        is_changed = self._meetings.replace(meetings, now=self._server_clock())
        is_changed |= self._has_new_rules
        has_more_meetings = self._meetings.has_added and not self.rules.any_meeting
        follows_more = self._has_wider_rules or has_more_meetings
        self._has_new_rules = self._has_wider_rules = False
        self._check_meetings(self._store if is_changed else self._store.oldest_in_progress())
        returned = self._meetings.returned
        for known in self._store.no_longer_shown(now=self._server_clock.earliest()):
            is_fresh = self._clock() - known.read_at < _RETURNED_SECONDS
            if known.recording_id not in returned or not is_fresh:
                self._evict(known)
        if dropped := self._store.evict_surplus():
            self.counters = self.counters.drop(dropped)
        return follows_more

    def _check_meetings(self, recordings: Iterable[KnownRecording]) -> None:
        """Follow or evict those of the *recordings* that the list of meetings concerns."""
        now = self._clock()
        for known in recordings:
            followed = self._meetings.followed(known, self.rules, now=now)
            if followed is None:
                self._evict(known)
            elif followed is not known:
                self._store.upsert(followed)

    def _observe_shown(self, listed: Iterable[ListedRecording]) -> set[str]:
        """Apply readings of recordings that their meetings show, and return their ids."""
        now, returned = self._clock(), set()
        for item in listed:
            returned.add(item.recording.recording_id)
            self._observe(item.meeting, item.recording, now=now, is_shown=True)
        return returned

    def _observe(
        self, meeting: Meeting, recording: Recording, *, now: float, is_shown: bool = False
    ) -> None:
        """Apply a reading; *is_shown* says that the meeting itself shows the recording."""
        known = self._store.get(recording.recording_id)
        if known is None:
            self._track(meeting, recording, now=now, is_shown=is_shown)
        else:
            self._apply(known, recording, now=now, is_shown=is_shown)

    def _apply(
        self, known: KnownRecording, recording: Recording, *, now: float, is_shown: bool = False
    ) -> KnownRecording:
        if is_shown:
            self._retries.forget(known.recording_id)
        else:
            self._retries.exists(known.recording_id)
        after = replace(
            lifecycle.apply_reading(known, recording, read_at=now),
            meeting=self._meetings.listed(known.meeting) or known.meeting,
            missing_since=None if is_shown else _no_later(known.missing_since, now),
        )
        if not is_possible(known.recording.status, recording.status):
            logger.warning(
                "impossible status change of a recording",
                extra=self._fields(known)
                | {"before": known.recording.status, "after": recording.status},
            )
        self.counters = lifecycle.count_transition(
            self.counters, known, after, now=self._server_clock()
        )
        self._store.upsert(after)
        return after

    def _track(self, meeting: Meeting, recording: Recording, *, now: float, is_shown: bool) -> None:
        listed = self._meetings.listed(meeting)
        if listed is None and not self.rules.any_meeting:
            return
        is_inherited = self._listed.is_inherited(recording)
        known = lifecycle.track(
            listed or meeting, recording, read_at=now, is_inherited=is_inherited
        )
        # The list has recordings of any age, but a meeting shows only what matters now.
        is_over = retention.has_expired(known, self.rules, now=self._server_clock.earliest())
        if (is_over and not is_shown) or not self._store.has_room(known):
            return
        before = None
        if tombstone := self._store.tombstone(recording.recording_id):
            before = lifecycle.revive(known, tombstone.outcome, tombstone.started_timestamp_seconds)
            known = lifecycle.apply_reading(before, recording, read_at=now)
        if listed is None and not is_shown and not known.is_finished:
            # No reading of a meeting would show that it has ended.
            known = replace(known, missing_since=now)
        if before or not is_inherited:
            self.counters = lifecycle.count_transition(
                self.counters,
                before,
                known,
                now=self._server_clock(),
                was_followed=not self._meetings.is_from_before(meeting, recording),
            )
        self._store.upsert(known)

    def _mark_missing(self, recording_ids: Iterable[str]) -> list[str]:
        """Mark recordings as missing, and return those that were not before."""
        marked, now = [], self._clock()
        for recording_id in recording_ids:
            known = self._store.get(recording_id)
            if known is not None and known.missing_since is None:
                marked.append(recording_id)
                self._store.upsert(replace(known, missing_since=now))
        return marked

    def _overdue(self, known: KnownRecording, now: float) -> float | None:
        if self._retries.is_waiting(known.recording_id, now=now):
            return None
        ahead = self._server_clock.offset_seconds
        return lifecycle.overdue(known, self.rules, now=now, api_ahead_seconds=ahead)

    def _evict(self, known: KnownRecording, outcome: Outcome | None = None) -> None:
        self._retries.forget(known.recording_id)
        self._store.evict(known, outcome)

    def _fields(self, known: KnownRecording) -> dict[str, str]:
        return {
            "app": self._app,
            "meeting_id": known.meeting.meeting_id,
            "recording_id": known.recording_id,
        }


def _no_later(moment: float | None, now: float) -> float | None:
    """Return *moment*, but no later than *now*, because the clock may have been set back."""
    return None if moment is None else min(moment, now)
