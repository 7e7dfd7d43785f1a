"""Text from outside, made printable."""

from collections.abc import Sequence


# The longest file name in usual file systems.
LONGEST_LABEL_CHARACTERS = 255
# A log line names no more, however many there are.
MOST_NAMED = 10
# How Python represents bytes of a path or a variable that are not UTF-8 (PEP 383).
_FIRST_LONE_BYTE, _LAST_LONE_BYTE = 0xDC80, 0xDCFF


def label_text(text: str) -> str:
    """
    Return *text* as one printable line of at most 255 characters; it may become empty.

    A space replaces each character that is not printable: control and formatting characters, all
    kinds of white space, and the lone surrogates that stand for bytes that are not UTF-8.
    """
    return printable(text)[:LONGEST_LABEL_CHARACTERS].strip()


def printable(text: str) -> str:
    """Return *text* with a space in the place of each character that is not printable."""
    if text.isprintable():
        return text
    return "".join(character if character.isprintable() else " " for character in text)


def visible(text: str) -> str:
    r"""
    Return *text* with an escape for each character that is not printable, e.g. `\u202e`.

    Different texts stay different, so this suits paths, whose bytes may not be UTF-8: `\xff`.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else _escape(character) for character in text
    )


def names_text(names: Sequence[str]) -> str:
    """Return the first ten of the *names*, and how many more there are: `a, b and 4,990 more`."""
    shown = ", ".join(map(visible, names[:MOST_NAMED]))
    more = len(names) - MOST_NAMED
    return f"{shown} and {more:,} more" if more > 0 else shown


def _escape(character: str) -> str:
    number = ord(character)
    if _FIRST_LONE_BYTE <= number <= _LAST_LONE_BYTE:
        return f"\\x{number & 0xFF:02x}"
    return character.encode("unicode_escape").decode()
