"""Facts that all calls of one pass share."""

from dataclasses import dataclass, replace

from rk_exporter.model.secret import Secret


# Long enough for the calls that wait in front of it.
_HURRIED_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassContext:
    """The token and the time limits of one pass; moments are in loop time."""

    token: Secret
    deadline: float
    """The end of the pass."""
    call_timeout_seconds: float
    wait_until: float
    """The moment after which no call waits for the rate limiter."""
    interval_seconds: float
    """The time between the starts of two passes."""

    def call_deadline(self, now: float) -> float:
        """Return when a call that begins *now* times out, so that other calls get their turn."""
        return min(self.deadline, now + self.call_timeout_seconds)

    def hurried(self, now: float) -> "PassContext":
        """Return the context of a call that is left to a later pass rather than wait for long."""
        return replace(self, wait_until=min(self.wait_until, now + _HURRIED_SECONDS))
