"""Every shell command in the documentation is run, or is listed here with the reason why not."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import DEMO_PACE, GeneratedScenario
from tests.support.markdown import PAGES, ROOT, Block, blocks, commands
from tests.support.programs import required_program


CHANGES_SYSTEM = "changes the system"
DOWNLOADS = "downloads packages; CI installs the wheel into an empty environment"
CONTAINER = "needs a container engine"
COMPOSE = "needs a container engine; tests/deploy runs the containers' programs"
CLUSTER = "needs a cluster; tests/deploy renders the chart with the same options"
SERVICE = "changes the system; tests/deploy checks the units, and tests/e2e a service"
CHANGES_CHECKOUT = "changes the checkout"
CHANGES_RECORDINGS = "part of a script that changes recordings; the simulated API only reads"
RECORDINGS = "https://api.cloudflare.com/client/v4/accounts/$CLOUDFLARE_ACCOUNT_ID/realtime/kit"
NOT_RUN = {
    "sudo apt install prometheus prometheus-alertmanager": CHANGES_SYSTEM,
    "sudo systemctl disable --now prometheus prometheus-alertmanager": CHANGES_SYSTEM,
    "pipx install .": DOWNLOADS,
    "pipx install '.[s3,webhooks]'": DOWNLOADS,
    "pipx install '.[webhooks]'": DOWNLOADS,
    "uv tool install .": DOWNLOADS,
    "pipx install --force .": DOWNLOADS,
    "uv tool install --force .": DOWNLOADS,
    "python3 -m venv /opt/rk-exporter": CHANGES_SYSTEM,
    "/opt/rk-exporter/bin/pip install .": DOWNLOADS,
    "/opt/rk-exporter/bin/rk-exporter --version": CHANGES_SYSTEM,
    "sudo python3 -m venv /opt/rk-exporter": CHANGES_SYSTEM,
    "sudo /opt/rk-exporter/bin/pip install .": DOWNLOADS,
    "sudo install -d /etc/rk-exporter": SERVICE,
    "sudo editor /etc/rk-exporter/rk-exporter.yml": SERVICE,
    "sudo install -m 0600 /dev/stdin /etc/rk-exporter/api-token": SERVICE,
    "sudo install -m 0644 deploy/systemd/rk-exporter.service /etc/systemd/system/": SERVICE,
    "sudo install -m 0644 deploy/systemd/rk-exporter.socket /etc/systemd/system/": SERVICE,
    "sudo mkdir -p /etc/systemd/system/rk-exporter.service.d": SERVICE,
    "printf '[Service]\\nEnvironment=RK_WEB_SYSTEMD_SOCKET=true\\n'"
    " | sudo tee /etc/systemd/system/rk-exporter.service.d/socket.conf": SERVICE,
    "sudo systemctl daemon-reload": SERVICE,
    "systemd-analyze security --offline=true deploy/systemd/rk-exporter.service": SERVICE,
    "sudo systemctl enable --now rk-exporter": SERVICE,
    "sudo systemctl enable --now rk-exporter.socket": SERVICE,
    "sudo systemctl stop rk-exporter": SERVICE,
    "sudo systemctl start rk-exporter": SERVICE,
    "sudo systemctl edit rk-exporter": SERVICE,
    "systemctl status rk-exporter": SERVICE,
    "curl -s localhost:10058/metrics | grep '^rk_up'": SERVICE,
    "curl -s localhost:10058/metrics | grep '^rk_webhook_'": "needs webhooks; tests/e2e sends some",
    "docker build -t rk-exporter .": CONTAINER,
    "docker buildx build --platform linux/amd64,linux/arm64 --tag REGISTRY/rk-exporter"
    " --push .": CONTAINER,
    "docker run -p 10058:10058 -e CLOUDFLARE_API_TOKEN -e CLOUDFLARE_ACCOUNT_ID -e RK_APP_ID"
    " -e RK_MEETINGS_DISCOVER=true rk-exporter": CONTAINER,
    "docker run -v /etc/ssl/certs/ca-certificates.crt:/ca.crt:ro -e SSL_CERT_FILE=/ca.crt"
    " -e HTTPS_PROXY rk-exporter": CONTAINER,
    "docker run -p 10058:10058 --env-file rk.env -v rk-state:/var/lib/rk-exporter"
    " -e RK_STATE_FILE=/var/lib/rk-exporter/state rk-exporter": CONTAINER,
    "cd deploy/compose": COMPOSE,
    "docker compose up --build --wait": COMPOSE,
    "docker compose exec exporter rk-exporter check": COMPOSE,
    "docker compose kill --signal HUP alertmanager": COMPOSE,
    "cp env.example .env": COMPOSE,
    "chmod 600 .env": COMPOSE,
    "sudo chown -R 65532 rk-exporter": CHANGES_SYSTEM,
    "chmod 400 rk-exporter/token": COMPOSE,
    "docker build -t registry.example/rk-exporter:0.1.0 .": CONTAINER,
    "docker push registry.example/rk-exporter:0.1.0": CONTAINER,
    "helm install demo deploy/helm/rk-exporter --set image.repository=registry.example/rk-exporter"
    " --set demo=true": CLUSTER,
    "helm test demo": CLUSTER,
    "helm uninstall demo": CLUSTER,
    "kubectl create namespace monitoring": CLUSTER,
    "kubectl --namespace monitoring create secret generic cloudflare"
    " --from-file=api-token=token": CLUSTER,
    "helm upgrade --install recordings deploy/helm/rk-exporter --namespace monitoring"
    " --values values.yml --wait": CLUSTER,
    "kubectl --namespace monitoring exec deploy/recordings-rk-exporter"
    " -- rk-exporter check": CLUSTER,
    "kubectl --namespace monitoring rollout status statefulset/recordings-rk-exporter": CLUSTER,
    "kubectl --namespace monitoring exec recordings-rk-exporter-0 -- rk-exporter check": CLUSTER,
    "kubectl get prometheus --all-namespaces --output"
    """ jsonpath='{..serviceMonitorSelector}{"\\n"}{..ruleSelector}{"\\n"}'""": CLUSTER,
    "helm template recordings deploy/helm/rk-exporter --namespace monitoring"
    " --values values.yml --skip-tests > rk-exporter.yml": CLUSTER,
    "kubectl --namespace monitoring apply --filename rk-exporter.yml": CLUSTER,
    "prometheus --agent --config.file=agent.yml"
    " --storage.agent.path=data": "tests/deploy runs the agent",
    "rk-exporter check --offline --config.file rk.yml"
    " --web.config.file web.yml": "needs certificates; docs/how-to/tls-and-passwords.md has them",
    "cp company-ca.crt /usr/local/share/ca-certificates/": CHANGES_SYSTEM,
    "update-ca-certificates": CHANGES_SYSTEM,
    "kill -HUP PID": "PID is a placeholder; tests/e2e sends this signal",
    "journalctl -u rk-exporter | grep 497f6eca-6276-4993-bfeb-53cbbbba6f08": "needs a unit whose"
    " journal has the id",
    "git pull": CHANGES_CHECKOUT,
    "git diff": "shows the difference to people",
    "pre-commit install": CHANGES_CHECKOUT,
    "git commit --all --message 'Release 1.2.0'": CHANGES_CHECKOUT,
    "git tag --annotate v1.2.0 --message v1.2.0": CHANGES_CHECKOUT,
    "git push origin main v1.2.0": "publishes a release",
    "UPDATE_GOLDEN=1 .venv/bin/python -m pytest"
    " tests/unit/metrics/test_families.py": CHANGES_CHECKOUT,
    "promtool test rules rules/tests/*.yml": "tests/monitoring runs the same files",
    f"api={RECORDINGS}/$RK_APP_ID/recordings": CHANGES_RECORDINGS,
    """call() { curl -sS -H "Authorization: Bearer $CLOUDFLARE_API_TOKEN" """
    """-H 'Content-Type: application/json' "$@"; }""": CHANGES_RECORDINGS,
    'call "$api/active-recording/MEETING"': CHANGES_RECORDINGS,
    'call "$api/RECORDING"': CHANGES_RECORDINGS,
    """call -X PUT -d '{"action": "stop"}' "$api/RECORDING\"""": CHANGES_RECORDINGS,
    """call -X POST -d '{"meeting_id": "MEETING"}' "$api\"""": CHANGES_RECORDINGS,
    'eval "$(_RK_EXPORTER_COMPLETE=zsh_source rk-exporter)"': "needs zsh; tests/e2e runs it there",
    "_RK_EXPORTER_COMPLETE=fish_source rk-exporter | source": "needs fish",
}

