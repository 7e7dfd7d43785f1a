"""
Lists of meetings in files: YAML, JSON, or one id a line.

People and tools replace or edit such a file at any time. Neither an accident nor a half-written
file may remove meetings, so an invalid file leaves the last good list in use.
"""

import codecs
import json
import logging
import re

from pathlib import Path

from rk_exporter.config.parsers import InvalidItems, parse_meetings
from rk_exporter.config.yaml_document import LARGEST_FILE_BYTES, parse_document
from rk_exporter.model.meeting import Meeting
from rk_exporter.runtime.files import FileError
from rk_exporter.runtime.watched_file import WatchedFile


logger = logging.getLogger(__name__)
_LINE_BREAK = re.compile(r"\r\n?|\n")
# No id looks like this, but the first line of a YAML or JSON file does. jq writes `null` if it
# finds nothing.
_YAML = re.compile(r"[\[{\"'%!&*|>?]|-(?:--)?(?:\s|$)|(?:null|~)$|.*:(?:\s|$)")
# YAML allows no control characters, and takes three others for line breaks. In a name they
# must not make the list invalid.
_NOT_IN_YAML = re.compile(r"[^\t\n\r -~\xa0-\u2027\u202a-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# libyaml refuses the escapes of surrogates, which JSON has for letters beyond 16 bits.
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
_UTF_16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_EMPTY = "is empty; list meetings in it, or write [] if there are none"


def parse_meeting_file(path: Path, content: bytes) -> tuple[Meeting, ...]:
    """
    Return the meetings in the *content* of the file at *path*, each once, with its first name.

    Raises FileError, whose message names the file and the line.
    """
    if content.startswith(_UTF_16):
        raise FileError(f"{path}:1: not UTF-8")
    # Ids are ASCII, so bytes that are not UTF-8 cost only some letters of a name.
    text = content.decode("utf-8-sig", errors="replace")
    lines = [line.partition("#")[0].strip() for line in _LINE_BREAK.split(text)]
    first = next(filter(None, lines), "")
    if not _YAML.match(first):
        return _from_lines(path, lines)
    meetings = _from_json(text) if first.startswith("[") else None
    return _from_yaml(path, text) if meetings is None else meetings


def _from_json(text: str) -> tuple[Meeting, ...] | None:
    """Return the list in *text*; None if the YAML parser must read it, or name the mistake."""
    try:
        # Not strict, so that a name may contain any character.
        return parse_meetings(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        return None


def _from_yaml(path: Path, text: str) -> tuple[Meeting, ...]:
    text = _SURROGATE_ESCAPE.sub(r"\\ufffd", _NOT_IN_YAML.sub(" ", text))
    document = parse_document(path, text.encode())
    if document.problems:
        raise FileError(document.problems[0].text)
    if document.content is None:
        raise FileError(f"{path}: {_EMPTY}")
    try:
        return parse_meetings(document.content)
    except InvalidItems as error:
        raise FileError(document.problem(*error.items[0]).text) from None


def _from_lines(path: Path, lines: list[str]) -> tuple[Meeting, ...]:
    numbers = [number for number, line in enumerate(lines, start=1) if line]
    if not numbers:
        raise FileError(f"{path}: {_EMPTY}")
    try:
        return parse_meetings([line for line in lines if line])
    except InvalidItems as error:
        item, message = error.items[0]
        raise FileError(f"{path}:{numbers[int(item.strip('[]'))]}: {message}") from None


class MeetingFile(WatchedFile[tuple[Meeting, ...]]):
    """The meetings in a file, read again when it changes."""

    kind = "meetings file"
    content = "list"
    max_bytes = LARGEST_FILE_BYTES
    waits_until_settled = True

    @property
    def meetings(self) -> tuple[Meeting, ...]:
        """Return the meetings of the last good list."""
        return self.value

    def parse(self, content: bytes) -> tuple[Meeting, ...]:
        """Return the meetings in the *content* of the file."""
        return parse_meeting_file(self.path, content)

    def log_change(self, before: tuple[Meeting, ...], after: tuple[Meeting, ...]) -> None:
        """Log how many meetings were added and removed."""
        old, new = ({meeting.meeting_id for meeting in meetings} for meetings in (before, after))
        removed = len(old - new)
        counts = {"meetings": len(new), "added": len(new - old), "removed": removed}
        fields = {**self.fields, **counts}
        logger.info("meetings file has changed", extra=fields)
        if 2 * removed > len(old):
            logger.warning("meetings file has lost more than half of its meetings", extra=fields)
