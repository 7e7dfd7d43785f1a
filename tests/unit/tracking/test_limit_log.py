import logging

import pytest

from rk_exporter.tracking.shown import LimitLog


def test_hidden_recordings(caplog: pytest.LogCaptureFixture) -> None:
    """Hidden recordings are logged when there are any, ten times as many, and none again."""
    caplog.set_level(logging.INFO)
    log = LimitLog("app-1", 10)
    for hidden in (0, 1, 1, 9, 10, 11, 500, 501, 0, 0, 1):
        log.log(hidden=hidden, is_full=False)
    counts = [vars(record).get("hidden") for record in caplog.records]
    assert [1, 10, 500, None, 1] == counts


def test_too_many_recordings(caplog: pytest.LogCaptureFixture) -> None:
    """A lack of room is logged once, and again after there was room."""
    log = LimitLog("app-1", 10)
    for is_full in (False, True, True, False, False, True):
        log.log(hidden=0, is_full=is_full)
    assert ["app-1", "app-1"] == [vars(record)["app"] for record in caplog.records]
    assert all("too many recordings" in record.message for record in caplog.records)