ON_FREE_PORTS = "--web.listen-address {exporter} --simulator.listen-address 127.0.0.1:0"
# Placeholders, fixed ports and paths of the documentation, and what the tests use instead.
REPLACED = {
    "=TOKEN ": "=simulated ",
    "localhost:10058": "{exporter}",
    "localhost:10059": "{simulator}",
    ".venv/bin/rk-exporter": "rk-exporter",
    "/etc/rk-exporter.yml": "rk.yml",
    "/var/lib/node_exporter/": "./",
    "--runbook-url URL": "--runbook-url https://example.org/runbook",
    "--grafana-url URL": "--grafana-url https://grafana.example.org",
    # The simulated API has meetings of its own, whose ids depend on its seed only.
    "abcdef-ghijkl": next(iter(GeneratedScenario(1, 5, 0.0, DEMO_PACE).meetings())).id,
    "rk-exporter simulate": "rk-exporter simulate --web.listen-address {simulator}",
    "demo --webhook.listen-address :10060": "demo --webhook.listen-address 127.0.0.1:0"
    f" {ON_FREE_PORTS}",
}
# For these targets, the program that they start is run; for others, make prints its commands.
MAKE = {
    "make demo": f"rk-exporter demo {ON_FREE_PORTS}",
    "make demo-stack": f"rk-exporter demo --stack {ON_FREE_PORTS}"
    " --prometheus.listen-address 127.0.0.1:0 --alertmanager.listen-address 127.0.0.1:0",
}

