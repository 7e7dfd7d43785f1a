"""The apps in the status document."""

from collections.abc import Iterator

from rk_exporter.archive.status import ArchiveStatus
from rk_exporter.model.archive import ARCHIVE_REMEDIES
from rk_exporter.model.meeting import DiscoveryState, FileState
from rk_exporter.model.remedies import REMEDIES, SLOW_SESSIONS_REMEDY
from rk_exporter.model.webhook import WebhookHealth, WebhookStatus
from rk_exporter.ratelimit.budget import WINDOW_SECONDS
from rk_exporter.ratelimit.status import BudgetStatus
from rk_exporter.snapshot import AppSnapshot
from rk_exporter.tracking.totals import RecordingTotals
from rk_exporter.web.status.document import (
    AppStatus,
    Archive,
    Budget,
    Discovery,
    Failing,
    KnownRecordings,
    MeetingsFile,
    RateLimit,
    Webhooks,
)
from rk_exporter.web.status.readiness import (
    Observed,
    app_obstacles,
    cause_text,
    failing_calls,
    is_used_up,
    unlisted_text,
)


_MOST_FILES = 20


def app_status(app: AppSnapshot, observed: Observed, now: float) -> AppStatus:
    """Return how an app is doing."""
    name, last_pass_at = app.app.name, app.last_pass_timestamp_seconds
    obstacles = _obstacles(app, observed, now)
    return AppStatus(
        name=name,
        account_id=app.app.account_id,
        app_id=app.app.app_id,
        read=app.read_mode.value,
        is_up=app.up,
        not_ready=obstacles[0] if obstacles else None,
        problems=list(dict.fromkeys([*obstacles, *_problems(app, now)])),
        meetings=len(app.readings),
        meetings_deferred=app.deferred,
        last_pass_timestamp_seconds=last_pass_at,
        last_pass_age_seconds=None if last_pass_at is None else max(0.0, now - last_pass_at),
        last_pass_duration_seconds=app.duration_seconds,
        budget=_budget(app.budget_status),
        rate_limits=_rate_limits(app.budget_status),
        failing=_failing(app),
        failures_total=dict(observed.failures.get(name, {})),
        internal_errors_total=observed.internal_errors.get(name, 0),
        recordings=_recordings(app.totals),
        meetings_files=[_file(file) for file in app.files[:_MOST_FILES]],
        discovery=_discovery(app.discovery),
        archive=_archive(app.archive),
        webhooks=_webhooks(app.webhook),
        token_problem=app.token_problem,
    )


def _obstacles(app: AppSnapshot, observed: Observed, now: float) -> list[str]:
    if observed.progress.last_ended_at is None:
        return []
    return [obstacle.describe(now=now) for obstacle in app_obstacles(app, observed.progress)]


def _problems(app: AppSnapshot, now: float) -> Iterator[str]:
    """Return the problems of an app that do not make its metrics incomplete."""
    failing = failing_calls(app)
    if failing:
        yield failing.describe(now=now)
    elif app.deferred and app.budget_status and is_used_up(app.budget_status):
        yield f"API budget used up: {app.deferred} meetings were not read in the last pass"
    if app.token_problem:
        yield f"API token file: {app.token_problem}; the last good token stays in use"
    for file in app.files:
        if not file.is_read:
            problem = file.problem or f"{file.path}: cannot be used"
            yield f"meetings file {problem}; the last good list stays in use"
    if app.discovery and (unlisted := _discovery_problem(app.discovery)):
        yield unlisted
    if app.archive and (unlisted := _archive_problem(app.archive)):
        yield unlisted
    if app.webhook and app.webhook.health is WebhookHealth.SILENT:
        yield "webhooks no longer announce the changes of recordings; all meetings are polled"
    if app.totals.hidden:
        yield (
            f"{app.totals.hidden:,} finished recordings have no series; "
            "raise --follow.max-recordings"
        )


def _recordings(totals: RecordingTotals) -> KnownRecordings:
    return KnownRecordings(
        by_state={status.value: count for status, count in totals.by_status.items()},
        expiring_within=dict(totals.expiring),
        earliest_expiry_timestamp_seconds=totals.earliest_expiry_timestamp_seconds,
        hidden=totals.hidden,
    )


def _budget(status: BudgetStatus | None) -> Budget | None:
    if status is None:
        return None
    return Budget(
        limit_calls=status.limit,
        remaining_calls=status.remaining,
        used_calls=status.limit - status.remaining,
        window_seconds=WINDOW_SECONDS,
    )


def _rate_limits(status: BudgetStatus | None) -> list[RateLimit]:
    return [
        RateLimit(
            policy=policy.policy,
            remaining_calls=policy.remaining,
            limit_calls=policy.limit,
            reset_seconds=policy.reset_seconds,
        )
        for policy in (status.policies if status else ())
    ]


def _failing(app: AppSnapshot) -> Failing | None:
    outage = app.obstruction
    if outage is None:
        return None
    until = app.budget_status.blocked_until_timestamp_seconds if app.budget_status else None
    return Failing(
        reason=outage.failure.reason.value,
        explanation=cause_text(outage.failure),
        remedy=REMEDIES[outage.failure.reason],
        since_timestamp_seconds=outage.since_timestamp_seconds,
        until_timestamp_seconds=until,
    )


def _file(file: FileState) -> MeetingsFile:
    return MeetingsFile(
        path=file.path,
        is_read=file.is_read,
        last_success_timestamp_seconds=file.last_success_timestamp_seconds,
        problem=file.problem,
    )


def _discovery(state: DiscoveryState | None) -> Discovery | None:
    if state is None:
        return None
    return Discovery(
        is_up=state.up,
        last_success_timestamp_seconds=state.last_success_timestamp_seconds,
        problem=cause_text(state.failure) if state.failure else None,
    )


def _discovery_problem(state: DiscoveryState) -> str | None:
    if state.failure:
        return unlisted_text(state.failure)
    return f"live meetings are listed too slowly; {SLOW_SESSIONS_REMEDY}" if state.is_late else None


def _archive(status: ArchiveStatus | None) -> Archive | None:
    if status is None:
        return None
    copies = status.copies
    return Archive(
        bucket=status.bucket.name,
        prefix=status.bucket.prefix,
        is_up=status.up,
        last_success_timestamp_seconds=status.last_success_timestamp_seconds,
        objects=copies.objects if copies else None,
        saved_recordings=len(copies.saved) if copies else None,
        missing_recordings=len(copies.missing) if copies else None,
        problem=_archive_problem(status),
    )


def _archive_problem(status: ArchiveStatus) -> str | None:
    """Return why the bucket cannot be listed, and what to do; None if it can."""
    if status.failure is None:
        return None
    remedy = ARCHIVE_REMEDIES[status.failure.reason]
    return f"bucket {status.bucket.name} cannot be listed: {status.failure.explanation}; {remedy}"


def _webhooks(status: WebhookStatus | None) -> Webhooks | None:
    if status is None:
        return None
    return Webhooks(
        health=status.health.value,
        last_event_timestamp_seconds=status.last_event_timestamp_seconds,
        missed_changes=status.missed,
    )
