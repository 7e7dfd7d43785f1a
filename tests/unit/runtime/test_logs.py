import io
import json
import logging
import math
import re

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.runtime.log_formats import FORMATS, ConsoleFormatter, formatter
from rk_exporter.runtime.logs import configure, dropped_lines, flush


logger = logging.getLogger("rk_exporter.test")


def lines(form: str, level: str = "info") -> io.StringIO:
    stream = io.StringIO()
    configure(level=level, form=form, stream=stream)
    return stream


def written(stream: io.StringIO) -> str:
    """Return what the log has written."""
    flush()
    return stream.getvalue()


def test_logfmt() -> None:
    """A line has time, level, message and the fields of the call, quoted if necessary."""
    stream = lines("logfmt")
    logger.warning("two words", extra={"app": "production", "reason": 'a "b"=c', "empty": ""})
    time, rest = written(stream).split(" ", 1)
    assert time.startswith("time=20")
    assert time.endswith("Z")
    assert rest == ('level=warning msg="two words" app=production reason="a \\"b\\"=c" empty=""\n')


def test_logfmt_has_one_line_for_one_event() -> None:
    """A line break, in a value or a traceback, makes no second line."""
    stream = lines("logfmt")
    try:
        int("first\nsecond")
    except ValueError:
        logger.exception("failed", extra={"value": "a\nb"})
    assert 1 == written(stream).count("\n")
    assert 'value="a\\nb"' in written(stream)


@given(value=st.text(st.characters()))
@example(value="safe\u202eevil")
@example(value="\x1b[31m")
@example(value="a\u2028b\x85c\x7fd\ud800e\u00a0f\u3000g")
def test_logfmt_is_printable(value: str) -> None:
    """Whatever a value contains, its line is printable, and the value can be read back."""
    stream = lines("logfmt")
    logger.warning("event", extra={"value": value})
    line = written(stream).removesuffix("\n")
    assert line.isprintable()
    shown = line.partition(" value=")[2]
    assert value == (json.loads(shown) if shown.startswith('"') else shown)


def test_json() -> None:
    """As JSON a line is an object with the same fields."""
    stream = lines("json")
    logger.info("read", extra={"failed": 3, "what": object})
    event = json.loads(written(stream))
    assert ("info", "read", 3) == (event["level"], event["msg"], event["failed"])
    assert ["ts", "level", "msg", "logger"] == [*event][:4]
    assert "rk_exporter.test" == event["logger"]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["ts"])


@given(value=st.text(st.characters()) | st.floats() | st.integers())
@example(value=float("nan"))
@example(value="\x1b[31m\x9b31m")
def test_json_is_standard(value: object) -> None:
    """A line is ASCII without control characters, and valid for strict parsers."""
    stream = lines("json")
    logger.info("read", extra={"value": value})
    line = written(stream).removesuffix("\n")
    assert line.isascii()
    assert line.isprintable()
    event = json.loads(line, parse_constant=pytest.fail)
    is_number = isinstance(value, int | float) and math.isfinite(value)
    assert event["value"] == (value if is_number or isinstance(value, str) else str(value))


@pytest.mark.parametrize("form", ["json", "logfmt"])
def test_fields_of_every_line(form: str) -> None:
    """A field of a call replaces none of those that every line has."""
    stream = lines(form)
    logger.info("read", extra={"level": "x-y", "ts": "x-y", "time": "x-y", "logger": "x-y"})
    line = written(stream)
    pairs = dict(pair.split("=") for pair in line.split()) if form == "logfmt" else json.loads(line)
    expected = {"json": ("ts", "level", "logger"), "logfmt": ("time", "level")}[form]
    assert "x-y" not in [pairs[name] for name in expected]


@pytest.mark.parametrize(
    ("level", "expected"),
    [("debug", 4), ("info", 3), ("warning", 2), ("error", 1)],
)
def test_levels(level: str, expected: int) -> None:
    """Only lines of the level and above are written."""
    stream = lines("logfmt", level)
    for number in (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR):
        logger.log(number, "line")
    assert expected == written(stream).count("\n")


@pytest.mark.parametrize("name", ["httpx", "httpcore.http11", "uvicorn.error", "asyncio"])
def test_libraries_are_quiet(name: str) -> None:
    """Libraries that log URLs and headers say nothing below an error, even at debug."""
    stream = lines("logfmt", "debug")
    logging.getLogger(name).warning("https://…")
    assert "" == written(stream)


class Terminal(io.StringIO):
    """A stream that is a terminal."""

    def isatty(self) -> bool:
        return True


