"""A Grafana dashboard for a linter: its panels, variables and queries."""

import re

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import promql_parser

from tests.support.monitoring.promql import Known


Json: TypeAlias = Mapping[str, Any]
Problem: TypeAlias = tuple[str, str]
"""The panel's title or the variable's name, and a message."""

# Unusual values, which the rules recognise. promql-parser rejects the longer ones of the linter.
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
    """A query of a panel, annotation or variable. *shown* is the text template for its series."""

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
        """Return the type of the panel."""
        return str(self.panel["type"])


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard, and the series that exist."""

    json: Json
    known: Known

    @property
    def panels(self) -> list[Json]:
        """Return all panels, including those in rows."""
        return [panel for panels in self.groups for panel in panels]

    @property
    def groups(self) -> list[list[Json]]:
        """Return the panels by grid: the open ones, and those of each collapsed row."""
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
        """Return the annotations with queries."""
        found: list[Json] = self.json.get("annotations", {}).get("list", [])
        return [annotation for annotation in found if not annotation.get("builtIn")]

    def variables_of(self, kind: str) -> list[Json]:
        """Return the variables of a type."""
        return [variable for variable in self.variables if variable.get("type") == kind]

    @property
    def asks_prometheus(self) -> bool:
        """Return whether the first data source is Prometheus. Other queries are not checked."""
        sources = self.variables_of("datasource")
        return bool(sources) and sources[0].get("query") == "prometheus"

    @property
    def targets(self) -> Iterator[Target]:
        """Yield the queries of all panels."""
        for panel in self.panels:
            for target in panel.get("targets") or []:
                text, shown = target.get("expr", ""), target.get("legendFormat", "")
                yield Target(panel, target, self._query(title_of(panel), text, shown))

    @property
    def queries(self) -> Iterator[Query]:
        """Yield all queries of panels, annotations and variables."""
        for target in self.targets:
            # A target without an expression may use the result of another panel.
            if target.query.promql or not target.json.get("panelId"):
                yield target.query
        yield from map(self.query_of_annotation, self.annotations)
        for variable in self.variables_of("query"):
            query = self.query_of_variable(variable)
            if query.promql:
                yield query

    def query_of_annotation(self, annotation: Json) -> Query:
        """Return the query of an annotation."""
        labels = "".join(
            f"{{{{{label}}}}}" for label in re.findall(r"\w+", _text(annotation, "tag"))
        )
        shown = f"{_text(annotation, 'title')} {_text(annotation, 'text')} {labels}"
        return self._query(annotation["name"], annotation.get("expr", ""), shown)

    def query_of_variable(self, variable: Json) -> Query:
        """Return the query of a variable, with the label that provides its values."""
        place = f"${variable['name']}"
        match = _OF_VARIABLE.fullmatch(text_of_variable(variable))
        if not match:
            return Query(place, text_of_variable(variable), "", error="is not a function call")
        name, argument = match.groups()
        if name not in {"label_names", "label_values", "metrics", "query_result"}:
            return Query(place, argument, "", error=f"{name} is not a function for variables")
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
        """Replace variables by values, except within double quotes."""
        parts = promql.split('"')
        parts[::2] = [VARIABLE.sub(self._value, part) for part in parts[::2]]
        return '"'.join(parts)

    def _value(self, match: re.Match[str]) -> str:
        name = match[match.lastindex or 0]
        for variable in self.variables:
            if variable["name"] == name:
                given = [variable.get("current") or {}, *(variable.get("options") or [])]
                values = [option["value"] for option in given if option.get("value")]
                return str([*values, name][0])
        return BUILT_IN.get(name, name)


def title_of(panel: Json) -> str:
    """Return the title of a panel, or an empty string."""
    return str(panel.get("title") or "")


def text_of_variable(variable: Json) -> str:
    """Return the query of a variable, which may be inside an object."""
    query = variable.get("query", "")
    return str(query.get("query", "") if isinstance(query, Mapping) else query)


def uid_of(holder: Json) -> str:
    """Return the uid of a data source, which may be inside an object."""
    source = holder.get("datasource") or ""
    return str(source.get("uid", "") if isinstance(source, Mapping) else source)


def overrides(panel: Json) -> Iterator[tuple[Json, Json]]:
    """Yield each overridden property of a panel with the matcher of its fields."""
    for override in panel.get("fieldConfig", {}).get("overrides", []):
        for set_to in override.get("properties", []):
            yield override.get("matcher", {}), set_to


def strings(value: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield all strings within a value, each with its key."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from strings(item, name)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item, key)


def _text(annotation: Json, part: str) -> str:
    """Return a format of an annotation. *part* is title, text or tag."""
    return str(annotation.get("tagKeys" if part == "tag" else f"{part}Format", ""))
