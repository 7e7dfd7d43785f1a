"""Counters that must never go back."""

import re

from dataclasses import dataclass, field


_SAMPLE = re.compile(r"^(\w+(?:_total|_count|_sum|_bucket))(\{[^\n]*\})? (\S+)$", re.MULTILINE)
# An app that was removed and comes back may begin anew.
_LASTING = re.compile(r'rk_app="(?!second")|^process_|^rk_exporter_')


@dataclass(slots=True)
class CounterWatch:
    """Compares each scrape with the one before."""

    values: dict[str, float] = field(default_factory=dict)
    scrapes: int = 0

    def see(self, text: str) -> list[str]:
        """Take a scrape; return what went back or vanished since the last one."""
        self.scrapes += 1
        seen = {
            f"{name}{labels}": float(value)
            for name, labels, value in _SAMPLE.findall(text)
            if _LASTING.search(f"{name}{labels}")
        }
        wrong = [
            f"counter went back: {name} from {before:g} to {seen.get(name, 'absent')}"
            for name, before in self.values.items()
            if seen.get(name, -1.0) < before
        ]
        self.values = seen
        return wrong

    def total(self, name: str) -> float:
        """Return the sum of all series of a counter."""
        return sum(value for series, value in self.values.items() if series.startswith(f"{name}{{"))
