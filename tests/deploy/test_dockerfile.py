"""The Dockerfile: its commands run here, in a copy of the build context."""

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

from pathlib import Path

import pytest

from rk_exporter.config.loader import load
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from tests.support.deploy.dockerfile import Instruction, context, instructions
from tests.support.monitoring.servers import free_port


REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def dockerfile(root: Path) -> list[Instruction]:
    return instructions(root / "Dockerfile")


def last(dockerfile: list[Instruction], name: str) -> str:
    """Return the arguments of an instruction in the final stage."""
    stage = dockerfile[-1].stage
    (arguments,) = (x.arguments for x in dockerfile if (x.stage, x.name) == (stage, name))
    return arguments


def test_sources_are_in_the_context(root: Path, dockerfile: list[Instruction]) -> None:
    """Each file that is copied is in the build context, and nothing else is sent."""
    files = set(context(root))
    sources = [Path(source) for x in dockerfile if x.copied for source in x.copied[0]]
    for source in sources:
        assert any(source == file or source in file.parents for file in files), source
    for file in files:
        assert {file, *file.parents} & set(sources), file


def test_context_has_no_secrets(root: Path) -> None:
    """Nothing from .env files, state files or the history of git reaches the builder."""
    assert not [file for file in context(root) if file.name.startswith(".") or "state" == file.name]


def test_runs_without_privileges(dockerfile: list[Instruction]) -> None:
    """The image names a user by number, as runAsNonRoot in Kubernetes requires it."""
    assert last(dockerfile, "USER") == "65532:65532"
    assert last(dockerfile, "WORKDIR") == "/var/lib/rk-exporter"
    assert last(dockerfile, "STOPSIGNAL") == "SIGTERM"
    assert "--chown=65532:65532" in next(
        x.arguments for x in dockerfile if x.arguments.endswith(" /var/lib/rk-exporter")
    )


def test_exposes_only_the_port_that_is_open(dockerfile: list[Instruction]) -> None:
    """
    The image exposes the port of the metrics, and none that is closed unless somebody opens it.

    Prometheus's discovery of containers makes a target of each exposed port.
    """
    (address,) = load(
        None,
        {
            "account_id": Setting("a", "test"),
            "app_id": Setting("b", "test"),
            "meetings.discover": Setting("true", "test"),
        },
        {TOKEN_VARIABLE: "simulated"},
    ).listen_addresses
    assert last(dockerfile, "EXPOSE") == f"{address.port}"


def test_same_python_in_both_stages(root: Path, dockerfile: list[Instruction]) -> None:
    """The virtual environment is copied to the interpreter that it was made with."""
    bases = {x.arguments.split()[0] for x in dockerfile if x.name == "FROM"}
    assert bases == {"${PYTHON_IMAGE}"}
    default = next(x.arguments for x in dockerfile if x.name == "ARG")
    version = re.fullmatch(r"PYTHON_IMAGE=python:(3\.\d+)-slim-\w+", default)
    assert version
    classifiers = tomllib.loads((root / "pyproject.toml").read_text())["project"]["classifiers"]
    assert f"Programming Language :: Python :: {version[1]}" in classifiers


def test_has_every_extra(root: Path, dockerfile: list[Instruction]) -> None:
    """The image has all extras, because nobody can add a package to it later."""
    extras = tomllib.loads((root / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    commands = " ".join(x.arguments for x in dockerfile if x.name == "RUN")
    assert f"'rk-exporter[{','.join(sorted(extras))}]'" in commands


@pytest.mark.skipif(not os.environ.get("CI"), reason="downloads packages, so only CI runs it")
def test_build(root: Path, dockerfile: list[Instruction], tmp_path: Path) -> None:
    """The commands of the build succeed, and install only the locked packages with all extras."""
    build(root, dockerfile, tmp_path)
    programs = tmp_path / "opt/rk-exporter/bin"
    shown = subprocess.run(
        [programs / "rk-exporter", "--version"], env={}, capture_output=True, text=True, check=True
    )
    assert f"revision: {REVISION}" in shown.stdout
    assets = [str(programs / "rk-exporter"), "assets", str(tmp_path / "assets")]
    subprocess.run(assets, env={}, check=True)
    script = "import importlib.metadata as m; print(*sorted(d.name for d in m.distributions()))"
    listed = subprocess.run(
        [programs / "python", "-c", script], env={}, capture_output=True, text=True, check=True
    )
    lock = (root / "requirements/image.txt").read_text()
    locked = set(re.findall(r"^([a-z][\w.-]+)==", lock, re.MULTILINE))
    installed = {name.lower().replace("_", "-") for name in listed.stdout.split()}
    assert installed - {"rk-exporter"} <= locked
    assert {"boto3", "cryptography"} <= installed
    assert not installed & {"pip", "hatchling", "editables", "setuptools"}
    check = json.loads(last(dockerfile, "HEALTHCHECK").partition("CMD ")[2])
    unhealthy = subprocess.run(
        [programs / check[0], *check[1:]],
        env={"RK_WEB_LISTEN_ADDRESS": f"127.0.0.1:{free_port()}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (1, "unhealthy: [Errno 111] Connection refused\n") == (
        unhealthy.returncode,
        unhealthy.stderr,
    ), unhealthy
    assert json.loads(last(dockerfile, "ENTRYPOINT")) == ["rk-exporter"]


def build(root: Path, dockerfile: list[Instruction], folder: Path) -> None:
    """Run the first stage below a folder, which takes the place of `/`."""
    source = folder / "src"
    source.mkdir()
    files = set(context(root))
    environment = {
        "PATH": f"{Path(sys.executable).parent}:{os.defpath}",
        "HOME": str(folder),
        "SOURCE_COMMIT": REVISION,
    }
    for name in ("PIP_INDEX_URL", "PIP_CONFIG_FILE", "SSL_CERT_FILE"):
        if name in os.environ:
            environment[name] = os.environ[name]
    for instruction in dockerfile:
        if instruction.stage != 0:
            continue
        if instruction.copied:
            copy(root, source, files, *instruction.copied)
        elif instruction.name == "RUN":
            command = re.sub(r"(?<![\w./])/(opt|wheels)\b", rf"{folder}/\1", instruction.arguments)
            command = re.sub(r"--(owner|group)=65532", rf"--\1={os.getuid()}", command)
            subprocess.run(["/bin/sh", "-c", command], cwd=source, env=environment, check=True)


def copy(root: Path, source: Path, files: set[Path], names: list[str], target: str) -> None:
    """Copy files and folders as COPY does: of a folder, its content."""
    for name in names:
        for file in files:
            if file == Path(name):
                path = source / target / file.name
            elif Path(name) in file.parents:
                path = source / target / file.relative_to(name)
            else:
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / file, path)
