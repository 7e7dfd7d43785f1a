"""The pages about Docker Compose and Kubernetes fit the files in deploy/."""

import shlex

from pathlib import Path
from typing import Any

import pytest
import yaml

from rk_exporter import __version__
from tests.support.deploy.compose import compose_file
from tests.support.deploy.kubernetes import CHART, ROOT, problems, rendered, run_helm, workload
from tests.support.markdown import blocks, commands, text_of


COMPOSE, KUBERNETES = "docs/how-to/docker-compose.md", "docs/how-to/kubernetes.md"
RENDERED = {"install": 0, "upgrade": 1, "template": 1}


def helm_commands() -> list[str]:
    """Return the commands of helm that create or change a release."""
    found = [command for block in blocks(KUBERNETES, "sh") for command, _ in commands(block)]
    return [text for text in found if text.startswith("helm ") and text.split()[1] in RENDERED]


@pytest.fixture(params=["Deployment", "StatefulSet"])
def kind(request: pytest.FixtureRequest) -> str:
    """Return what runs the pods: a StatefulSet if the reader takes the block about shards, too."""
    found: str = request.param
    return found


@pytest.fixture
def values(kind: str, tmp_path: Path) -> Path:
    """Write the values of the page, one block after the other."""
    merged: dict[str, Any] = {}
    for block in blocks(KUBERNETES, "yaml"):
        found = yaml.safe_load(block.text)
        # Only the app of the first block can have a list of meetings; whole accounts cannot.
        if not found.keys() & ({"meetings"} if kind == "StatefulSet" else {"shards"}):
            merged |= found
    path = tmp_path / "values.yml"
    path.write_text(yaml.safe_dump(merged))
    return path


@pytest.mark.parametrize("command", dict.fromkeys(helm_commands()))
def test_helm(command: str, kind: str, values: Path) -> None:
    """Each command of helm renders valid manifests with the values of the page."""
    words = [word for word in shlex.split(command.partition(" > ")[0])[2:] if word != "--wait"]
    replaced = {"deploy/helm/rk-exporter": str(CHART), "values.yml": str(values)}
    words = [replaced.get(word, word) for word in words if word != "--install"]
    result = run_helm("template", *words)
    assert result.returncode == 0, result.stderr
    manifests = [document for document in yaml.safe_load_all(result.stdout) if document]
    assert not [problem for manifest in manifests for problem in problems(manifest)]
    manifest = workload(manifests)
    if "values.yml" in command:
        assert (manifest["kind"], manifest["metadata"]["name"]) == (kind, "recordings-rk-exporter")
        assert {"ServiceMonitor", "PrometheusRule"} <= {m["kind"] for m in manifests}


def test_commands_about_shards() -> None:
    """The names in the commands and in the text about shards are those that the chart gives."""
    text = text_of(KUBERNETES).partition("## Several pods: shards\n")[2].partition("\n## ")[0]
    options = ("--set", "state.persistence.enabled=true", "--values")
    manifests = rendered(*options, str(CHART / "ci/shards-values.yaml"))
    name = workload(manifests)["metadata"]["name"]
    (claim,) = workload(manifests)["spec"]["volumeClaimTemplates"]
    assert f"rollout status statefulset/{name}\n" in text
    assert f"exec {name}-0 -- rk-exporter check\n" in text
    assert f"`{claim['metadata']['name']}-{name}-0`" in text


def test_readme_of_the_chart() -> None:
    """The command in the chart's README renders the chart."""
    text = (CHART / "README.md").read_text().partition("```sh\n")[2].partition("```")[0]
    words = shlex.split(text.replace("\\\n", " ").splitlines()[1])
    result = run_helm("template", words[3], str(CHART), *words[5:])
    assert result.returncode == 0, result.stderr


def test_version() -> None:
    """The tag of the image that the page pushes is the one that the chart pulls."""
    tags = {word for word in text_of(KUBERNETES).split() if word.startswith("registry.example/rk")}
    assert f"registry.example/rk-exporter:{__version__}" in tags


def test_compose_override() -> None:
    """The overrides on the page change services that exist."""
    document = compose_file(ROOT / "deploy/compose/compose.yaml", {})
    overrides = blocks(COMPOSE, "yaml")
    assert overrides
    for block in overrides:
        override = yaml.safe_load(block.text)
        assert override["services"].keys() <= document["services"].keys()


def test_ports_of_compose() -> None:
    """The page names the addresses of all four services."""
    document = compose_file(ROOT / "deploy/compose/compose.yaml", {})
    for service in document["services"].values():
        (port,) = service["ports"]
        assert f"<http://localhost:{port.rpartition(':')[2]}" in text_of(COMPOSE)
