"""The times of recent calls, which outlive the process."""

from dataclasses import dataclass


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
