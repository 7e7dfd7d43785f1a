"""The values of the Helm chart: what is refused, what restarts the pod, what the exporter reads."""

import json
import re
import subprocess
import sys

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import httpx
import jsonschema
import pytest
import trustme
import yaml

from tests.support.deploy.kubernetes import (
    CHART,
    VALUES,
    only,
    rendered,
    run_helm,
    with_values,
    workload,
)
from tests.support.monitoring.servers import Server, eventually, free_port
from tests.support.processes import started as running


MINIMAL = ("--values", str(CHART / "ci/minimal-values.yaml"))
SHARDS = ("--values", str(CHART / "ci/shards-values.yaml"))
ACCOUNT = ("--set", "config.accounts[0].account_id=a,token.existingSecret=b")
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Their content is that of Kubernetes, or of the exporter.
FREE = {
    "config",
    # Their keys are those of the rules.
    "thresholds",
    "prometheusRule.severities",
    "resources",
    "podSecurityContext",
    "securityContext",
    "affinity",
    "serviceAccount.annotations",
    "podAnnotations",
    "podLabels",
    "nodeSelector",
    "service.annotations",
    "serviceMonitor.labels",
    "serviceMonitor.tlsConfig",
    "serviceMonitor.basicAuth",
    "prometheusRule.labels",
    "dashboards.labels",
    "dashboards.annotations",
}


def objects(values: Mapping[str, Any], path: str = "") -> Iterator[str]:
    """Yield the path of each mapping in the values whose keys the chart defines."""
    if path not in FREE:
        yield path
        for name, value in values.items():
            if isinstance(value, dict):
                yield from objects(value, f"{path}.{name}".lstrip("."))


def refusal(*options: str) -> str:
    """Return the message with which helm refuses these options."""
    result = run_helm("template", "recordings", str(CHART), *options)
    assert result.returncode != 0, result.stdout
    return result.stderr


class TestSchema:
    def test_defaults(self) -> None:
        """The schema is valid, accepts the defaults, and describes exactly their keys."""
        jsonschema.Draft7Validator.check_schema(SCHEMA)
        jsonschema.validate(DEFAULTS, SCHEMA)
        for path in objects(DEFAULTS):
            schema, values = SCHEMA, DEFAULTS
            for name in filter(None, path.split(".")):
                schema, values = schema["properties"][name], values[name]
            assert set(schema["properties"]) - {"global"} == set(values), path

    @pytest.mark.parametrize("path", [*objects(DEFAULTS)])
    def test_unknown_keys(self, path: str) -> None:
        """A mistyped key is refused at every level."""
        values = json.loads(json.dumps(DEFAULTS))
        holder = values
        for name in filter(None, path.split(".")):
            holder = holder[name]
        holder["enabeld"] = True
        with pytest.raises(jsonschema.ValidationError, match="enabeld"):
            jsonschema.validate(values, SCHEMA)

    def test_helm_applies_it(self) -> None:
        """Helm refuses values that the schema refuses, and names them."""
        message = refusal(*MINIMAL, "--set", "servicemonitor.enabled=true")
        assert "servicemonitor" in message

    @pytest.mark.parametrize(
        ("option", "named"),
        [
            ("config.account_id=12345", "account_id"),
            ("config.web.listen_address=:80", "web"),
            ("config.web.config_file=/web.yml", "web"),
            ("config.state.file=/state", "state"),
            ("image.digest=latest", "digest"),
            ("job=two words", "job"),
            ("meetings={a b}", "meetings"),
            ("prometheusRule.runbookUrl=wiki", "runbookUrl"),
            ("grafanaUrl=grafana", "grafanaUrl"),
            ("clusterLabel=a-b", "clusterLabel"),
            ("thresholds.recording_pausd_seconds=600", "recording_pausd_seconds"),
            ("thresholds.recording_paused_seconds=10m", "recording_paused_seconds"),
            ("thresholds.recordings_errored_ratio=20", "recordings_errored_ratio"),
            ("prometheusRule.severities.RealtimeKitDataStale=info", "RealtimeKitDataStale"),
            (r"prometheusRule.severities.RealtimeKitDataStale\.severity=page", "severity"),
            ("probes.readinessPath=/", "readinessPath"),
            ("service.port=0", "port"),
            ("replicaCount=2", "replicaCount"),
            ("shards=0", "'/shards': minimum: got 0, want 1"),
            ("shards=-1", "'/shards': minimum: got -1, want 1"),
            ("shards=101", "'/shards': maximum: got 101, want 100"),
            ("shards=two", "'/shards': got string, want integer"),
            ("shards=2.5", "'/shards': got string, want integer"),
            ("state.persistence.accessModes={ReadOnlyMany}", "accessModes"),
        ],
    )
    def test_refused(self, option: str, named: str) -> None:
        """Values that cannot work are refused by name."""
        assert named in refusal(*MINIMAL, "--set", option)


