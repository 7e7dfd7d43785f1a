"""Recorded series about objectives: how many recordings miss them, within several windows."""

from collections.abc import Iterator

from dashboards.alerting.recorded_totals import INTERVAL, LEADER, Total
from dashboards.alerting.rule import Group, Record
from dashboards.totals import FAILURES


_PERIOD = "28d"
"""The time for which an error budget is. Four weeks have the same number of weekends each."""
_WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d", _PERIOD)
_OBJECTIVES = ("succeed", "start", "arrive")
"""Recordings leave a file, start within 30 s, and arrive within an hour."""
_ON = "on (<app>, objective)"
_START, _ARRIVE = "rk_recording_start_delay_seconds", "rk_recording_upload_delay_seconds"


def _labelled(promql: str, objective: str, result: str) -> str:
    named = f'label_replace({promql}, "objective", "{objective}", "", "")'
    return f'label_replace({named}, "result", "{result}", "", "")'


def _ended(outcomes: str) -> str:
    """Return how many recordings ended with one of some outcomes."""
    matcher = f'outcome=~"{outcomes}"' if "|" in outcomes else f'outcome="{outcomes}"'
    known = f"last_over_time(rk_recordings_finished_total{{{matcher}}}[<known>])"
    return f"sum by (<exporter app>) (max by (<exporter app>, outcome) ({known}))"


def _in_time(histogram: str, seconds: int) -> str:
    """Return how many delays a histogram has up to a limit, which is one of its bounds."""
    bound = f'le=~"{seconds}|{seconds}[.]0"'
    classic = f"last_over_time({histogram}_bucket{{{bound}}}[<known>])"
    native = f"last_over_time({histogram}[<known>])"
    # The share of nothing is NaN, which no comparison keeps.
    share = f"(histogram_fraction(-Inf, {seconds}, {native}) >= 0)"
    return _classic_or_native(
        classic,
        f"round({share} * ignoring () histogram_count({native})) or 0 * histogram_count({native})",
    )


def _all(histogram: str) -> str:
    """Return how many delays a histogram has."""
    return _classic_or_native(
        f"last_over_time({histogram}_count[<known>])",
        f"histogram_count(last_over_time({histogram}[<known>]))",
    )


def _classic_or_native(classic: str, native: str) -> str:
    # The classic series win if there are both, so that nothing counts twice.
    one, other = (f"max by (<exporter app>) ({found})" for found in (classic, native))
    return f"({one} or on (<exporter app>) {other})"


def _of_histogram(histogram: str, seconds: int, objective: str) -> Iterator[str]:
    good = _in_time(histogram, seconds)
    yield _labelled(good, objective, "good")
    yield _labelled(f"({_all(histogram)} - on (<exporter app>) {good})", objective, "bad")


EVENTS = Total(
    name="rk_objective_recordings",
    counts="\nor\n".join(
        [
            _labelled(_ended("uploaded"), "succeed", "good"),
            _labelled(_ended(FAILURES), "succeed", "bad"),
            *_of_histogram(_START, 30, "start"),
            *_of_histogram(_ARRIVE, 3600, "arrive"),
        ]
    ),
    more="objective, result",
    meaning="Recordings that met an objective (good) or missed it (bad)",
)


def _misses(window: str) -> Record:
    grown = f"app:rk_objective_recordings:increase{window}"
    return Record(
        f"app:rk_objective_recordings:missed_ratio{window}",
        f"""\
sum by (<app>, objective) ({grown}{{result="bad"}})
/ {_ON}
(sum by (<app>, objective) ({grown}) > 0)
""",
        note=f"Share of recordings that missed an objective within {window}.",
    )


def _budgets() -> Record:
    shares = "\nor\n".join(
        f'label_replace(vector(1 - <recordings_{name}_ratio>), "objective", "{name}", "", "")'
        for name in _OBJECTIVES
    )
    return Record(
        "rk:objective:budget_ratio",
        f"{shares}\n",
        note="Share of recordings that may miss each objective.",
    )


def groups() -> Iterator[Group]:
    """Yield the groups about objectives."""
    yield Group(
        "rk-exporter-objectives",
        (_budgets(), LEADER, *EVENTS.rules()),
        interval=INTERVAL,
        note="How many recordings meet each objective.",
    )
    yield Group(
        "rk-exporter-objectives-windows",
        (
            *(
                Record(
                    f"app:rk_objective_recordings:increase{window}",
                    EVENTS.within(window),
                    note=f"{EVENTS.meaning} within {window}.",
                )
                for window in _WINDOWS
            ),
            *(_misses(window) for window in _WINDOWS),
            _last_timestamps(),
            _left(),
        ),
        interval=INTERVAL,
        note="The same within the windows of the alerts.",
    )


def _last_timestamps() -> Record:
    last = "app:rk_objective_recordings:last_timestamp_seconds"
    return Record(
        last,
        f"""\
time() + 0 * (app:rk_objective_recordings:new > 0)
or on (<app>, objective, result)
last_over_time({last}[1d])
and on (<app>, objective, result)
app:rk_objective_recordings:total
""",
        note="When Prometheus last saw that a recording met or missed an objective.",
    )


def _left() -> Record:
    return Record(
        "app:rk_objective_budget:remaining_ratio",
        f"""\
1
- app:rk_objective_recordings:missed_ratio{_PERIOD}
/ on (objective) group_left ()
max by (objective) (rk:objective:budget_ratio)
""",
        note="Share of the error budget of 28 days that is left; negative if the objective is "
        "missed.",
    )
