"""The recordings of one app that were seen, while they are of interest, and their count."""

import logging

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace

from rk_exporter.model.meeting import ListedRecording, Meeting
from rk_exporter.model.recording import Outcome, Recording, Status
from rk_exporter.runtime.server_clock import ServerClock
from rk_exporter.tracking.counters import RecordingCounters, is_possible
from rk_exporter.tracking.lifecycle import (
    FollowRules,
    KnownRecording,
    apply_reading,
    count_transition,
    leaves_at,
    overdue,
    revive,
    track,
    with_details,
    with_expiry,
)
from rk_exporter.tracking.store import RecordingStore, Tombstone


logger = logging.getLogger(__name__)
# A recording whose own endpoint fails is tried again after this, then after twice as long.
_FIRST_RETRY_SECONDS = 15.0
_LONGEST_RETRY_SECONDS = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackerState:
    """What a restart keeps: recordings, tombstones of those that have left, and *counters*."""

    recordings: tuple[KnownRecording, ...] = ()
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    counters: RecordingCounters = field(default_factory=RecordingCounters)
    listed_until: float | None = None
    """Up to which invoked_time all recordings were seen; None where that was never so."""


@dataclass(frozen=True, slots=True)
class _Retry:
    """When a recording whose endpoint failed is tried again, and how long that was put off."""

    at: float
    pause_seconds: float


