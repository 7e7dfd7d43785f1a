"""Whether an exporter can request files: if the downloads of any app are verified."""

from pathlib import Path

import pytest

from rk_exporter.config.config import Config, load
from rk_exporter.exporter.downloads import make_fetch


APP = "account_id: account\napp_id: app\nmeetings: {discover: true}\n"
ACCOUNT = "accounts:\n  - account_id: account\n"
APPS = """\
account_id: account
apps:
  - {app_id: first, meetings: {discover: true}}
  - {app_id: second, meetings: {discover: true}, downloads: {verify: true}}
"""
VERIFY = "downloads: {verify: true}\n"


def loaded(folder: Path, text: str) -> Config:
    (folder / "rk.yml").write_text(text)
    return load(folder / "rk.yml", {}, {"CLOUDFLARE_API_TOKEN": "token"})


@pytest.mark.parametrize(
    "text",
    [APP + VERIFY, APPS, ACCOUNT + VERIFY, f"{ACCOUNT}    {VERIFY}"],
    ids=["app", "one of several", "all accounts", "account"],
)
def test_needed(tmp_path: Path, text: str) -> None:
    """Files can be requested if one app needs it, also if the apps are found later."""
    assert make_fetch(loaded(tmp_path, text)) is not None


@pytest.mark.parametrize("text", [APP, ACCOUNT], ids=["app", "account"])
def test_not_needed(tmp_path: Path, text: str) -> None:
    """Otherwise no certificates are read."""
    assert make_fetch(loaded(tmp_path, text)) is None
