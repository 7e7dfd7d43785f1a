"""What is logged about answers that differ from the documentation: each difference once."""

import pytest

from rk_exporter.api.malformed_fields import MalformedFieldLog
from rk_exporter.api.unknown_statuses import UnknownStatusLog


def test_malformed_fields(caplog: pytest.LogCaptureFixture) -> None:
    """Each field is logged once, with its subject, and there is a limit."""
    log = MalformedFieldLog({"account": "hospital"})
    log.log(["status", "status", "id"])
    log.log(f"field-{number}" for number in range(60))
    logged = [(vars(record)["account"], vars(record)["field"]) for record in caplog.records]
    others = [("hospital", f"field-{number}") for number in range(48)]
    assert [("hospital", "status"), ("hospital", "id"), *others] == logged
    message = "API answer has a field that cannot be understood; its values are not shown"
    assert {message} == {*caplog.messages}


def test_unknown_statuses(caplog: pytest.LogCaptureFixture) -> None:
    """Each state is logged once, escaped and shortened, and there is a limit."""
    log = UnknownStatusLog("studio")
    log.log(["NEW", "NEW", "\u00e9" * 99, "x" * 39 + "yz"])
    log.log(["NEW", *(f"STATE-{number}" for number in range(30))])
    logged = [(vars(record)["app"], vars(record)["status"]) for record in caplog.records]
    others = [f"STATE-{number}" for number in range(17)]
    expected = ["NEW", "\\xe9" * 10, "x" * 39 + "y", *others]
    assert [("studio", status) for status in expected] == logged
    message = "recording in an unknown state; it counts as in progress until it has stopped"
    assert {message} == {*caplog.messages}
