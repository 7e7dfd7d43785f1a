"""Whether an exporter requests files: if the downloads of any app are verified."""

import asyncio

from pathlib import Path

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.downloads.hosts import DownloadRules
from rk_exporter.downloads.verdict import Answer
from rk_exporter.downloads.verifier import DownloadVerifier
from rk_exporter.exporter.downloads import Downloads, make_fetch
from rk_exporter.model.download import FileKind, FileUrls
from rk_exporter.model.recording import Recording, Status
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.server_clock import ServerClock
from tests.support import virtual_time
from tests.support.building import NOW, Time


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


def test_switched_off_during_a_check(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A reload that switches all checks off ends a running one, which says nothing any more."""
    config, requested, bugs = loaded(tmp_path, APP + VERIFY), list[str](), list[str]()
    recording = Recording(recording_id="r", status=Status.UPLOADED, has_download_url=True)
    urls = tuple(Secret(f"https://files.test/{number}") for number in range(3))

    async def steps() -> DownloadVerifier:
        async def fetch(url: Secret, _rules: DownloadRules) -> Answer:
            requested.append(url.reveal())
            downloads.fetch = None
            assert verifier
            verifier.leave()
            return Answer(206, 1000, b"ID3")

        downloads = Downloads(fetch, clock=lambda: NOW, persistent=True, count_bug=bugs.append)
        (app,) = config.apps
        verifier = downloads.new_verifier(config, app, ServerClock(Time()))
        assert verifier
        verifier.offer(recording, (FileUrls(FileKind.TRACK, urls),))
        verifier.start([("m", recording)])
        await asyncio.sleep(5)
        return verifier

    assert {} == virtual_time.run(steps()).result.by_recording
    assert ["https://files.test/0"] == requested
    assert not caplog.records
    assert not bugs


@pytest.mark.parametrize(("leaves", "counted"), [(False, ["app"]), (True, [])])
def test_bug_in_a_check(tmp_path: Path, *, leaves: bool, counted: list[str]) -> None:
    """A bug counts for its app, unless the app has left and its counters are gone."""
    config, bugs = loaded(tmp_path, APP + VERIFY), list[str]()
    recording = Recording(recording_id="r", status=Status.UPLOADED, has_download_url=True)
    files = FileUrls(FileKind.TRACK, (Secret("https://files.test/0"),))

    async def steps() -> None:
        async def fetch(_url: Secret, _rules: DownloadRules) -> Answer:
            assert verifier
            if leaves:
                verifier.leave()
            raise RuntimeError

        downloads = Downloads(fetch, clock=lambda: NOW, persistent=True, count_bug=bugs.append)
        (app,) = config.apps
        verifier = downloads.new_verifier(config, app, ServerClock(Time()))
        assert verifier
        verifier.offer(recording, (files,))
        verifier.start([("m", recording)])
        await asyncio.sleep(5)

    virtual_time.run(steps())
    assert counted == bugs
