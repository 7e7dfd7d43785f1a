"""PromQL for the totals of apps, although several exporters and pods count them."""

from dashboards.scope import Scope
from dashboards.targets import started_at


FAILURES = "errored|upload_failed"
"""The outcomes of recordings that have no file."""
ENDS = f"{FAILURES}|uploaded"
"""The outcomes of recordings that had to leave a file."""
_LAST_KNOWN = "last_over_time({}[15m])"


def ended_within(scope: Scope, window: str, outcomes: str) -> str:
    """
    Return how many recordings of each app ended within a window, with one of several outcomes.

    It adds up minutes, because a pod may have counted one part of the window, and the next pod the
    other.
    """
    ended = scope.of_app("rk_recordings_finished_total", f'outcome=~"{outcomes}"')
    in_a_minute = growth_of_apps(scope, ended, "1m")
    return f"sum_over_time(({in_a_minute})[{window}:1m])"


def growth_of_apps(
    scope: Scope, counter: str, window: str = "$__interval", *, more: str = ""
) -> str:
    """
    Return by how much a counter of each app grew within a window, exactly.

    It counts what one exporter of the app saw, because two see an event at different times. It also
    counts what the pods saw that were replaced within the window, if no other was there. The label
    names in *more* distinguish further, e.g. `outcome`.
    """
    return of_one_exporter(scope, counted(counter, window), window, leader=leader(scope), more=more)


def of_one_exporter(scope: Scope, growth: str, window: str, *, leader: str, more: str = "") -> str:
    """
    Return the *growth* within a window as the *leader* of each app saw it.

    What exporters saw that are gone counts as well, if no other was there before the window.
    """
    by = f"{scope.app_in_place}, {more}" if more else scope.app_in_place
    up = scope.of_exporter("up")
    before = f"last_over_time({scope.of_app('rk_up')}[15m] offset {window})"
    return (
        f"sum by ({by}) (\n"
        f"{growth}\nand on ({scope.app_in_exporter})\n{leader}\n"
        f"or\n{growth}\nunless on ({scope.exporter})\n{up}\n"
        f"unless on ({scope.app_in_place})\n({before} and on ({scope.exporter}) {up})\n)"
    )


def total_of_apps(scope: Scope, promql: str) -> str:
    """Return the sum for each app, of the exporter that has seen most."""
    return f"max by ({scope.app_in_place}) (sum by ({scope.app_in_exporter}) ({promql}))"


def one_view(scope: Scope, promql: str) -> str:
    """Keep the series of one exporter of each app: that works, and started last."""
    up = f"max by ({scope.app_in_exporter}) ({scope.of_app('rk_up')})"
    started = started_at(scope)
    view = f"1e11 * {up} + on ({scope.exporter}) group_left () {started}"
    return f"{promql}\nand on ({scope.app_in_exporter})\ntopk by ({scope.app_in_place}) (1, {view})"


def leader(scope: Scope) -> str:
    """Return one exporter of each app: that works, and started first. It is seldom another."""
    # A scrape may be missed.
    works = _LAST_KNOWN.format(scope.of_app("rk_up"))
    works = f"max by ({scope.app_in_exporter}) ({works})"
    started, on = started_at(scope, _LAST_KNOWN), f"on ({scope.exporter})"
    up = scope.of_exporter("up")
    candidates = f"1e11 * {works} - {on} group_left () {started}\nand {on} {up}"
    return f"topk by ({scope.app_in_place}) (1, {candidates})"


def counted(counter: str, window: str = "$__interval") -> str:
    """
    Return by how much a counter grew within a window, exactly.

    `increase()` needs two samples in each window and ignores the growth between two windows. This
    compares the last sample of a window with the last one before it, so that no event is lost or
    counted twice, however long the scrape interval is. A new series starts with its first sample, a
    restarted one with 0.
    """
    last = _LAST_KNOWN.format(counter)
    before = f"last_over_time({counter}[15m] offset {window})"
    first = f"min_over_time({counter}[{window}])"
    return f"(({last} - ({before} or {first})) >= 0 or {last})"
