"""Configurations that are loaded from flags and files."""

from pathlib import Path

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE


CANARY = "canary-4f1b9a"
ENVIRONMENT = {TOKEN_VARIABLE: CANARY}
SMALLEST: dict[str, str | list[str]] = {
    "account_id": "account",
    "app_id": "app",
    "meeting_ids": ["a", "b"],
}
ONE = "account_id: account\napp_id: app\nmeeting_ids: [a]\n"


def settings(**values: str | list[str]) -> dict[str, Setting]:
    """Return the flags of the smallest configuration, and others; `__` stands for a dot."""
    options = {**SMALLEST, **{key.replace("__", "."): value for key, value in values.items()}}
    return {path: Setting(value, f"--{path}") for path, value in options.items()}


def from_file(folder: Path, text: str, **flags: str) -> Config:
    """Load a file, and flags that override it."""
    path = folder / "rk.yml"
    path.write_text(text)
    overrides = {key.replace("__", "."): Setting(flag, "--flag") for key, flag in flags.items()}
    return load(path, overrides, ENVIRONMENT)


def error_of(folder: Path, text: str, **flags: str) -> str:
    """Return why such a file is refused, without the path of its folder."""
    with pytest.raises(ConfigError) as caught:
        from_file(folder, text, **flags)
    assert CANARY not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")
