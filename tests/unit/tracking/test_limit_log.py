import logging

import pytest

from rk_exporter.tracking.shown import LimitLog
from tests.support.log_lines import lines


def test_hidden_recordings(caplog: pytest.LogCaptureFixture) -> None:
    """Hidden recordings are logged when there are any, ten times as many, and none again."""
    caplog.set_level(logging.INFO)
    log = LimitLog("app-1", 10)
    for hidden in (0, 1, 1, 9, 10, 11, 500, 501, 0, 0, 1):
        log.log(hidden=hidden, is_full=False)
    message = (
        "some finished recordings have no series of their own; raise follow.max_recordings to "
        "show all"
    )
    fields = {"app": "app-1", "max_recordings": 10}
    one, *others = (("WARNING", message, {**fields, "hidden": hidden}) for hidden in (1, 10, 500))
    again = ("INFO", "all finished recordings have their series again", fields)
    assert [one, *others, again, one] == lines(caplog, "tracking.shown")


def test_too_many_recordings(caplog: pytest.LogCaptureFixture) -> None:
    """A lack of room is logged once, and again after there was room."""
    log = LimitLog("app-1", 10)
    for is_full in (False, True, True, False, False, True):
        log.log(hidden=0, is_full=is_full)
    message = "too many recordings for one app; those that ended longest ago are dropped"
    fields = {"app": "app-1", "max_recordings": 10, "limit": 100_000}
    assert [("WARNING", message, fields)] * 2 == lines(caplog, "tracking.shown")
