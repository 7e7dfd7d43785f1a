"""Tables in Markdown."""

from collections.abc import Iterable, Sequence


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table with these *heads*; empty cells stay empty."""
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"|{'|'.join(map(_cell, line))}|\n" for line in lines)


def code(text: str | None) -> str:
    """Return *text* as code; nothing if there is none."""
    return f"`{text}`" if text else ""


def _cell(text: str) -> str:
    escaped = text.replace("|", "\\|")
    return f" {escaped} " if escaped else " "
