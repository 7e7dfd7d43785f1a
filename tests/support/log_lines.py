"""The lines of the log, each as its level, its message, and all of its fields."""

import logging

from typing import Any, TypeAlias

import pytest

from rk_exporter.runtime.log_formats import extra_fields


Line: TypeAlias = tuple[str, str, dict[str, Any]]


def line_of(record: logging.LogRecord) -> Line:
    return record.levelname, record.getMessage(), extra_fields(record)


def lines(log: pytest.LogCaptureFixture, module: str, *, least: int = logging.INFO) -> list[Line]:
    """Return the lines of a *module* of the exporter, at this level at *least*."""
    return [
        line_of(record)
        for record in log.records
        if record.name == f"rk_exporter.{module}" and record.levelno >= least
    ]
