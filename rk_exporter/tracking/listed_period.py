"""Until when an app's list of recordings was seen, and which recordings that makes inherited."""

from rk_exporter.model.recording import Recording


# How exactly the API's time is known: a Date has whole seconds, and an answer takes a while.
_CLOCK_SECONDS = 5.0


class ListedPeriod:
    """The time whose recordings were all seen in the list; times are unix seconds of the API."""

    def __init__(self, until: float | None) -> None:
        self.until = until
        """The latest invocation time, by this process or an earlier one; None if never."""
        # Recordings invoked until then are counted already, perhaps by an earlier process.
        self._inherited_until = until

    def extend(self, until: float, *, asked_at: float, now: float) -> None:
        """
        Remember that the list has shown all recordings invoked *until* then.

        What is older than the first list, requested at *asked_at*, does not count as new if only a
        later list has it: the first one may be empty or old by mistake.
        """
        # A time in the future must not make later recordings count as inherited.
        self.until = max(min(until, now), self.until or 0.0)
        if self._inherited_until is None:
            self.until = max(self.until, asked_at - _CLOCK_SECONDS)
            self._inherited_until = self.until

    def is_inherited(self, recording: Recording) -> bool:
        """Return whether a recording was invoked before counting began."""
        until, invoked_at = self._inherited_until, recording.invoked_timestamp_seconds
        return until is None or (invoked_at is not None and invoked_at <= until)
