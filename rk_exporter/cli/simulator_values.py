"""The values of the options of `demo` and `simulate`."""

import math

from rk_exporter.cli.options import Parsed
from rk_exporter.simulator import Fault


def number(least: float, most: float) -> Parsed[float]:
    """Return the type of a number in a range."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isnan(value):
            raise ValueError(f"{text!r} is not a number")
        if not least <= value <= most:
            raise ValueError(f"{text} is not in the range {least:g} to {most:,.0f}")
        return value

    return Parsed("number", parse)


def count(most: int) -> Parsed[int]:
    """Return the type of a whole number from 0 to *most*."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise ValueError(f"{text!r} is not a whole number") from None
        if not 0 <= value <= most:
            raise ValueError(f"{text} is not in the range 0 to {most:,}")
        return value

    return Parsed("count", parse)


def parse_fault(text: str) -> tuple[str, Fault]:
    """Return the meeting's id and the fault in a `MEETING=KIND` pair."""
    meeting_id, _, kind = text.rpartition("=")
    if not meeting_id or kind not in list(Fault):
        kinds = ", ".join(Fault)
        raise ValueError(f"invalid fault {text!r}; write MEETING=KIND with KIND {kinds}")
    return meeting_id, Fault(kind)
