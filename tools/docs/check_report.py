"""The reference of the JSON that `check` prints, from its schema."""

import json

from collections.abc import Iterator
from typing import Any

from rk_exporter.cli.check_schema import schema
from tools.docs.tables import code, table


_INTRODUCTION = """\
`rk-exporter check --format json` prints one JSON document to standard output. Log lines go to
standard error. [check-report.schema.json](check-report.schema.json) is its JSON Schema (2020-12).

```sh
rk-exporter check --config.file rk.yml --format json >report.json
```

`kind` says which document it is, and `exit_code` is the exit code of the process:

| exit code | meaning |
| ---: | --- |
| 0 | all is fine |
| 1 | the token is rejected, or a meeting does not exist or cannot be read |
| 2 | the configuration cannot be used: a document of kind `error` |
| 2 | the command line cannot be understood: no document, only a message on standard error |
| 130 | interrupted with Ctrl-C: no document |

`summary` is enough for most scripts. It counts each meeting once. New versions may add fields and
kinds, so ignore what you do not know.
"""
_TYPES = {
    "boolean": "true or false",
    "integer": "integer",
    "number": "number",
    "string": "string",
    "null": "null",
}


def schema_text() -> str:
    """Return the schema as it is published."""
    return json.dumps(schema(), indent=2) + "\n"


def check_report_reference() -> str:
    """Return the introduction, and a table of the fields of each type."""
    definitions: dict[str, Any] = schema()["$defs"]
    sections = [
        _section(name, definition)
        for name, definition in _sorted(definitions)
        if "properties" in definition
    ]
    values = table(
        ("value", "possible texts"),
        (
            (_title(name), ", ".join(map(code, definition["enum"])))
            for name, definition in definitions.items()
            if "enum" in definition
        ),
    )
    return "\n".join([_INTRODUCTION, *sections, f"## Fixed texts\n\n{values}"])


def _sorted(definitions: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the documents first, then their parts."""
    return sorted(definitions.items(), key=lambda item: "kind" not in item[1].get("properties", {}))


def _section(name: str, definition: dict[str, Any]) -> str:
    rows = (
        (code(field), " or ".join(_types(shape)), shape.get("description", ""))
        for field, shape in definition["properties"].items()
    )
    description = " ".join(definition["description"].split())
    fields = table(("field", "type", "meaning"), rows)
    return f"## {_title(name)}\n\n{description}\n\n{fields}"


def _types(shape: dict[str, Any]) -> Iterator[str]:
    """Return the types that a field may have."""
    if "anyOf" in shape:
        for one in shape["anyOf"]:
            yield from _types(one)
    elif "$ref" in shape:
        title = _title(shape["$ref"].rpartition("/")[2])
        is_text = "enum" in schema()["$defs"][shape["$ref"].rpartition("/")[2]]
        anchor = "fixed-texts" if is_text else title.lower().replace(" ", "-")
        yield f"[{title.lower()}](#{anchor})"
    elif "enum" in shape:
        yield from map(code, shape["enum"])
    elif shape.get("type") == "array":
        (items,) = _types(shape["items"])
        yield f"list of {items}"
    else:
        yield _TYPES[shape["type"]]


def _title(name: str) -> str:
    return {"ReadMode": "Read mode"}.get(name, name.removesuffix("Document"))
