"""The configurations in deploy/prometheus: promtool accepts them, and real servers use them."""

import re
import shutil
import subprocess

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme
import yaml

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.deploy.kubernetes import problems, rendered
from tests.support.monitoring.servers import Prometheus, Server, eventually, exporter, free_port
from tests.support.programs import Monitoring
from tests.support.serving import served


ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deploy/prometheus"
CONFIGS = sorted(path.name for path in FOLDER.glob("*.yml"))
MANIFESTS = sorted(path.name for path in (FOLDER / "operator").glob("*.yml"))


def config(name: str) -> Any:
    return yaml.safe_load((FOLDER / name).read_text())


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """Copy the folder, and add the files that users have."""
    folder = tmp_path / "prometheus"
    shutil.copytree(FOLDER, folder)
    tls = folder / "tls"
    tls.mkdir()
    authority = trustme.CA()
    certificate = authority.issue_cert("prometheus.example.org")
    authority.cert_pem.write_to_path(tls / "ca.crt")
    certificate.cert_chain_pems[0].write_to_path(tls / "prometheus.crt")
    certificate.private_key_pem.write_to_path(tls / "prometheus.key")
    (tls / "password").write_text("secret")
    return folder


def with_static_targets(path: Path, groups: list[dict[str, Any]]) -> None:
    """Replace the discovery, because Debian's Prometheus has none for Kubernetes."""
    document = yaml.safe_load(path.read_text())
    (scrape,) = document["scrape_configs"]
    assert scrape.pop("kubernetes_sd_configs") == [{"role": "endpointslice"}]
    scrape["static_configs"] = groups
    path.write_text(yaml.safe_dump(document))


