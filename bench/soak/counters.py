"""Counters that must never go back."""

import re

from collections import defaultdict
from dataclasses import dataclass, field


_SAMPLE = re.compile(r"^(\w+(?:_total|_count|_sum|_bucket))(\{[^\n]*\})? (\S+)$", re.MULTILINE)
# An app that was removed and comes back starts at 0.
_PASSING = 'rk_app="second"'
_REQUESTS_OF_FIRST = re.compile(r'rk_api_requests_total\{.*rk_app="first"')


@dataclass(slots=True)
class CounterWatch:
    """Compares each scrape with the one before."""

    values: dict[str, float] = field(default_factory=dict)
    increases: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    """How much each metric has grown, over all its series and all their lives."""

    @property
    def calls_of_first(self) -> float:
        """The calls that the app which is never removed has made."""
        return sum(
            value for series, value in self.values.items() if _REQUESTS_OF_FIRST.match(series)
        )

    def see(self, text: str) -> list[str]:
        """Take a scrape; return what went back or vanished since the last one."""
        seen = {f"{name}{labels}": float(value) for name, labels, value in _SAMPLE.findall(text)}
        for series, value in seen.items():
            before = self.values.get(series, 0.0)
            self.increases[series.partition("{")[0]] += value - before if value >= before else value
        wrong = [
            f"counter went back: {series} from {before:g} to {seen.get(series, 'absent')}"
            for series, before in self.values.items()
            if seen.get(series, -1.0) < before and _PASSING not in series
        ]
        self.values = seen
        return wrong
