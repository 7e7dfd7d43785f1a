"""The completions that the package brings, in real shells."""

import contextlib
import os
import pty
import resource
import select
import subprocess
import sys
import time

from collections.abc import Iterator
from pathlib import Path

import pytest

from rk_exporter.cli.main import main
from tests.support.programs import required_program


SHARE = Path(__file__).parents[2] / "share"
BASH = SHARE / "bash-completion/completions/rk-exporter"
FISH = SHARE / "fish/vendor_completions.d/rk-exporter.fish"
ZSH = SHARE / "zsh/site-functions"
COMPINIT = "autoload -Uz compinit && compinit -D -u"
# The program must be on the path under its own name.
ENVIRONMENT = {
    "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.defpath)),
    "TERM": "dumb",
}


def in_bash(*words: str) -> list[str]:
    """Return what bash offers for the last of the *words*."""
    quoted = " ".join(f"'{word}'" for word in ("rk-exporter", *words))
    # compopt works only while somebody presses Tab.
    script = f"""
        compopt() {{ printf 'compopt %s %s\\n' "$@"; }}
        source '{BASH}'
        COMP_WORDS=({quoted}); COMP_CWORD={len(words)}
        _rk_exporter_completion rk-exporter
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    bash = required_program("bash", package="bash")
    result = subprocess.run(
        [bash, "--norc", "-c", script],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert not result.stderr
    return result.stdout.split("\n")[:-1]


def test_commands() -> None:
    """Tab after the program's name offers all commands, and after a letter those that fit."""
    assert sorted(main.commands) == in_bash("")
    assert ["serve"] == in_bash("se")


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (("serve", "--log.lev"), ["--log.level"]),
        (("serve", "--log.level", "w"), ["warning"]),
        (("serve", "--log.level=w"), ["warning"]),
        # Bash takes the sign as a word of its own.
        (("serve", "--log.level", "=", "w"), ["warning"]),
        (("serve", "--api.read", "="), ["auto", "active-recording", "list"]),
        (("serve", "--log.format", "=", "json", "--log.level", "=", "e"), ["error"]),
        (("serve", "--log.level", "W"), ["warning"]),
        (("check", "--api.read", ""), ["auto", "active-recording", "list"]),
        (("check", "--format", ""), ["text", "json"]),
        (("scrape", "--log.format", "l"), ["logfmt"]),
        (("simulate", "--pace", ""), ["demo", "real"]),
        (("serve", "--api.budget", ""), [""]),
    ],
)
def test_values(words: tuple[str, ...], offered: list[str]) -> None:
    """Options with few possible values offer those."""
    assert offered == in_bash(*words)


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("serve", "--config.file", "rk"), "default"),
        (("check", "--state.file", ""), "default"),
        (("scrape", "--meetings.file", "meet"), "default"),
        (("serve", "--api.token-file", "tok"), "default"),
        (("assets", "moni"), "dirnames"),
    ],
)
def test_paths(words: tuple[str, ...], kind: str) -> None:
    """For paths, the shell offers its own completions."""
    assert f"compopt -o {kind}" == in_bash(*words)[0]


class Terminal:
    """A shell on a pseudo-terminal."""

    def __init__(self, *command: str, folder: Path) -> None:
        self._own, its = pty.openpty()
        self._process = subprocess.Popen(
            command, stdin=its, stdout=its, stderr=its, cwd=folder, env=ENVIRONMENT
        )
        os.close(its)
        self.shown = ""

    def type(self, text: str) -> None:
        os.write(self._own, text.encode())

    def wait_for(self, text: str) -> None:
        """Read until *text* is on the screen."""
        give_up_at = time.monotonic() + 60
        while text not in self.shown:
            ready, _, _ = select.select([self._own], [], [], give_up_at - time.monotonic())
            assert ready, self.shown
            self.shown += os.read(self._own, 65536).decode()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._own)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "exporter-of-acme.yml").touch()
    return tmp_path


@pytest.fixture
def bash(folder: Path) -> Iterator[Terminal]:
    program = required_program("bash", package="bash")
    with contextlib.closing(
        Terminal(program, "--norc", "--noprofile", "-i", folder=folder)
    ) as shell:
        shell.type(f"source '{BASH}'; PS1='ready''> '\n")
        shell.wait_for("ready> ")
        yield shell


def test_tab_in_bash(bash: Terminal) -> None:
    """Tab completes a value and a path while somebody types a command."""
    bash.type("rk-exporter check --log.level w\t")
    bash.wait_for("--log.level warning ")
    bash.type("--log.format=j\t")
    bash.wait_for("--log.format=json ")
    bash.type("--config.file exp\t")
    # Shells draw only what changes.
    bash.wait_for("orter-of-acme.yml ")


@pytest.mark.parametrize(
    "lines",
    [
        f"fpath+='{ZSH}'; {COMPINIT}",
        f'{COMPINIT}; eval "$(_RK_EXPORTER_COMPLETE=zsh_source rk-exporter)"',
    ],
    ids=["linked", "printed"],
)
def test_tab_in_zsh(folder: Path, lines: str) -> None:
    """The function works where zsh loads it from, and printed after completion is initialised."""
    program = required_program("zsh", package="zsh")
    with contextlib.closing(Terminal(program, "-f", "-i", folder=folder)) as zsh:
        zsh.type(f"{lines}; PS1='ready''> '\n")
        zsh.wait_for("ready> ")
        zsh.type("rk-exporter check --log.level w\t")
        zsh.wait_for("--log.level warning ")
        zsh.type("--config.file exp\t")
        zsh.wait_for("orter-of-acme.yml ")


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("rk-exporter serve --log.level w", "warning"),
        ("rk-exporter ser", "serve\tRun the exporter"),
        ("rk-exporter serve --config.file exp", "exporter-of-acme.yml"),
    ],
)
def test_fish(folder: Path, line: str, offered: str) -> None:
    """Fish offers values, commands with their help, and paths."""
    program = required_program("fish", package="fish")
    result = subprocess.run(
        [program, "--no-config", "-c", f"source '{FISH}'; complete -C '{line}'"],
        cwd=folder,
        env={**ENVIRONMENT, "HOME": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert offered == result.stdout.strip().rstrip(".")


def test_speed() -> None:
    """A completion takes so little time that nobody waits for it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    in_bash("serve", "--log.level", "w")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Usually 0.3 s; CPU time does not depend on what else the machine does.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1.5