@pytest.mark.parametrize("name", CONFIGS)
def test_promtool(promtool: str, copied: Path, name: str) -> None:
    """Promtool accepts each configuration, and finds each file that it names."""
    options = ["--agent"] if name == "agent.yml" else []
    if name == "kubernetes.yml":
        with_static_targets(copied / name, [])
    result = subprocess.run(
        [promtool, "check", "config", *options, str(copied / name)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("name", CONFIGS)
def test_job(name: str) -> None:
    """The job is the one that rules and dashboards name, and target labels hide no label."""
    (scrape,) = config(name)["scrape_configs"]
    assert scrape["job_name"] == "rk-exporter"
    assert not scrape.get("honor_labels")


@pytest.mark.parametrize("name", MANIFESTS)
def test_operator(name: str) -> None:
    """The operator accepts each field, and the target has the job that the rules name."""
    manifest = config(f"operator/{name}")
    assert not list(problems(manifest))
    assert "job" in (FOLDER / "operator" / name).read_text()


def test_service_of_the_chart_is_found() -> None:
    """The configuration for Kubernetes and the ServiceMonitor select the Service of the chart."""
    (service,) = (m for m in rendered("--set", "demo=true") if m["kind"] == "Service")
    labels, (port,) = service["metadata"]["labels"], service["spec"]["ports"]
    monitor = config("operator/servicemonitor.yml")["spec"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["endpoints"][0]["port"] == port["name"]
    keep = config("kubernetes.yml")["scrape_configs"][0]["relabel_configs"][0]
    values = {
        "__meta_kubernetes_service_label_app_kubernetes_io_name": labels["app.kubernetes.io/name"],
        "__meta_kubernetes_endpointslice_port_name": port["name"],
    }
    assert re.fullmatch(keep["regex"], ";".join(values[name] for name in keep["source_labels"]))


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an exporter, and give its address."""
    simulator = Simulator(ScriptedScenario(meetings=["weekly"], recordings=[]), rate_limit=0)
    with served(simulator) as api:
        server = exporter(
            tmp_path_factory.mktemp("exporter"),
            *("--account-id", "account", "--app-id", "app", "--meeting-id", "weekly"),
            *("--api.base-url", f"{api}/client/v4"),
            environment={"CLOUDFLARE_API_TOKEN": "simulated"},
        )
        with server:
            yield server.address


def started(program: str, folder: Path, name: str, *options: str) -> Server:
    """Return a Prometheus with a configuration that scrapes every second."""
    path = folder / name
    path.write_text(path.read_text().replace("interval: 15s", "interval: 1s"))
    address = f"127.0.0.1:{free_port()}"
    command = [program, f"--config.file={path}", f"--web.listen-address={address}", *options]
    return Server(command, address=address, log=folder / f"{name}.log")


def test_agent(prometheus: str, monitoring: Monitoring, copied: Path, target: str) -> None:
    """An agent sends all series to a second Prometheus, with the labels that alerts keep."""
    (copied / "receiver.yml").write_text("global: {evaluation_interval: 15s}\n")
    receiving = started(
        prometheus,
        copied,
        "receiver.yml",
        f"--storage.tsdb.path={copied}/receiver",
        "--web.enable-remote-write-receiver",
    )
    path = copied / "agent.yml"
    text = path.read_text().replace("localhost:10058", target)
    path.write_text(text.replace("localhost:9090", receiving.address))
    # The file says so as well.
    as_agent = "--agent" if monitoring is Monitoring.BUILT else "--enable-feature=agent"
    assert f"prometheus {as_agent} --config" in text
    options = (as_agent, f"--storage.agent.path={copied}/agent")
    with (
        receiving,
        started(prometheus, copied, "agent.yml", *options),
        httpx.Client(base_url=receiving.url) as client,
    ):
        server = Prometheus(client)
        eventually(lambda: server.number("rk_up") == 1, what="the receiver has the samples")
        (series,) = server.query("rk_meeting_up")
    assert series["metric"] == {
        "__name__": "rk_meeting_up",
        "cluster": "eu-1",
        "instance": target,
        "job": "rk-exporter",
        "meeting_id": "weekly",
        "rk_app": "app",
    }


def test_relabelling_in_kubernetes(prometheus: str, copied: Path, target: str) -> None:
    """
    Of all endpoints only those of the exporter are scraped, with the labels of alerts.

    Two shards behind one Service are two targets with labels of their own.
    """

    def endpoint(app: str, port: str, controller: str, pod: str) -> dict[str, Any]:
        labels = {
            "__meta_kubernetes_pod_controller_kind": controller,
            "__meta_kubernetes_pod_name": pod,
            "__meta_kubernetes_namespace": "monitoring",
            "__meta_kubernetes_service_name": "recordings",
            "__meta_kubernetes_service_label_app_kubernetes_io_name": app,
            "__meta_kubernetes_endpointslice_port_name": port,
        }
        return {"targets": [target], "labels": labels}

    path = copied / "kubernetes.yml"
    endpoints = [
        ("rk-exporter", "http", "ReplicaSet", "recordings-5b7f6c9d8-x2x7q"),
        ("rk-exporter", "http", "StatefulSet", "recordings-0"),
        ("rk-exporter", "http", "StatefulSet", "recordings-1"),
        ("rk-exporter", "other", "StatefulSet", "recordings-1"),
        ("node-exporter", "http", "DaemonSet", "node-exporter-abcde"),
    ]
    with_static_targets(path, [endpoint(*names) for names in endpoints])
    options = (f"--storage.tsdb.path={copied}/data",)
    with started(prometheus, copied, "kubernetes.yml", *options) as running:

        def targets() -> Any:
            return httpx.get(f"{running.url}/api/v1/targets").json()["data"]

        eventually(lambda: bool(targets()["activeTargets"]), what="a target is found")
        answer = targets()
    found = sorted((t["labels"] for t in answer["activeTargets"]), key=lambda t: t["instance"])
    assert found == [
        {"instance": instance, "job": "rk-exporter", "namespace": "monitoring"}
        for instance in ("recordings", "recordings-0", "recordings-1")
    ]
    assert len(answer["droppedTargets"]) == 2


def test_file_of_targets(prometheus: str, copied: Path, target: str) -> None:
    """Prometheus takes a target that is added to a file, without a reload."""
    file = copied / "targets/rk-exporter.yml"
    text = file.read_text()
    file.write_text("[]\n")
    options = (f"--storage.tsdb.path={copied}/data",)
    with (
        started(prometheus, copied, "file-sd.yml", *options) as running,
        httpx.Client(base_url=running.url) as client,
    ):
        new = copied / "targets/new"
        new.write_text(text.replace("localhost:10058", target))
        new.rename(file)
        server = Prometheus(client)
        wanted = 'up{job="rk-exporter", env="production"}'
        eventually(lambda: server.number(wanted) == 1, what="the new target is scraped")
