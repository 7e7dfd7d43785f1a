"""Alerts about meetings, which must get their recordings in time."""

import textwrap

from dashboards.alerting.recorded import ACTIVE
from dashboards.alerting.rule import Alert, Link, Severity
from dashboards.histograms import quantile


_START_DELAY = quantile(
    0.9, lambda series: f"increase({series}[1h])", "rk_recording_start_delay_seconds", by="<app>"
)
ALERTS = (
    Alert(
        name="RealtimeKitMeetingNotRecorded",
        expr=f"""\
meeting:rk_meeting_live_participants:known > 0
and on (<meeting>)
max by (<meeting>) (
  last_over_time(rk_meeting_record_on_start[<known>])
  unless on (<exporter app>)
  (
    # Another exporter has listed the live meetings later.
    last_over_time(rk_discovery_last_success_timestamp_seconds[<known>])
    < on (<app>) group_left ()
    max by (<app>) (last_over_time(rk_discovery_last_success_timestamp_seconds[<known>]))
  )
)
== 1
unless on (<meeting>)
(
{textwrap.indent(ACTIVE, "  ")}
)
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary='People are in "<name>", which should be recorded but is not.',
        description=(
            "Everything that they say now is lost: <1 person is|people are> in meeting "
            "{{ $labels.meeting_id }} (app <app>), which has record_on_start, but there is no "
            "active recording. Start a recording and inform them."
        ),
        link=Link.RECORDING,
    ),
    Alert(
        name="RealtimeKitStartDelayHigh",
        expr=f"""\
(
{textwrap.indent(_START_DELAY, "  ")}
)
> <recording_start_delay_seconds>
and on (<app>)
max by (<app>) (round(increase(rk_recordings_started_total[1h])))
>= <recordings_started>
and on (<app>)
count by (<app>) (count_over_time(rk_recordings_started_total[<known>]))
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="Recordings of app <app> start late.",
        description=(
            "The beginning of meetings is missing: one in ten recordings of the last hour took "
            "<duration> or longer to start instead of the usual two seconds. Check Cloudflare's "
            "status page."
        ),
        link=Link.OVERVIEW,
    ),
)
