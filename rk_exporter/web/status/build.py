"""Build the status document: a pure function of what was observed, a filter and the time."""

from rk_exporter import __version__
from rk_exporter.runtime.recent_warnings import LoggedWarning
from rk_exporter.tracking.state_file import StateFileStatus
from rk_exporter.web.status.accounts import account_status
from rk_exporter.web.status.apps import app_status
from rk_exporter.web.status.document import (
    AppStatus,
    ExporterStatus,
    Filter,
    LogLine,
    StateFile,
    Status,
)
from rk_exporter.web.status.problems import NOTICES
from rk_exporter.web.status.readiness import Observed, reasons
from rk_exporter.web.status.rows import candidates, count_problems, first, row


MOST_ROWS = 200
MOST_APPS = 100


def build_status(observed: Observed, wanted: Filter, now: float) -> Status:
    """Return the status at *now* (unix seconds), with the apps and rows of a filter."""
    snapshot, progress = observed.snapshot, observed.progress
    apps = [app_status(app, observed, now) for app in snapshot.apps]
    accounts = [account_status(account) for account in snapshot.accounts]
    by_app = {app.app.name: candidates(app, now) for app in snapshot.apps}
    not_ready = reasons(
        snapshot, progress, stale_after_seconds=observed.stale_after_seconds, now=now
    )
    everything = [found for rows in by_app.values() for found in rows]
    shown = everything if wanted.app is None else by_app.get(wanted.app, [])
    total, rows = first(shown, wanted.problem, most=MOST_ROWS)
    exporter = _exporter(observed, now)
    has_urgent = any(found.problems and found.problems[0] not in NOTICES for found in everything)
    return Status(
        exporter=exporter,
        now_timestamp_seconds=now,
        snapshot_timestamp_seconds=snapshot.taken_at,
        last_pass_timestamp_seconds=progress.last_ended_at,
        is_ready=not not_ready,
        not_ready=not_ready,
        is_well=not (not_ready or has_urgent or any(app.problems for app in apps))
        and not any(account.problem or account.token_problem for account in accounts)
        and _is_well(exporter),
        problems=count_problems(shown),
        filter=wanted,
        apps_total=len(apps),
        app_names=[app.name for app in apps[:MOST_APPS]],
        apps=_shown(apps, wanted.app),
        accounts=accounts,
        rows_total=total,
        rows=[row(candidate, now) for candidate in rows],
    )


def _exporter(observed: Observed, now: float) -> ExporterStatus:
    return ExporterStatus(
        version=__version__,
        start_timestamp_seconds=observed.started_at,
        uptime_seconds=max(0.0, now - observed.started_at),
        state_file=_state_file(observed.snapshot.state_file),
        configuration_problems=list(observed.configuration_problems),
        configuration_warnings=list(observed.configuration_warnings),
        warnings=[_log_line(warning) for warning in observed.warnings],
    )


def _is_well(exporter: ExporterStatus) -> bool:
    is_saved = exporter.state_file is None or exporter.state_file.is_written
    return is_saved and not exporter.configuration_problems


def _shown(apps: list[AppStatus], name: str | None) -> list[AppStatus]:
    chosen = [app for app in apps if name in {None, app.name}]
    return sorted(chosen, key=lambda app: not app.problems)[:MOST_APPS]


def _state_file(status: StateFileStatus | None) -> StateFile | None:
    if status is None:
        return None
    return StateFile(
        is_written=status.is_written,
        last_success_timestamp_seconds=status.last_success_timestamp_seconds,
    )


def _log_line(warning: LoggedWarning) -> LogLine:
    return LogLine(
        timestamp_seconds=warning.timestamp_seconds,
        level=warning.level,
        message=warning.message,
        fields=dict(warning.fields),
    )
