"""
What the results of an app's calls mean for its next calls.

Cloudflare blocks the calls of a user, over all tokens, so a 429 opens the breaker of the app's
budget group. A rejected token blocks one app only, because a token may be valid for one account and
not for another. So does an API that is unavailable or hidden by something else: the 503 with
Retry-After or the web page may be about that app.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from rk_exporter.model.errors import (
    ApiError,
    Intercepted,
    RateLimited,
    ServerError,
    Unauthorized,
)
from rk_exporter.model.failure import Failure
from rk_exporter.model.secret import Secret
from rk_exporter.ratelimit.circuit_breaker import CircuitBreaker
from rk_exporter.ratelimit.status import Outage, outage_of
from rk_exporter.runtime.backoff import Backoff


_REJECTED = Backoff(first_seconds=15.0, longest_seconds=300.0)
_REJECTIONS_OF_A_VALID_TOKEN = 2


@dataclass(eq=False, slots=True)
class CallBreakers:
    """
    The circuit breakers that one call must pass; each call has such an object of its own.

    *group* is that of its budget group. Those of its app are *auth*, about the token that the call
    sends, and *access*, about everything between the exporter and the API.
    """

    group: CircuitBreaker
    auth: CircuitBreaker
    access: CircuitBreaker
    trials: list[CircuitBreaker] = field(default_factory=list, init=False)
    """The breakers for which the call is the trial call."""

    def __iter__(self) -> Iterator[CircuitBreaker]:
        return iter((self.group, *self.of_app))

    @property
    def of_app(self) -> tuple[CircuitBreaker, CircuitBreaker]:
        """Return those that no other app shares."""
        return self.auth, self.access

    def must_wait(self, now: float) -> bool:
        """Return whether a call would have to wait: for an end of a block, or of a trial call."""
        return any(breaker.wait_seconds(now) > 0 for breaker in self)

    def start_call(self) -> None:
        """Let the call pass, which may be a trial call."""
        self.trials.extend(breaker for breaker in self if breaker.start_call())

    def end_call(self) -> None:
        """End the trials, whatever their results."""
        for breaker in self.trials:
            breaker.end_trial()

    def close_trials(self, *, other_than: CircuitBreaker | None = None) -> None:
        """Let all calls pass again that waited for this one, except at *other_than*."""
        for breaker in self.trials:
            if breaker is not other_than:
                breaker.close()


class AppBreakers:
    """The circuit breakers of one app, and its last failures. Times are monotonic seconds."""

    def __init__(self, token: Secret) -> None:
        self._token = token
        self._access = CircuitBreaker(_REJECTED)
        self._last_failure: Failure | None = None
        self._failing_since: float | None = None
        self._trust_token()

    def of_call(self, group: CircuitBreaker) -> CallBreakers:
        """Return the breakers of the app's next call, with that of its budget *group*."""
        return CallBreakers(group, self._auth, self._access)

    def use_token(self, token: Secret) -> None:
        """Try a new token immediately: the one before it may have been rejected."""
        if token != self._token:
            self._token = token
            self._trust_token()

    def outage(self, *, ahead_seconds: float) -> Outage | None:
        """Return the failures since the last success; the clock is *ahead_seconds* of unix time."""
        return outage_of(self._last_failure, self._failing_since, ahead_seconds=ahead_seconds)

    def take_success(self, breakers: CallBreakers) -> None:
        """Let all calls pass again, because a call succeeded."""
        self._rejections_until_open = _REJECTIONS_OF_A_VALID_TOKEN
        self._last_failure = self._failing_since = None
        breakers.close_trials()

    def remember(self, error: ApiError, now: float) -> None:
        """Let `outage` give the failure of a call, or of one that was not made."""
        self._last_failure = error.failure
        self._failing_since = now if self._failing_since is None else self._failing_since

    def take_failure(self, error: ApiError, breakers: CallBreakers, now: float) -> None:
        """Decide what the failure of a call means for later calls."""
        self.remember(error, now)
        cause = error.failure
        match error:
            case RateLimited():
                breakers.group.open(now, seconds=error.retry_after_seconds, cause=cause)
            case Unauthorized():
                self._reject(breakers.auth, cause, now)
            case Intercepted():
                self._reject(breakers.access, cause, now)
            case ServerError(retry_after_seconds=seconds) if seconds is not None:
                breakers.access.open(now, seconds=seconds, cause=cause)
                breakers.close_trials(other_than=breakers.access)
            case _:
                # The API neither rejected the token nor limited the rate.
                breakers.close_trials()

    def _trust_token(self) -> None:
        self._auth = CircuitBreaker(_REJECTED)
        self._rejections_until_open = 1

    def _reject(self, breaker: CircuitBreaker, cause: Failure, now: float) -> None:
        """
        Open one of this app's breakers.

        After a success the token counts as valid until it is rejected twice in a row: one meeting
        that it may not read must not block all others.
        """
        self._rejections_until_open -= 1
        if self._rejections_until_open <= 0:
            breaker.open(now, cause=cause)


def strictest(breakers: Iterable[CircuitBreaker]) -> CircuitBreaker | None:
    """Return the breaker that blocks calls for longest; None if none does."""
    is_open = [breaker for breaker in breakers if not breaker.is_closed]
    return max(is_open, key=lambda breaker: breaker.open_until or 0.0, default=None)
