"""The program as users start it: in process by click, or as a process of its own."""

import re
import subprocess
import sys

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from click.testing import CliRunner, Result

from rk_exporter.cli.main import main


# A new process may make a small part of its budget's calls. Tests do not wait for more.
TOKEN = {"CLOUDFLARE_API_TOKEN": "simulated", "RK_API_BUDGET": "1200"}


def invoke(*arguments: str, environment: Mapping[str, str] | None = None) -> Result:
    return CliRunner().invoke(
        main, [*arguments], env=dict(TOKEN if environment is None else environment)
    )


@contextmanager
def started(
    *arguments: str,
    environment: Mapping[str, str] | None = None,
    program: tuple[str, ...] = ("-m", "rk_exporter"),
) -> Iterator[subprocess.Popen[str]]:
    """Run the command line in a process of its own, whose environment is *environment* alone."""
    process = subprocess.Popen(
        [sys.executable, *program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=dict(environment or {}),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def url_in(line: str) -> str:
    match = re.search(r"http://\S+?:\d+", line)
    assert match, line
    return match[0]


def listening_lines(process: subprocess.Popen[str], count: int = 1) -> list[str]:
    """Return the lines about the addresses of a process that serves; lines before them are lost."""
    assert process.stderr
    lines = (line for line in process.stderr if "listening" in line)
    return [next(lines) for _ in range(count)]
