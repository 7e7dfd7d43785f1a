"""A Grafana dashboard as a linter looks at it: its panels, its variables, all its queries."""

import re

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import promql_parser

from tests.support.monitoring.promql import Known


Json: TypeAlias = Mapping[str, Any]
Problem: TypeAlias = tuple[str, str]
"""Where it is, a panel's title or a variable's name, and what it is."""

# Odd, so that they are known again; the linter's own are longer than promql-parser takes.
RATE_INTERVAL_SECONDS = 5833
BUILT_IN = {
    "__rate_interval": f"{RATE_INTERVAL_SECONDS}s",
    "__interval": "4867s",
    "__interval_ms": "4867000",
    "__range": "6069s",
    "__range_s": "6069",
    "__range_ms": "6069000",
    "__from": "1594671549254",
    "__to": "1594671549254",
}
VARIABLE = re.compile(r"\$([A-Za-z_]\w*)|\$\{([^}:.\[]+)[^}]*\}|\[\[([^\]:]+)[^\]]*\]\]")
_OF_VARIABLE = re.compile(r"(?P<function>[a-z_]+)\((?P<argument>.*)\)", re.DOTALL)
_LABEL_VALUES = re.compile(r"(?:(?P<selector>.+), *)?(?P<label>\w+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Query:
    """A query at a *place*; *shown* is the text that its series are shown with."""

    place: str
    promql: str
    shown: str
    error: str = ""
    expression: promql_parser.Expr | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """A query of a panel."""

    panel: Json
    json: Json
    query: Query

    @property
    def kind(self) -> str:
        """Return the type of its panel."""
        return str(self.panel["type"])


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard, and the series that it can ask for."""

    json: Json
    known: Known

    @property
    def panels(self) -> list[Json]:
        """Return all panels, those in rows too."""
        return [panel for panels in self.groups for panel in panels]

    @property
    def groups(self) -> list[list[Json]]:
        """Return the panels that share a grid: all that are open, and those of each closed row."""
        found: list[list[Json]] = [self.json.get("panels", [])]
        for panels in found:
            found.extend(panel["panels"] for panel in panels if panel.get("panels"))
        return found

    @property
    def variables(self) -> list[Json]:
        """Return all variables."""
        found: list[Json] = self.json.get("templating", {}).get("list", [])
        return found

    @property
    def annotations(self) -> list[Json]:
        """Return the annotations that are queries."""
        found: list[Json] = self.json.get("annotations", {}).get("list", [])
        return [each for each in found if not each.get("builtIn")]

    def variables_of(self, kind: str) -> list[Json]:
        """Return the variables that are of a *kind*."""
        return [each for each in self.variables if each.get("type") == kind]

    @property
    def asks_prometheus(self) -> bool:
        """Tell whether the first data source is a Prometheus: else its queries are not judged."""
        sources = self.variables_of("datasource")
        return bool(sources) and sources[0].get("query") == "prometheus"

    @property
    def targets(self) -> Iterator[Target]:
        """Give the queries of all panels."""
        for panel in self.panels:
            for each in panel.get("targets") or []:
                text, shown = each.get("expr", ""), each.get("legendFormat", "")
                yield Target(panel, each, self._query(title_of(panel), text, shown))

    @property
    def queries(self) -> Iterator[Query]:
        """Give all queries: of panels, annotations and variables."""
        for target in self.targets:
            # Without an expression it may take the answer of another panel.
            if target.query.promql or not target.json.get("panelId"):
                yield target.query
        yield from map(self.query_of_annotation, self.annotations)
        for variable in self.variables_of("query"):
            query = self.query_of_variable(variable)
            if query.promql:
                yield query

    def query_of_annotation(self, annotation: Json) -> Query:
        """Return what an annotation asks."""
        labels = "".join(f"{{{{{each}}}}}" for each in re.findall(r"\w+", _text(annotation, "tag")))
        shown = f"{_text(annotation, 'title')} {_text(annotation, 'text')} {labels}"
        return self._query(annotation["name"], annotation.get("expr", ""), shown)

    def query_of_variable(self, variable: Json) -> Query:
        """Return what a variable asks, with the label of which it takes the values."""
        place = f"${variable['name']}"
        match = _OF_VARIABLE.fullmatch(text_of_variable(variable))
        if not match:
            return Query(place, text_of_variable(variable), "", error="is no function")
        name, argument = match.groups()
        if name not in {"label_names", "label_values", "metrics", "query_result"}:
            return Query(place, argument, "", error=f"{name} is no function of variables")
        label = ""
        if name == "label_values" and (parts := _LABEL_VALUES.fullmatch(argument)):
            argument, label = parts["selector"] or "", f"{{{{{parts['label']}}}}}"
        return self._query(place, argument, label) if argument else Query(place, "", label)

    def _query(self, place: str, promql: str, shown: str) -> Query:
        try:
            parsed = promql_parser.parse(self._expanded(promql))
        except ValueError as error:
            return Query(place, promql, shown, error=str(error))
        return Query(place, promql, shown, expression=parsed)

    def _expanded(self, promql: str) -> str:
        """Put in values of variables, but not within double quotes."""
        parts = promql.split('"')
        parts[::2] = [VARIABLE.sub(self._value, part) for part in parts[::2]]
        return '"'.join(parts)

    def _value(self, match: re.Match[str]) -> str:
        name = match[match.lastindex or 0]
        for each in self.variables:
            if each["name"] == name:
                given = [each.get("current") or {}, *(each.get("options") or [])]
                values = [option["value"] for option in given if option.get("value")]
                return str([*values, name][0])
        return BUILT_IN.get(name, name)


def title_of(panel: Json) -> str:
    """Return the title of a panel; it may lack one."""
    return str(panel.get("title") or "")


def text_of_variable(variable: Json) -> str:
    """Return the query of a variable, which may stand in an object."""
    query = variable.get("query", "")
    return str(query.get("query", "") if isinstance(query, Mapping) else query)


def uid_of(holder: Json) -> str:
    """Return the identity of a data source, which may stand in an object."""
    source = holder.get("datasource") or ""
    return str(source.get("uid", "") if isinstance(source, Mapping) else source)


def overrides(panel: Json) -> Iterator[tuple[Json, Json]]:
    """Give each property that a panel sets for some of its fields, with what matches those."""
    for each in panel.get("fieldConfig", {}).get("overrides", []):
        for set_to in each.get("properties", []):
            yield each.get("matcher", {}), set_to


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Give all texts within *value*, each with the key that it stands under."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, each in value.items():
            yield from strings(each, name)
    elif isinstance(value, list):
        for each in value:
            yield from strings(each, key)


def _text(annotation: Json, part: str) -> str:
    """Return a format of an annotation's: *part* is title, text or tag."""
    return str(annotation.get("tagKeys" if part == "tag" else f"{part}Format", ""))
