"""Alerts about the exporter, which must run and be scraped."""

from dashboards.alerting.rule import Alert, Link, Severity


ALERTS = (
    Alert(
        name="RealtimeKitExporterDown",
        expr="""\
(
    (up{job="rk-exporter"} == 0)
    * on (<exporter>) group_right ()
    max by (<exporter app>) (last_over_time(rk_meetings[7d]))
  unless on (<app>)
    rk_meetings
)
or on (<exporter>)
(
    up{job="rk-exporter"} == 0
  unless on (<exporter>)
    last_over_time(rk_meetings[7d])
  unless on (<job>)
    rk_meetings
)
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary="The exporter is down and nothing monitors its recordings.",
        description=(
            "Prometheus cannot scrape {{ $labels.instance }}, and no other exporter reads the "
            "recordings of app {{ with $labels.rk_app }}{{ . }}{{ else }}(not seen yet){{ end "
            "}}. Nobody will notice failed recordings. Check that the exporter's process is "
            "running and read its log."
        ),
        link=Link.EXPORTER,
        note=(
            "No other exporter reports the app. The names of an exporter's apps come from the "
            "last seven days."
        ),
    ),
    Alert(
        name="RealtimeKitExporterDown",
        expr="""\
up{job="rk-exporter"} == 0
and on (<job>)
last_over_time(rk_meetings[4m])
unless on (<exporter>)
(
    max by (<exporter app>) (last_over_time(rk_meetings[7d]))
  unless on (<app>)
    last_over_time(rk_meetings[4m])
)
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="One of several exporters is down.",
        description=(
            "Prometheus cannot scrape {{ $labels.instance }}. Other exporters still read the "
            "recordings of all known apps, but there is no spare left if they fail too. Check "
            "that the exporter's process is running and read its log."
        ),
        link=Link.EXPORTER,
        note=(
            "The 4m windows bridge missed scrapes of the other exporters. They are shorter "
            "than `for`, so that this exporter's own last values do not count as those of "
            "another one."
        ),
    ),
    Alert(
        name="RealtimeKitExporterAbsent",
        expr="""\
absent(up{job="rk-exporter"})
""",
        pending="10m",
        severity=Severity.CRITICAL,
        summary="Prometheus has no rk-exporter target.",
        description=(
            'There is no target with job="rk-exporter", so no alert about recordings can fire. '
            "Look at Prometheus's targets page. Either the scrape configuration or the service "
            "discovery lost the target, or the job has another name."
        ),
    ),
    Alert(
        name="RealtimeKitDataStale",
        expr="""\
count by (<app>) (
    time()
    - max by (<meeting>) (
      last_over_time(rk_meeting_last_success_timestamp_seconds[5m])
    )
    > <data_age_seconds>
  or on (<meeting>)
    max by (<meeting>) (last_over_time(rk_meeting_up[5m])) == 0
    unless on (<meeting>)
    last_over_time(rk_meeting_last_success_timestamp_seconds[5m])
)
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="The exporter cannot read some meetings.",
        description=(
            "The exporter has not read {{ $value }} meetings of app {{ $labels.rk_app }} "
            "recently. Nobody will notice if their recordings fail. Run `rk-exporter check`, "
            "which shows the error for each meeting."
        ),
        link=Link.EXPORTER,
        labels={"what": "meetings"},
    ),
    Alert(
        name="RealtimeKitDataStale",
        expr="""\
max by (<app>) (last_over_time(rk_discovery_up[5m])) == 0
and on (<app>)
(
    time()
    - max by (<app>) (last_over_time(rk_discovery_last_success_timestamp_seconds[5m]))
    > <data_age_seconds>
  or on (<app>)
    max by (<app>) (last_over_time(rk_discovery_up[5m])) == 0
    unless on (<app>)
    last_over_time(rk_discovery_last_success_timestamp_seconds[5m])
)
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="The exporter cannot list live meetings.",
        description=(
            "The exporter does not find new meetings of app {{ $labels.rk_app }}. Nobody will "
            "notice if their recordings fail. Run `rk-exporter check`, which shows the error."
        ),
        link=Link.EXPORTER,
        labels={"what": "discovery"},
    ),
    Alert(
        name="RealtimeKitConfigReloadFailed",
        expr="""\
min by (<exporter>) (last_over_time(rk_config_last_reload_successful[5m])) == 0
or on (<exporter>)
min by (<exporter>) (last_over_time(rk_web_config_last_reload_successful[5m])) == 0
""",
        pending="10m",
        severity=Severity.WARNING,
        summary="The exporter could not reload its configuration.",
        description=(
            "{{ $labels.instance }} still uses its last good configuration, and would not "
            "start with the new one. The exporter's log names the file and the field. Correct "
            "it, run `rk-exporter check --offline`, and reload again."
        ),
        link=Link.EXPORTER,
    ),
    Alert(
        name="RealtimeKitRecordingsHidden",
        expr="""\
max by (<app>) (last_over_time(rk_recordings_hidden[10m])) > 0
""",
        pending="60m",
        severity=Severity.WARNING,
        summary="Some finished recordings are not shown.",
        description=(
            "{{ $value }} finished recordings of app {{ $labels.rk_app }} have no series of "
            "their own, because there are more than `--follow.max-recordings`. Alerts and "
            "dashboards about single recordings leave them out. Raise the limit, or shorten "
            "`--follow.retain`."
        ),
        link=Link.OVERVIEW,
    ),
)
