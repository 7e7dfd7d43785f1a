"""The queries that Grafana sends to Prometheus for a dashboard."""

import math
import re

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.support.monitoring.servers import Prometheus, QueryRefusedError


RANGE_SECONDS = 300.0
# Shorter than any state lasts in a test. Changes of shorter ones may be missed, as in Grafana.
INTERVAL_SECONDS = 2.0
# Short enough for each phase of a test.
STEP_SECONDS = 1.0
# This covers a whole test. It is also the value for a scrape interval of 15 s.
_BUILT_IN = {
    "__rate_interval": "60s",
    "__interval": f"{INTERVAL_SECONDS:.0f}s",
    "__interval_ms": f"{1000 * INTERVAL_SECONDS:.0f}",
    "__range": f"{RANGE_SECONDS:.0f}s",
    "__range_s": f"{RANGE_SECONDS:.0f}",
    "__range_ms": f"{1000 * RANGE_SECONDS:.0f}",
}
_VARIABLE = re.compile(r"\$([a-zA-Z_]\w*)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)(?::\w+)?\]\]")
_IN_LEGEND = re.compile(r"\{\{\s*(\w+)\s*\}\}")
_QUERY_RESULT = re.compile(r"query_result\((?P<promql>.+)\)", re.DOTALL)
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.+), *)?(?P<label>\w+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """
    A query of a panel, variable or annotation, or the values of a *label*.

    *shown* is the text template for its series. *panel* is the type of the panel. *source* is the
    JSON of the panel or variable.
    """

    place: str
    promql: str
    label: str = ""
    is_range: bool = False
    shown: str = ""
    panel: str = ""
    source: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def unit(self) -> str:
        """Return the unit of the panel's values."""
        return str(self._defaults.get("unit", ""))

    @property
    def draws_bars(self) -> bool:
        """Return whether each point is a number of events in a time."""
        return bool(self._defaults.get("custom", {}).get("drawStyle") == "bars")

    @property
    def _defaults(self) -> Mapping[str, Any]:
        defaults: Mapping[str, Any] = self.source.get("fieldConfig", {}).get("defaults", {})
        return defaults

    def lack(self, prometheus: Prometheus) -> str | None:
        """Return the problem with the answer, or None if there is data."""
        try:
            if self.label:
                selectors = [self.promql] if self.promql else []
                return None if prometheus.label_values(self.label, *selectors) else "no values"
            numbers = [
                float(number)
                for result in self._answer(prometheus)
                for _, number in result.get("values", [result.get("value")])
            ]
        except QueryRefusedError as refused:
            return str(refused)
        if not numbers:
            return "no data"
        return "only NaN" if all(map(math.isnan, numbers)) else None

    def series(self, prometheus: Prometheus) -> list[dict[str, str]]:
        """Return the labels of each series in the answer."""
        return [
            {label: value for label, value in result["metric"].items() if label != "__name__"}
            for result in self._answer(prometheus)
        ]

    def _answer(self, prometheus: Prometheus) -> list[dict[str, Any]]:
        if not self.is_range:
            return prometheus.query(self.promql)
        return prometheus.query_range(self.promql, seconds=RANGE_SECONDS, step_seconds=STEP_SECONDS)


def legend(shown: str, labels: Mapping[str, str]) -> str:
    """Return Grafana's name for a series with these *labels*."""
    return _IN_LEGEND.sub(lambda match: labels.get(match[1], match[1]), shown)


def questions(
    dashboard: Mapping[str, Any],
    chosen: Mapping[str, str],
    built_in: Mapping[str, str] = _BUILT_IN,
    *,
    selected: Mapping[str, Sequence[str]] | None = None,
    times: Callable[[Mapping[str, Any]], Mapping[str, str]] = lambda _: {},
) -> Iterator[Question]:
    """
    Yield all queries of a dashboard.

    Variables select all values, except those that are *selected*. *chosen* has values for variables
    that cannot select all, *built_in* for those that depend on the time range, and *times* for
    those that also depend on the panel.
    """
    title, variables = dashboard["title"], dashboard["templating"]["list"]
    values = dict(built_in)
    for variable in variables:
        name, kind, place = variable["name"], variable["type"], f"{title}, ${variable['name']}"
        if kind == "query":
            yield replace(_of_variable(place, variable["query"], values), source=variable)
            values[name] = _value_of(variable, chosen, selected or {})
        elif kind != "datasource":
            values[name] = str(
                variable.get("current", {}).get("value") or variable["query"].split(",")[0]
            )
    for annotation in dashboard["annotations"]["list"]:
        if not annotation.get("builtIn"):
            place = f"{title}, annotation {annotation['name']}"
            yield Question(place, _filled(annotation["expr"], values), is_range=True)
    for panel in panels_of(dashboard["panels"]):
        for target in panel.get("targets", []):
            yield Question(
                f"{title}, {panel['title']}, {target['refId']}",
                _filled(target["expr"], {**values, **times(panel)}),
                is_range=not target.get("instant", False),
                shown=target.get("legendFormat", ""),
                panel=panel.get("type", ""),
                source=panel,
            )


def _value_of(
    variable: Mapping[str, Any],
    chosen: Mapping[str, str],
    selected: Mapping[str, Sequence[str]],
) -> str:
    """Return the text by which Grafana's data source for Prometheus replaces a variable."""
    name = variable["name"]
    if not variable["includeAll"] and not variable.get("multi"):
        return chosen[name].replace("\\", "\\\\").replace('"', '\\"')
    if name not in selected:
        return str(variable.get("allValue") or ".+")
    parts = [_escaped(value) for value in selected[name]]
    return parts[0] if len(parts) == 1 else f"({'|'.join(parts)})"


def _escaped(value: str) -> str:
    """Escape a value for a pattern in a string, as Grafana does."""
    value = value.replace("\\", r"\\\\").replace('"', r"\\\"")
    return re.sub(r"[$^*{}\[\]'+?.()|]", lambda match: rf"\\{match[0]}", value)


def _of_variable(place: str, query: str | Mapping[str, str], values: Mapping[str, str]) -> Question:
    """Return the query of a variable, which must be label_values() or query_result()."""
    text = query if isinstance(query, str) else query["query"]
    if result := _QUERY_RESULT.fullmatch(text):
        return Question(place, _filled(result["promql"], values))
    match = _LABEL_VALUES.fullmatch(text)
    assert match, f"{place} has a query that this test does not support: {text}"
    return Question(place, _filled(match["selector"] or "", values), label=match["label"])


def _filled(promql: str, values: Mapping[str, str]) -> str:
    """Replace variables by their values. An unknown variable fails."""
    return _VARIABLE.sub(lambda match: values[match[match.lastindex or 0]], promql)


def panels_of(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield all panels, including those in rows."""
    for panel in panels:
        yield panel
        yield from panels_of(panel.get("panels", []))