class RecordingTracker:
    """
    What is known of an app's recordings, and what became of them.

    *clock* gives unix seconds. With *any_meeting* recordings of meetings that are not in the list
    count as well: they were found, or could have been.
    """

    def __init__(  # each is a rule or a source of its own
        self,
        app: str,
        rules: FollowRules,
        *,
        clock: Callable[[], float],
        server_clock: ServerClock,
        any_meeting: bool = False,
        state: TrackerState | None = None,
    ) -> None:
        self.rules = rules
        self._app = app
        self._clock = clock
        self._server_clock = server_clock
        self._any_meeting = any_meeting
        self._meetings: Mapping[str, Meeting] = {}
        self._retries: dict[str, _Retry] = {}
        state = state or TrackerState()
        self.counters = state.counters.continued()
        self._register = RecordingStore(rules.max_recordings, state.tombstones)
        for known in state.recordings:
            self._register.put(known)
        self.listed_until = state.listed_until
        """Up to which invoked_time all recordings were seen in the app's list."""
        # What was invoked until then has been counted already, if by another process.
        self._inherited_until = state.listed_until

    @property
    def revision(self) -> int:
        """Return a number that is raised by whatever is worth to be kept at once."""
        return self._register.revision

    @property
    def state(self) -> TrackerState:
        """Return what the next process has to know."""
        return TrackerState(
            recordings=tuple(self._register),
            tombstones=self._register.departed,
            counters=self.counters,
            listed_until=self.listed_until,
        )

    def shown(self, *, oldest: float) -> tuple[KnownRecording, ...]:
        """Return what is known, but for recordings in progress last read before *oldest*."""
        return tuple(each for each in self._register if each.is_finished or each.read_at >= oldest)

    def in_progress(self) -> Mapping[str, Collection[Status]]:
        """Return the states of what each meeting is expected to show, by the meetings' ids."""
        states: dict[str, set[Status]] = {}
        for recording_id in self._register.all_in_progress():
            known = self._register.get(recording_id)
            if known is not None and known.missing_since is None:
                states.setdefault(known.meeting.meeting_id, set()).add(known.recording.status)
        return states

    def due(self, *, now: float) -> list[tuple[float, KnownRecording]]:
        """Return the recordings to be read by their id, each with how overdue that is."""
        return [
            (times, known)
            for known in self._register
            if (times := self._overdue(known, now)) is not None
        ]

    def due_one(self, recording_id: str, *, now: float) -> KnownRecording | None:
        """Return a recording if it is still to be read by its id."""
        known = self._register.get(recording_id)
        return None if known is None or self._overdue(known, now) is None else known

    def observe_meeting(self, meeting: Meeting, recordings: Iterable[Recording]) -> list[str]:
        """
        Take in all that a meeting shows.

        Return the ids of recordings that had not ended when they were last seen, and now are gone.
        """
        now, shown = self._clock(), set()
        for recording in recordings:
            shown.add(recording.recording_id)
            self._see(meeting, recording, now=now, is_shown=True)
        return self._miss(self._register.in_progress(meeting.meeting_id) - shown, now=now)

    def observe_in_progress(
        self, listed: Iterable[ListedRecording], *, is_complete: bool
    ) -> list[str]:
        """
        Take in a list of what is in progress in all meetings.

        Return the ids of recordings that had not ended, and are gone from a *complete* list.
        """
        now, shown = self._clock(), set()
        for each in listed:
            shown.add(each.recording.recording_id)
            self._see(each.meeting, each.recording, now=now, is_shown=True)
        if not is_complete:
            return []
        return self._miss(self._register.all_in_progress() - shown, now=now)

    def observe_listed(self, meeting: Meeting, recording: Recording, *, asked_at: float) -> None:
        """Take in a recording as the app's list showed it, which was *asked* for at that time."""
        now = self._clock()
        known = self._register.get(recording.recording_id)
        if known is not None and asked_at < known.read_at <= now:
            # Another answer has come meanwhile, and this one may be the older.
            return
        self._see(meeting, recording, now=now)
        after = self._register.get(recording.recording_id)
        if after is not None and after.is_finished:
            self._register.put(with_expiry(after, now=self._server_clock()))

    def observe_details(self, recording: Recording) -> None:
        """Take in a recording as its own endpoint shows it."""
        known = self._register.get(recording.recording_id)
        if known is not None:
            self._retries.pop(known.recording_id, None)
            after = self._see_again(known, recording, now=self._clock())
            self._register.put(with_details(after, now=self._server_clock()))

    def observe_missing(self, recording_id: str) -> None:
        """Take in that there is no such recording any more."""
        known = self._register.get(recording_id)
        if known is None:
            return
        if known.outcome is None:
            self.counters = self.counters.finish(Outcome.VANISHED)
            logger.warning("a recording has vanished: the API denies it", extra=self._fields(known))
        self._let_go(known, Outcome.VANISHED)

    def observe_failure(self, recording_id: str) -> None:
        """Take in that a recording could not be read by its id."""
        before = self._retries.get(recording_id)
        pause = 2 * before.pause_seconds if before else _FIRST_RETRY_SECONDS
        pause = min(pause, _LONGEST_RETRY_SECONDS)
        self._retries[recording_id] = _Retry(self._clock() + pause, pause)

    def is_listed_up_to(self, newest_invoked_at: float) -> None:
        """Note that the list was read, and that all invoked until then were seen."""
        # One from the future must not have all later ones taken for old.
        newest_invoked_at = min(newest_invoked_at, self._server_clock())
        self.listed_until = max(newest_invoked_at, self.listed_until or 0.0)
        if self._inherited_until is None:
            self._inherited_until = self.listed_until

    def begin_unlisted(self) -> None:
        """Begin to count with what is invoked from now on, since the list cannot be read."""
        self.is_listed_up_to(self._server_clock())

    def keep(self, meetings: Iterable[Meeting]) -> None:
        """Drop what is of no interest any more, now that *meetings* are in the list."""
        self._meetings = {meeting.meeting_id: meeting for meeting in meetings}
        now = self._server_clock()
        for known in self._register:
            if self._has_expired(known, now) or not self._belongs(known):
                self._let_go(known)
            elif self._is_unseen(known):
                self._register.put(replace(known, missing_since=self._clock()))
        dropped = self._register.drop_surplus()
        if dropped:
            self.counters = self.counters.drop(dropped)

    def _see(
        self, meeting: Meeting, recording: Recording, *, now: float, is_shown: bool = False
    ) -> None:
        """Take in a reading; *is_shown* where the meeting itself shows the recording."""
        known = self._register.get(recording.recording_id)
        if known is None:
            self._see_first(meeting, recording, now=now, is_shown=is_shown)
        else:
            self._see_again(known, recording, now=now, is_shown=is_shown)

    def _see_again(
        self, known: KnownRecording, recording: Recording, *, now: float, is_shown: bool = False
    ) -> KnownRecording:
        if is_shown:
            self._retries.pop(known.recording_id, None)
        after = replace(
            apply_reading(known, recording, read_at=now),
            meeting=self._meetings.get(known.meeting.meeting_id, known.meeting),
            missing_since=None if is_shown else _no_later(known.missing_since, now),
        )
        was, is_now = known.recording.status, recording.status
        if was is not is_now and not is_possible(was, is_now):
            logger.warning(
                "a recording went from %s to %s, which is not possible",
                was,
                is_now,
                extra=self._fields(known),
            )
        self.counters = count_transition(self.counters, known, after, now=self._server_clock())
        self._register.put(after)
        return after

    def _see_first(
        self, meeting: Meeting, recording: Recording, *, now: float, is_shown: bool
    ) -> None:
        listed = self._meetings.get(meeting.meeting_id)
        if listed is None and not self._any_meeting:
            return
        is_inherited = self._is_inherited(recording)
        known = track(listed or meeting, recording, read_at=now, is_inherited=is_inherited)
        if self._has_expired(known, self._server_clock()) or not self._register.has_room(known):
            return
        before = None
        if departure := self._register.departure(recording.recording_id):
            before = revive(known, departure.outcome, departure.started_timestamp_seconds)
            known = apply_reading(before, recording, read_at=now)
        if listed is None and not is_shown and not known.is_finished:
            # No reading of its meeting will tell.
            known = replace(known, missing_since=now)
        if before or not is_inherited:
            self.counters = count_transition(self.counters, before, known, now=self._server_clock())
        self._register.put(known)

    def _is_inherited(self, recording: Recording) -> bool:
        """Tell whether a recording was there before all that is counted here."""
        if self._inherited_until is None:
            return True
        invoked_at = recording.invoked_timestamp_seconds
        return invoked_at is not None and invoked_at <= self._inherited_until

    def _miss(self, recording_ids: Iterable[str], *, now: float) -> list[str]:
        """Note recordings that had not ended and are gone; return those not missed before."""
        missed = []
        for recording_id in recording_ids:
            known = self._register.get(recording_id)
            if known is not None and known.missing_since is None:
                missed.append(recording_id)
                self._register.put(replace(known, missing_since=now))
        return missed

    def _belongs(self, known: KnownRecording) -> bool:
        if self._any_meeting or known.meeting.meeting_id in self._meetings:
            return True
        return self.rules.keep_removed and known.is_finished

    def _is_unseen(self, known: KnownRecording) -> bool:
        """Tell whether no reading of a meeting would show that a recording has gone."""
        is_expected = not known.is_finished and known.missing_since is None
        return is_expected and known.meeting.meeting_id not in self._meetings

    def _has_expired(self, known: KnownRecording, now: float) -> bool:
        leaves = leaves_at(known, self.rules)
        return leaves is not None and leaves <= now

    def _overdue(self, known: KnownRecording, now: float) -> float | None:
        retry = self._retries.get(known.recording_id)
        if retry and retry.at - retry.pause_seconds <= now < retry.at:
            return None
        ahead = self._server_clock.offset_seconds
        return overdue(known, self.rules, now=now, api_ahead_seconds=ahead)

    def _let_go(self, known: KnownRecording, outcome: Outcome | None = None) -> None:
        self._retries.pop(known.recording_id, None)
        self._register.remove(known, outcome)

    def _fields(self, known: KnownRecording) -> dict[str, str]:
        return {
            "app": self._app,
            "meeting_id": known.meeting.meeting_id,
            "recording_id": known.recording_id,
        }


def _no_later(at: float | None, now: float) -> float | None:
    """Return a moment that has passed, also where the clock was set back since."""
    return None if at is None else min(at, now)
