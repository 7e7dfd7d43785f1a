"""Odd values of every option in the configuration file, through the command line."""

import json

from pathlib import Path

import pytest

from rk_exporter.config.account_options import ACCOUNT_OPTIONS
from rk_exporter.config.config import OPTIONS
from tests.support.processes import invoke


ONE_APP = {"account_id": "account", "app_id": "app", "meetings": {"discover": True}}
# What the options need that say nothing alone.
COMPANIONS = {
    "downloads.archive.bucket": "recordings",
    "webhook.listen_address": "127.0.0.1:0",
}
# Where people write a URL, or could paste one with a password by mistake.
MAY_BE_SECRET = {
    *("api.base_url", "api.token_file", "web.external_url", "webhook.public_key_url"),
    *("downloads.archive.bucket", "downloads.archive.endpoint_url", "downloads.archive.profile"),
    "downloads.allowed_hosts",
}
ODD: dict[str, object] = {
    "null": None,
    "empty": "",
    "blank": "  ",
    "NUL": "a\0b",
    "control characters": "\x1b[31m\n\r\t",
    "direction": "\u202etxt.exe",
    "other letters": "größe٣",
    "huge": "x" * 100_000,
    "number": -1,
    "not a number": float("nan"),
    "large": 10**30,
    "true": True,
    "list": [],
    "duplicates": ["a", "a", "a"],
    "mapping": {"a": "b"},
    "nested": [["a", {"b": ["c"]}], None, 1],
    "star": "*",
    "dot": ".",
    "dots": "../..",
    "URL": "ftp://user:canary@example.com/?a=canary#canary",
    "URLs": ["https://user:canary@example.com", "https://example.com?a=canary"],
}


def document(path: str, value: object) -> dict[str, object]:
    """Return a configuration with the *value* of the option at *path*."""
    content: dict[str, object] = json.loads(json.dumps(ONE_APP))
    for companion, needed in COMPANIONS.items():
        if companion.rpartition(".")[0] == path.rpartition(".")[0]:
            _put(content, companion, needed)
    _put(content, path, value)
    return content


def _put(content: dict[str, object], path: str, value: object) -> None:
    *sections, name = path.split(".")
    for section in sections:
        inner = content.setdefault(section, {})
        assert isinstance(inner, dict)
        content = inner
    content[name] = value


def check(folder: Path, content: dict[str, object]) -> str | None:
    """Return the error of `check`; None if the configuration is accepted."""
    file = folder / "rk.yml"
    # JSON is YAML, except for the numbers that JSON does not have; as text, they are odd enough.
    file.write_text(json.dumps(content))
    result = invoke("check", "--offline", "--config.file", str(file))
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code in {0, 2}, result.output
    assert "Traceback" not in result.output
    if not result.exit_code:
        return None
    assert result.output.startswith("Error: ")
    assert all(line.isprintable() for line in result.output.splitlines())
    return result.output


@pytest.mark.parametrize("path", [option.path for option in OPTIONS if option.path])
def test_option(path: str, tmp_path: Path) -> None:
    """Each odd value is accepted, or refused with a line that names the option."""
    for name, value in ODD.items():
        error = check(tmp_path, document(path, value))
        assert error is None or path.partition(".")[0] in error, f"{name}: {error}"
        if path in MAY_BE_SECRET:
            assert error is None or "canary" not in error


@pytest.mark.parametrize("path", [option.path_in_app for option in ACCOUNT_OPTIONS.values()])
def test_account(path: str, tmp_path: Path) -> None:
    """The same holds for the options of an account."""
    for name, value in ODD.items():
        account: dict[str, object] = {"account_id": "account"}
        if path.startswith("downloads.archive."):
            _put(account, "downloads.archive.bucket", "recordings")
        _put(account, path, value)
        error = check(tmp_path, {"accounts": [account]})
        assert error is None or f"accounts[0].{path}" in error, f"{name}: {error}"
