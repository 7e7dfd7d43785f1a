"""Parts of Markdown pages."""

import re

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


ROOT = Path(__file__).parents[2]
PAGES = sorted(
    str(path.relative_to(ROOT)) for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
)
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)
_INLINE_CODE = re.compile(r"`[^`\n]*`")
_LINK = re.compile(r"\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)$", re.MULTILINE)
_HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
_PROMPT = "$ "


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block of a page, in the language that its fence names."""

    page: str
    line: int
    language: str
    text: str


def text_of(page: str) -> str:
    """Return the text of a page, by its path in the project."""
    return (ROOT / page).read_text(encoding="utf-8")


def rows(page: str, heading: str) -> list[list[str]]:
    """Return the rows of the first table below *heading* in the text of a page."""
    section = f"\n{page}".split(f"\n{heading}\n")[1]
    return all_rows(section[section.index("\n|") :].lstrip().split("\n\n")[0])


def all_rows(page: str) -> list[list[str]]:
    """Return the rows of all tables in the text of a page, without their headings."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for before, line in pairwise(page.splitlines())
        if before.startswith("|") and line.startswith("|") and not line.startswith("| ---")
    ]


def blocks(page: str, *languages: str) -> list[Block]:
    """Return the fenced blocks of a page that are in one of the *languages*."""
    text = text_of(page)
    return [
        Block(page, text.count("\n", 0, match.start()) + 1, match[2], _unindented(match))
        for match in _FENCE.finditer(text)
        if match[2] in languages
    ]


def _unindented(match: re.Match[str]) -> str:
    return "".join(line.removeprefix(match[1]) for line in match[3].splitlines(keepends=True))


def links(page: str) -> list[str]:
    """Return the targets of all links and pictures of a page."""
    prose = _INLINE_CODE.sub("", _FENCE.sub("", text_of(page)))
    return [inline or reference for inline, reference in _LINK.findall(prose)]


def anchors(page: str) -> set[str]:
    """Return the anchors that GitHub makes of the page's headings."""
    found: set[str] = set()
    for heading in _HEADING.findall(_FENCE.sub("", text_of(page))):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "")
        slug = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        number = 0
        while (anchor := f"{slug}-{number}" if number else slug) in found:
            number += 1
        found.add(anchor)
    return found


def commands(block: Block) -> Iterator[tuple[str, list[str]]]:
    """Return each command of a block of shell or console, and the output that follows it."""
    pending, found = "", list[tuple[str, list[str]]]()
    for line in block.text.splitlines():
        is_output = block.language == "console" and not pending and not line.startswith(_PROMPT)
        if is_output:
            found[-1][1].append(line)
            continue
        pending += line.removeprefix(_PROMPT).strip()
        if pending.endswith("\\"):
            pending = pending.removesuffix("\\")
            continue
        if command := re.sub(r"(^|\s+)#(\s.*)?$", "", pending):
            found.append((command, []))
        pending = ""
    yield from found
