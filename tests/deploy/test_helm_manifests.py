"""Every manifest that the Helm chart renders is valid, safe and consistent, whatever the values."""

import json
import subprocess

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from rk_exporter import __version__
from rk_exporter.assets.files import RULES, SERVICE_LEVEL_RULES, shipped
from rk_exporter.assets.forms import Choices, adapted
from rk_exporter.assets.job import Job
from rk_exporter.config.shard import parse_shard
from rk_exporter.model.shard import Shard
from tests.support.deploy.kubernetes import (
    CHART,
    OLDEST_KUBERNETES,
    VALUES,
    of_kind,
    only,
    problems,
    rendered,
    run_helm,
    service,
    with_values,
    workload,
)


PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
EVERYTHING = "everything-values.yaml"
MINIMAL = "minimal-values.yaml"
SHARDS = "shards-values.yaml"
# The same settings as in the file.
EVERYTHING_CHOSEN = Choices(
    job=Job("video/recordings"),
    cluster_label="k8s_cluster",
    grafana_url="https://grafana.example.org",
    runbook_url="https://wiki.example.org/runbooks/rk-exporter",
    settings={
        "recording_paused_seconds": "600",
        "recordings_errored_ratio": "0.35",
        "recording_bytes_per_second": "2000000",
        "RealtimeKitRecordingErrored.severity": "critical",
        "RealtimeKitExporterDown.severity.warning": "off",
        "RealtimeKitStartDelayHigh.severity": "off",
        "RealtimeKitErrorBudgetBurn.severity.critical": "warning",
        "recordings_succeed_ratio": "0.995",
        "price_ratio": "1",
    },
)
KINDS = {
    "ConfigMap",
    "Deployment",
    "NetworkPolicy",
    "PersistentVolumeClaim",
    "Pod",
    "PodDisruptionBudget",
    "PrometheusRule",
    "Secret",
    "Service",
    "ServiceAccount",
    "ServiceMonitor",
    "StatefulSet",
}


