"""JSON with texts that were cut in the middle of a character."""

import re

from collections.abc import Callable
from typing import TypeVar

import msgspec


T = TypeVar("T")
_MAY_BE_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_ESCAPE = re.compile(
    rb"""\\(?:
        u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # both halves of a character
        |(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})
        |.
    )""",
    re.DOTALL | re.VERBOSE,
)
# U+FFFD, which stands for a character that cannot be shown.
_REPLACEMENT = rb"\ufffd"


def decode(decoder: Callable[[bytes], T], body: bytes) -> T:
    r"""
    Return what *decoder* makes of a JSON *body* in which characters may be cut in half.

    JavaScript counts an emoji as two characters. If a program cuts a text between them, the half
    is written as an escape such as `\ud83d` (ECMAScript 2019, JSON.stringify). RFC 8259 section 8.2
    allows that, but leaves open what it means, and msgspec refuses the whole body. Here each half
    becomes U+FFFD. Raises what the decoder raises.
    """
    try:
        return decoder(body)
    except (msgspec.DecodeError, ValueError):
        mended = whole_characters(body)
        if mended == body:
            raise
    return decoder(mended)


def whole_characters(body: bytes) -> bytes:
    """Return a JSON *body* in which U+FFFD replaces each half of a character."""
    if _MAY_BE_HALF.search(body) is None:
        return body
    return _ESCAPE.sub(lambda escape: _REPLACEMENT if escape["half"] else escape[0], body)
