"""The types of the JSON that `check` prints; docs/reference has the schema that they give."""

import json

from typing import Annotated, Any

import msgspec

from msgspec import Meta

from rk_exporter.api.probe_findings import Question, Verdict
from rk_exporter.cli.check_verdicts import Summary
from rk_exporter.model.failure import Reason
from rk_exporter.model.meeting import ReadMode
from rk_exporter.model.recording import Status


ExitCode = Annotated[int, Meta(ge=0, le=2, description="exit code of the process: 0, 1 or 2")]
Seconds = Annotated[float | None, Meta(description="seconds; null if unknown")]
Timestamp = Annotated[float | None, Meta(description="unix seconds; null if unknown")]


class _Document(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind"):
    """The part that all documents have."""

    ok: Annotated[bool, Meta(description="whether the exit code is 0")]
    exit_code: ExitCode
    version: Annotated[str, Meta(description="version of rk-exporter")]


class FailureDocument(msgspec.Struct, frozen=True, kw_only=True):
    """Why something failed."""

    reason: Annotated[Reason, Meta(description="as in rk_api_request_failures_total")]
    explanation: str
    api_message: Annotated[str | None, Meta(description="message of the API, without secrets")]
    advice: Annotated[str, Meta(description="what to do")]


class RecordingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """A recording in progress."""

    recording_id: str
    status: Status
    session_id: str | None
    output_file_name: str | None
    file_size_bytes: Annotated[float | None, Meta(description="null if unknown")]
    duration_seconds: Seconds
    invoked_timestamp_seconds: Timestamp
    started_timestamp_seconds: Timestamp
    stopped_timestamp_seconds: Timestamp
    download_url_expiry_timestamp_seconds: Timestamp


class MeetingDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One meeting."""

    meeting_id: str
    name: Annotated[str, Meta(description="the id if the meeting has no name")]
    ok: Annotated[bool | None, Meta(description="null if the meeting was not read")]
    live: Annotated[bool | None, Meta(description="null if it is unknown")]
    live_participants: int | None
    record_on_start: bool | None
    failure: FailureDocument | None
    recordings: Annotated[
        list[RecordingDocument] | None, Meta(description="null if the meeting was not read")
    ]


class AppDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One app and its meetings."""

    app: Annotated[str, Meta(description="value of the label rk_app")]
    account_id: str
    app_id: str
    ok: bool
    read: Annotated[ReadMode, Meta(description="how the recordings are read")]
    deferred: Annotated[int | None, Meta(description="meetings that were not read")]
    token_failure: Annotated[FailureDocument | None, Meta(description="null unless rejected")]
    discovery_failure: Annotated[
        FailureDocument | None, Meta(description="why live meetings cannot be listed")
    ]
    blocked_until_timestamp_seconds: Annotated[
        float | None, Meta(description="unix seconds; until then a refused call suspends all calls")
    ]
    notes: Annotated[list[str], Meta(description="questions that the check could not answer")]
    meetings: list[MeetingDocument]


class AccountDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An account whose apps are found through the API."""

    account: Annotated[str, Meta(description="the label `rk_account`")]
    account_id: str
    ok: bool
    apps_found: Annotated[int | None, Meta(description="null if they cannot be listed")]
    apps_read: Annotated[
        int | None, Meta(description="those that include and exclude leave, of all shards")
    ]
    failure: Annotated[FailureDocument | None, Meta(description="why they cannot be listed")]


class CheckDocument(_Document, frozen=True, kw_only=True, tag="check"):
    """The report of `check`."""

    summary: Summary
    accounts: list[AccountDocument]
    apps: list[AppDocument]


class OfflineDocument(_Document, frozen=True, kw_only=True, tag="offline"):
    """The report of `check --offline` about a valid configuration: no meeting was read."""

    summary: Summary
    accounts: list[AccountDocument]
    apps: list[AppDocument]


class QuestionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """One assumption about the API, and whether it is true."""

    question: Question
    assumption: str
    result: Verdict
    explanation: str
    evidence: list[str]


class SuggestionDocument(msgspec.Struct, frozen=True, kw_only=True):
    """An option that fits the API better than the current one."""

    option: str
    reason: str


class ProbeDocument(_Document, frozen=True, kw_only=True, tag="probe"):
    """The report of `check --probe`."""

    made_at_timestamp_seconds: Annotated[float, Meta(description="unix seconds")]
    app_number: Annotated[int, Meta(description="position of the app in the configuration, from 1")]
    app_count: int
    calls: int
    calls_allowed: int
    stopped: Annotated[str | None, Meta(description="why the probe failed or ended early")]
    reported_limit: Annotated[int | None, Meta(description="calls per 5 minutes")]
    questions: list[QuestionDocument]
    suggestions: list[SuggestionDocument]


class ErrorDocument(_Document, frozen=True, kw_only=True, tag="error"):
    """A configuration that cannot be used."""

    error: Annotated[str, Meta(description="the message on standard error")]
    problems: Annotated[list[str], Meta(description="each mistake, with its place")]


AnyDocument = CheckDocument | OfflineDocument | ProbeDocument | ErrorDocument


def schema() -> dict[str, Any]:
    """Return the JSON Schema of all documents."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Report of rk-exporter check --format json",
        **msgspec.json.schema(AnyDocument),
    }


def encoded(document: AnyDocument) -> str:
    """Return *document* as text."""
    # Not by msgspec, which refuses text that is not UTF-8: a path in a message may have such bytes.
    return json.dumps(msgspec.to_builtins(document), indent=2) + "\n"
