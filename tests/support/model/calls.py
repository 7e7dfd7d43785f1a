"""Calls are counted once each, and stay within the budget of their user."""

import math

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import takewhile
from typing import NamedTuple

from tests.support.model.histograms import Histogram
from tests.support.model.journal import FINE, Called, Journal
from tests.support.model.shown import Shown


# A series shows its old value in two snapshots before it grows.
_SETTLED_AFTER = 3
WINDOW_SECONDS = 300.0
_NO_ANSWER = "none"
_ROUNDING_SECONDS = 1e-5
_FINE = {str(status) for status in FINE}


class CallCount(NamedTuple):
    """A counter of calls, and what it may have *at_least* and *at_most*."""

    key: tuple[str, ...]
    value: float
    at_least: float
    at_most: float


class CallCounts:
    """The counters of calls of one process."""

    def __init__(self) -> None:
        self._times_shown: Counter[tuple[str, tuple[str, ...]]] = Counter()

    def begin(self, app: str) -> None:
        """Expect that the series of an app, or of an account, begin with old values."""
        for key in [key for key in self._times_shown if key[0] == app]:
            del self._times_shown[key]

    def check(self, app: str, counts: Iterable[CallCount], *, is_alone: bool) -> Iterator[str]:
        """
        Return the counters of an app, or of an account, that differ from the calls about it.

        If the scrape was not alone, calls were made since it was answered.
        """
        for key, value, least, most in counts:
            # Two scrapes may show the same snapshot.
            self._times_shown[app, key] += is_alone
            is_settled = self._times_shown[app, key] > _SETTLED_AFTER
            if value > most or (is_settled and is_alone and value < least):
                yield f"{app}: {value} calls are counted, not {least} to {most}: {key}"


def calls_of_app(shown: Shown, app: str, journal: Journal) -> Iterator[CallCount]:
    """Return the counters of the calls about an app that are in its *journal*."""
    certain = journal.answered - journal.uncertain
    least, most = _by_endpoint(certain), _by_endpoint(journal.answered)
    for labels, value in shown.of("rk_api_requests_total", app):
        key = (labels["api_endpoint"], labels["code"])
        yield CallCount(key, value, certain[key], journal.answered[key])
    for labels, value in shown.of("rk_api_request_duration_seconds_count", app):
        endpoint = labels["api_endpoint"]
        yield CallCount(("durations", endpoint), value, least[endpoint].made, most[endpoint].made)
        failures = shown.total("rk_api_request_failures_total", app, api_endpoint=endpoint)
        in_doubt = journal.in_doubt[endpoint]
        yield CallCount(("failures", endpoint), failures, least[endpoint].failed, in_doubt)
        yield from _durations(shown, app, endpoint, journal)
    yield _malformed(shown.total("rk_api_malformed_fields_total", app), journal)


def _durations(shown: Shown, app: str, endpoint: str, journal: Journal) -> Iterator[CallCount]:
    """Return the buckets and the sum of the durations of the calls of an endpoint."""
    name = "rk_api_request_duration_seconds"
    histogram = Histogram.of(shown, app, name, api_endpoint=endpoint)
    most = {
        seconds: count for (called, seconds), count in journal.took.items() if called == endpoint
    }
    least = {x: count - journal.uncertainly_took[endpoint, x] for x, count in most.items()}
    for bound, value in histogram.buckets:
        key = (name, endpoint, str(bound))
        at_least = sum(count for x, count in least.items() if x <= bound - _ROUNDING_SECONDS)
        at_most = sum(count for x, count in most.items() if x <= bound + _ROUNDING_SECONDS)
        yield CallCount(key, value, at_least, at_most)
    shortest, longest = (sum(x * count for x, count in counts.items()) for counts in (least, most))
    slack = _ROUNDING_SECONDS * (1 + sum(most.values()))
    yield CallCount((name, endpoint), histogram.total, shortest - slack, longest + slack)


def calls_of_account(shown: Shown, journal: Journal) -> Iterator[CallCount]:
    """Return the counters of the lists of apps that are in the *journal* of an account."""
    for labels, value in shown.of("rk_account_api_requests_total"):
        count = journal.answered["apps", labels["code"]]
        yield CallCount((labels["code"],), value, count, count)
    failures = sum(value for _, value in shown.of("rk_account_api_request_failures_total"))
    failed = _by_endpoint(journal.answered)["apps"].failed
    yield CallCount(("failures",), failures, failed, journal.in_doubt["apps"])
    malformed = sum(value for _, value in shown.of("rk_account_api_malformed_fields_total"))
    yield _malformed(malformed, journal)


def _malformed(value: float, journal: Journal) -> CallCount:
    return CallCount(("malformed",), value, 0.0, math.inf if journal.has_malformed else 0.0)


@dataclass(slots=True)
class _Calls:
    made: int = 0
    failed: int = 0


def _by_endpoint(answered: Mapping[tuple[str, str], int]) -> defaultdict[str, _Calls]:
    """Return how many calls were made, and how many failed for sure, by endpoint."""
    calls = defaultdict[str, _Calls](_Calls)
    for (endpoint, code), count in answered.items():
        calls[endpoint].made += count
        # A call may be made again, and not fail, if a connection that was kept open is broken.
        calls[endpoint].failed += 0 if code in {*_FINE, _NO_ANSWER} else count
    return calls


class Budget:
    """The calls of one user that the budget in use has allowed."""

    def __init__(self) -> None:
        self._limits: list[tuple[float, int]] = []
        self._starts: list[float] = []

    def use(self, limit: int, now: float) -> None:
        """Expect at most *limit* calls in 5 minutes from now on."""
        self._limits.append((now, limit))

    def start(self, now: float) -> None:
        """Expect the calls of a new process, which may not know those of the one before."""
        self._starts.append(now)

    def check(self, calls: Sequence[Called], user: str) -> Iterator[str]:
        """Return the 5 minutes before the last of the *calls* if there were too many."""
        if not calls:
            return
        end = calls[-1].at
        begin = end - WINDOW_SECONDS
        made = sum(1 for _ in takewhile(lambda call: call.at > begin, reversed(calls)))
        until = [at for at, _ in self._limits[1:]] + [math.inf]
        in_use = [
            limit
            for (_, limit), ended_at in zip(self._limits, until, strict=True)
            if ended_at > begin
        ]
        most = max(in_use)
        if starts := sum(at > begin for at in self._starts):
            # See the table in docs/explanation/budget.md.
            most += most // 2 + starts * max(1, most // 15)
        if made > most:
            yield f"{user}: {made} calls in 5 minutes, at most {most} are allowed"