class TestMissing:
    """What Helm says before it creates a pod that cannot start."""

    @pytest.mark.parametrize(
        ("options", "remedy"),
        [
            ((), "Set config.account_id and config.app_id, or config.apps, or config.accounts, or"),
            (("--set", "config.account_id=a,config.app_id=b"), "kubectl create secret generic"),
            ((*MINIMAL, "--set", "token.value=x"), "either token.existingSecret or token.value"),
            (
                (*MINIMAL, "--set", "web.existingSecret=x,probes.readinessPath=/-/ready"),
                "probes.readinessPath must be /-/healthy",
            ),
            ((*MINIMAL, "--set", "config.shard=0/2"), "Set the value shards instead"),
            ((*MINIMAL, "--set", "shards=2"), "config.app_id names only one. Set shards=1, or"),
            (("--set", "demo=true,shards=2"), "The demo has no shards"),
            ((*ACCOUNT, "--set", "meetings={a}"), "list their app in config.apps"),
            (
                (*SHARDS, "--set", "state.persistence.existingClaim=mine"),
                "cannot share state.persistence.existingClaim",
            ),
            ((*SHARDS, "--set", "webhook.enabled=true"), "Set shards=1 or webhook.enabled=false"),
            (
                (*SHARDS, "--set", "config.api.budget=2"),
                "config.api.budget=2 is too small for 3 shards",
            ),
        ],
    )
    def test_message(self, options: tuple[str, ...], remedy: str) -> None:
        """The message says what to set."""
        assert remedy in refusal(*options)

    def test_accounts(self) -> None:
        """Whole accounts need no app, and a budget for three shards may have three calls."""
        assert rendered(*ACCOUNT)
        assert rendered(*SHARDS, "--set", "config.api.budget=3")

    def test_tokens_of_the_apps(self) -> None:
        """With several apps each may bring its own token."""
        app = "config.apps[0].app_id=a,config.apps[0].account_id=b,config.apps[0].api_token_file=/c"
        (container,) = containers(rendered("--set", app))
        assert "RK_API_TOKEN_FILE" not in {entry["name"] for entry in container["env"]}


