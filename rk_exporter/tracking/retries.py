"""When to read recordings again whose own endpoint failed."""

from rk_exporter.runtime.backoff import Backoff


_BACKOFF = Backoff(first_seconds=15.0, longest_seconds=3600.0)


class Retries:
    """The back-off of each recording that could not be read by its id; *now* is unix seconds."""

    def __init__(self) -> None:
        self._failed: dict[str, tuple[float, Backoff]] = {}

    def fail(self, recording_id: str, *, now: float) -> None:
        """Put off the next reading of a recording, twice as long as after its last failure."""
        _, backoff = self._failed.get(recording_id, (now, _BACKOFF))
        self._failed[recording_id] = now, backoff.after_failure()

    def forget(self, recording_id: str) -> None:
        """Forget a recording's failures."""
        self._failed.pop(recording_id, None)

    def is_waiting(self, recording_id: str, *, now: float) -> bool:
        """Return whether a recording must still wait; not if the clock was set back."""
        failed_at, backoff = self._failed.get(recording_id, (now, _BACKOFF))
        return failed_at <= now < failed_at + backoff.delay_seconds
