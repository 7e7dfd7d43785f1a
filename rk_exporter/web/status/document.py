"""
The status document: one source for the page and for `/api/v1/status`.

The JSON schema comes from these types, so each field says here what it is. Times are unix seconds.
"""

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from rk_exporter.web.status.problems import Problem


def _about(text: str) -> Meta:
    return Meta(description=text)


Seconds = float
Timestamp = float
Counts = dict[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failing:
    """API calls that fail, or that are not made because earlier calls failed."""

    reason: Annotated[str, _about("the label `reason` of rk_api_request_failures_total")]
    explanation: str
    remedy: str
    since_timestamp_seconds: Timestamp
    until_timestamp_seconds: Annotated[
        Timestamp | None, _about("when the next call is made; null if calls are not suspended")
    ] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The API calls of the app's budget group at the end of the last pass."""

    limit_calls: int
    remaining_calls: int
    used_calls: Annotated[
        int, _about("after a start, also the calls that an earlier process may have made")
    ]
    window_seconds: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimit:
    """A rate limit policy as the API reported it."""

    policy: str
    remaining_calls: int
    limit_calls: int | None
    reset_seconds: Annotated[Seconds | None, _about("as in the report, not counted down")]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeetingsFile:
    """A file of meetings."""

    path: str
    is_read: Annotated[bool, _about("false if the last good list is in use instead")]
    last_success_timestamp_seconds: Timestamp | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovery:
    """How listing the live sessions goes."""

    is_up: bool
    last_success_timestamp_seconds: Timestamp | None
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Archive:
    """The copies of the app's recordings in the user's own bucket."""

    bucket: str
    prefix: str
    is_up: Annotated[bool | None, _about("rk_archive_up; null before the first list")]
    last_success_timestamp_seconds: Timestamp | None
    objects: Annotated[int | None, _about("all objects in the last good list")]
    saved_recordings: Annotated[int | None, _about("recordings with a copy in that list")]
    missing_recordings: Annotated[int | None, _about("recordings without a copy in that list")]
    problem: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhooks:
    """Whether events announce what polling sees."""

    health: Annotated[str, _about("unproven, healthy, lossy or silent")]
    last_event_timestamp_seconds: Timestamp | None
    missed_changes: Annotated[int, _about("since the start")]


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownRecordings:
    """All recordings that the exporter knows of the app, also those without a row."""

    by_state: Counts
    expiring_within: Annotated[Counts, _about("URLs that expire within 1h, 24h, 72h")]
    earliest_expiry_timestamp_seconds: Timestamp | None
    hidden: Annotated[int, _about("finished ones without series, see follow.max_recordings")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AppStatus:
    """One app: how it is read, and what keeps it from being read."""

    name: Annotated[str, _about("the label `rk_app`")]
    account_id: str
    app_id: str
    read: Annotated[str, _about("active-recording or list")]
    is_up: Annotated[bool | None, _about("rk_up; null before the first pass")]
    not_ready: Annotated[str | None, _about("why its metrics are incomplete or out of date")]
    problems: Annotated[list[str], _about("everything about the app that needs attention")]
    meetings: int
    meetings_deferred: int | None
    last_pass_timestamp_seconds: Timestamp | None
    last_pass_age_seconds: Seconds | None
    last_pass_duration_seconds: Seconds | None
    budget: Budget | None
    rate_limits: list[RateLimit]
    failing: Annotated[Failing | None, _about("null if a call of the last pass succeeded")]
    failures_total: Annotated[Counts, _about("failed API calls since the start, by reason")]
    internal_errors_total: int
    recordings: KnownRecordings
    meetings_files: list[MeetingsFile]
    discovery: Annotated[Discovery | None, _about("only with meetings.discover")]
    archive: Annotated[Archive | None, _about("only with downloads.archive")]
    webhooks: Annotated[Webhooks | None, _about("only with webhook.listen_address")]
    token_problem: Annotated[str | None, _about("why the last good token is still in use")]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountStatus:
    """One account whose apps are found through the API."""

    name: Annotated[str, _about("the label `rk_account`")]
    account_id: str
    is_up: Annotated[bool | None, _about("rk_account_up; null before the first list")]
    apps: Annotated[int | None, _about("apps that are read, by all shards together")]
    apps_listed: Annotated[int | None, _about("all apps in the last list")]
    last_success_timestamp_seconds: Timestamp | None
    problem: str | None
    remedy: Annotated[str | None, _about("what to do about it")]
    token_problem: Annotated[str | None, _about("why the last good token is still in use")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """The last check of a recording's files of one kind."""

    kind: Annotated[str, _about("composite, audio, or track for the files of all participants")]
    is_verified: bool
    failure_reason: Annotated[
        str | None, _about("the label `reason` of rk_recording_download_failure_info")
    ]
    size_bytes: Annotated[float | None, _about("as the storage reports it")]
    last_check_timestamp_seconds: Timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingStatus:
    """A recording as last read; null stands for what the API did not return."""

    recording_id: str
    state: str
    kind: Annotated[str, _about("composite or track")]
    outcome: str | None
    session_id: str | None
    output_file_name: str | None
    invoked_timestamp_seconds: Timestamp | None
    started_timestamp_seconds: Timestamp | None
    stopped_timestamp_seconds: Timestamp | None
    duration_seconds: Seconds | None
    file_size_bytes: float | None
    download_url_expiry_timestamp_seconds: Timestamp | None
    download_url_expires_in_seconds: Annotated[Seconds | None, _about("negative after the expiry")]
    stop_reason: str | None
    downloads: Annotated[list[Download], _about("empty without downloads.verify")]
    is_archived: Annotated[
        bool | None, _about("rk_recording_archived; null if nothing is known about a copy")
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A recording and its meeting, or a meeting that has no recording or a problem of its own."""

    app: str
    meeting_id: str
    meeting_name: str
    meeting_up: Annotated[bool | None, _about("rk_meeting_up; null if it is not read")]
    active_recordings: Annotated[int | None, _about("rk_meeting_active_recordings")]
    live_participants: Annotated[int | None, _about("only with meetings.discover")]
    recording: RecordingStatus | None
    last_success_timestamp_seconds: Annotated[
        Timestamp | None, _about("when the recording, or else the meeting, was last read")
    ]
    age_seconds: Annotated[Seconds | None, _about("how old this reading is")]
    problems: list[Problem]
    failure_reason: Annotated[str | None, _about("why the meeting cannot be read")]
    failure: Annotated[str | None, _about("the same, in words")]
    remedy: Annotated[str | None, _about("what to do about it")]


@dataclass(frozen=True, slots=True, kw_only=True)
class StateFile:
    """The file that keeps counters and readings across restarts."""

    is_written: bool
    last_success_timestamp_seconds: Timestamp | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A warning or an error in the log."""

    timestamp_seconds: Timestamp
    level: str
    message: str
    fields: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterStatus:
    """The exporter itself, its configuration and its log."""

    version: str
    start_timestamp_seconds: Timestamp
    uptime_seconds: Seconds
    state_file: Annotated[StateFile | None, _about("only with state.file")]
    configuration_problems: Annotated[
        list[str], _about("configurations that could not be reloaded; the log has the reasons")
    ]
    configuration_warnings: Annotated[list[str], _about("warnings of the last start or reload")]
    warnings: Annotated[list[LogLine], _about("the log's last warnings, newest first, 20 at most")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which app and which problem the rows are about; null for all."""

    app: str | None = None
    problem: Problem | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The status of the exporter, its apps, meetings and recordings."""

    exporter: ExporterStatus
    now_timestamp_seconds: Timestamp
    snapshot_timestamp_seconds: Annotated[
        Timestamp, _about("when the readings were published; ages are as of now")
    ]
    last_pass_timestamp_seconds: Timestamp | None
    is_ready: bool
    not_ready: Annotated[list[str], _about("the reasons of /-/ready")]
    is_well: Annotated[bool, _about("whether nothing needs attention; no filter changes this")]
    problems: Annotated[
        Counts, _about("rows with each problem, in all apps or in that of the filter")
    ]
    filter: Filter
    apps_total: int
    app_names: Annotated[list[str], _about("values for the filter, 100 at most")]
    apps: Annotated[list[AppStatus], _about("those with problems first, 100 at most")]
    accounts: Annotated[list[AccountStatus], _about("only with accounts")]
    rows_total: Annotated[int, _about("rows that match the filter")]
    rows: Annotated[list[Row], _about("problems first, 200 at most")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of `/api/v1/status`, in the form of Prometheus's own API."""

    status: Annotated[str, _about("success")]
    data: Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """The answer to a filter that does not exist, with the HTTP status 400."""

    status: Annotated[str, _about("error")]
    errorType: Annotated[str, _about("bad_data")]  # noqa: N815 # as Prometheus spells it
    error: str
