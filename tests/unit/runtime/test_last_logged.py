"""Conditions that are logged when they change."""

import logging

import pytest

from rk_exporter.runtime.last_logged import LastLogged


logger = logging.getLogger("rk_exporter.test")


def test_logs_a_problem_when_it_changes_and_the_recovery_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A repeated problem, or a repeated success, adds no log line."""
    caplog.set_level(logging.INFO, logger=logger.name)
    logged = LastLogged[str | None](None)

    for problem in (None, "no space", "no space", "read-only", None, None):
        logged.log_problem(
            logger,
            problem,
            warning="file cannot be written: %s",
            recovery="file can be written again",
            fields={"path": "/state"},
        )

    assert [(record.levelname, record.getMessage()) for record in caplog.records] == [
        ("WARNING", "file cannot be written: no space"),
        ("WARNING", "file cannot be written: read-only"),
        ("INFO", "file can be written again"),
    ]
    assert {vars(record)["path"] for record in caplog.records} == {"/state"}
