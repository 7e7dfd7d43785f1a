"""What a stream can show: a terminal has colours and lines that change, a pipe has neither."""

from collections.abc import Mapping
from typing import TextIO


def is_terminal(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether *stream* is a terminal that understands escape sequences."""
    return environment.get("TERM", "") not in {"", "dumb"} and stream.isatty()


def has_colours(stream: TextIO, environment: Mapping[str, str]) -> bool:
    """Return whether to use colours on *stream*: https://no-color.org says who decides."""
    return not environment.get("NO_COLOR") and is_terminal(stream, environment)
