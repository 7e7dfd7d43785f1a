"""The order in which the apps of a budget group get calls, if there are too few for all of them."""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class _Want:
    calls: int
    until: float
    """When the reservation ends if its app makes no more passes, in monotonic seconds."""
    rank: int
    together: bool
    is_granted: bool

    @property
    def place(self) -> tuple[bool, int]:
        """Return what is smaller for those that come earlier."""
        return not self.is_granted, self.rank


@dataclass(eq=False)
class FairOrder:
    """
    Reserves calls for apps that were refused some: the app that had the fewest is next.

    Without this, the first apps of the configuration would take all calls of each pass, and the
    last apps would never be read. An app that needs few calls leaves the rest to the others. The
    calls of each app are counted until there are enough for all apps. An app that begins to need
    more than it gets does not catch up for the time before.

    An app that needs its calls together keeps its turn until they are granted. Then they come
    before all others, or two apps could begin with the same calls and none could end.
    """

    _wants: dict[Hashable, _Want] = field(default_factory=dict, init=False)
    _ranks: dict[Hashable, int] = field(default_factory=dict, init=False)
    _current: int = field(default=0, init=False)
    """The rank of the app that was served last."""

    def reserved(self, app: Hashable, now: float) -> int:
        """Return how many calls are reserved for other apps, whose turn is earlier."""
        if not self._wants:
            return 0
        known = self._wants.get(app)
        own = (True, self._rank(app)) if known is None else known.place
        return sum(
            want.calls for want in self._wants.values() if want.place < own and want.until > now
        )

    def reserve(self, app: Hashable, *, calls: int, until: float, together: bool = False) -> None:
        """
        Reserve *calls* for an app that did not get them.

        An app that needs its calls *together* keeps its turn until it has all of them.
        """
        known = self._wants.get(app)
        if known is None:
            self._ranks[app] = max(self._rank(app), self._current)
            self._wants[app] = _Want(calls, until, self._ranks[app], together, is_granted=False)
        else:
            self._wants[app] = replace(
                known,
                calls=max(calls, known.calls),
                until=until,
                together=together or known.together,
            )

    def grant(self, app: Hashable) -> None:
        """Let an app make the calls now that are reserved for it, before all others."""
        self._wants[app] = replace(self._wants[app], is_granted=True)

    def end_turn(self, app: Hashable) -> None:
        """Let an app that was granted calls wait for its next turn, behind those that had fewer."""
        want = self._wants.get(app)
        if want is not None and want.is_granted:
            self._wants[app] = replace(want, rank=self._rank(app), is_granted=False)

    def serve(self, app: Hashable) -> None:
        """Count a call of an app."""
        self._current = self._rank(app)
        self._ranks[app] = self._current + 1
        want = self._wants.get(app)
        if want is None:
            return
        if want.calls > 1:
            rank = want.rank if want.together else self._ranks[app]
            self._wants[app] = replace(want, calls=want.calls - 1, rank=rank)
        else:
            self.satisfy(app)

    def satisfy(self, app: Hashable) -> None:
        """Reserve no more calls for an app."""
        self._wants.pop(app, None)
        if not self._wants:
            self._ranks.clear()
            self._current = 0

    def _rank(self, app: Hashable) -> int:
        return self._ranks.get(app, self._current)
