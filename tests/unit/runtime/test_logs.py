import io
import json
import logging

import pytest

from hypothesis import example, given
from hypothesis import strategies as st

from rk_exporter.runtime.logs import configure, flush


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
    assert "T" in event["time"]


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
