"""The ids of accounts, apps, meetings and recordings."""

import re


ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_LONGEST_SHOWN = 40


def parse_id(text: str) -> str:
    """Return *text* if it is a valid id, or raise ValueError; ids become parts of URL paths."""
    if not ID_PATTERN.fullmatch(text):
        shown = text[:_LONGEST_SHOWN]
        raise ValueError(f"{shown!r} is not a valid id: use 1 to 128 letters, digits, - and _")
    return text
