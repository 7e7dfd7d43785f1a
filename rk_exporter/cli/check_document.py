"""The reports of `check` for scripts, as documents of the types in check_schema.py."""

from collections.abc import Mapping

import msgspec

from rk_exporter import __version__
from rk_exporter.api.probe_calls import MOST_CALLS
from rk_exporter.api.probe_findings import ASSUMPTIONS
from rk_exporter.cli.check_meetings import Existence
from rk_exporter.cli.check_schema import (
    AccountDocument,
    AppDocument,
    CheckDocument,
    ErrorDocument,
    FailureDocument,
    MeetingDocument,
    OfflineDocument,
    ProbeDocument,
    QuestionDocument,
    RecordingDocument,
    SuggestionDocument,
)
from rk_exporter.cli.check_verdicts import (
    NOTHING_KNOWN,
    ExistenceByApp,
    Verdict,
    blocked_until,
    discovery_failure,
    is_account_fine,
    is_app_fine,
    is_fine,
    known_about,
    missing_meeting,
    notes,
    summary,
    token_failure,
    verdict,
)
from rk_exporter.cli.probe_report import ProbeReport, suggestions
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Reading, Room
from rk_exporter.model.recording import Recording
from rk_exporter.model.remedies import ACCOUNT_REMEDIES, REMEDIES
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot


_EXIT_FAILED, _EXIT_ERROR = 1, 2


def check_document(snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN) -> CheckDocument:
    """Return the report about what was read."""
    ok = is_fine(snapshot, existence)
    return CheckDocument(
        ok=ok,
        exit_code=0 if ok else _EXIT_FAILED,
        version=__version__,
        summary=summary(snapshot, existence),
        accounts=[*map(_account, snapshot.accounts)],
        apps=[
            _app(app, known_about(app, existence), now=snapshot.taken_at) for app in snapshot.apps
        ],
    )


def offline_document(snapshot: Snapshot) -> OfflineDocument:
    """Return the report about a valid configuration."""
    return OfflineDocument(
        ok=True,
        exit_code=0,
        version=__version__,
        summary=summary(snapshot),
        accounts=[
            msgspec.structs.replace(_account(account), ok=True) for account in snapshot.accounts
        ],
        apps=[
            msgspec.structs.replace(_app(app, Existence(), now=snapshot.taken_at), ok=True)
            for app in snapshot.apps
        ],
    )


def error_document(error: Exception) -> ErrorDocument:
    """Return the report about a configuration that cannot be used."""
    return ErrorDocument(
        ok=False,
        exit_code=_EXIT_ERROR,
        version=__version__,
        error=str(error),
        problems=list(getattr(error, "problems", ())) or [str(error)],
    )


def probe_document(report: ProbeReport) -> ProbeDocument:
    """Return the report about how the API behaves."""
    return ProbeDocument(
        ok=report.is_complete,
        exit_code=0 if report.is_complete else _EXIT_FAILED,
        version=__version__,
        made_at_timestamp_seconds=report.made_at,
        app_number=report.app_number,
        app_count=report.app_count,
        calls=report.calls,
        calls_allowed=MOST_CALLS,
        stopped=report.stopped,
        reported_limit=report.reported_limit,
        questions=[
            QuestionDocument(
                question=finding.question,
                assumption=ASSUMPTIONS[finding.question],
                result=finding.verdict,
                explanation=finding.explanation,
                evidence=[*finding.evidence],
            )
            for finding in report.findings
        ],
        suggestions=[
            SuggestionDocument(option=suggestion.option, reason=suggestion.reason)
            for suggestion in suggestions(report)
        ],
    )


def _account(account: AccountSnapshot) -> AccountDocument:
    return AccountDocument(
        account=account.account.name,
        account_id=account.account.account_id,
        ok=is_account_fine(account),
        apps_found=account.listed,
        apps_read=account.apps,
        failure=_failure(account.failure, ACCOUNT_REMEDIES),
    )


def _app(app: AppSnapshot, known: Existence, *, now: float) -> AppDocument:
    return AppDocument(
        app=app.app.name,
        account_id=app.app.account_id,
        app_id=app.app.app_id,
        ok=is_app_fine(app, known),
        read=app.read_mode,
        deferred=app.deferred,
        token_failure=_failure(token_failure(app)),
        discovery_failure=_failure(discovery_failure(app)),
        blocked_until_timestamp_seconds=blocked_until(app),
        notes=[*notes(app, known)],
        meetings=[_meeting(reading, known, now=now) for reading in app.readings],
    )


def _meeting(reading: Reading, known: Existence, *, now: float) -> MeetingDocument:
    room = reading.room or Room()
    failure = _failure(reading.failure)
    if missing := missing_meeting(reading, known):
        explanation, advice = missing
        failure = FailureDocument(
            reason=Reason.NOT_FOUND, explanation=explanation, api_message=None, advice=advice
        )
    found = reading.recordings
    return MeetingDocument(
        meeting_id=reading.meeting.meeting_id,
        name=reading.meeting.name,
        ok=False if verdict(reading, known) is Verdict.MISSING else reading.up,
        live=room.is_live,
        live_participants=room.participants,
        record_on_start=room.record_on_start,
        failure=failure,
        recordings=None if found is None else [_recording(item, now=now) for item in found],
    )


def _failure(
    failure: Failure | None, remedies: Mapping[Reason, str] = REMEDIES
) -> FailureDocument | None:
    if failure is None:
        return None
    return FailureDocument(
        reason=failure.reason,
        explanation=failure.explanation,
        api_message=failure.api_message,
        advice=remedies[failure.reason],
    )


def _recording(recording: Recording, *, now: float) -> RecordingDocument:
    return RecordingDocument(
        recording_id=recording.recording_id,
        status=recording.status,
        session_id=recording.session_id,
        output_file_name=recording.output_file_name,
        file_size_bytes=recording.file_size_bytes,
        duration_seconds=recording.duration_seconds(as_of=now),
        invoked_timestamp_seconds=recording.invoked_timestamp_seconds,
        started_timestamp_seconds=recording.started_timestamp_seconds,
        stopped_timestamp_seconds=recording.stopped_timestamp_seconds,
        download_url_expiry_timestamp_seconds=recording.download_url_expiry_timestamp_seconds,
    )
