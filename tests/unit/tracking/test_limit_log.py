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
