"""Answers of the API that have a signed URL, or the token, in each field where a text can be."""

import json

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.building import labelled
from tests.support.exporter_process import TOKEN, ExporterProcess, eventually, exporter_process
from tests.support.fault_server import ANY_PATH, Behaviour, FaultServer, answer
from tests.support.faulty_api import FAULTY, GONE, body, recording, served


CANARY = "X-Amz-Signature=canary"
URL = f"https://b.example/a.mp4?{CANARY}&X-Amz-Credential=key"
SECRETS = {"url": URL, "token": TOKEN, "header": f"Bearer {TOKEN.upper()}"}
CONFIG = """\
api: {{base_url: "{url}/client/v4", budget: 100000}}
scrape: {{min_interval: 0s}}
state: {{file: {folder}/state.json}}
log: {{level: debug}}
web: {{listen_address: "127.0.0.1:0"}}
apps:
  - {{account_id: account, app_id: app, meetings: {{ids: [faulty], discover: true}}}}
accounts: [{{account_id: account}}]
"""
RECORDING = {
    **recording(FAULTY),
    "type": "COMPOSITE",
    "stop_reason": {"reason": "API_CALL"},
    "download_url": None,
    "download_url_expiry": None,
    "audio_download_url": None,
    "file_size": 1,
    "stopped_time": None,
    "meeting": {"id": "listed", "title": "Listed"},
    "meeting_id": "listed",
}
SESSION = {
    "id": "session",
    "associated_id": "live",
    "meeting_display_name": "Live",
    "status": "LIVE",
    "live_participants": 1,
}
LISTED_APP = {"id": "listed", "name": "Listed"}
PROBLEM = {
    "success": False,
    "message": "m",
    "error": {"code": 1, "message": "m"},
    "errors": [{"code": 2, "message": "m"}],
}


@dataclass(frozen=True, slots=True)
class Outside:
    """What others can see of an exporter, whose API *server* is."""

    server: FaultServer
    exporter: ExporterProcess
    folder: Path

    def scrape(self, *behaviours: Behaviour) -> str:
        """Return the metrics after the API has answered about the meeting."""
        self.server.script(FAULTY, *behaviours)
        return self.exporter.scrape()

    def everything(self) -> str:
        """Return all pages, the log, and the state."""
        get = self.exporter.client.get
        openmetrics = {"Accept": "application/openmetrics-text"}
        pages = [get(path).text for path in ("/", "/api/v1/status", "/metrics", "/-/ready")]
        pages.append(get("/metrics", headers=openmetrics).text)
        state = self.folder / "state.json"
        return "\n".join([*pages, self.exporter.log, state.read_text() if state.exists() else ""])


def spoiled(document: Any, secret: str) -> Iterator[Any]:
    """Yield copies of a *document*, each with the *secret* in one place where it has a value."""
    if not isinstance(document, dict | list):
        yield secret
        return
    for key, inner in document.items() if isinstance(document, dict) else enumerate(document):
        for changed in spoiled(inner, secret):
            copy = document.copy()
            copy[key] = changed
            yield copy


def listed(item: dict[str, Any], *ids: str) -> list[dict[str, Any]]:
    """Return a list of an *item* with each secret in each field; other values of *ids* are new."""
    return [
        {
            **changed,
            **{name: f"{name}-{kind}-{number}" for name in ids if changed[name] == item[name]},
        }
        for kind, secret in SECRETS.items()
        for number, changed in enumerate(spoiled(item, secret))
    ]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Outside]:
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", answer(200, body(listed(RECORDING, "id"))))
    server.script(
        "sessions", answer(200, body({"sessions": listed(SESSION, "id", "associated_id")}))
    )
    server.script("apps", answer(200, body(listed(LISTED_APP, "id"))))
    config = tmp_path / "rk.yml"
    with served(server):
        config.write_text(CONFIG.format(url=server.url, folder=tmp_path))
        with exporter_process(config) as exporter:
            yield Outside(server, exporter, tmp_path)
            exporter.terminate()


def assert_nothing_secret(text: str, where: object) -> None:
    for secret in (CANARY, TOKEN):
        assert secret.lower() not in text.lower(), where


def test_each_field_of_each_answer(outside: Outside) -> None:
    """Neither a signature nor the token is in the metrics, on a page, in the log or in a file."""
    names = set()
    for secret in SECRETS.values():
        for data in spoiled(RECORDING, secret):
            text = outside.scrape(answer(200, body(data)))
            assert_nothing_secret(text, data)
            names |= {
                labels["output_file_name"] for labels, _ in labelled(text, "rk_recording_info")
            }
        for problem in spoiled(PROBLEM, secret):
            assert_nothing_secret(
                outside.scrape(answer(500, json.dumps(problem).encode())), problem
            )
    everything = outside.everything()
    assert_nothing_secret(everything, "pages")
    # The texts got that far, without what is secret.
    assert {"https://b.example/a.mp4?[redacted]", "[redacted]", "Bearer [redacted]"} <= names
    for name in ('meeting_name="https://b.example/a.mp4?[redacted]"', 'rk_app="[redacted]"'):
        assert name in everything
    eventually(lambda: 'status="Bearer [redacted]"' in outside.exporter.log)


@pytest.mark.parametrize("secret", SECRETS.values(), ids=SECRETS)
def test_headers(outside: Outside, secret: str) -> None:
    """The name of a policy shows neither; a header that is only the token is no policy."""
    content = body(recording(FAULTY))
    for name in (f'"{secret}"', secret):
        limits = (f"Ratelimit: {name};r=500;t=30", f"Ratelimit-Policy: {name};q=1000;w=300")
        others = (f"{header}: {secret}" for header in ("Date", "Retry-After", "Age", "CF-Ray", "X"))
        for status in (200, 429):
            text = outside.scrape(answer(status, content, *limits, *others))
            assert_nothing_secret(text.replace("_", "="), name)
            if status == 200 and name != secret:
                assert "redacted" in str(labelled(text, "rk_api_ratelimit_remaining"))
    assert_nothing_secret(outside.everything(), "pages")
