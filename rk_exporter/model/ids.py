"""The API's identifiers: accounts, apps, meetings and recordings."""

import re


ID_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)
_LONGEST_SHOWN = 40


def parse_id(text: str) -> str:
    """Return an id of an account, app or meeting; the API's paths are made of them."""
    if not ID_PATTERN.fullmatch(text):
        raise ValueError(f"{text[:_LONGEST_SHOWN]!r} is no id: 1 to 128 letters, digits, - and _")
    return text
