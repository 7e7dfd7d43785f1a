"""Alerts of the optional file: objectives that will be missed, and recordings without an end."""

import textwrap

from dashboards.alerting.rule import Alert, Link, Record, Severity


# Of the SRE workbook, "Alerting on SLOs", for 28 days: 2 % of the error budget within an hour, 5 %
# within 6 hours, 10 % within a day or three days. The short window ends an alert soon.
_FAST = (("1h", "5m", "0.02 * 28 * 24"), ("6h", "30m", "0.05 * 28 * 4"))
_SLOW = (("1d", "2h", "0.1 * 28"), ("3d", "6h", "0.1 * 28 / 3"))
_ON = "on (<app>, objective)"


def _burns(long: str, short: str, factor: str) -> str:
    """
    Return the apps that use up their error budget much too fast.

    If too few recordings end for the short window, the last one decides.
    """
    allowed = (
        f"> on (objective) group_left ()\n{factor} * max by (objective) (rk:objective:budget_ratio)"
    )
    last = "app:rk_objective_recordings:last_timestamp_seconds"
    return f"""\
app:rk_objective_recordings:missed_ratio{long}
{allowed}
and {_ON}
app:rk_objective_recordings:increase{long}{{result="bad"}} >= <objective_misses>
and {_ON}
(
  app:rk_objective_recordings:missed_ratio{short}
{textwrap.indent(allowed, "  ")}
  or {_ON}
  {last}{{result="bad"}}
  unless {_ON}
  app:rk_objective_recordings:missed_ratio{short}
  unless {_ON}
  ({last}{{result="good"}} > {_ON} {last}{{result="bad"}})
)"""


def _burn(severity: Severity, windows: tuple[tuple[str, str, str], ...], pending: str) -> Alert:
    any_of = f"\nor {_ON}\n".join(f"(\n{_burns(*window)}\n)" for window in windows)
    return Alert(
        name="RealtimeKitErrorBudgetBurn",
        expr=f"{any_of}\n",
        pending=pending,
        severity=severity,
        summary="Too many recordings of app <app> <miss>.",
        description=(
            "<share> of the recordings miss the objective, so the error budget of 28 days will "
            "soon be used up. See which meetings are affected, and whether Cloudflare has an "
            "incident."
        ),
        link=Link.SERVICE_LEVEL,
    )


RECORDS = (
    Record(
        "meeting:rk_meeting_live_participants:alone_timestamp_seconds",
        """\
(
    last_over_time(meeting:rk_meeting_live_participants:alone_timestamp_seconds[<known>])
  or on (<meeting>)
    time() + 0 * max by (<meeting>) (last_over_time(rk_meeting_live_participants[<known>]))
)
and on (<meeting>)
max by (<meeting>) (last_over_time(rk_meeting_live_participants[<known>]))
<= <recording_alone_participants>
and on (<meeting>)
recording:rk_recording_status:latest{status=~"RECORDING|PAUSED"}
""",
        note="Since when there is nobody in a meeting that is recorded, except perhaps the "
        "recorder.",
    ),
)
_LENGTH = "time() - recording:rk_recording_started_timestamp_seconds:max"
_RUNS = """\
and on (<recording>)
recording:rk_recording_status:latest{status=~"RECORDING|PAUSED"} == 1
"""
ALERTS = (
    _burn(Severity.CRITICAL, _FAST, "2m"),
    _burn(Severity.WARNING, _SLOW, "15m"),
    Alert(
        name="RealtimeKitRecordingRunaway",
        expr=f"""\
{_LENGTH}
{_RUNS}\
and on (<meeting>)
time() - meeting:rk_meeting_live_participants:alone_timestamp_seconds > <recording_alone_seconds>
""",
        pending="2m",
        severity=Severity.WARNING,
        summary='The recording of "<name>" goes on, although everybody seems to have left.',
        description=(
            "It may cost money for nothing: recording <recording> (app <app>) has been running "
            "for <duration>, and there is nobody but the recorder in the meeting, or one "
            "person who forgot to leave. If nobody needs it, stop the recording."
        ),
        link=Link.RECORDING,
        labels={"what": "alone"},
        note="Needs `--meetings.discover`, which shows how many people are in a meeting.",
    ),
    Alert(
        name="RealtimeKitRecordingRunaway",
        expr=f"""\
{_LENGTH} > <recording_length_seconds>
{_RUNS}""",
        pending="2m",
        severity=Severity.WARNING,
        summary='The recording of "<name>" is longer than your recordings should be.',
        description=(
            "Each further minute may cost money: recording <recording> (app <app>) has been "
            "running for <duration>. If nobody needs it, stop the recording."
        ),
        link=Link.RECORDING,
        labels={"what": "long"},
    ),
)
