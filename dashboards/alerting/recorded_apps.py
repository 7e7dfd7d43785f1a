"""Recorded series of apps: how many recordings fail, and when files were deleted."""

from dashboards.alerting.rule import Record
from dashboards.totals import ENDS, FAILURES


ENDED_WINDOWS = ("1h", "6h", "1d")
"""How long ago a recording may have ended that counts, from short to long."""
_ENDED = f'{{outcome=~"{ENDS}"}}'
_FAILED = f'{{outcome=~"{FAILURES}"}}'
APPS = (
    Record(
        "app:rk_recordings_earliest_expiry_timestamp_seconds:day",
        """\
min_over_time(
  (
    min by (<app>) (last_over_time(rk_recordings_earliest_expiry_timestamp_seconds[<known>]))
    < time() + 2 * <known seconds>
  )[1d:<known>]
)
and on (<app>)
max by (<app>) (last_over_time(rk_meetings[<known>]))
""",
        note=(
            "When the first download URL of the last day expired, or will in a moment. It counts "
            "recordings without series of their own as well."
        ),
    ),
    *(
        Record(
            f"app:rk_recordings_{result}:last_timestamp_seconds",
            f"""\
time() + 0 * (
  sum by (<app>) (increase(rk_recordings_finished_total{outcomes}[<known>])) > 0
)
or on (<app>)
last_over_time(app:rk_recordings_{result}:last_timestamp_seconds[6h])
""",
            note=f"When Prometheus last saw that a recording {what} within a quarter of an hour.",
        )
        for result, outcomes, what in (
            ("failed", _FAILED, "had failed"),
            ("uploaded", '{outcome="uploaded"}', "had succeeded"),
        )
    ),
    Record(
        "app:rk_recordings_failed:recent_timestamp_seconds",
        """\
(
    app:rk_recordings_failed:last_timestamp_seconds > time() - (60 * 60 - <known seconds>)
  or on (<app>)
    app:rk_recordings_failed:last_timestamp_seconds > time() - 6 * 60 * 60
    unless on (<app>)
    app:rk_recordings_uploaded:last_timestamp_seconds
    >= on (<app>)
    app:rk_recordings_failed:last_timestamp_seconds
)
and on (<app>)
count by (<app>) (count_over_time(rk_recordings_finished_total[<known>]))
""",
        note=(
            "When a recording last failed: within an hour, or within six hours if none has "
            "succeeded since."
        ),
    ),
    *(
        Record(
            f"app:rk_recordings_failed:ratio{window}",
            f"""\
sum by (<app>) (increase(rk_recordings_finished_total{_FAILED}[{window}]))
/ on (<app>)
sum by (<app>) (increase(rk_recordings_finished_total{_ENDED}[{window}]))
and on (<app>)
max by (<app>) (
  round(sum by (<exporter app>) (increase(rk_recordings_finished_total{_ENDED}[{window}])))
)
>= <recordings_finished>
""",
            note=f"Share of failed recordings within {window}, if enough have ended.",
        )
        for window in ENDED_WINDOWS
    ),
)
