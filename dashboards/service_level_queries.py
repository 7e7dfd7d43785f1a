"""
PromQL about objectives, error budgets and cost.

It reads the series of the optional rules, because windows of 28 days over raw series cost too much.
They have no instance: they are about apps, whichever exporter counts.
"""

from dashboards import expressions
from dashboards.histograms import known_quantile
from dashboards.queries import REQUESTED_AT, read_last
from dashboards.scope import BY_APP, BY_RECORDING
from dashboards.selectors import CHOSEN, named, of_app, of_meeting, of_rules, once


ROWS = 20
"""How many recordings a table shows."""
_BY_OBJECTIVE = f"{BY_APP}, objective"
CRITICAL_BURN = 5.6
"""The burn rate of 6 hours above which the alert is critical."""
_BUDGET = "max by (objective) (rk:objective:budget_ratio)"
_OF_BUDGET = f"/ on (objective) group_left ()\n{_BUDGET}"


def recordings(window: str, *matchers: str) -> str:
    """Return how many recordings of each app an objective was about within a window."""
    increase = of_rules(f"app:rk_objective_recordings:increase{window}", *matchers)
    return f"sum by ({_BY_OBJECTIVE}) ({increase}) > 0"


def missed(window: str, *matchers: str) -> str:
    """Return the share of recordings that missed an objective within a window."""
    increase = f"app:rk_objective_recordings:increase{window}"
    bad = of_rules(increase, 'result="bad"', *matchers)
    every = recordings(window, *matchers)
    return f"sum by ({_BY_OBJECTIVE}) ({bad})\n/ on ({_BY_OBJECTIVE})\n({every})"


def met() -> str:
    """Return the share of recordings that met an objective within 28 days."""
    return f"1 - {missed('28d')}"


def agreed() -> str:
    """Return the objective beside each share."""
    return f"1 - (0 * ({recordings('28d')})\n+ on (objective) group_left ()\n{_BUDGET})"


def budget_left(*matchers: str) -> str:
    """Return the share of the error budget of 28 days that is left."""
    return f"1 - {missed('28d', *matchers)}\n{_OF_BUDGET}"


def least_left(objective: str) -> str:
    """Return the smallest error budget of an objective among the apps."""
    matcher = f'objective="{objective}"'
    return f"min({budget_left(matcher)})"


def burn_rate(window: str) -> str:
    """Return how many times too fast the error budget is used up."""
    return f"{missed(window)}\n{_OF_BUDGET}"


def critical() -> str:
    """Return the burn rate of 6 hours that is critical, if Prometheus has the rules."""
    return f"{CRITICAL_BURN} * max({_BUDGET}) ^ 0"


def slowest_starts() -> str:
    """Return how long the slowest starts took, of the recordings that are known."""
    started = once(BY_RECORDING, of_meeting("rk_recording_started_timestamp_seconds"))
    return named(f"topk({ROWS}, {started} - on ({BY_RECORDING}) {REQUESTED_AT})")


def slowest_uploads() -> str:
    """Return since when the recordings with the longest uploads have been UPLOADING."""
    stopped = read_last("rk_recording_stopped_timestamp_seconds")
    uploading = f"{expressions.in_state(CHOSEN, 'UPLOADING')} == 1"
    # The clock of the API may be a little ahead.
    since = f"clamp_min(time() - {stopped}, 0)"
    return named(f"topk({ROWS}, {since} and on ({BY_RECORDING}) {uploading})")


def delays(metric: str, share: float) -> str:
    """Return a quantile of the delays of each app within a day."""
    return known_quantile(
        share, lambda series: f"increase({of_app(series)}[1d])", metric, by=BY_APP
    )


def recorded(what: str) -> str:
    """Return how many seconds or bytes of each app were uploaded within the day before."""
    return f"sum by ({BY_APP}) ({of_rules(f'app:rk_recorded_{what}:increase1d')})"