@pytest.fixture(params=VALUES)
def manifests(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """Return all manifests for each file of values."""
    return with_values(request.param)


def pods(manifests: list[dict[str, Any]]) -> list[Any]:
    """Return the specification of each pod."""
    return [workload(manifests)["spec"]["template"]["spec"], only(manifests, "Pod")["spec"]]


def matches(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    return selector.items() <= labels.items()


class TestValidity:
    @pytest.mark.parametrize("values", VALUES)
    def test_lint(self, values: str) -> None:
        """Helm finds no error and no warning."""
        result = run_helm("lint", "--strict", "--values", str(CHART / "ci" / values), str(CHART))
        assert result.returncode == 0, result.stdout
        assert "[WARNING]" not in result.stdout

    def test_schemas(self, manifests: list[dict[str, Any]]) -> None:
        """The oldest and the newest Kubernetes accept each field; so does the operator."""
        for manifest in manifests:
            assert not list(problems(manifest)), manifest["kind"]

    def test_a_schema_refuses_unknown_fields(self) -> None:
        """The check above can fail: for each kind, it finds a field that does not exist."""
        for manifest in with_values(EVERYTHING):
            holder = manifest.get("spec", manifest)
            assert not list(problems(manifest))
            holder["unknown"] = True
            assert list(problems(manifest)), manifest["kind"]

    def test_every_template_is_rendered(self) -> None:
        """The files of values together show every kind of object."""
        found = {manifest["kind"] for values in VALUES for manifest in with_values(values)}
        assert found == KINDS

    def test_unique(self, manifests: list[dict[str, Any]]) -> None:
        """No two objects of a kind have the same name, and all are in the release's namespace."""
        names = [(manifest["kind"], manifest["metadata"]["name"]) for manifest in manifests]
        assert len(names) == len(set(names))
        assert {manifest["metadata"]["namespace"] for manifest in manifests} == {"monitoring"}

    def test_long_names(self) -> None:
        """A release with the longest name gives valid names."""
        options = ("--values", str(CHART / "ci" / EVERYTHING))
        for manifest in rendered(*options, release="r" * 53):
            assert len(manifest["metadata"]["name"]) <= 63

    def test_version(self) -> None:
        """The chart belongs to this version of the exporter, and names the oldest Kubernetes."""
        chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
        assert chart["appVersion"] == __version__
        assert chart["kubeVersion"] == f">={OLDEST_KUBERNETES}-0"
        image = pods(with_values(MINIMAL))[0]["containers"][0]["image"]
        assert image == f"rk-exporter:{__version__}"

    def test_package(self, tmp_path: Path) -> None:
        """The chart can be packaged, and renders the same from its package."""
        result = run_helm("package", str(CHART), "--destination", str(tmp_path))
        assert result.returncode == 0, result.stderr
        (package,) = tmp_path.glob("*.tgz")
        options = ("--namespace", "monitoring", "--values", str(CHART / "ci" / EVERYTHING))
        result = run_helm("template", "recordings", str(package), *options)
        assert list(yaml.safe_load_all(result.stdout)) == with_values(EVERYTHING)


class TestSecurity:
    def test_pods(self, manifests: list[dict[str, Any]]) -> None:
        """Pods satisfy the restricted Pod Security Standard, and have no token of Kubernetes."""
        for pod in pods(manifests):
            assert pod["automountServiceAccountToken"] is False
            assert pod["enableServiceLinks"] is False
            assert pod["securityContext"]["runAsNonRoot"] is True
            assert pod["securityContext"]["runAsUser"] == 65532
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                context = container["securityContext"]
                assert context["allowPrivilegeEscalation"] is False
                assert context["readOnlyRootFilesystem"] is True
                assert context["capabilities"] == {"drop": ["ALL"]}
                assert {"requests", "limits"} <= container["resources"].keys()
                assert "memory" in container["resources"]["limits"]
        for account in of_kind(manifests, "ServiceAccount"):
            assert account["automountServiceAccountToken"] is False

    def test_token_is_nowhere_but_in_the_secret(self) -> None:
        """A token in the values is in the Secret only, and the exporter reads it from a file."""
        manifests = with_values("token-value-values.yaml")
        secret = only(manifests, "Secret")
        assert secret["stringData"] == {"api-token": "simulated"}
        others = [manifest for manifest in manifests if manifest is not secret]
        assert "simulated" not in json.dumps(others)

    @pytest.mark.parametrize("values", [MINIMAL, EVERYTHING])
    def test_no_secret_of_its_own(self, values: str) -> None:
        """With an existing Secret the chart creates none, and takes the key that is named."""
        manifests = with_values(values)
        assert not of_kind(manifests, "Secret")
        (volume,) = (v for v in pods(manifests)[0]["volumes"] if v["name"] == "token")
        key = "token" if values == EVERYTHING else "api-token"
        assert volume["secret"]["secretName"] == "cloudflare"  # a name
        assert volume["secret"]["items"] == [{"key": key, "path": "api-token"}]
        assert volume["secret"]["defaultMode"] == 0o440

    def test_network(self) -> None:
        """Only the ports can be reached, and only DNS, port 443 and the proxy can be called."""
        spec = only(with_values(EVERYTHING), "NetworkPolicy")["spec"]
        assert spec["policyTypes"] == ["Ingress", "Egress"]
        ports = [port["port"] for rule in spec["egress"] for port in rule["ports"]]
        assert ports == [53, 53, 443, 3128]
        rules = spec["ingress"]
        assert [rule["ports"] for rule in rules] == [
            [{"port": name, "protocol": "TCP"}] for name in ("http", "webhook")
        ]
        assert all(rule["from"] for rule in rules)
        assert only(with_values("demo-values.yaml"), "NetworkPolicy")["spec"]["egress"] == []


class TestOnePod:
    @pytest.mark.parametrize("values", [name for name in VALUES if name != SHARDS])
    def test_never_two(self, values: str) -> None:
        """Two pods would spend the budget twice, so there is one, and the old one ends first."""
        spec = only(with_values(values), "Deployment")["spec"]
        assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})

    def test_nodes_can_be_drained(self) -> None:
        """The disruption budget lets the only pod be evicted."""
        spec = only(with_values(EVERYTHING), "PodDisruptionBudget")["spec"]
        assert spec["maxUnavailable"] == 1
        assert "minAvailable" not in spec

    def test_selectors(self, manifests: list[dict[str, Any]]) -> None:
        """All selectors find the exporter's pod or Service, and not the pod of the test."""
        labels = workload(manifests)["spec"]["template"]["metadata"]["labels"]
        test_labels = only(manifests, "Pod")["metadata"]["labels"]
        selectors = [workload(manifests)["spec"]["selector"]["matchLabels"]]
        selectors += [found["spec"]["selector"] for found in of_kind(manifests, "Service")]
        for manifest in of_kind(manifests, "NetworkPolicy"):
            selectors.append(manifest["spec"]["podSelector"]["matchLabels"])
        for manifest in of_kind(manifests, "PodDisruptionBudget"):
            selectors.append(manifest["spec"]["selector"]["matchLabels"])
        for selector in selectors:
            assert matches(selector, labels)
            assert not matches(selector, test_labels)
        for monitor in of_kind(manifests, "ServiceMonitor"):
            selector = monitor["spec"]["selector"]["matchLabels"]
            assert matches(selector, service(manifests)["metadata"]["labels"])

    def test_selector_is_stable(self) -> None:
        """An upgrade cannot change what selects pods or labels claims, so no version is in it."""
        names = {"app.kubernetes.io/name", "app.kubernetes.io/instance"}
        for values in (MINIMAL, SHARDS):
            assert set(workload(with_values(values))["spec"]["selector"]["matchLabels"]) == names
        (claim,) = workload(with_values(SHARDS))["spec"]["volumeClaimTemplates"]
        assert set(claim["metadata"]["labels"]) == names

    def test_ports(self, manifests: list[dict[str, Any]]) -> None:
        """Service, probes and monitor name the port on which the container listens."""
        (container,) = pods(manifests)[0]["containers"]
        port, *_ = container["ports"]
        listening = {entry["name"]: entry["value"] for entry in container["env"]}
        assert listening["RK_WEB_LISTEN_ADDRESS"] == f":{port['containerPort']}"
        assert service(manifests)["spec"]["ports"][0]["targetPort"] == port["name"]
        for name in PROBES:
            if "httpGet" in container[name]:
                assert container[name]["httpGet"]["port"] == port["name"]
        for monitor in of_kind(manifests, "ServiceMonitor"):
            (endpoint,) = monitor["spec"]["endpoints"]
            names = {port["name"] for port in service(manifests)["spec"]["ports"]}
            assert endpoint["port"] in names

    def test_probes(self) -> None:
        """A pod that nobody scrapes is alive; readiness may depend on scrapes if users want it."""
        for values, ready in ((MINIMAL, "/-/healthy"), (EVERYTHING, "/-/ready")):
            (container,) = pods(with_values(values))[0]["containers"]
            assert container["startupProbe"]["httpGet"]["path"] == "/-/healthy"
            assert container["livenessProbe"]["httpGet"]["path"] == "/-/healthy"
            assert container["readinessProbe"]["httpGet"]["path"] == ready
        # Prometheus finds the pod before it is ready.
        assert only(with_values(MINIMAL), "Service")["spec"]["publishNotReadyAddresses"] is True

    def test_probes_with_tls(self, root: Path) -> None:
        """With TLS or a password the probes run the image's own health check, which has neither."""
        (container,) = pods(with_values("tls-values.yaml"))[0]["containers"]
        for name in PROBES:
            command = container[name]["exec"]["command"]
            assert json.dumps(command) in (root / "Dockerfile").read_text()

    def test_volumes(self, manifests: list[dict[str, Any]]) -> None:
        """Each mount has a volume or a claim, and each of these is mounted once."""
        claims = workload(manifests)["spec"].get("volumeClaimTemplates", [])
        for pod, own in zip(pods(manifests), [claims, []], strict=True):
            mounted = [m["name"] for c in pod["containers"] for m in c.get("volumeMounts", [])]
            names = [volume["name"] for volume in pod.get("volumes", [])]
            names += [claim["metadata"]["name"] for claim in own]
            assert sorted(mounted) == sorted(names)


