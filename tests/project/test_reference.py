"""The generated reference has everything that the code has."""

import logging
import os
import re
import subprocess
import sys

from collections import Counter

import pytest
import yaml

from rk_exporter.cli.main import main
from rk_exporter.config.config import OPTIONS
from rk_exporter.config.option import Option
from tests.support.building import run, setup
from tests.support.markdown import all_rows, rows, text_of
from tools.docs.__main__ import FILES, PAGES, ROOT, page, path_of
from tools.docs.command_line import command_line_reference
from tools.docs.completion import completion_script
from tools.docs.configuration import configuration_reference
from tools.docs.http import http_reference
from tools.docs.log_messages import ADVICE, LEVELS, PACKAGE, log_messages_reference, messages
from tools.docs.metrics import metrics_reference
from tools.docs.options import options_reference


@pytest.mark.parametrize("name", PAGES)
def test_pages_are_current(name: str) -> None:
    """The committed pages are those that `make docs` writes."""
    assert page(name) == path_of(name).read_text(encoding="utf-8"), "run make docs"


@pytest.mark.parametrize("name", FILES)
def test_files_are_current(name: str) -> None:
    """The other committed files are those that `make docs` writes."""
    assert FILES[name]() == (ROOT / name).read_text(encoding="utf-8"), "run make docs"


def test_every_page_is_generated() -> None:
    """No page of the reference is written by hand."""
    generated = {path_of(name) for name in PAGES} | {ROOT / name for name in FILES}
    assert {*(ROOT / "docs/reference").iterdir()} <= generated


def test_options() -> None:
    """Each flag has a row with its variable, its default and its help."""
    flags = [option for option in OPTIONS if option.flag]
    table = rows(options_reference(), "## Table")
    for option, cells in zip(flags, table[1:], strict=True):
        assert [f"`{option.flag}`", f"`{option.variable}`"] == cells[:2]
        assert cells[2] == (f"`{option.default}`" if option.default else "")
        assert option.help in cells[3]


def test_configuration() -> None:
    """Each key of the file, of an app and of a meeting has a row."""
    text = configuration_reference()
    keys = [f"| `{name}` |" for option in OPTIONS for name in (option.path, option.path_in_app)]
    for key in [*keys, "| `apps` |", "| `id` |", "| `name` |"]:
        assert key == "| `` |" or key in text, key


@pytest.mark.parametrize(
    "option",
    # The folder of a state file must exist.
    [option for option in OPTIONS if option.example and option.path != "state.file"],
    ids=lambda option: option.path_in_app or option.path,
)
def test_examples(option: Option) -> None:
    """The examples of the reference are valid values."""
    assert option.example
    value = yaml.safe_load(option.example)
    assert option.parse(value) is not None or not option.is_list
    assert isinstance(value, list) is option.is_list


def test_command_line() -> None:
    """Each command has a section with its help page, in which nothing is cut off."""
    text = command_line_reference()
    for name in main.commands:
        assert f"## rk-exporter {name}\n\n```text\nUsage: rk-exporter {name} " in text
    assert "..." not in text.replace("[ARGS]...", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shell_completion(shell: str) -> None:
    """The documented variable makes the program print the script that the package brings."""
    assert f"_RK_EXPORTER_COMPLETE={shell}_source" in text_of("docs/how-to/shell-completion.md")
    program = "from rk_exporter.cli.main import entry_point; import sys; entry_point()"
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.argv[0] = 'rk-exporter'; {program}"],
        env={"PATH": os.environ["PATH"], "_RK_EXPORTER_COMPLETE": f"{shell}_source"},
        capture_output=True,
        text=True,
        check=False,
    )
    # Click asks the installed bash for its version.
    assert completion_script(shell).strip() == result.stdout.strip(), result.stderr


def test_metrics() -> None:
    """Each label of a metric is explained."""
    text = metrics_reference()
    explained = [row[0].strip("`") for row in rows(text, "## Labels")]
    metrics = [row for row in all_rows(text.partition("## Labels")[0]) if row[0].startswith("`rk_")]
    used = {label for row in metrics for label in row[2].split(", ") if label}
    assert used == {*explained}
    assert len(used) == len(explained)


def test_log_messages() -> None:
    """No call that logs is missing, and each has the fields that its call passes."""
    calls = Counter(
        match[1]
        for path in PACKAGE.rglob("*.py")
        for match in re.finditer(r"logger\.(\w+)\(", path.read_text())
    )
    found = {(message.module, message.line): message for message in messages()}
    assert len(found) == sum(calls[method] for method in (*LEVELS, "log", "critical"))
    text = log_messages_reference()
    for message in found.values():
        source = (PACKAGE / message.module).read_text().splitlines()
        # One line, or the lines until the bracket at the end is as far to the left as the call.
        first = source[message.line - 1]
        indent = len(first) - len(first.lstrip())
        lines = [first, *source[message.line : message.line + 20]]
        ends = [line for line in lines[1:] if line == f"{' ' * indent})"]
        is_short = first.endswith(")")
        call = first if is_short else "\n".join(lines[: lines.index(ends[0])])
        assert bool(message.fields) == ("extra=" in call or ".exception(" in call), message
        assert f"`{message.text}`" in text


def test_advice_about_log_messages() -> None:
    """What to do is said about messages that exist, and about each warning and error."""
    for beginning in ADVICE:
        assert any(message.text.startswith(beginning) for message in messages()), beginning
    for message in messages():
        is_explained = "remedy" in message.fields or message.text.startswith((*ADVICE,))
        assert message.level == "info" or is_explained, message


def test_fields_of_log_messages() -> None:
    """No message has a field that every line has, or one of the logging library's own."""
    reserved = {"time", "ts", "level", "msg", "logger", *vars(logging.makeLogRecord({}))}
    for message in messages():
        assert reserved.isdisjoint(message.fields), message


def test_log_fields() -> None:
    """Fields are found even if a method or another module puts them together."""
    fields = {message.text: message.fields for message in messages()}
    of_recording = ("app", "meeting_id", "recording_id")
    assert fields["impossible status change of a recording"] == (*of_recording, "before", "after")
    counts = ("meetings", "added", "removed")
    assert fields["meetings file has changed"] == ("option", "path", *counts)
    assert fields["request failed"] == ("traceback",)
    assert fields["stopped"] == ()


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/metrics", "GET", {}),
        ("/-/healthy", "GET", {}),
        ("/-/ready", "GET", {}),
        ("/", "HEAD", {}),
        ("/api/v1/status", "GET", {}),
        ("/unknown", "GET", {}),
        ("/metrics", "POST", {}),
        ("/metrics", "GET", {"Content-Length": "100000"}),
    ],
)
def test_http(path: str, method: str, headers: dict[str, str]) -> None:
    """The exporter answers as the page says."""
    text = http_reference()
    paths = [row[0] for row in rows(text, "## Paths")]
    assert len(paths) == 6
    answer = run(setup().get(path, headers, method))
    where = f"`{path}`" if answer.status_code in {200, 503} else "any"
    documented = [
        row for row in rows(text, "## Status codes") if row[:2] == [where, str(answer.status_code)]
    ]
    assert len(documented) == 1
    body = documented[0][2].strip("`").partition("…")[0]
    assert answer.text.startswith(body)
