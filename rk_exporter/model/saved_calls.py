"""The times of recent calls and the ends of blocks, which outlive the process."""

import math

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


# The wall clock and the monotonic clock, in which a block ends, drift apart.
_SAME_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedCalls:
    """
    The recent calls of one budget group, complete *until* a time; unix seconds.

    The *group* is None for the apps that are in no other.
    """

    group: str | None
    until: float
    ends: tuple[float, ...] = ()
    """When calls ended; a call that was running counts as ended when this was saved."""
    is_final: bool = False
    """Whether the process ended after it had saved this: no other calls followed."""
    blocked_until: float | None = None
    """The end of the block after a 429, if calls were blocked."""


@dataclass(frozen=True, slots=True)
class SavedBlocks:
    """The ends of the blocks that were saved, by group; unix seconds."""

    ends: Mapping[str | None, float] = field(default_factory=dict)

    @classmethod
    def of(cls, calls: Iterable[SavedCalls]) -> "SavedBlocks":
        """Return the blocks in *calls*."""
        return cls({saved.group: saved.blocked_until for saved in calls if saved.blocked_until})

    def has_new(self, calls: Iterable[SavedCalls]) -> bool:
        """Return whether *calls* have a block that none of these covers."""
        return any(
            end > self.ends.get(group, -math.inf) + _SAME_SECONDS
            for group, end in SavedBlocks.of(calls).ends.items()
        )
