"""When to read recordings again whose own endpoint failed, or denied that they exist."""

import math

from rk_exporter.runtime.backoff import Backoff


# The API may deny a recording for a moment, for example after a failover to a replica.
_CONFIRMED_AFTER_SECONDS = 60.0
_BACKOFF = Backoff(first_seconds=15.0, longest_seconds=3600.0)


class Retries:
    """The back-off of each recording that could not be read by its id; *now* is unix seconds."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[float, Backoff]] = {}
        self._missing_since: dict[str, float] = {}

    def fail(self, recording_id: str, *, now: float) -> None:
        """Put off the next reading of a recording, twice as long as after its last failure."""
        _, backoff = self._failed.get(recording_id, (now, _BACKOFF))
        self._failed[recording_id] = now, backoff.after_failure()

    def forget(self, recording_id: str) -> None:
        """Forget a recording's failures."""
        self._failed.pop(recording_id, None)
        self.exists(recording_id)

    def forget_failures(self) -> None:
        """Forget all failures; recordings that were denied must still wait for a second answer."""
        self._failed.clear()

    def confirms_missing(self, recording_id: str, *, now: float) -> bool:
        """Return whether an answer that denies a recording confirms one from a minute ago."""
        since = self._missing_since.setdefault(recording_id, now)
        if now - since >= _CONFIRMED_AFTER_SECONDS:
            return True
        self._missing_since[recording_id] = min(since, now)
        self.fail(recording_id, now=now)
        return False

    def exists(self, recording_id: str) -> None:
        """Forget that an answer denied a recording, because another one has shown it."""
        self._missing_since.pop(recording_id, None)

    def is_waiting(self, recording_id: str, *, now: float) -> bool:
        """Return whether a recording must still wait; not if the clock was set back."""
        missing_since = self._missing_since.get(recording_id, math.inf)
        if missing_since <= now < missing_since + _CONFIRMED_AFTER_SECONDS:
            return True
        failed_at, backoff = self._failed.get(recording_id, (now, _BACKOFF))
        return failed_at <= now < failed_at + backoff.delay_seconds