IDS = {"CLOUDFLARE_ACCOUNT_ID": "account", "RK_APP_ID": "app"}
ONE_APP = "account_id: account\napp_id: app\nmeetings: {discover: true}\n"
# The reader of these pages has a configuration file and a token already.
HAS_CONFIGURATION = frozenset(
    {
        "docs/how-to/prometheus.md",
        "docs/how-to/reload.md",
        "docs/how-to/reverse-proxy.md",
        "docs/how-to/rotate-the-token.md",
        "docs/how-to/scaling.md",
        "docs/how-to/status-page.md",
        "docs/how-to/troubleshooting.md",
        "docs/how-to/upgrade.md",
        "docs/reference/check-report.md",
    }
)
# On these pages it is a YAML block of the page, by its number.
SHOWS_CONFIGURATION = {
    "docs/how-to/accounts.md": 0,
    "docs/how-to/several-apps.md": 0,
    "docs/reference/configuration.md": 0,
    "docs/tutorial/first-app.md": 1,
}
# Commands that the reader of a page ran before.
BEFORE = {
    "docs/how-to/alertmanager.md": "rk-exporter assets .\n"
    "cp rules/rk-exporter.rules.yml examples/alertmanager.yml ."
}
REPLACED_IN_CONFIGURATION = {
    "/run/secrets/cloudflare-api-token": "token",
    "/var/lib/rk-exporter/": "",
    "budget: 100\n": "budget: 30000\n",
}

