"""JSON reports of `check`, each validated against the schema that the documentation has."""

import json

from functools import cache
from pathlib import Path
from typing import Any

import jsonschema

from rk_exporter.cli.check_document import check_document, offline_document, probe_document
from rk_exporter.cli.check_schema import AnyDocument, encoded
from rk_exporter.cli.check_verdicts import NOTHING_KNOWN, ExistenceByApp
from rk_exporter.cli.probe_report import ProbeReport
from rk_exporter.snapshot import Snapshot


SCHEMA = Path(__file__).parents[2] / "docs/reference/check-report.schema.json"


@cache
def _validator() -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def parsed(text: str) -> Any:
    """Return the document that a report is, after its validation."""
    document = json.loads(text)
    _validator().validate(document)
    assert document["ok"] is (document["exit_code"] == 0)
    return document


def document_of(
    snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN, *, offline: bool = False
) -> Any:
    """Return the document about a snapshot."""
    document: AnyDocument
    document = offline_document(snapshot) if offline else check_document(snapshot, existence)
    return parsed(encoded(document))


def probe_document_of(report: ProbeReport) -> Any:
    """Return the document about a probe."""
    return parsed(encoded(probe_document(report)))
