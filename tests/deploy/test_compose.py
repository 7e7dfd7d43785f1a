"""The Compose file, as far as it can be tested without a container engine."""

import json
import os
import re
import subprocess
import sys

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from tests.support.deploy.compose import Service, compose_file, compose_schema, services
from tests.support.monitoring.servers import Server, eventually, free_port


REAL_API = {
    "RK_EXPORTER_COMMAND": "serve",
    "CLOUDFLARE_API_TOKEN": "simulated",
    "CLOUDFLARE_ACCOUNT_ID": "account",
    "RK_APP_ID": "app",
}
# Runs a command with everything read-only except the folder that is the first argument.
READ_ONLY = (
    *("unshare", "--mount", "sh", "-e", "-c"),
    """
    mount -t tmpfs tmpfs "$1"; shift
    mount -o remount,ro,bind /
    if touch /read-only 2>/dev/null; then exit 1; fi
    exec setpriv --bounding-set=-all --inh-caps=-all --no-new-privs "$@"
    """,
    "sh",
)
PROGRAMS = {"prometheus": "promtool", "alertmanager": "amtool"}


@pytest.fixture(scope="module")
def folder(root: Path) -> Path:
    return root / "deploy/compose"


@pytest.fixture(scope="module")
def document(folder: Path) -> dict[str, Any]:
    """Return the Compose file as it is without any variable."""
    return compose_file(folder / "compose.yaml", {})


@pytest.fixture(scope="module")
def demo(document: dict[str, Any]) -> dict[str, Service]:
    return services(document)


@pytest.fixture(scope="module")
def real(folder: Path) -> dict[str, Service]:
    return services(compose_file(folder / "compose.yaml", REAL_API))


class TestFile:
    def test_schema(self, document: dict[str, Any]) -> None:
        """The file satisfies the schema of the Compose specification, anchors included."""
        jsonschema.validators.validator_for(compose_schema())(compose_schema()).validate(document)
        # The schema allows any extension, and a mistyped key is no extension.
        assert {key for key in document if key.startswith("x-")} == {"x-hardened"}

    def test_hardening(self, demo: dict[str, Service]) -> None:
        """No service can write to its image, gain privileges, or take the whole machine."""
        for service in demo.values():
            assert service.json["read_only"] is True, service.name
            assert service.json["cap_drop"] == ["ALL"], service.name
            assert service.json["security_opt"] == ["no-new-privileges:true"], service.name
            assert service.json["restart"] == "unless-stopped", service.name
            limits = service.json["deploy"]["resources"]["limits"]
            assert limits.keys() == {"cpus", "memory", "pids"}, service.name
            assert "privileged" not in service.json

    def test_ports(self, demo: dict[str, Service]) -> None:
        """Only this machine reaches the ports, because none asks for a password."""
        ports = [port for service in demo.values() for port in service.json["ports"]]
        assert len(ports) == 4
        assert all(re.fullmatch(r"127\.0\.0\.1:(\d+):\1", port) for port in ports)

    def test_images(self, demo: dict[str, Service]) -> None:
        """Each image of others has one version, and a variable can name another or a digest."""
        images = {name: service.json["image"] for name, service in demo.items()}
        assert images.pop("exporter") == "rk-exporter"
        assert all(re.fullmatch(r"[a-z/]+:v?\d+\.\d+\.\d+", image) for image in images.values())

    def test_mounts(self, folder: Path, demo: dict[str, Service], document: Any) -> None:
        """Each file that is mounted exists and is read-only; each volume is declared."""
        for service in demo.values():
            for mount in service.mounts:
                if mount.is_bind:
                    assert (folder / mount.source).exists(), mount
                    assert mount.is_read_only, mount
                else:
                    assert mount.source in document["volumes"], mount
        mounted = {mount.source for service in demo.values() for mount in service.mounts}
        assert document["volumes"].keys() <= mounted

    def test_health_checks(self, root: Path, demo: dict[str, Service]) -> None:
        """Each service has a health check; the exporter's is in its image."""
        for name, service in demo.items():
            assert ("healthcheck" in service.json) is (name != "exporter")
            for needed, terms in service.json.get("depends_on", {}).items():
                assert terms == {"condition": "service_healthy"}
                assert needed in demo
        assert "HEALTHCHECK" in (root / "Dockerfile").read_text()

    def test_build_context(self, root: Path, folder: Path, demo: dict[str, Service]) -> None:
        """The image is built from this checkout, with arguments that the Dockerfile has."""
        context = folder / demo["exporter"].json["build"]["context"]
        assert context.resolve() == root
        text = (context / "Dockerfile").read_text()
        assert all(f"ARG {name}=" in text for name in demo["exporter"].json["build"]["args"])

    def test_example_of_variables(self, folder: Path) -> None:
        """The example has each variable of the file that users change, with the default."""
        text = (folder / "compose.yaml").read_text()
        used = dict(re.findall(r"\$\{(\w+):-([^}]*)\}", text))
        example = (folder / "env.example").read_text()
        shown = dict(re.findall(r"^(?:# )?([A-Z_]+)=(\S*)$", example, re.MULTILINE))
        assert shown.keys() <= used.keys()
        rare = {"RK_EXPORTER_IMAGE", "RK_MEETINGS_DISCOVER", "SOURCE_COMMIT"}
        assert used.keys() - shown.keys() == rare
        assert {"RK_EXPORTER_COMMAND": "serve"}.items() <= shown.items()
        for name in shown.keys() - REAL_API.keys():
            assert shown[name].partition("@")[0] == used[name], name