class TestShards:
    def test_pods(self) -> None:
        """Each shard is a pod whose name has its number, and all start at the same time."""
        manifest = only(with_values(SHARDS), "StatefulSet")
        spec = manifest["spec"]
        assert (spec["replicas"], spec["podManagementPolicy"]) == (3, "Parallel")
        (container,) = spec["template"]["spec"]["containers"]
        variables = {entry["name"]: entry["value"] for entry in container["env"]}
        assert variables["RK_SHARD"] == "auto/3"
        last = parse_shard(variables["RK_SHARD"], host_name=f"{manifest['metadata']['name']}-2")
        assert last == Shard(2, 3)

    def test_same_pod(self) -> None:
        """A pod of several differs from the only one in its shard, and in nothing else."""
        options = (
            "--values",
            str(CHART / "ci" / SHARDS),
            "--set",
            "state.persistence.enabled=false",
        )
        several = workload(rendered(*options))["spec"]["template"]
        one = workload(rendered(*options, "--set", "shards=1"))["spec"]["template"]
        (container,) = several["spec"]["containers"]
        container["env"] = [entry for entry in container["env"] if entry["name"] != "RK_SHARD"]
        assert several == one

    def test_names(self) -> None:
        """The Service that gives the pods their names exists, and nobody can scrape it."""
        manifests = with_values(SHARDS)
        name = only(manifests, "StatefulSet")["spec"]["serviceName"]
        (headless,) = (m for m in of_kind(manifests, "Service") if m["metadata"]["name"] == name)
        assert headless["spec"]["clusterIP"] == "None"
        assert headless["spec"]["publishNotReadyAddresses"] is True
        assert "ports" not in headless["spec"]

    def test_long_names(self) -> None:
        """A label of the pods has the name, a dash and ten characters more, 63 at most."""
        options = ("--values", str(CHART / "ci" / SHARDS))
        names = {
            only(rendered(*options, release="r" * 45 + end), "StatefulSet")["metadata"]["name"]
            for end in ("", "-r", "r" * 8)
        }
        assert all(len(name) <= 52 and not name.endswith("-") for name in names)

    def test_state(self) -> None:
        """Each shard has a volume of its own for its state."""
        manifests = with_values(SHARDS)
        (claim,) = only(manifests, "StatefulSet")["spec"]["volumeClaimTemplates"]
        assert claim["spec"] == {
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "fast",
            "resources": {"requests": {"storage": "1Gi"}},
        }
        assert not of_kind(manifests, "PersistentVolumeClaim")
        options = (
            "--values",
            str(CHART / "ci" / SHARDS),
            "--set",
            "state.persistence.enabled=false",
        )
        spec = workload(rendered(*options))["spec"]
        assert "volumeClaimTemplates" not in spec
        volumes = {volume["name"]: volume for volume in spec["template"]["spec"]["volumes"]}
        assert "emptyDir" in volumes["state"]

    def test_one_at_a_time(self) -> None:
        """If nodes are drained, one shard at a time is moved."""
        assert only(with_values(SHARDS), "PodDisruptionBudget")["spec"]["maxUnavailable"] == 1

    def test_one_is_none(self) -> None:
        """With one shard, all is as without the value."""
        options = ("--values", str(CHART / "ci" / EVERYTHING), "--set", "shards=1")
        assert rendered(*options) == with_values(EVERYTHING)