def containers(manifests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    spec = workload(manifests)["spec"]["template"]["spec"]
    found: list[dict[str, Any]] = spec["containers"]
    return found


def checksum(*options: str) -> str:
    template = workload(rendered(*MINIMAL, *options))["spec"]["template"]
    found: str = template["metadata"]["annotations"]["checksum/config"]
    return found


class TestRestarts:
    def test_configuration(self) -> None:
        """A change of the configuration restarts the pod."""
        assert checksum() != checksum("--set", "config.api.budget=300")

    def test_meetings(self) -> None:
        """A change of the list of meetings does not: the exporter reads the file again."""
        one, other = "meetings={a}", "meetings={a,b}"
        assert checksum("--set", one) == checksum("--set", other)
        manifests = rendered(*MINIMAL, "--set", other)
        data = only(manifests, "ConfigMap")["data"]
        assert yaml.safe_load(data["meetings.yml"]) == ["a", "b"]
        assert yaml.safe_load(data["config.yml"])["meetings"]["files"] == ["meetings.yml"]


def notes(*options: str) -> str:
    arguments = ("install", "recordings", str(CHART), "--dry-run=client", *options)
    result = run_helm(*arguments)
    assert result.returncode == 0, result.stderr
    return result.stdout.partition("NOTES:\n")[2]


# The files of values with a ServiceMonitor.
SCRAPED = ("everything", "shards", "tls")


class TestNotes:
    @pytest.mark.parametrize("values", VALUES)
    def test_warnings(self, values: str) -> None:
        """The notes warn about simulated data, a token in the release, and a second pod."""
        text = notes("--values", str(CHART / "ci" / values))
        assert ("DEMO" in text) is values.startswith("demo")
        assert ("WARNING" in text) is values.startswith("token-value")
        assert ("Nothing scrapes it yet" in text) is not values.startswith(SCRAPED)
        assert "Never scale" in text

    def test_shards(self) -> None:
        """The commands of the notes fit the StatefulSet, and its pods have the names there."""
        text = notes(*SHARDS)
        name = only(rendered(*SHARDS), "StatefulSet")["metadata"]["name"]
        assert f"port-forward {name}-0 10058\n" in text
        assert f"exec {name}-0 -- rk-exporter check\n" in text
        assert "3 pods share the apps" in text
        assert "set shards instead" in text
        assert "deploy/" not in text
        (account,) = re.findall("apps of .*", notes(*ACCOUNT))
        assert account == "apps of 1 account(s)."


class Container(Server):
    """The exporter as the pod runs it, with the files of the pod below a folder."""

    def __init__(self, manifests: list[dict[str, Any]], folder: Path, *arguments: str) -> None:
        address = f"127.0.0.1:{free_port()}"
        (container,) = containers(manifests)
        self._folder = folder

        def here(text: str) -> str:
            text = re.sub(r"^/(etc|run|var)/", f"{folder}/\\1/", text)
            return text.replace(":10058", address)

        environment = {entry["name"]: here(entry["value"]) for entry in container["env"]}
        if "RK_SHARD" in environment:
            # This machine does not have the name of the first pod.
            environment["RK_SHARD"] = environment["RK_SHARD"].replace("auto", "0")
        command = [here(argument) for argument in container["args"]]
        self.arguments = [*command, *arguments]
        super().__init__(
            [sys.executable, "-m", "rk_exporter", *self.arguments],
            address=address,
            log=folder / "log",
            ready_path="/-/healthy",
            environment=environment,
        )
        self.environment = environment
        for mount in container["volumeMounts"]:
            (folder / mount["mountPath"].lstrip("/")).mkdir(parents=True)

    def write(self, path: str, text: str) -> None:
        """Write a file as the pod has it."""
        file = self._folder / path.lstrip("/")
        file.write_text(text)
        file.chmod(0o440)

    def check(self) -> subprocess.CompletedProcess[str]:
        """Check the configuration, as the notes advise."""
        return subprocess.run(
            [sys.executable, "-m", "rk_exporter", "check", "--offline"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


def with_files(values: str, folder: Path, *arguments: str) -> Container:
    """Return the container with the content of its ConfigMap and of its Secret."""
    manifests = with_values(values)
    container = Container(manifests, folder, *arguments)
    if values != "demo-values.yaml":
        container.write("/run/secrets/cloudflare/api-token", "simulated\n")
        (config, *_) = (
            m for m in manifests if m["kind"] == "ConfigMap" and "config.yml" in m["data"]
        )
        for name, text in config["data"].items():
            container.write(f"/etc/rk-exporter/{name}", text.replace("/run/", f"{folder}/run/"))
    if values == "everything-values.yaml":
        container.write("/run/secrets/other/api-token", "simulated\n")
    if values == "tls-values.yaml":
        write_web_configuration(container)
    return container


def write_web_configuration(container: Container) -> None:
    """Write the Secret with a certificate and a user."""
    folder = "/etc/rk-exporter-web"
    certificate = trustme.CA().issue_cert("rk-exporter.example.org")
    container.write(f"{folder}/tls.crt", certificate.cert_chain_pems[0].bytes().decode())
    container.write(f"{folder}/tls.key", certificate.private_key_pem.bytes().decode())
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    web = {
        "tls_server_config": {"cert_file": "tls.crt", "key_file": "tls.key"},
        "basic_auth_users": {"prometheus": hashed},
    }
    container.write(f"{folder}/web-config.yml", yaml.safe_dump(web))


class TestExporter:
    @pytest.mark.parametrize("values", [v for v in VALUES if not v.startswith("demo")])
    def test_configuration(self, values: str, tmp_path: Path) -> None:
        """The exporter accepts the configuration, with all files where the pod has them."""
        result = with_files(values, tmp_path).check()
        assert result.returncode == 0, result.stdout + result.stderr
        assert "unknown variable" not in result.stderr

    def test_start(self, tmp_path: Path) -> None:
        """It starts with the pod's arguments and variables, and reads the API."""
        simulated = ("simulate", "--web.listen-address")
        address = f"127.0.0.1:{free_port()}"
        simulator = Server(
            [sys.executable, "-m", "rk_exporter", *simulated, address],
            address=address,
            log=tmp_path / "simulator.log",
            ready_path="/simulator/settings",
        )
        with simulator:
            extra = f"--api.base-url={simulator.url}/client/v4"
            with with_files("minimal-values.yaml", tmp_path, extra) as container:
                text = httpx.get(f"{container.url}/metrics").text
        assert re.search(r"^rk_up\{.+\} 1\.0$", text, re.MULTILINE)
        assert (tmp_path / "var/lib/rk-exporter/state").exists()

    def test_tls(self, tmp_path: Path) -> None:
        """With TLS and a password the probe succeeds, but nobody reads without the password."""
        container = with_files("tls-values.yaml", tmp_path)
        (pod,) = containers(with_values("tls-values.yaml"))
        program, *probe = pod["livenessProbe"]["exec"]["command"]
        assert program == "python"
        with running(*container.arguments, environment=container.environment):
            eventually(
                lambda: (
                    not subprocess.run(
                        [sys.executable, *probe],
                        env=container.environment,
                        capture_output=True,
                        check=False,
                    ).returncode
                ),
                what="the probe succeeds",
            )
            url = f"https://{container.address}/-/healthy"
            answers = [
                httpx.get(url, verify=False, auth=auth).status_code  # noqa: S501 # a test
                for auth in (None, ("prometheus", "secret"))
            ]
        assert answers == [401, 200]

    def test_demo(self, tmp_path: Path) -> None:
        """The demo starts, too, and needs no volume except for temporary files."""
        manifests = with_values("demo-values.yaml")
        (container,) = containers(manifests)
        assert [mount["name"] for mount in container["volumeMounts"]] == ["tmp"]
        demo = with_files("demo-values.yaml", tmp_path, "--simulator.listen-address=127.0.0.1:0")
        with demo:
            assert "rk_meeting_up{" in httpx.get(f"{demo.url}/metrics").text