class TestExporter:
    def test_demo_by_default(self, demo: dict[str, Service], tmp_path: Path) -> None:
        """Without any variable the demo runs, and shows its meetings to the other containers."""
        with started(demo["exporter"], tmp_path, "--simulator.listen-address=127.0.0.1:0") as url:
            text = httpx.get(f"{url}/metrics").text
            assert text.count("rk_meeting_up{") == 12

    def test_real_api_by_one_variable(
        self, real: dict[str, Service], tmp_path: Path, simulated_api: str
    ) -> None:
        """With RK_EXPORTER_COMMAND=serve the API is read, and the state file is in the volume."""
        extra = f"--api.base-url={simulated_api}/client/v4"
        with started(real["exporter"], tmp_path, extra) as url:
            assert re.search(r"^rk_up\{.+\} 1\.0$", httpx.get(f"{url}/metrics").text, re.MULTILINE)
        assert (tmp_path / "volume/state").exists()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount file systems")
    def test_read_only(self, real: dict[str, Service], tmp_path: Path, simulated_api: str) -> None:
        """It needs no capability, and no place to write except its volume."""
        extra = f"--api.base-url={simulated_api}/client/v4"
        with started(real["exporter"], tmp_path, extra, prefix=READ_ONLY) as url:
            text = httpx.get(f"{url}/metrics").text
        assert re.search(r"^rk_up\{.+\} 1\.0$", text, re.MULTILINE)
        assert "rk_state_file_last_write_successful 1.0" in text
        # The volume was a file system of its own.
        assert not list((tmp_path / "volume").iterdir())

    def test_missing_token(self, folder: Path, tmp_path: Path) -> None:
        """Without a token `serve` says what to set, and does not start."""
        service = services(compose_file(folder / "compose.yaml", {"RK_EXPORTER_COMMAND": "serve"}))
        result = subprocess.run(
            [sys.executable, "-m", "rk_exporter", *service["exporter"].command],
            env=dict(service["exporter"].environment),
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert 2 == result.returncode
        for name in ("CLOUDFLARE_API_TOKEN", "CLOUDFLARE_ACCOUNT_ID", "RK_APP_ID"):
            assert name in result.stderr

    def test_all_variables_are_known(self, real: dict[str, Service], tmp_path: Path) -> None:
        """The exporter knows each variable that it gets."""
        result = subprocess.run(
            [sys.executable, "-m", "rk_exporter", "check", "--offline"],
            env={**real["exporter"].environment, "RK_STATE_FILE": str(tmp_path / "state")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert 0 == result.returncode
        assert "unknown variable" not in result.stderr


class TestPrometheus:
    def test_configuration(
        self, promtool: str, folder: Path, demo: dict[str, Service], tmp_path: Path
    ) -> None:
        """Promtool accepts the configuration with the rules where the container has them."""
        copy = in_container(demo["prometheus"], folder, tmp_path)
        config = copy / "etc/prometheus/prometheus.yml"
        checked = subprocess.run(
            [promtool, "check", "config", str(config)], capture_output=True, text=True, check=False
        )
        assert 0 == checked.returncode, checked.stderr
        assert re.search(r"SUCCESS: \d+ rules found", checked.stdout)

    def test_targets(self, folder: Path, demo: dict[str, Service]) -> None:
        """Each target is a service of the file, at the port that it listens on."""
        config = yaml.safe_load((folder / "prometheus.yml").read_text())
        found = {
            target
            for scrape in config["scrape_configs"]
            for group in scrape["static_configs"]
            for target in group["targets"]
        }
        listening = {"localhost:9090"} | {
            f"{name}:{service.json['ports'][0].rpartition(':')[2]}"
            for name, service in demo.items()
        }
        assert found <= listening
        assert "exporter:10058" in found
        (managers,) = config["alerting"]["alertmanagers"]
        assert managers["static_configs"] == [{"targets": ["alertmanager:9093"]}]

    def test_starts(
        self, prometheus: str, folder: Path, demo: dict[str, Service], tmp_path: Path
    ) -> None:
        """Prometheus starts with the container's arguments, and its health check succeeds."""
        starts(prometheus, demo["prometheus"], folder, tmp_path)


class TestAlertmanager:
    def test_configuration(self, amtool: str, folder: Path) -> None:
        """Amtool accepts the configuration."""
        subprocess.run(
            [amtool, "check-config", str(folder / "alertmanager.yml")],
            check=True,
            capture_output=True,
        )

    def test_same_routes_as_the_example(self, root: Path, folder: Path) -> None:
        """Only the receivers differ from the example, and they notify nobody."""
        here = yaml.safe_load((folder / "alertmanager.yml").read_text())
        example = yaml.safe_load((root / "dashboards/examples/alertmanager.yml").read_text())
        named = [{"name": receiver["name"]} for receiver in example.pop("receivers")]
        assert here.pop("receivers") == named
        assert here == example

    def test_starts(
        self, alertmanager: str, amtool: str, folder: Path, demo: dict[str, Service], tmp_path: Path
    ) -> None:
        """Alertmanager starts with the container's arguments, and its health check succeeds."""
        assert amtool
        starts(alertmanager, demo["alertmanager"], folder, tmp_path)


class TestGrafana:
    def test_every_dashboard_is_provisioned(
        self, root: Path, folder: Path, demo: dict[str, Service], tmp_path: Path
    ) -> None:
        """All dashboards are in the folder that the provider reads, and one is the home page."""
        copy = in_container(demo["grafana"], folder, tmp_path)
        (provider,) = yaml.safe_load(
            (copy / "etc/grafana/provisioning/dashboards/rk-exporter.yml").read_text()
        )["providers"]
        read = {path.name for path in inside(copy, provider["options"]["path"]).glob("*.json")}
        assert read == {path.name for path in (root / "dashboards").glob("*.json")}
        home = demo["grafana"].environment["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
        assert inside(copy, home).exists()

    def test_data_source(
        self, root: Path, folder: Path, demo: dict[str, Service], tmp_path: Path
    ) -> None:
        """The only Prometheus, which the dashboards choose by default, is the service here."""
        copy = in_container(demo["grafana"], folder, tmp_path)
        path = copy / "etc/grafana/provisioning/datasources/rk-exporter.yml"
        sources = {
            source["type"]: source for source in yaml.safe_load(path.read_text())["datasources"]
        }
        assert sources.keys() == {"prometheus", "alertmanager"}
        assert sources["prometheus"]["isDefault"]
        assert sources["prometheus"]["url"] == "http://prometheus:9090"
        assert sources["alertmanager"]["url"] == "http://alertmanager:9093"
        scraping = yaml.safe_load((folder / "prometheus.yml").read_text())["global"]
        assert sources["prometheus"]["jsonData"]["timeInterval"] == scraping["scrape_interval"]
        for dashboard in (root / "dashboards").glob("*.json"):
            text = dashboard.read_text()
            variables = json.loads(text)["templating"]["list"]
            assert ("datasource", "prometheus") in {(v["type"], v["query"]) for v in variables}
            uids = set(re.findall(r'"uid": "([^"]+)"', text)) - {json.loads(text)["uid"]}
            assert uids <= {"${datasource}", "-- Grafana --", "grafana"}, dashboard


@pytest.fixture(scope="module")
def simulated_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start a simulated API."""
    port = free_port()
    address = f"127.0.0.1:{port}"
    command = [
        *(sys.executable, "-m", "rk_exporter", "simulate", "--meetings", "3"),
        *("--web.listen-address", address),
    ]
    log = tmp_path_factory.mktemp("simulator") / "log"
    with Server(command, address=address, log=log, ready_path="/simulator/settings") as server:
        yield server.url


@contextmanager
def started(
    service: Service, folder: Path, *arguments: str, prefix: tuple[str, ...] = ()
) -> Iterator[str]:
    """
    Start the exporter with the arguments and variables of a service, and give its URL.

    It listens on a free port. The *prefix* runs it as the command after the path of its volume.
    """
    address = f"127.0.0.1:{free_port()}"
    volume = folder / "volume"
    volume.mkdir()
    environment = {
        name: replaced_port(value, address).replace("/var/lib/rk-exporter", str(volume))
        for name, value in service.environment.items()
    } | {"PATH": os.defpath}
    command = [
        *((*prefix, str(volume)) if prefix else ()),
        *(sys.executable, "-m", "rk_exporter"),
        *(replaced_port(argument, address) for argument in service.command),
        *arguments,
    ]
    log = folder / "exporter.log"
    server = Server(
        command, address=address, log=log, ready_path="/-/healthy", environment=environment
    )
    with server:
        check = [sys.executable, "-m", "rk_exporter.web.healthcheck"]
        subprocess.run(check, env=environment, check=True)
        yield server.url


def replaced_port(text: str, address: str) -> str:
    return re.sub(r"(?<![\d.]):10058\b", address, text)


def inside(copy: Path, path: str) -> Path:
    """Return where a path of the container is in a copy of its files."""
    return copy / path.lstrip("/")


def in_container(service: Service, folder: Path, copy: Path) -> Path:
    """Link all files of a service where the container has them, below a folder; return it."""
    for mount in sorted(service.mounts, key=lambda mount: mount.target):
        path = inside(copy, mount.target)
        path.parent.mkdir(parents=True, exist_ok=True)
        if mount.is_bind:
            path.symlink_to((folder / mount.source).resolve())
        else:
            path.mkdir(exist_ok=True)
    return copy


def starts(program: str, service: Service, folder: Path, tmp_path: Path) -> None:
    """Start a program with the arguments of a service, and run its health check."""
    copy = in_container(service, folder, tmp_path / "root")
    port = service.json["ports"][0].rpartition(":")[2]
    address = f"127.0.0.1:{free_port()}"
    command = [
        re.sub(r"=(/.+)", rf"={copy}\1", argument).replace(f"=:{port}", f"={address}")
        for argument in service.command
    ]
    check = [
        part.replace(f"127.0.0.1:{port}", address) for part in service.json["healthcheck"]["test"]
    ]
    assert check[:2] == ["CMD", PROGRAMS[service.name]]
    with Server([program, *command], address=address, log=tmp_path / "log"):
        eventually(
            lambda: subprocess.run(check[1:], capture_output=True, check=False).returncode == 0,
            what=f"{check[1:]} succeeds",
        )
    unhealthy = subprocess.run(check[1:], capture_output=True, check=False, env=dict(os.environ))
    assert unhealthy.returncode != 0
