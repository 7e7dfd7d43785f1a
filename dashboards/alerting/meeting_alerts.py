"""Alerts about meetings, which must get their recordings in time."""

from dashboards.alerting.rule import Alert, Link, Severity


ALERTS = (
    Alert(
        name="RealtimeKitMeetingNotRecorded",
        expr="""\
(
    max by (<meeting>) (
      last_over_time(instance:rk_meeting_live_participants:unrecorded[5m])
    )
    and on (<meeting>)
    rk_meeting_live_participants > 0
  or on (<meeting>)
    max by (<meeting>) (
      last_over_time(instance:rk_meeting_live_participants:unrecorded[5m])
    )
    unless on (<app>)
    rk_discovery_last_success_timestamp_seconds
) > 0
and on (<meeting>)
max by (<meeting>) (last_over_time(rk_meeting_record_on_start[5m])) == 1
and on (<app>)
time()
- max by (<app>) (last_over_time(rk_discovery_last_success_timestamp_seconds[5m]))
< <data_age_seconds>
unless on (<meeting>)
(
    recording:rk_recording_status:latest{status=~"INVOKED|RECORDING|PAUSED"}
  or
    recording:rk_recording_status:latest{status="UNKNOWN"}
    unless on (<recording>)
    recording:rk_recording_stopped_timestamp_seconds:max
)
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary="People are in a meeting that should be recorded but is not.",
        description=(
            "{{ $value }} people are in meeting {{ $labels.meeting_id }} (app {{ "
            "$labels.rk_app }}), which has record_on_start, but there is no active recording. "
            "Everything they say now is lost. Start a recording and inform them."
        ),
        link=Link.RECORDING,
        names_meeting=True,
        note=(
            "Needs a recent list of live meetings. The last known values bridge gaps, but not "
            "after everybody has left."
        ),
    ),
    Alert(
        name="RealtimeKitStartDelayHigh",
        expr="""\
histogram_quantile(
  0.9, sum by (<app>, le) (increase(rk_recording_start_delay_seconds_bucket[1h]))
)
> <recording_start_delay_seconds>
and on (<app>)
max by (<app>) (round(increase(rk_recording_start_delay_seconds_count[1h])))
>= <recordings_started>
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="Recordings start late.",
        description=(
            "In the last hour, one in ten recordings of app {{ $labels.rk_app }} took {{ "
            "$value | humanizeDuration }} or longer to start. The beginning of these meetings "
            "is missing. About 2 s is normal. Check Cloudflare's status page."
        ),
        link=Link.OVERVIEW,
    ),
)
