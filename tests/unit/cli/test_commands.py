"""The group of all commands."""

import io
import os
import subprocess
import sys

from pathlib import Path

import pytest

from rk_exporter.cli.main import main


# What a run of `serve` does not need while all optional parts are off.
UNUSED = [
    "boto3",
    "botocore",
    "cryptography",
    "rk_exporter.cli.assets",
    "rk_exporter.cli.check",
    "rk_exporter.cli.simulator",
    "rk_exporter.demo.demo",
    "rk_exporter.simulator",
    "rk_exporter.webhooks",
]


WITH_OUTPUT = [
    ["--help"],
    ["assets", "-h"],
    ["serve", "--help"],
    ["--version"],
    ["assets", "--list-settings"],
    ["assets", "folder"],
    ["simulate", "--web.listen-address", "127.0.0.1:0"],
    ["check", "--offline", "--account-id", "a", "--app-id", "b", "--meeting-id", "c"],
]


@pytest.fixture(scope="module")
def of_serve() -> list[str]:
    """Return the modules that a new process has imported when it runs `serve`."""
    program = "import sys, rk_exporter.cli.main, rk_exporter.cli.serve; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_names() -> None:
    """Each name in the list of commands is that of the command in its module."""
    assert [*main.commands] == [command.name for command in main.commands.values()]


@pytest.mark.parametrize("unused", UNUSED)
def test_what_is_off_is_not_imported(unused: str, of_serve: list[str]) -> None:
    """The start of `serve` takes neither time nor memory for other commands and optional parts."""
    assert not [name for name in of_serve if f"{name}.".startswith(f"{unused}.")]


@pytest.mark.parametrize("arguments", WITH_OUTPUT, ids=" ".join)
def test_full_disk(
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Output that cannot be written is an error of one line, and exit code 1."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLOUDFLARE_API_TOKEN", "simulated")
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as end:
            main(arguments, "rk-exporter")
        monkeypatch.undo()
        # What could not be written is still there, and closing the file would write it again.
        with Path(os.devnull).open("w") as null:
            os.dup2(null.fileno(), full.fileno())
    assert (1, "Error: cannot write the output: No space left on device\n") == (
        end.value.code,
        capsys.readouterr().err,
    )


def test_nobody_reads_the_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As with `head`, which closes its input, a command ends without a message."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb", buffering=0) as pipe:
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(pipe, write_through=True))
        monkeypatch.setattr(sys, "stderr", sys.stderr)
        with pytest.raises(SystemExit) as end:
            main(["assets", "--list-settings"], "rk-exporter")
        monkeypatch.undo()
    assert (1, "") == (end.value.code, capsys.readouterr().err)
