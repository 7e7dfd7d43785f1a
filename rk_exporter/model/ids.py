"""The ids of accounts, apps, meetings and recordings."""

import re


ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_UUID = re.compile(r"[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", re.ASCII)
_LONGEST_SHOWN = 40


def parse_id(text: str) -> str:
    """Return *text* if it is a valid id, or raise ValueError; ids become parts of URL paths."""
    if not ID_PATTERN.fullmatch(text):
        shown = text[:_LONGEST_SHOWN]
        raise ValueError(f"{shown!r} is not a valid id: use 1 to 128 letters, digits, - and _")
    return text


def canonical(text: str) -> str:
    """
    Return the same text for all spellings of one id.

    Upper and lower case are the same in a UUID (RFC 9562, 4), but not in the name of a room.
    """
    # Most ids are in lower case already, and up to 10,000 are compared in each pass.
    return text.lower() if not text.islower() and _UUID.fullmatch(text) else text
