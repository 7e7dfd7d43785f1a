"""
Recorded series about exporters: which of them answer, and which apps they have.

The matching ignores the exporter's own labels instead of naming the target's, because a target may
have any labels, and two targets may differ only in one that no rule knows.
"""

from dashboards.alerting.rule import Record


OF_EXPORTERS = (
    Record(
        "instance:up:failing",
        """\
up{job="rk-exporter"} == 0
and ignoring ()
(
    max_over_time(up{job="rk-exporter"}[6m]) == 0
    and ignoring ()
    (count_over_time(up{job="rk-exporter"}[6m]) > 1 or instance:up:failing)
  or
    max_over_time(up{job="rk-exporter"}[11m]) == 0
)
and ignoring ()
count_over_time(up{job="rk-exporter"}[5m] offset 6m) > 0
""",
        note=(
            "0 for each exporter that has not answered for 6 minutes, nor to two scrapes. A new "
            "target has this time to start."
        ),
    ),
    Record(
        "instance:rk_meetings:known",
        """\
rk_meetings
or
(
  instance:rk_meetings:known
  and ignoring (rk_app)
  up{job="rk-exporter"} == 0
)
""",
        note=(
            "The meetings of each app that an exporter has in its configuration. While it does "
            "not answer, it has those of its last answer."
        ),
    ),
    Record(
        "app:rk_meetings:read",
        """\
max by (<app>) (
  instance:rk_meetings:known
  unless ignoring (rk_app)
  instance:up:failing
)
""",
        note="The meetings of each app in the configuration of an exporter that answers.",
    ),
    Record(
        "app:rk_meetings:configured",
        """\
max by (<app>) (
    instance:rk_meetings:known
  or
    last_over_time(instance:rk_meetings:known[6m])
    unless on (<exporter>)
    up{job="rk-exporter"}
)
""",
        note=(
            "The meetings of each app in the configuration of an exporter, whether or not it "
            "answers. A target that is gone counts for 6 minutes, because it may come back with "
            "another address."
        ),
    ),
)
