"""Whether a commit can be released: a pure function of what the repository has."""

import re

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from itertools import zip_longest

from packaging.version import InvalidVersion, Version


_UNRELEASED = "Unreleased"
_SECTION = re.compile(r"^## (?P<title>.+?)(?: - (?P<date>\S+))?$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """The *version* of the package, the changelog, and what git says about the checkout."""

    version: str
    changelog: str
    changed_files: tuple[str, ...]
    tags: tuple[str, ...]
    """The tags of the commit."""


def problems(state: State, *, today: date) -> Iterator[str]:
    """Return why the commit cannot be released, each with what to do."""
    try:
        is_normal = str(Version(state.version)) == state.version
    except InvalidVersion:
        is_normal = False
    if not is_normal:
        yield f"rk_exporter/__init__.py: {state.version!r} is no version as in PEP 440, e.g. 1.2.0"
        return
    yield from _changelog_problems(state, today=today)
    if state.changed_files:
        files = ", ".join(state.changed_files[:5])
        yield f"files differ from the commit: {files}; commit or remove them"
    wanted = f"v{state.version}"
    if wanted not in state.tags:
        found = ", ".join(state.tags) or "no tag"
        yield f"the commit has {found}; tag it: git tag --annotate {wanted} --message {wanted}"


def _changelog_problems(state: State, *, today: date) -> Iterator[str]:
    sections = list(_sections(state.changelog))
    released = [(title, day, text) for title, day, text in sections if title != _UNRELEASED]
    if any(title == _UNRELEASED and text for title, _, text in sections):
        yield f"CHANGELOG.md: {_UNRELEASED} has entries; move them to ## {state.version} - {today}"
    if not released or released[0][0] != state.version:
        yield f"CHANGELOG.md: the newest section must be ## {state.version} - {today}"
        return
    _, day, text = released[0]
    if not text:
        yield f"CHANGELOG.md: the section of {state.version} is empty; say what users notice"
    if not _is_past(day, today):
        yield f"CHANGELOG.md: the date of {state.version} is {day}; write a day until {today}"
    if len(released) > 1 and Version(released[1][0]) >= Version(state.version):
        yield f"rk_exporter/__init__.py: {state.version} must be newer than {released[1][0]}"


def _sections(changelog: str) -> Iterator[tuple[str, str, str]]:
    """Return the title, the date and the text of each section."""
    matches = list(_SECTION.finditer(changelog))
    for match, following in zip_longest(matches, matches[1:]):
        end = following.start() if following else len(changelog)
        yield match["title"], match["date"] or "", changelog[match.end() : end].strip()


def _is_past(day: str, today: date) -> bool:
    try:
        return date.fromisoformat(day) <= today
    except ValueError:
        return False
