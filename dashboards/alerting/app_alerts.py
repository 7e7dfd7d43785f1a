"""Alerts about what an exporter reads: its apps, its meetings and its files."""

from dashboards.alerting.rule import Alert, Link, Severity


def _own_failures(metric: str) -> str:
    """Return the exporters that answer, and say of themselves that something has failed."""
    return f"""\
min by (<exporter>) (
  last_over_time({metric}[<known>])
  and ignoring ()
  up{{job="rk-exporter"}}
)
== 0
"""


ALERTS = (
    Alert(
        name="RealtimeKitNothingRead",
        expr="""\
max by (<app>) (
  last_over_time(rk_up[<known>])
  unless ignoring (rk_app)
  instance:up:failing
)
== 0
and on (<app>)
app:rk_meetings:configured
""",
        pending="15m",
        severity=Severity.CRITICAL,
        summary="Nothing of app <app> can be read.",
        description=(
            "Failed recordings go unnoticed: for at least 15 minutes, no API call of any exporter "
            "has succeeded for this app. Cloudflare may be unreachable, or it refuses the token "
            "or all calls. Run `rk-exporter check`, which shows the cause."
        ),
        link=Link.EXPORTER,
        note="One alert for all causes. Other alerts say more about some of them.",
    ),
    Alert(
        name="RealtimeKitDataStale",
        expr="""\
count by (<app>) (
    time()
    - max by (<meeting>) (
      last_over_time(rk_meeting_last_success_timestamp_seconds[<known>])
      unless on (<exporter meeting>)
      instance:rk_meeting_info:gone
      unless ignoring (rk_app, meeting_id)
      instance:up:failing
    )
    > <data_age_seconds>
  or on (<meeting>)
    max by (<meeting>) (
      last_over_time(rk_meeting_up[<known>])
      unless on (<exporter meeting>)
      instance:rk_meeting_info:gone
    )
    == 0
    unless on (<meeting>)
    last_over_time(rk_meeting_last_success_timestamp_seconds[<known>])
)
and on (<app>)
app:rk_meetings:configured
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="<1 meeting|meetings> of app <app> cannot be read.",
        description=(
            "Nobody notices if recordings of these meetings fail, because the exporter has not "
            "read them recently. Run `rk-exporter check`, which shows the error for each meeting."
        ),
        link=Link.EXPORTER,
        labels={"what": "meetings"},
    ),
    Alert(
        name="RealtimeKitDataStale",
        expr="""\
max by (<app>) (last_over_time(rk_discovery_up[<known>])) == 0
and on (<app>)
app:rk_meetings:configured
and on (<app>)
(
    time()
    - max by (<app>) (last_over_time(rk_discovery_last_success_timestamp_seconds[<known>]))
    > <data_age_seconds>
  or on (<app>)
    max by (<app>) (last_over_time(rk_discovery_up[<known>])) == 0
    unless on (<app>)
    last_over_time(rk_discovery_last_success_timestamp_seconds[<known>])
)
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="The live meetings of app <app> cannot be listed.",
        description=(
            "Nobody notices if recordings of new meetings fail, because the exporter does not find "
            "them. Run `rk-exporter check`, which shows the error."
        ),
        link=Link.EXPORTER,
        labels={"what": "discovery"},
    ),
    Alert(
        name="RealtimeKitMeetingsFileUnreadable",
        expr="""\
min by (<exporter app>, file) (
  last_over_time(rk_meetings_file_last_read_successful[<known>])
  and ignoring (file)
  instance:rk_meetings:known
)
== 0
""",
        pending="60m",
        severity=Severity.WARNING,
        summary="The list of meetings of app <app> is out of date.",
        description=(
            "Nobody watches meetings that are new in the list: the exporter {{ $labels.instance }} "
            "cannot read {{ $labels.file }} and goes on with the last good list. Its log names the "
            "line or the error. Correct the file. The exporter then reads it without a restart."
        ),
        link=Link.EXPORTER,
    ),
    Alert(
        name="RealtimeKitArchiveUnreadable",
        expr="""\
max by (<app>) (last_over_time(rk_archive_up[<known>])) == 0
and on (<app>)
app:rk_meetings:configured
""",
        pending="15m",
        severity=Severity.WARNING,
        summary="The archive of app <app> cannot be listed.",
        description=(
            "Nobody notices if new recordings are not copied, because the exporter does not see "
            "your bucket. What it found before still counts. Its log names the cause and what to "
            "do. Correct that. The exporter then lists the bucket without a restart."
        ),
        link=Link.EXPORTER,
        note="Needs `downloads.archive`.",
    ),
    Alert(
        name="RealtimeKitNoMeetings",
        expr="""\
app:rk_meetings:configured == 0
unless on (<app>)
last_over_time(rk_discovery_up[<known>])
""",
        pending="60m",
        severity=Severity.WARNING,
        summary="The list of meetings of app <app> is empty.",
        description=(
            "Nobody watches any recording of this app, because it has no meetings to read. Look at "
            "the files of the list: a script that found nothing may have written []."
        ),
        link=Link.EXPORTER,
        note="With meetings.discover an empty list means that no meeting is live.",
    ),
    Alert(
        name="RealtimeKitAccountUnreadable",
        expr="""\
min by (<account>) (
  last_over_time(rk_account_up[<known>])
  and ignoring (rk_account)
  up{job="rk-exporter"}
)
== 0
""",
        pending="15m",
        severity=Severity.WARNING,
        summary="The apps of account <account> cannot be listed.",
        description=(
            "Nobody watches the recordings of new apps, because an exporter does not find them. It "
            "goes on with the apps that it knows; after a restart without a state file it knows "
            "none. Run `rk-exporter check`, which shows the error."
        ),
        link=Link.EXPORTER,
    ),
    Alert(
        name="RealtimeKitStateFileNotWritten",
        expr=_own_failures("rk_state_file_last_write_successful"),
        pending="15m",
        severity=Severity.WARNING,
        summary="The exporter cannot write its state file.",
        description=(
            "A restart of {{ $labels.instance }} will set its counters back to the last write, and "
            "Prometheus will count everything again. The log names the file and the error, e.g. a "
            "full disk or missing permissions. Correct that. The exporter then writes the file "
            "again."
        ),
        link=Link.EXPORTER,
    ),
    Alert(
        name="RealtimeKitConfigReloadFailed",
        expr=(
            f"{_own_failures('rk_config_last_reload_successful')}or on (<exporter>)\n"
            f"{_own_failures('rk_web_config_last_reload_successful')}"
        ),
        pending="10m",
        severity=Severity.WARNING,
        summary="The exporter could not reload its configuration.",
        description=(
            "{{ $labels.instance }} does not use the new configuration, and would not start with "
            "it. The exporter's log names the file and the field. Correct it, run "
            "`rk-exporter check --offline`, and reload again."
        ),
        link=Link.EXPORTER,
    ),
    Alert(
        name="RealtimeKitWebhookSilent",
        expr="""\
max by (<app>) (last_over_time(rk_webhook_up[<known>])) == 0
and on (<app>)
app:rk_meetings:configured
""",
        pending="10m",
        severity=Severity.WARNING,
        summary="No webhooks announce the recordings of app <app>.",
        description=(
            "Recordings of this app have changed, and no event has announced it. Polling goes on "
            "at its usual pace, so the dashboards stay right, but whoever else relies on webhooks "
            "misses the changes too. Look at `rk_webhook_events_total` and at the webhook in the "
            "RealtimeKit dashboard. If other customers report the same, recordings may be stuck "
            "as well."
        ),
        link=Link.EXPORTER,
        note="One of several exporters that gets the events is enough.",
    ),
    Alert(
        name="RealtimeKitRecordingsHidden",
        expr="""\
max by (<app>) (last_over_time(rk_recordings_hidden[<known>])) > 0
and on (<app>)
app:rk_meetings:configured
""",
        pending="60m",
        severity=Severity.WARNING,
        summary="<1 finished recording is|finished recordings are> not shown for app <app>.",
        description=(
            "Alerts and dashboards about single recordings leave them out, because there are more "
            "finished recordings than `--follow.max-recordings`. Raise the limit, or shorten "
            "`--follow.retain`."
        ),
        link=Link.OVERVIEW,
    ),
)
