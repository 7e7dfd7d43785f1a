"""Colours of printed text; they only repeat what the words say."""

from collections.abc import Callable
from enum import StrEnum

import click


class Tone(StrEnum):
    """The meaning of a word, and its colour on a terminal."""

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