def shown(
    value: object = "", *, form: str = "auto", stream: io.StringIO, environment: dict[str, str]
) -> str:
    """Return a warning with a field as a stream would show it."""
    record = logging.makeLogRecord(
        {
            "created": 1795000000.0,
            "levelname": "WARNING",
            "msg": "cannot be read",
            "name": "rk_exporter.test",
            "value": value,
        }
    )
    return formatter(form, stream, environment).format(record)


@pytest.mark.parametrize(
    ("form", "is_terminal", "environment", "expected"),
    [
        ("auto", True, {}, "plain"),
        ("auto", True, {"TERM": "xterm"}, "colours"),
        ("auto", True, {"NO_COLOR": "", "TERM": "xterm"}, "colours"),
        ("auto", True, {"NO_COLOR": "1", "TERM": "xterm"}, "plain"),
        ("auto", True, {"TERM": "dumb"}, "plain"),
        ("auto", False, {}, "logfmt"),
        ("auto", False, {"TERM": "xterm"}, "logfmt"),
        ("console", True, {"TERM": "xterm"}, "colours"),
        ("console", True, {"NO_COLOR": "1", "TERM": "xterm"}, "plain"),
        ("console", False, {}, "plain"),
        ("logfmt", True, {}, "logfmt"),
        ("json", True, {}, "json"),
    ],
)
def test_choice_of_the_format(
    form: str,
    is_terminal: bool,  # noqa: FBT001 # parameter of a test
    environment: dict[str, str],
    expected: str,
) -> None:
    """A chosen format always wins; else a terminal gets the form for people, in colours."""
    stream = Terminal() if is_terminal else io.StringIO()
    line = shown("1", form=form, stream=stream, environment=environment)
    if expected == "json":
        assert "cannot be read" == json.loads(line)["msg"]
    elif expected == "logfmt":
        assert line == ('time=2026-11-18T11:06:40.000Z level=warning msg="cannot be read" value=1')
    else:
        assert ("\x1b[" in line) is (expected == "colours")
        plain = re.sub(r"\x1b\[[0-9;]*m", "", line)
        assert re.fullmatch(r"2026-11-1\d \d\d:\d\d:40 warning cannot be read +value=1", plain)


@given(value=st.text(st.characters()), has_colours=st.booleans())
@example(value="\x1b[2J\x9b2J\r\n\x07", has_colours=True)
def test_console_is_printable(value: str, has_colours: bool) -> None:  # noqa: FBT001 # of a test
    """Whatever a value, a message or a traceback contains, only our colours reach a terminal."""
    record = logging.makeLogRecord(
        {"levelname": "WARNING", "msg": value.replace("%", ""), "value": value}
    )
    line = ConsoleFormatter(has_colours=has_colours).format(record)
    ours = r"\x1b\[(?:0|1|2|3[1-6])m" if has_colours else "(?!)"
    assert re.sub(ours, "", line).isprintable()


def test_console_shows_tracebacks_in_lines() -> None:
    """A traceback has a line for each of its own, below the event."""
    stream = lines("console")
    try:
        int("\x1b[31m")
    except ValueError:
        logger.exception("failed")
    first, *rest = written(stream).splitlines()
    assert first.endswith("error   failed")
    assert len(rest) > 2
    assert "\x1b" not in "".join(rest)


class TestConfigureAgain:
    """The configuration may change while the program runs."""

    def test_no_line_is_lost_or_doubled(self) -> None:
        """Each line is written once, in order, in the format and from the level of its time."""
        stream = lines("logfmt")
        expected = []
        for number in range(200):
            form = FORMATS[number % len(FORMATS)]
            level = "warning" if number % 3 else "info"
            configure(level=level, form=form, stream=stream)
            logger.info("line-%d", number)
            logger.warning("line-%d", number)
            expected += [number] * (1 if number % 3 else 2)
        assert expected == [int(number) for number in re.findall(r"line-(\d+)", written(stream))]
        handlers = logging.getLogger().handlers
        assert 1 == sum(getattr(handler, "stream", None) is stream for handler in handlers)

    def test_other_handlers_stay(self) -> None:
        """Handlers of others, e.g. one that keeps the last warnings, still get all records."""
        seen: list[str] = []

        class Ring(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                seen.append(record.getMessage())

        ring = Ring()
        logging.getLogger().addHandler(ring)
        stream = lines("logfmt")
        logger.warning("one")
        configure(level="debug", form="json", stream=stream)
        logger.warning("two")
        assert ["one", "two"] == seen

    def test_dropped_lines_stay_counted(self) -> None:
        """The count of dropped lines, a counter, does not go back."""

        class Broken(io.StringIO):
            def write(self, text: str) -> int:
                raise OSError(text)

        stream = Broken()
        configure(level="info", form="logfmt", stream=stream)
        logger.warning("lost")
        flush()
        configure(level="debug", form="json", stream=stream)
        assert 1 == dropped_lines()