SHELLS = ("sh", "bash", "shell", "console")
SERVES = re.compile(r"rk-exporter (serve|simulate|demo)(?! --help)")
MEETING = re.compile(
    r"  [\w-]+  +\S.*?  (no active recording"
    r"|(INVOKED|RECORDING|PAUSED|UPLOADING) \(recording [0-9a-f-]{36}\)(, \d+\w( \d+\w)? long)?"
    r"(, [\d.]+ [kM]?B)?(, download URL expires in \d+\w \d+\w)?)"
)
SUMMARY = re.compile(r"\d+ apps?, \d+ meetings?: \d+ fine")
PAGES_WITH_COMMANDS = [page for page in PAGES if blocks(page, *SHELLS)]


def free_address() -> str:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@dataclass(frozen=True, slots=True)
class Step:
    """Commands that one shell runs, and the output of the last one, if the page shows it."""

    script: str
    output: tuple[str, ...] = ()

    @property
    def serves(self) -> bool:
        """Whether the command runs until it is stopped."""
        return bool(SERVES.match(self.script))


def to_run(command: str) -> str:
    """Return what is run in place of a command of make, and any other as it is."""
    if command in MAKE or not command.startswith("make "):
        return MAKE.get(command, command)
    return f"make --dry-run --directory {ROOT} {command.removeprefix('make ')}"


def steps(block: Block) -> Iterator[Step]:
    """Return the commands of a block to run: those of a script together, servers alone."""
    script: list[str] = []
    for command, output in commands(block):
        if command in NOT_RUN:
            continue
        runnable = to_run(command)
        if SERVES.match(runnable) or block.language == "console":
            if script:
                yield Step("\n".join(script))
                script = []
            yield Step(runnable, tuple(output))
        else:
            script.append(runnable)
    if script:
        yield Step("\n".join(script))


class Reader:
    """A reader who types the commands of a page, in an empty folder and environment."""

    def __init__(self, folder: Path, simulator: str, *, has_ids: bool = True) -> None:
        self._folder = folder
        self.addresses = {"exporter": free_address(), "simulator": free_address()}
        self._servers: dict[str, subprocess.Popen[bytes]] = {}
        self._exported = folder / ".exported"
        programs = [Path(sys.executable).parent, *map(Path, os.defpath.split(os.pathsep))]
        settings = {
            "PATH": os.pathsep.join(map(str, programs)),
            "HOME": str(folder),
            "TMPDIR": str(folder),
            "RK_API_BASE_URL": f"http://{simulator}/client/v4",
            # A new process may make a small part of its budget's calls, and tests should not wait.
            "RK_API_BUDGET": "30000",
            "RK_WEB_LISTEN_ADDRESS": self.addresses["exporter"],
            "CLOUDFLARE_API_TOKEN": "simulated",
            "STAGING_API_TOKEN": "simulated",
            "PROCTORING_API_TOKEN": "simulated",
            **(IDS if has_ids else {}),
        }
        lines = (f"export {name}='{value}'" for name, value in settings.items())
        self._exported.write_text("\n".join(lines))

    def write(self, name: str, text: str) -> None:
        """Put a file into the folder."""
        (self._folder / name).write_text(text)

    def run(self, step: Step) -> str:
        """Run the commands of a step, and return what they print."""
        script = step.script
        for before, after in REPLACED.items():
            script = script.replace(before, after.format(**self.addresses))
        script = re.sub(r"\{(exporter|simulator)\}", lambda m: self.addresses[m[1]], script)
        if step.serves:
            self._serve(script)
            return ""
        result = subprocess.run(
            self._shell(f"{script}\nexport -p > '{self._exported}'"),
            cwd=self._folder,
            env={},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert result.returncode == 0, f"{script}\n{result.stdout}{result.stderr}"
        return result.stdout

    def _shell(self, script: str) -> list[str]:
        bash = shutil.which("bash")
        assert bash
        return [bash, "-c", f"set -e -o pipefail; source '{self._exported}'; {script}"]

    def _serve(self, script: str) -> None:
        address = self.addresses["simulator" if "rk-exporter simulate" in script else "exporter"]
        self._stop(address)
        log = (self._folder / ".log").open("wb")
        process = subprocess.Popen(
            self._shell(f"exec {script}"), cwd=self._folder, env={}, stdout=log, stderr=log
        )
        log.close()
        self._servers[address] = process
        give_up_at = time.monotonic() + 30
        while time.monotonic() < give_up_at and process.poll() is None:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"http://{address}/")
                return
            time.sleep(0.05)
        self._servers.pop(address).kill()
        pytest.fail(f"{script}\n{(self._folder / '.log').read_text()}")

    def _stop(self, address: str) -> None:
        process = self._servers.pop(address, None)
        if process is not None:
            process.send_signal(signal.SIGTERM)
            assert process.wait(30) == 0, (self._folder / ".log").read_text()

    def close(self) -> None:
        """Stop what still runs."""
        for address in list(self._servers):
            self._stop(address)


