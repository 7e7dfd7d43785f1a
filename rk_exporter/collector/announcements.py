"""Compare the changes that polling sees with those that events have announced."""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from rk_exporter.model.recording import Status
from rk_exporter.model.webhook import ANNOUNCED_WITHIN_SECONDS, WebhookEvidence
from rk_exporter.tracking.lifecycle import KnownRecording


# The documentation lists these states for `recording.statusUpdate`. Older documentation has INVOKED
# as well; other states count as soon as an event has one of them.
_DOCUMENTED = frozenset({Status.RECORDING, Status.UPLOADING, Status.UPLOADED, Status.ERRORED})
# A recording has about four changes. Older ones are forgotten, so they cannot count as missed.
_MOST_CHANGES = 40_000


@dataclass(frozen=True, slots=True)
class Change:
    """A recording has reached a state."""

    recording_id: str
    status: Status


def changes(
    before: Mapping[str, KnownRecording], after: Iterable[KnownRecording], *, since: float
) -> Iterator[Change]:
    """
    Return what has changed between two passes, and can only have happened after *since*.

    *since* is in unix seconds. A change that may have happened earlier could have been announced
    to an earlier process.
    """
    for known in after:
        last = before.get(known.recording_id)
        if last is known:
            continue
        status, invoked_at = known.recording.status, known.recording.invoked_timestamp_seconds
        if last is None:
            is_new = invoked_at is not None and invoked_at >= since
        else:
            is_new = last.recording.status is not status and last.read_at >= since
        if is_new and status is not Status.UNKNOWN:
            yield Change(known.recording_id, status)


class _Recent(OrderedDict[Change, float]):
    """The last changes that were added, and when, in unix seconds."""

    def add(self, change: Change, now: float) -> None:
        self[change] = now
        self.move_to_end(change)
        while len(self) > _MOST_CHANGES:
            self.popitem(last=False)


class Announcements:
    """What events have announced of one app, and what polling has seen."""

    def __init__(self) -> None:
        self.evidence = WebhookEvidence()
        """What both have shown so far; it is replaced as a whole."""
        self._announced, self._judged = _Recent(), _Recent()
        self._waiting: dict[Change, float] = {}
        """When polling saw the changes that no event has announced yet, in monotonic seconds."""
        self._expected = _DOCUMENTED

    def announce(self, change: Change | None, *, now: float, is_certain: bool = True) -> None:
        """
        Take in an event, and the *change* that it announces, if it is one of a recording.

        Unless it *is_certain* that the event is about this app, it shows nothing before polling
        has seen its change here.
        """
        if is_certain:
            self.evidence = replace(self.evidence, last_event_at=now)
        if change is None or change.status is Status.UNKNOWN:
            return
        if is_certain:
            self._expected |= {change.status}
        self._announced.add(change, now)
        if self._waiting.pop(change, None) is not None:
            self._confirm(change, now)

    def observe(self, seen: Iterable[Change], *, now: float, monotonic: float) -> None:
        """
        Take in the changes that a pass has *seen*, and count those that no event announced.

        Whoever sets the clock changes the unix time *now*, but not how long an event was awaited.
        """
        for change in seen:
            if change in self._judged:
                continue
            if change in self._announced:
                self._confirm(change, now)
            elif change.status in self._expected and len(self._waiting) < _MOST_CHANGES:
                self._waiting.setdefault(change, monotonic)
        late = [
            change
            for change, seen_at in self._waiting.items()
            if monotonic - seen_at >= ANNOUNCED_WITHIN_SECONDS
        ]
        for change in late:
            del self._waiting[change]
            self._judged.add(change, now)
        if late:
            evidence = self.evidence
            self.evidence = replace(
                evidence,
                last_missed_at=now,
                missed_in_a_row=evidence.missed_in_a_row + len(late),
                missed=evidence.missed + len(late),
            )

    def _confirm(self, change: Change, now: float) -> None:
        # Now it is certain which app the event was about.
        self._expected |= {change.status}
        arrived_at, last_event_at = self._announced[change], self.evidence.last_event_at
        self._judged.add(change, now)
        self.evidence = replace(
            self.evidence,
            last_event_at=arrived_at if last_event_at is None else max(last_event_at, arrived_at),
            last_announced_at=now,
            missed_in_a_row=0,
        )
