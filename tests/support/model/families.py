"""All families of an exposition: those that the model compares, and those that it does not."""

from collections.abc import Iterator

from tests.support.model.shown import Shown


# By the module that compares them.
_COMPARED = frozenset(
    {
        # accounts
        "rk_account_apps",
        "rk_account_info",
        "rk_account_internal_errors_total",
        "rk_account_last_success_timestamp_seconds",
        "rk_account_list_complete",
        "rk_account_up",
        # calls
        "rk_account_api_malformed_fields_total",
        "rk_account_api_request_failures_total",
        "rk_account_api_requests_total",
        "rk_api_malformed_fields_total",
        "rk_api_request_duration_seconds_bucket",
        "rk_api_request_duration_seconds_count",
        "rk_api_request_duration_seconds_sum",
        "rk_api_request_failures_total",
        "rk_api_requests_total",
        # counters
        "rk_recorded_bytes_total",
        "rk_recorded_seconds_total",
        "rk_recording_start_delay_seconds_bucket",
        "rk_recording_start_delay_seconds_count",
        "rk_recording_start_delay_seconds_sum",
        "rk_recording_transitions_total",
        "rk_recording_upload_delay_seconds_bucket",
        "rk_recording_upload_delay_seconds_count",
        "rk_recording_upload_delay_seconds_sum",
        "rk_recordings_finished_total",
        "rk_recordings_started_total",
        # events
        "rk_webhook_events_total",
        "rk_webhook_last_event_timestamp_seconds",
        # invented
        "rk_recording_download_available",
        "rk_recording_download_url_expires_in_seconds",
        "rk_recording_download_url_expiry_timestamp_seconds",
        "rk_recording_duration_seconds",
        "rk_recording_file_size_bytes",
        "rk_recording_info",
        "rk_recording_invoked_timestamp_seconds",
        "rk_recording_last_success_timestamp_seconds",
        "rk_recording_started_timestamp_seconds",
        "rk_recording_status",
        "rk_recording_stop_reason",
        "rk_recording_stopped_timestamp_seconds",
        # rooms
        "rk_discovery_last_success_timestamp_seconds",
        "rk_discovery_up",
        "rk_meeting_info",
        "rk_meeting_live",
        "rk_meeting_live_participants",
        "rk_meeting_record_on_start",
        # totals
        "rk_api_budget_limit",
        "rk_api_budget_remaining",
        "rk_api_ratelimit_limit",
        "rk_api_ratelimit_remaining",
        "rk_app_info",
        "rk_config_last_reload_success_timestamp_seconds",
        "rk_config_last_reload_successful",
        "rk_exporter_hanging_file_calls",
        "rk_exporter_log_lines_dropped_total",
        "rk_meetings_file_last_read_successful",
        "rk_recordings",
        "rk_recordings_dropped_total",
        "rk_recordings_earliest_expiry_timestamp_seconds",
        "rk_recordings_expiring",
        "rk_recordings_hidden",
        "rk_scrape_duration_seconds",
        "rk_state_file_last_write_success_timestamp_seconds",
        "rk_state_file_last_write_successful",
        # truth
        "rk_api_blocked_until_timestamp_seconds",
        "rk_meeting_active_recordings",
        "rk_meeting_last_success_timestamp_seconds",
        "rk_meeting_up",
        "rk_meetings",
        "rk_meetings_deferred",
        "rk_up",
        # watcher
        "rk_exporter_internal_errors_total",
        "rk_webhook_missed_total",
        "rk_webhook_up",
    }
)
_NOT_COMPARED = frozenset(
    {
        # The time of the machine, which is not simulated.
        "rk_meetings_file_last_read_success_timestamp_seconds",
        # Its labels are those of this installation.
        "rk_exporter_build_info",
    }
)
# Of the process that runs the tests.
_OF_PROCESS = "process_"


def unknown(shown: Shown) -> Iterator[str]:
    """Return the families that nobody has decided about, or whose features are not in use."""
    known = _COMPARED | _NOT_COMPARED
    yield from (
        f"{name} is not among the families of the model"
        for name in shown.names
        if name not in known and not name.startswith(_OF_PROCESS)
    )