class TestMonitoring:
    def test_rules(self, tmp_path: Path, promtool: str) -> None:
        """The rules are those that `rk-exporter assets` writes with the same settings."""
        first, optional = of_kind(with_values(EVERYTHING), "PrometheusRule")
        wanted = adapted(shipped(), EVERYTHING_CHOSEN)
        assert first["spec"] == yaml.safe_load(wanted[RULES])
        assert optional["spec"] == yaml.safe_load(wanted[SERVICE_LEVEL_RULES])
        assert first["metadata"]["name"] != optional["metadata"]["name"]
        assert "RealtimeKitStartDelayHigh" not in json.dumps(first)
        rules = tmp_path / "rules.yml"
        for resource in (first, optional):
            rules.write_text(yaml.safe_dump(resource["spec"]))
            command = [promtool, "check", "rules", str(rules)]
            subprocess.run(command, check=True, capture_output=True)

    def test_rules_by_default(self, root: Path) -> None:
        """Without settings the rules are those of the project, without the optional ones."""
        options = ("--values", str(CHART / "ci" / MINIMAL), "--set", "prometheusRule.enabled=true")
        spec = only(rendered(*options), "PrometheusRule")["spec"]
        text = (root / "dashboards/rules/rk-exporter.rules.yml").read_text()
        assert spec == yaml.safe_load(text)

    def test_job(self) -> None:
        """The target has the job that the rules name, and keeps the labels of the exporter."""
        manifests = with_values(EVERYTHING)
        (endpoint,) = only(manifests, "ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["relabelings"][0] == {
            "targetLabel": "job",
            "replacement": "video/recordings",
        }
        assert endpoint["honorLabels"] is False
        assert 'job="video/recordings"' in json.dumps(manifests).replace('\\"', '"')

    def test_dashboards(self) -> None:
        """There is a ConfigMap for each dashboard, as `rk-exporter assets` writes it."""
        found: dict[str, str] = {}
        for manifest in of_kind(with_values(EVERYTHING), "ConfigMap"):
            if "grafana_dashboard" in manifest["metadata"]["labels"]:
                assert manifest["metadata"]["annotations"] == {"grafana_folder": "RealtimeKit"}
                found |= manifest["data"]
        assert {name: text.rstrip("\n") for name, text in found.items()} == {
            f"rk-exporter-{path.name}": text.rstrip("\n")
            for path, text in adapted(shipped(), EVERYTHING_CHOSEN).items()
            if path.suffix == ".json"
        }

    def test_tls(self) -> None:
        """The monitor scrapes with the authority and the password that the values name."""
        (endpoint,) = only(with_values("tls-values.yaml"), "ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["scheme"] == "https"
        assert endpoint["tlsConfig"]["ca"] == {
            "secret": {"name": "rk-exporter-web", "key": "ca.crt"}
        }
        assert endpoint["basicAuth"].keys() == {"username", "password"}

    def test_telemetry_path(self) -> None:
        """If the configuration has another path for the metrics, it is scraped."""
        options = ("--values", str(CHART / "ci" / MINIMAL), "--set", "serviceMonitor.enabled=true")
        (endpoint,) = only(rendered(*options), "ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["path"] == "/metrics"
        other = rendered(*options, "--set", "config.web.telemetry_path=/rk")
        (endpoint,) = only(other, "ServiceMonitor")["spec"]["endpoints"]
        assert endpoint["path"] == "/rk"


class TestWebhooks:
    def test_port(self) -> None:
        """With webhooks, their port is open in the pod and the Service."""
        manifests = with_values(EVERYTHING)
        (container,) = pods(manifests)[0]["containers"]
        variables = {variable["name"]: variable.get("value") for variable in container["env"]}
        assert variables["RK_WEBHOOK_LISTEN_ADDRESS"] == ":10060"
        assert {port["name"]: port["containerPort"] for port in container["ports"]} == {
            "http": 10058,
            "webhook": 10060,
        }
        (port,) = (
            port for port in service(manifests)["spec"]["ports"] if port["name"] == "webhook"
        )
        assert (port["port"], port["targetPort"]) == (8080, "webhook")

    def test_off(self) -> None:
        """Without webhooks, and in the demo, there is no such port."""
        for values in (MINIMAL, "demo-values.yaml"):
            options = ("--set", "webhook.enabled=true") if values != MINIMAL else ()
            text = json.dumps(rendered("--values", str(CHART / "ci" / values), *options))
            assert "RK_WEBHOOK" not in text
            assert '"webhook"' not in text
