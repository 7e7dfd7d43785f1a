"""Manifests of Kubernetes: rendered by Helm, and checked against the schemas of their kinds."""

import copy
import importlib
import os
import shutil
import subprocess

from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

import jsonschema
import kubernetes_validate  # type: ignore[import-untyped] # it has no types
import pytest
import yaml


Json: TypeAlias = Mapping[str, Any]
ROOT = Path(__file__).parents[3]
CHART = ROOT / "deploy/helm/rk-exporter"
VALUES = sorted(path.name for path in (CHART / "ci").glob("*.yaml"))
# The oldest version that the chart promises, and the newest with a schema here.
OLDEST_KUBERNETES, NEWEST_KUBERNETES = "1.25.0", "1.37.0"
_OPERATOR = "monitoring.coreos.com/"


def helm() -> str:
    """
    Return the path of helm.

    If it is missing, fail the test in CI and skip it elsewhere.
    """
    path = shutil.which("helm") or shutil.which(str(ROOT / ".venv-helm/helm"))
    if path:
        return path
    reason = "helm is missing; run `make helm`"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


def run_helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm, and return what it printed."""
    return subprocess.run([helm(), *arguments], capture_output=True, text=True, check=False)


def rendered(*options: str, release: str = "recordings") -> list[dict[str, Any]]:
    """Return all manifests of the chart with these options, e.g. `--set demo=true`."""
    arguments = ["template", release, str(CHART), "--namespace", "monitoring", *options]
    result = run_helm(*arguments)
    assert result.returncode == 0, result.stderr
    return [document for document in yaml.safe_load_all(result.stdout) if document]


@cache
def _rendered(values: str) -> list[dict[str, Any]]:
    return rendered("--values", str(CHART / "ci" / values))


def with_values(values: str) -> list[dict[str, Any]]:
    """Return all manifests with a file of values that belongs to the chart."""
    return copy.deepcopy(_rendered(values))


def of_kind(manifests: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    """Return the manifests of a kind."""
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def only(manifests: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """Return the only manifest of a kind."""
    (manifest,) = of_kind(manifests, kind)
    return manifest


def workload(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return what starts the exporter's pods: a Deployment, or a StatefulSet if it has shards."""
    (manifest,) = of_kind(manifests, "Deployment") + of_kind(manifests, "StatefulSet")
    return manifest


def service(manifests: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the Service that clients use: the only one with ports."""
    (manifest,) = (m for m in of_kind(manifests, "Service") if "ports" in m["spec"])
    return manifest


def problems(manifest: Json) -> Iterator[str]:
    """Yield what the schema of its kind says about a manifest; unknown fields are problems."""
    if manifest["apiVersion"].startswith(_OPERATOR):
        schema = _schema_of_operator(manifest["apiVersion"], manifest["kind"])
        validator = jsonschema.Draft202012Validator(schema)
        for error in validator.iter_errors(manifest):
            yield f"{error.json_path}: {error.message}"
        return
    for version in (OLDEST_KUBERNETES, NEWEST_KUBERNETES):
        try:
            kubernetes_validate.validate(manifest, version, strict=True)
        except jsonschema.ValidationError as error:
            yield f"Kubernetes {version}: {error.json_path}: {error.message}"


@cache
def _schema_of_operator(api_version: str, kind: str) -> dict[str, Any]:
    # Not imported, because mypy would read its four megabytes.
    version = api_version.removeprefix(_OPERATOR)
    models = importlib.import_module(f"cloudcoil.models.prometheus_operator.{version}")
    schema: dict[str, Any] = getattr(models, kind).model_json_schema(by_alias=True)
    for part in [schema, *schema["$defs"].values()]:
        if "properties" in part:
            part["additionalProperties"] = False
    return schema
