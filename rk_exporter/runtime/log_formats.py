"""
Log records as text: logfmt and JSON for programs, and a form for people at a terminal.

No form lets characters through that a terminal obeys, wherever a value comes from.
"""

import json
import logging
import math
import os

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo
from typing import TextIO

import click

from rk_exporter.runtime.printable import visible
from rk_exporter.runtime.terminal import has_colours


LEVELS = ("debug", "info", "warning", "error")
AUTO, CONSOLE, LOGFMT, JSON = "auto", "console", "logfmt", "json"
FORMATS = (AUTO, CONSOLE, LOGFMT, JSON)
# Everything that a record has of its own; the rest came in `extra`.
_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_COLOURS = {"debug": "blue", "info": "green", "warning": "yellow", "error": "red"}
_LEVEL_WIDTH = max(map(len, LEVELS))
_MESSAGE_WIDTH = 40


class LogfmtFormatter(logging.Formatter):
    """A record as `key=value` pairs."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line."""
        pairs = _with_details({"time": _timestamp(record), **_head(record)}, self, record)
        return " ".join(f"{key}={_logfmt_value(str(value))}" for key, value in pairs.items())


class JsonFormatter(logging.Formatter):
    """A record as a JSON object."""

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as one line."""
        head = {"ts": _timestamp(record), **_head(record), "logger": record.name}
        fields = _with_details(head, self, record)
        return json.dumps({key: _json_value(fields[key]) for key in fields}, default=str)


class ConsoleFormatter(logging.Formatter):
    """
    A record for people: the time in *zone*, level, message, and then the fields.

    Without a *zone*, it is this machine's time.

    The handler of rich would wait for the terminal and wrap lines. This formatter returns one
    text for the thread that writes, and click, which is installed anyway, has the colours.
    """

    def __init__(self, *, has_colours: bool, zone: tzinfo | None = None) -> None:
        super().__init__()
        self._has_colours = has_colours
        self._zone = zone

    def format(self, record: logging.LogRecord) -> str:
        """Return *record* as a line, and each line of a traceback as a further one."""
        head, details = _head(record), _details(self, record)
        traceback = str(details.pop("exception", ""))
        local = datetime.fromtimestamp(record.created, tz=UTC).astimezone(self._zone)
        level = str(head["level"])
        parts = [
            self._styled(local.strftime("%Y-%m-%d %H:%M:%S"), dim=True),
            self._styled(f"{level:{_LEVEL_WIDTH}}", fg=_COLOURS.get(level), bold=True),
            f"{visible(str(head['msg'])):{_MESSAGE_WIDTH if details else 0}}",
            *(
                f"{self._styled(f'{key}=', fg='cyan')}{_logfmt_value(str(value))}"
                for key, value in details.items()
            ),
        ]
        lines = [" ".join(parts), *(f"  {visible(line)}" for line in traceback.splitlines())]
        return "\n".join(lines)

    def _styled(
        self, text: str, *, fg: str | None = None, bold: bool | None = None, dim: bool | None = None
    ) -> str:
        return click.style(text, fg=fg, bold=bold, dim=dim) if self._has_colours else text


def formatter(
    form: str, stream: TextIO, environment: Mapping[str, str] = os.environ
) -> logging.Formatter:
    """
    Return the formatter for one of the FORMATS on *stream*.

    Without a choice, a terminal gets the form for people, and anything else logfmt. Colours are
    for terminals only; NO_COLOR and TERM=dumb in the *environment* switch them off.
    """
    if form == JSON:
        return JsonFormatter()
    if form == CONSOLE or (form == AUTO and stream.isatty()):
        return ConsoleFormatter(has_colours=has_colours(stream, environment))
    return LogfmtFormatter()


def extra_fields(record: logging.LogRecord) -> dict[str, object]:
    """Return the fields that the call passed in `extra`."""
    return {key: value for key, value in vars(record).items() if key not in _STANDARD}


def _timestamp(record: logging.LogRecord) -> str:
    """Return when *record* was made, in UTC (RFC 3339)."""
    moment = datetime.fromtimestamp(record.created, tz=UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _head(record: logging.LogRecord) -> dict[str, object]:
    return {"level": record.levelname.lower(), "msg": record.getMessage()}


def _details(formatter: logging.Formatter, record: logging.LogRecord) -> dict[str, object]:
    """Return the fields that the call passed, and the traceback if there is one."""
    fields = extra_fields(record)
    if record.exc_info:
        fields["exception"] = formatter.formatException(record.exc_info)
    return fields


def _with_details(
    head: Mapping[str, object], formatter: logging.Formatter, record: logging.LogRecord
) -> dict[str, object]:
    """Return *head*, which no field of the call replaces, and then those fields."""
    return {**head, **_details(formatter, record), **head}


def _json_value(value: object) -> object:
    """Return *value*, or text for a number that JSON does not have."""
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _logfmt_value(text: str) -> str:
    if text and not any(character in text for character in ' "=\\') and text.isprintable():
        return text
    # Formatting characters could show a line that says something else.
    return "".join(_escaped(json.dumps(text, ensure_ascii=False)))


def _escaped(text: str) -> Iterator[str]:
    for character in text:
        yield character if character.isprintable() else json.dumps(character)[1:-1]
