"""The wheel, installed as users do it: with pipx and with uv, into an empty home."""

import os
import re
import subprocess
import sys

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from rk_exporter import __version__
from tests.support.processes import url_in


pytestmark = pytest.mark.skipif(
    not os.environ.get("CI"), reason="it downloads packages; run it with CI=true"
)
BIN = Path(sys.executable).parent
SHARED = (
    "share/man/man1/rk-exporter.1",
    "share/bash-completion/completions/rk-exporter",
    "share/fish/vendor_completions.d/rk-exporter.fish",
    "share/zsh/site-functions/_rk-exporter",
)


@dataclass(frozen=True, slots=True)
class Home:
    """A home folder with the program, and the *prefix* of the environment that it runs in."""

    folder: Path
    prefix: Path

    @property
    def program(self) -> Path:
        """The command that the tool has linked."""
        return self.folder / ".local/bin/rk-exporter"

    @property
    def environment(self) -> dict[str, str]:
        """The environment of somebody who has logged in."""
        path = os.pathsep.join((str(self.program.parent), os.defpath))
        return {"HOME": str(self.folder), "PATH": path}


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    subprocess.run(
        [
            *(sys.executable, "-m", "build", "--no-isolation", "--wheel"),
            *("--outdir", folder, root),
        ],
        capture_output=True,
        check=True,
    )
    return folder / f"rk_exporter-{__version__}-py3-none-any.whl"


@pytest.fixture(scope="module")
def constraints(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the locked versions without hashes, which would have to include the wheel's."""
    lock = (root / "requirements/runtime.txt").read_text()
    path = tmp_path_factory.mktemp("constraints") / "constraints.txt"
    path.write_text(re.sub(r" \\\n( +--hash=\S+( \\)?\n)+", "\n", lock))
    return path


def with_pipx(wheel: Path, constraints: Path, environment: Mapping[str, str]) -> None:
    # Debian's pipx uses pip, too.
    subprocess.run(
        [
            *(BIN / "pipx", "install", "--python", sys.executable),
            *("--pip-args", f"--constraint {constraints}", wheel),
        ],
        env={**environment, "PIPX_DEFAULT_BACKEND": "pip"},
        capture_output=True,
        check=True,
    )


def with_uv(wheel: Path, constraints: Path, environment: Mapping[str, str]) -> None:
    subprocess.run(
        [
            *(BIN / "uv", "tool", "install", "--python", sys.executable),
            *("--constraints", constraints, wheel),
        ],
        env=environment,
        capture_output=True,
        check=True,
    )


Install = Callable[[Path, Path, Mapping[str, str]], None]
TOOLS: dict[str, tuple[Install, str]] = {
    "pipx": (with_pipx, ".local/share/pipx/venvs/rk-exporter"),
    "uv": (with_uv, ".local/share/uv/tools/rk-exporter"),
}


@pytest.fixture(scope="module", params=TOOLS)
def home(
    request: pytest.FixtureRequest,
    wheel: Path,
    constraints: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Home:
    folder = tmp_path_factory.mktemp(request.param)
    install, prefix = TOOLS[request.param]
    # Caches and settings of the machine may be used, but nothing is installed outside.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
    caches = {
        "PIP_CACHE_DIR": os.environ.get("PIP_CACHE_DIR", str(Path.home() / ".cache/pip")),
        "UV_CACHE_DIR": os.environ.get("UV_CACHE_DIR", str(Path.home() / ".cache/uv")),
    }
    try:
        install(wheel, constraints, {**kept, **caches, "HOME": str(folder)})
    except subprocess.CalledProcessError as error:
        pytest.fail(error.stderr.decode())
    return Home(folder, folder / prefix)


def test_version(home: Home) -> None:
    """The tool links the command, and it runs without anything else."""
    result = subprocess.run(
        [home.program, "--version"],
        env=home.environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"rk-exporter, version {__version__}" in result.stdout


def test_locked_versions(home: Home, constraints: Path) -> None:
    """It runs with the versions that were tested."""
    listed = subprocess.run(
        [BIN / "uv", "pip", "freeze", "--python", home.prefix],
        env=home.environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    locked = {line.partition(" ")[0] for line in constraints.read_text().splitlines()}
    installed = {line for line in listed if not line.startswith("rk-exporter")}
    assert installed
    assert installed <= locked


def test_demo(home: Home) -> None:
    """The demo answers."""
    with subprocess.Popen(
        [
            *(home.program, "demo", "--web.listen-address", "127.0.0.1:0"),
            *("--simulator.listen-address", "127.0.0.1:0"),
        ],
        env=home.environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout
        try:
            text = httpx.get(f"{url_in(demo.stdout.readline())}/metrics").text
        finally:
            demo.terminate()
            demo.stdout.close()
    assert 12 == text.count("rk_meeting_up{")


@pytest.mark.parametrize("name", SHARED)
def test_shared_files(home: Home, root: Path, name: str) -> None:
    """The manual page and the completions are in the environment, as the how-to guide says."""
    expected = (root / name).read_bytes()
    assert expected == (home.prefix / name).read_bytes()
    # pipx also puts them where `man` and shells look.
    linked = home.folder / ".local" / name
    assert ("pipx" in home.prefix.parts) is linked.exists()
    assert not linked.exists() or expected == linked.read_bytes()


def test_completion(home: Home) -> None:
    """The program completes what the shell asks for, with nothing but what was installed."""
    words = {"COMP_WORDS": "rk-exporter serve --log.level w", "COMP_CWORD": "3"}
    result = subprocess.run(
        [home.program],
        env={**home.environment, **words, "_RK_EXPORTER_COMPLETE": "bash_complete"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "plain,warning" == result.stdout.strip()
