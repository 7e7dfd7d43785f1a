"""A Compose file, with its variables replaced as Docker Compose does it."""

import importlib.resources
import json
import re

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import yaml


Json: TypeAlias = Mapping[str, Any]
_VARIABLE = re.compile(r"\$(?:\{(?P<name>\w+):-(?P<default>[^{}]*)\}|(?P<other>.))")


@dataclass(frozen=True, slots=True)
class Mount:
    """A file, folder or volume of the host in a container."""

    source: str
    target: str
    is_bind: bool
    is_read_only: bool


@dataclass(frozen=True, slots=True)
class Service:
    """A service of a Compose file."""

    name: str
    json: Json

    @property
    def command(self) -> Sequence[str]:
        """Return the arguments of the image's program."""
        found: list[str] = self.json["command"]
        return found

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables of the container."""
        found: dict[str, str] = self.json.get("environment", {})
        return found

    @property
    def mounts(self) -> list[Mount]:
        """Return everything that is mounted, except temporary file systems."""
        return [_mount(volume) for volume in self.json.get("volumes", [])]

    def source_of(self, path: str) -> str:
        """Return the path on the host of a file in the container."""
        for mount in self.mounts:
            if path == mount.target or path.startswith(f"{mount.target}/"):
                return mount.source + path.removeprefix(mount.target)
        raise LookupError(path)


def _mount(volume: str | Json) -> Mount:
    if isinstance(volume, str):
        source, target, *mode = volume.split(":")
        return Mount(source, target, is_bind=source.startswith("."), is_read_only=mode == ["ro"])
    return Mount(
        volume["source"],
        volume["target"],
        is_bind=volume["type"] == "bind",
        is_read_only=volume.get("read_only", False),
    )


def compose_file(path: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """
    Return the content of a Compose file.

    Only `${NAME:-default}` is understood; any other use of `$` is an error.
    """

    def value(match: re.Match[str]) -> str:
        assert match["name"], f"{match[0]} in {path}"
        return environment.get(match["name"]) or match["default"]

    def replaced(node: Any) -> Any:
        if isinstance(node, str):
            return _VARIABLE.sub(value, node)
        if isinstance(node, list):
            return [replaced(item) for item in node]
        if isinstance(node, dict):
            return {key: replaced(item) for key, item in node.items()}
        return node

    document: dict[str, Any] = replaced(yaml.safe_load(path.read_text()))
    return document


def compose_schema() -> dict[str, Any]:
    """Return the schema of the Compose specification."""
    schemas = importlib.resources.files("check_jsonschema.builtin_schemas") / "vendor"
    schema: dict[str, Any] = json.loads((schemas / "compose-spec.json").read_text())
    return schema


def services(document: Json) -> dict[str, Service]:
    """Return the services of a Compose file by name."""
    return {name: Service(name, service) for name, service in document["services"].items()}
