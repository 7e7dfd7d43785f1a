"""The calls and the block before the start of a process, as far as it knows them."""

import math

from dataclasses import dataclass

from rk_exporter.model.saved_calls import SavedCalls
from rk_exporter.ratelimit.headers import LONGEST_WAIT_SECONDS


# After a longer one the saved calls no longer count. Maybe the clock was only set forward: so the
# process starts like one without a state file.
_LONGEST_PAUSE_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class PastCalls:
    """
    The *ends* of known calls, in monotonic seconds; of the last *unknown_seconds* none is.

    The new process may make its own calls in addition to *others* of these.
    """

    ends: tuple[float, ...] = ()
    unknown_seconds: float = math.inf
    others: int = 0


def past_calls(
    saved: SavedCalls | None, *, now: float, unix_seconds: float, others: int = 0
) -> PastCalls:
    """
    Return what *saved* shows; it is None without a state file.

    The monotonic time *now* is the time *unix_seconds*. If the clock was set back, nobody knows how
    long ago the calls were. Then all that seem to be in the future count as made now, and others
    may have followed them.
    """
    if saved is None:
        return PastCalls()
    ends = tuple(now - max(0.0, unix_seconds - end) for end in saved.ends)
    if unix_seconds < saved.until:
        return PastCalls(ends, others=others)
    unknown_seconds = unix_seconds - saved.until
    if saved.is_final and unknown_seconds < _LONGEST_PAUSE_SECONDS:
        unknown_seconds = 0.0
    return PastCalls(ends, unknown_seconds, others)


def rest_of_block(saved: SavedCalls | None, *, unix_seconds: float) -> float:
    """
    Return for how many seconds from now, *unix_seconds*, calls are still blocked.

    If the clock was set back, that is at most what was left when this was saved. It is never longer
    than any block, whatever the file contains.
    """
    if saved is None or saved.blocked_until is None:
        return 0.0
    left_seconds = saved.blocked_until - max(unix_seconds, saved.until)
    return min(max(0.0, left_seconds), LONGEST_WAIT_SECONDS)
