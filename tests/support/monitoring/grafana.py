"""What Grafana asks Prometheus for, to show a dashboard."""

import math
import re

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.monitoring.servers import Prometheus, QueryRefusedError


RANGE_SECONDS = 300.0
INTERVAL_SECONDS = 10.0
# Long enough for all that a test does; at a scrape interval of 15 s it is as long.
_BUILT_IN = {
    "__rate_interval": "60s",
    "__interval": f"{INTERVAL_SECONDS:.0f}s",
    "__interval_ms": f"{1000 * INTERVAL_SECONDS:.0f}",
    "__range": f"{RANGE_SECONDS:.0f}s",
    "__range_s": f"{RANGE_SECONDS:.0f}",
    "__range_ms": f"{1000 * RANGE_SECONDS:.0f}",
}
_VARIABLE = re.compile(r"\$([a-zA-Z_]\w*)|\$\{(\w+)(?::\w+)?\}|\[\[(\w+)(?::\w+)?\]\]")
_LABEL_VALUES = re.compile(r"label_values\((?:(?P<selector>.+), *)?(?P<label>\w+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Question:
    """What *place* of a dashboard asks for: a query, or the values of a *label*."""

    place: str
    promql: str
    label: str = ""
    is_range: bool = False

    def lack(self, prometheus: Prometheus) -> str | None:
        """Tell what is wrong with the answer; None is that there are data."""
        try:
            if self.label:
                selectors = [self.promql] if self.promql else []
                return None if prometheus.label_values(self.label, *selectors) else "no values"
            numbers = list(self._numbers(prometheus))
        except QueryRefusedError as refused:
            return str(refused)
        if not numbers:
            return "no data"
        return "only NaN" if all(map(math.isnan, numbers)) else None

    def _numbers(self, prometheus: Prometheus) -> Iterator[float]:
        if self.is_range:
            series = prometheus.query_range(
                self.promql, seconds=RANGE_SECONDS, step_seconds=INTERVAL_SECONDS
            )
            yield from (float(number) for each in series for _, number in each["values"])
        else:
            yield from (float(each["value"][1]) for each in prometheus.query(self.promql))


def questions(dashboard: Mapping[str, Any], chosen: Mapping[str, str]) -> Iterator[Question]:
    """
    Give all that a *dashboard* asks for.

    Of its variables all values are looked at, and what is *chosen* where that cannot be.
    """
    title, variables = dashboard["title"], dashboard["templating"]["list"]
    values = dict(_BUILT_IN)
    for each in variables:
        name, kind, place = each["name"], each["type"], f"{title}, ${each['name']}"
        if kind == "query":
            yield _of_variable(place, each["query"], values)
            values[name] = (each.get("allValue") or ".+") if each["includeAll"] else chosen[name]
        elif kind != "datasource":
            values[name] = str(each.get("current", {}).get("value") or each["query"].split(",")[0])
    for each in dashboard["annotations"]["list"]:
        if not each.get("builtIn"):
            place = f"{title}, annotation {each['name']}"
            yield Question(place, _filled(each["expr"], values), is_range=True)
    for panel in _panels(dashboard["panels"]):
        for target in panel.get("targets", []):
            yield Question(
                f"{title}, {panel['title']}, {target['refId']}",
                _filled(target["expr"], values),
                is_range=not target.get("instant", False),
            )


def _of_variable(place: str, query: str | Mapping[str, str], values: Mapping[str, str]) -> Question:
    """Return what a variable asks for; of what Grafana knows, that which its editor writes."""
    text = query if isinstance(query, str) else query["query"]
    match = _LABEL_VALUES.fullmatch(text)
    assert match, f"{place} asks for what this test does not know: {text}"
    return Question(place, _filled(match["selector"] or "", values), label=match["label"])


def _filled(promql: str, values: Mapping[str, str]) -> str:
    """Put in the values of variables; one that there is not fails."""
    return _VARIABLE.sub(lambda match: values[match[match.lastindex or 0]], promql)


def _panels(panels: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give all panels, those in rows too."""
    for each in panels:
        yield each
        yield from _panels(each.get("panels", []))
