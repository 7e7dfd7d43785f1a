"""What the expositions of one app have shown, and what its configuration has been."""

from collections.abc import Collection
from dataclasses import dataclass, field

from tests.support.model.rooms import FOUND_SECONDS
from tests.support.model.shown import Shown
from tests.support.model.stories import Story, states_between
from tests.support.model.truth import IN_PROGRESS


# Idle meetings are read at each scrape for half an hour after an event was missed. A new counter
# shows that some scrapes late.
_LOSSY_SECONDS = 1500.0
# While webhooks work, it takes so long until a meeting is read, and nobody is in it any more.
_IDLE_SECONDS = 700.0


@dataclass(eq=False)
class WebhookHistory:
    """What the expositions of one process have shown of an app's webhooks."""

    is_up: bool = False
    """Whether the last exposition says that they work."""
    missed: float = 0.0
    missed_at: float = float("-inf")
    """When *missed*, the counter of what they have missed, has grown."""

    def take(self, shown: Shown, name: str, now: float) -> bool:
        """Take in an exposition, and return whether idle meetings may be read less often."""
        was_up, self.is_up = self.is_up, shown.value("rk_webhook_up", name) == 1
        may_rest = (was_up or self.is_up) and now - self.missed_at > _LOSSY_SECONDS
        missed = shown.value("rk_webhook_missed_total", name) or 0.0
        if missed > self.missed:
            self.missed, self.missed_at = missed, now
        return may_rest


@dataclass(frozen=True, slots=True)
class Exact:
    """An exposition that had to be exact: when it was asked for, and the meetings in it."""

    begun_at: float
    meetings: frozenset[str]
    may_rest: bool
    """Whether idle meetings may not have been read."""


@dataclass(eq=False)
class AppHistory:
    """What the watcher knows of one app."""

    tracked_since: float
    """When the exporter began to follow its recordings."""
    story: Story
    meetings: set[str]
    """The meetings in its list, of which all are known to the exporter."""
    finds_meetings: bool
    """Whether the exporter also finds meetings itself."""
    always: set[str] = field(init=False)
    """Those that were followed all the time."""
    listed_since: dict[str, float] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)
    """When the first scrape that has shown a recording was asked for, by the recording's id."""
    complete_since: float | None = None
    """The end of the first exposition that had to be exact."""
    may_be_cut: bool = False
    """Whether a list may have been cut when the exporter first read it."""
    webhooks: WebhookHistory = field(default_factory=WebhookHistory)
    scrapes: int = 0
    """How many expositions have shown it since it began."""
    last: Exact | None = None
    """The last exposition, if it had to be exact and to show all live meetings."""
    exact_since: float | None = None
    """When the first of the last expositions was asked for that all had to be exact."""
    before: Exact | None = None
    """The same of the one before."""

    def __post_init__(self) -> None:
        self.always = {*self.followed}

    @property
    def followed(self) -> set[str]:
        """Return the meetings whose recordings are followed: with discovery all of them."""
        return {x.id for x in self.story.meetings} if self.finds_meetings else self.meetings

    def change(self, now: float, *, meetings: Collection[str], finds_meetings: bool) -> None:
        """Expect another list of meetings, or that discovery is switched on or off."""
        before = self.followed
        self.meetings, self.finds_meetings = {*meetings}, finds_meetings
        self.last = self.before = self.exact_since = None
        self.always &= self.followed
        self.listed_since |= dict.fromkeys(self.followed - before, now)
        for recording in self.story.recordings:
            if recording.meeting_id in before - self.followed:
                self.seen.pop(recording.id, None)

    def has_listed(self, begun_at: float, *, clear_since: float) -> bool:
        """
        Return whether an earlier pass has listed the live sessions, as far as that is possible.

        After a failure this is tried again later; and after a block, not in the first pass.
        """
        is_second = self.exact_since is not None and begun_at > self.exact_since
        return self.finds_meetings and is_second and begun_at >= clear_since + FOUND_SECONDS

    def note(self, exact: Exact | None) -> None:
        """Take in an exposition; None is one that did not have to be exact."""
        if exact is None:
            self.last = self.before = None
        elif self.last is None or exact.begun_at != self.last.begun_at:
            self.last, self.before = exact, self.last

    def exact_before(self, begun_at: float) -> Exact | None:
        """Return the exposition before the one that was asked for then, if both are in a row."""
        is_taken = self.last is not None and self.last.begun_at == begun_at
        return self.before if is_taken else self.last

    def found(self, begun_at: float, ended_at: float) -> set[str]:
        """Return the meetings that were shown, and have had a recording in progress since then."""
        before = self.exact_before(begun_at)
        if before is None or not self.finds_meetings:
            return set()
        return {*before.meetings} & {
            x.meeting_id
            for x in self.story.recordings
            if {*states_between(x, before.begun_at, ended_at)} <= IN_PROGRESS
        }

    def in_use_since(self, begun_at: float, *, clear_since: float) -> float | None:
        """
        Return since when a meeting that is found was in use, if it is shown at *begun_at*.

        None means that nothing is known about that: the API has answered only *clear_since* then.
        """
        before = self.exact_before(begun_at)
        if before is None:
            return None
        since = before.begun_at - FOUND_SECONDS - (_IDLE_SECONDS if before.may_rest else 0.0)
        # Calls were blocked for longer than the API was in trouble.
        return since if since >= max(clear_since, self.exact_since or 0.0) else None
