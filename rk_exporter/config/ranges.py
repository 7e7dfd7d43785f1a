"""Parsers for durations, counts and percentages, each with the range of sensible values."""

import re

from abc import ABC, abstractmethod
from dataclasses import dataclass

from rk_exporter.config.parsers import parse_duration


# Python refuses to convert more digits.
_NUMBER = re.compile(r"-?[0-9]{1,4000}")


@dataclass(frozen=True, slots=True)
class Range(ABC):
    """
    The values from *smallest* to *largest*, as people type them.

    Messages also have the *unit* if the values do not, and the *reason* for the range.
    """

    smallest: str
    largest: str
    unit: str = ""
    reason: str = ""

    @property
    def text(self) -> str:
        """Return the range in words, e.g. `0s to 10s`."""
        return f"{self.smallest} to {self.largest}"

    @abstractmethod
    def number(self, text: str) -> float:
        """Return the number that *text* stands for, or raise ValueError."""

    @abstractmethod
    def __call__(self, text: str) -> float:
        """Return the value of an option, or raise ValueError."""

    def check(self, text: str) -> float:
        """Return the number that *text* stands for, if it is in the range."""
        number = self.number(text)
        if not self.number(self.smallest) <= number <= self.number(self.largest):
            unit = f" {self.unit}" if self.unit else ""
            reason = f"; {self.reason}" if self.reason else ""
            raise ValueError(f"must be between {self.smallest} and {self.largest}{unit}{reason}")
        return number


@dataclass(frozen=True, slots=True)
class Durations(Range):
    """Durations in Prometheus's format; the value is in seconds."""

    def number(self, text: str) -> float:
        """Return the seconds."""
        return parse_duration(text)

    def __call__(self, text: str) -> float:
        """Return the value of an option."""
        return self.check(text)


@dataclass(frozen=True, slots=True)
class Counts(Range):
    """Whole numbers."""

    def number(self, text: str) -> float:
        """Return the number."""
        if not _NUMBER.fullmatch(text):
            raise ValueError("must be a whole number")
        return int(text)

    def __call__(self, text: str) -> int:
        """Return the value of an option."""
        return int(self.check(text))


@dataclass(frozen=True, slots=True)
class Percentages(Range):
    """Whole percentages, with or without the sign; the value is a ratio."""

    def number(self, text: str) -> float:
        """Return the percentage."""
        if not _NUMBER.fullmatch(text.removesuffix("%")):
            raise ValueError("must be a whole percentage, e.g. 20%")
        return int(text.removesuffix("%"))

    def __call__(self, text: str) -> float:
        """Return the value of an option."""
        return self.check(text) / 100
