"""The reference of `/api/v1/status`, and its JSON schema, from the types of the document."""

import json

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from rk_exporter.web.status.build import MOST_APPS, MOST_ROWS
from rk_exporter.web.status.document import Answer, Status
from rk_exporter.web.status.page import PROBLEM_TEXTS
from rk_exporter.web.status.problems import NOTICES, Problem
from tools.docs.tables import code, table


_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEMPLATE = """\
`GET /api/v1/status` returns what the page at `/` shows, as JSON for scripts. It makes no API calls:
the figures are those of the last pass, and equal the metrics.

The [guide](../how-to/status-page.md) has examples.

The answer has the form of Prometheus's own API: `{{"status": "success", "data": {{…}}}}`. The
[JSON schema](status-api.schema.json) describes it. New fields may appear in later versions, and
fields keep their names and units. Timestamps are unix seconds. `null` stands for unknown values.

## Parameters

| parameter | meaning |
| --- | --- |
| `app` | only rows of this app, by its label `rk_app` |
| `problem` | only rows with this problem |

Both can be combined: `/api/v1/status?app=production&problem=failed`. An unknown app or problem
gets the HTTP status 400 and `{{"status": "error", "errorType": "bad_data", "error": "…"}}`. The
answer has at most {rows} rows and {apps} apps. `rows_total` and `apps_total` count all.

## Problems

The most urgent come first. Their limits are those of the [alerts](alerts.md).

{problems}
`is_well` is false if a row has a problem other than {notices}, if an app has `problems`, if the
exporter is not ready, if a configuration was not reloaded, or if the state file cannot be written.

## Fields

{fields}"""


def status_api_schema() -> str:
    """Return the JSON schema of a successful answer."""
    schema = msgspec.json.schema(Answer)
    return json.dumps({"$schema": _DIALECT, "title": "Status", **schema}, indent=2) + "\n"


def status_api_reference() -> str:
    """Return the parameters, the problems and a table of fields for each part of the answer."""
    definitions = msgspec.json.schema(Status)["$defs"]
    return _TEMPLATE.format(
        rows=MOST_ROWS,
        apps=MOST_APPS,
        notices=" and ".join(map(code, NOTICES)),
        problems=table(
            ("problem", "about a", "meaning"),
            (
                (code(problem), PROBLEM_TEXTS[problem].noun, PROBLEM_TEXTS[problem].predicate)
                for problem in Problem
            ),
        ),
        fields="\n".join(_sections(definitions)),
    )


def _sections(definitions: Mapping[str, Any]) -> Iterator[str]:
    for name in _in_order(Status.__name__, definitions):
        definition = definitions[name]
        if "properties" not in definition:
            continue
        title = "data" if name == Status.__name__ else name
        rows = (
            (code(field), _type(about), about.get("description", ""))
            for field, about in definition["properties"].items()
        )
        heads = ("field", "type", "meaning")
        yield f"### {title}\n\n{definition['description']}\n\n{table(heads, rows)}"


def _in_order(name: str, definitions: Mapping[str, Any]) -> Iterator[str]:
    """Return a part and those in it, each once, as a reader meets them."""
    found = [name]
    for one in found:
        for about in definitions[one].get("properties", {}).values():
            found += [inner for inner in _references(about) if inner not in found]
    return iter(found)


def _references(about: Mapping[str, Any]) -> Iterator[str]:
    for part in (about, about.get("items", {}), *about.get("anyOf", ())):
        if "$ref" in part:
            yield part["$ref"].rpartition("/")[2]


def _type(about: Mapping[str, Any]) -> str:
    if "anyOf" in about:
        return " or ".join(map(_type, about["anyOf"]))
    if "$ref" in about:
        name = about["$ref"].rpartition("/")[2]
        return "string" if name == Problem.__name__ else name
    if about["type"] == "array":
        return f"list of {_type(about['items'])}"
    if about["type"] == "object":
        return f"map to {_type(about['additionalProperties'])}"
    return str(about["type"])