@pytest.fixture(scope="module")
def simulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a simulated API that all readers share."""
    reader = Reader(tmp_path_factory.mktemp("simulator"), "")
    reader.run(Step("rk-exporter simulate --pace demo --meetings 5 --set apps=app=prod-app"))
    yield reader.addresses["simulator"]
    reader.close()


@pytest.mark.parametrize("page", PAGES_WITH_COMMANDS)
def test_commands(page: str, tmp_path: Path, simulator: str) -> None:
    """The commands of a page succeed, one after the other, and print what the page shows."""
    require_programs(page)
    reader = Reader(tmp_path, simulator, has_ids=page not in SHOWS_CONFIGURATION)
    reader.write("token", "simulated\n")
    reader.write("meetings.yml", "- weekly\n")
    if page in HAS_CONFIGURATION:
        reader.write("rk.yml", ONE_APP)
    if page in SHOWS_CONFIGURATION:
        shown = blocks(page, "yaml")[SHOWS_CONFIGURATION[page]].text
        for before, after in REPLACED_IN_CONFIGURATION.items():
            shown = shown.replace(before, after)
        reader.write("rk.yml", shown)
    with contextlib.closing(reader):
        if page in BEFORE:
            reader.run(Step(BEFORE[page]))
        for block in blocks(page, *SHELLS):
            for step in steps(block):
                printed = reader.run(step).splitlines()
                if step.output:
                    assert step.output[0] == re.sub(r"\d+ of \d+", counted(step), printed[0])
                    for report in (list(step.output), printed):
                        assert SUMMARY.fullmatch(report[-1]), report[-1]
                        for line in report[1:-1]:
                            assert MEETING.fullmatch(line), line


def require_programs(page: str) -> None:
    """If the page uses a missing program, fail the test in CI and skip it elsewhere."""
    text = "\n".join(block.text for block in blocks(page, *SHELLS))
    for word, names, package in (
        ("curl", ("curl",), "curl"),
        ("jq", ("jq",), "jq"),
        ("demo-stack", ("prometheus",), "prometheus"),
        ("demo-stack", ("alertmanager", "prometheus-alertmanager"), "prometheus-alertmanager"),
        ("promtool", ("promtool",), "prometheus"),
        ("openssl", ("openssl",), "openssl"),
        ("htpasswd", ("htpasswd",), "apache2-utils"),
        ("amtool", ("amtool",), "prometheus-alertmanager"),
    ):
        if word in text:
            required_program(*names, package=package)


def counted(step: Step) -> str:
    meetings = len(step.output) - 2
    return f"{meetings} of {meetings}"


def test_commands_that_are_not_run() -> None:
    """The list holds only commands that are still in the documentation."""
    documented = {
        command
        for page in PAGES_WITH_COMMANDS
        for block in blocks(page, *SHELLS)
        for command, _ in commands(block)
    }
    assert NOT_RUN.keys() <= documented


@pytest.mark.parametrize(("target", "program"), MAKE.items())
def test_make_starts_the_demo(target: str, program: str) -> None:
    """The targets of the demo start the program that is run in their place."""
    make = required_program("make", package="make")
    command = [make, "--dry-run", target.removeprefix("make ")]
    shown = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert program.removesuffix(program[program.index(" --web") :]) in shown
