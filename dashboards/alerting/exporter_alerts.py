"""Alerts about the exporter, which must run and be scraped."""

import textwrap

from dashboards.alerting.rule import Alert, Link, Severity


_FAILING_APPS = """\
max by (<exporter app>) (
  instance:rk_meetings:known
  and ignoring (rk_app)
  instance:up:failing == 0
)
unless on (<app>)
app:rk_meetings:read"""
"""The apps of exporters that do not answer, unless another one has them."""
_WITHOUT_METRICS = """\
max by (<exporter>) (
  max_over_time(up{job="rk-exporter"}[<known>])
  and ignoring ()
  up{job="rk-exporter"}
)
== 1
unless on (<exporter>)
last_over_time(rk_exporter_build_info[<known>])"""
_DOWN = "RealtimeKitExporterDown"
_MISSING = "RealtimeKitMetricsMissing"
_MISSING_STEPS = (
    "{{ $labels.instance }} answers Prometheus, but not with the metrics of rk-exporter: the "
    "address or port is wrong, or another program answers there. Open the target's address with "
    "the path /metrics, and correct the scrape configuration."
)

ALERTS = (
    Alert(
        name=_DOWN,
        expr=f"""\
(
{textwrap.indent(_FAILING_APPS, "  ")}
)
or on (<exporter>)
(
  max by (<exporter>) (instance:up:failing) == 0
  unless on (<exporter>)
  instance:rk_meetings:known
  unless on (<job>)
  app:rk_meetings:read
)
""",
        pending="1m",
        severity=Severity.CRITICAL,
        summary="The exporter is down and nobody watches the recordings of <its app>.",
        description=(
            "Failed recordings go unnoticed: Prometheus cannot scrape {{ $labels.instance }}, and "
            "no other exporter has <its app>. Check that the exporter's process is running, and "
            "read the end of its log."
        ),
        link=Link.EXPORTER,
        note=(
            "An exporter that has never answered has no known apps. It counts unless another "
            "exporter of its job answers, which may have the same apps."
        ),
    ),
    Alert(
        name=_DOWN,
        expr=f"""\
max by (<exporter>) (instance:up:failing) == 0
and on (<job>)
app:rk_meetings:read
unless on (<exporter>)
(
{textwrap.indent(_FAILING_APPS, "  ")}
)
""",
        pending="1m",
        severity=Severity.WARNING,
        summary="One of several exporters is down.",
        description=(
            "Nothing is lost yet: Prometheus cannot scrape {{ $labels.instance }}, and others "
            "still read the recordings of all its known apps, but there is no spare left if they "
            "fail too. Check that the exporter's process is running, and read the end of its log."
        ),
        link=Link.EXPORTER,
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
            "Nobody watches any recording, and no other alert can fire: there is no target with "
            'job="rk-exporter". Look at Prometheus\'s targets page. Either the scrape '
            "configuration or the service discovery lost the target, or the job has another name."
        ),
    ),
    Alert(
        name=_MISSING,
        expr=f"""\
{_WITHOUT_METRICS}
unless on (<job>)
app:rk_meetings:read
""",
        pending="5m",
        severity=Severity.CRITICAL,
        summary="A target of the exporter's job answers without the exporter's metrics.",
        description=f"Nobody watches any recording of this job: {_MISSING_STEPS}",
    ),
    Alert(
        name=_MISSING,
        expr=f"""\
{_WITHOUT_METRICS}
and on (<job>)
app:rk_meetings:read
""",
        pending="5m",
        severity=Severity.WARNING,
        summary="One of several targets of the job answers without the exporter's metrics.",
        description=f"Its apps may have no exporter: {_MISSING_STEPS}",
    ),
    Alert(
        name="RealtimeKitExporterUnstable",
        expr="""\
max by (<exporter>) (
  avg_over_time(up{job="rk-exporter"}[30m])
  and ignoring ()
  up{job="rk-exporter"}
)
< <scrapes_successful_ratio>
and on (<exporter>)
max by (<exporter>) (max_over_time(up{job="rk-exporter"}[30m])) == 1
""",
        pending="30m",
        severity=Severity.WARNING,
        summary="Most scrapes of the exporter fail.",
        description=(
            "Alerts come late, and short problems go unnoticed: only <share> of the scrapes of "
            "{{ $labels.instance }} succeed. Either its process restarts again and again, or it "
            "answers too late. Read the end of its log, and compare the scrape's duration with its "
            "timeout on Prometheus's targets page."
        ),
        link=Link.EXPORTER,
        note="An outage that ends is over before this alert fires.",
    ),
    Alert(
        name="RealtimeKitScrapeIntervalTooLong",
        expr="""\
30 * 60 / max by (<exporter>) (count_over_time(up{job="rk-exporter"}[30m]))
> <scrape_interval_seconds>
and on (<exporter>)
max by (<exporter>) (count_over_time(up{job="rk-exporter"}[30m] offset 30m)) > 0
""",
        pending="60m",
        severity=Severity.WARNING,
        summary="Prometheus scrapes the exporter too seldom.",
        description=(
            "Alerts come and go or never fire, because they are made for scrape intervals of at "
            "most 5 minutes, and {{ $labels.instance }} is scraped less often. Set a shorter "
            "`scrape_interval` for the job, e.g. 30s."
        ),
        link=Link.EXPORTER,
        note="A pause of Prometheus itself is over before this alert fires.",
    ),
    Alert(
        name="RealtimeKitShardMissing",
        expr=f"""\
max by (<job>) (last_over_time(rk_exporter_shards[6m]))
- on (<job>)
count by (<job>) (
  count_values by (<job>) ("shard", last_over_time(rk_exporter_shard[6m]))
)
> 0
unless on (<job>)
(
{textwrap.indent(_FAILING_APPS, "  ")}
)
""",
        pending="10m",
        severity=Severity.CRITICAL,
        summary="<1 shard of the exporter does|shards of the exporter do> not run.",
        description=(
            "Nobody watches the recordings of the apps that belong to them. Either an exporter "
            "does not run, or Prometheus does not scrape it, or the exporters disagree about the "
            "number of shards. Query `rk_exporter_shard` and `rk_exporter_shards` to see which "
            "ones there are, and start the others."
        ),
        link=Link.EXPORTER,
        note=(
            "Only with `--shard`. A shard may be gone for 6 minutes without counting as missing, "
            "so that an update, one shard after the other, fires nothing. Silent while "
            "RealtimeKitExporterDown is critical, which says the same."
        ),
    ),
)
