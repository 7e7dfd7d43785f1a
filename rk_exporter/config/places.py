"""The place of a meeting in the configuration, for messages about its id."""

import re

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.config.sources import Setting
from rk_exporter.config.yaml_document import (
    LARGEST_FILE_BYTES,
    Document,
    PlainValue,
    parse_document,
    read_document,
)
from rk_exporter.runtime.background_call import bounded_call
from rk_exporter.runtime.files import FileError, read_regular_file


_LINE_BREAK = re.compile(r"\r\n?|\n")
_IDS = APP_OPTIONS["meetings"]


def place_of(
    meeting_id: str,
    *,
    config_file: Path | None,
    settings: Mapping[str, Setting],
    app_number: int,
    files: Iterable[MeetingFile] = (),
) -> str:
    """
    Return the place of a meeting in the configuration: a flag, a variable, or a file and line.

    The files are read again, because a valid configuration does not keep its lines.
    """
    setting = settings.get(_IDS.path)
    if setting is not None and meeting_id in setting.value:
        return setting.origin
    places = [*_in_config_file(config_file, meeting_id, app_number)]
    for file in files:
        places += _in_meeting_file(file.path, meeting_id)
    return next(iter(places), _IDS.flag)


def _in_config_file(path: Path | None, meeting_id: str, app_number: int) -> Iterator[str]:
    try:
        document = read_document(path) if path else None
    except FileError:
        return
    if document is None:
        return
    for at in (f"apps[{app_number}].{_IDS.path_in_app}", _IDS.path):
        yield from _in_document(document, at, meeting_id)


def _in_meeting_file(path: Path, meeting_id: str) -> Iterator[str]:
    try:
        content = bounded_call(lambda: read_regular_file(path, max_bytes=LARGEST_FILE_BYTES))
    except FileError:
        return
    text = content.decode("utf-8-sig", errors="replace")
    for number, line in enumerate(_LINE_BREAK.split(text), start=1):
        if line.partition("#")[0].strip() == meeting_id:
            yield f"{path}:{number}"
            return
    try:
        yield from _in_document(parse_document(path, text.encode()), "", meeting_id)
    except FileError:
        return


def _in_document(document: Document, at: str, meeting_id: str) -> Iterator[str]:
    """Return the places of a meeting in the list at the path *at*."""
    items = _value(document.content, at)
    for number, item in enumerate(items if isinstance(items, list) else ()):
        listed_id = item.get("id") if isinstance(item, dict) else item
        if listed_id == meeting_id:
            where = f"{at}[{number}]"
            yield document.problem(where, "").text.removesuffix(": ")


def _value(content: PlainValue, path: str) -> PlainValue:
    """Return the value at a path such as `apps[0].meetings.ids`."""
    for part in filter(None, path.replace("[", ".").replace("]", "").split(".")):
        if isinstance(content, dict):
            content = content.get(part)
        elif isinstance(content, list) and part.isdecimal() and int(part) < len(content):
            content = content[int(part)]
        else:
            return None
    return content
