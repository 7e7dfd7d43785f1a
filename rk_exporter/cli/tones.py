"""Colours of printed text; what it means does not depend on them."""

from collections.abc import Callable
from enum import StrEnum

import click


class Tone(StrEnum):
    """What a word says, by its colour on a terminal."""

    GOOD = "green"
    BAD = "bright_red"
    DOUBTFUL = "yellow"


Painter = Callable[[str, Tone], str]
"""Returns a text in the colour of a tone, or as it is."""


def plain(text: str, tone: Tone) -> str:
    """Return *text* as it is."""
    del tone
    return text


def coloured(text: str, tone: Tone) -> str:
    """Return *text* in the colour of *tone*."""
    return click.style(text, fg=tone.value)
