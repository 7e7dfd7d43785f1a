"""Copies of several apps in one bucket, as the running exporter shows them."""

import re
import threading
import time

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.bucket_server import BUCKET, BucketServer, bucket_server
from tests.support.building import labelled, scripted
from tests.support.processes import TOKEN, listening_lines, started, url_in
from tests.support.serving import served


PATIENCE_SECONDS = 60.0
MEETINGS = ("below-the-prefix", "elsewhere", "nowhere")
CONFIGURATION = """\
account_id: account
api: {{base_url: "{api}/client/v4"}}
scrape: {{min_interval: 0s}}
web: {{listen_address: "127.0.0.1:0"}}
downloads: {{archive: {{bucket: {bucket}, endpoint_url: "{url}", region: us-east-1}}}}
apps:
  - {{app_id: whole, meetings: {meetings}}}
  - {{app_id: part-1, meetings: {meetings}, downloads: {{archive: {{prefix: part/}}}}}}
  - {{app_id: part-2, meetings: {meetings}, downloads: {{archive: {{prefix: part/}}}}}}
  - app_id: locked-out
    meetings: {meetings}
    downloads: {{archive: {{prefix: part/, profile: wrong}}}}
"""


class LoggingBucketServer:
    """A server whose log says what was listed."""

    def __init__(self, server: BucketServer, folder: Path) -> None:
        self.server = server
        self._log = folder / "moto.log"

    @property
    def lists(self) -> Counter[tuple[str, str]]:
        """Return how many requests listed a prefix, by it and the status of the answer."""
        found = re.findall(
            r"GET /\S+\?list-type=2&prefix=([^& ]*).* (\d{3}) -", self._log.read_text()
        )
        return Counter((unquote(prefix), status) for prefix, status in found)


@pytest.fixture
def logging_server(tmp_path: Path) -> Iterator[LoggingBucketServer]:
    with bucket_server(tmp_path) as server:
        yield LoggingBucketServer(server, tmp_path)


def simulator(now: float) -> Simulator:
    """Return an API that has the same three finished recordings in each app."""
    ended = {
        "invoked_at": now - 200,
        "started_at": now - 198,
        "paused": (),
        "stopped_at": now - 100,
        "uploaded_at": now - 60,
        "file_size_bytes": 1000,
    }
    recordings = [scripted(meeting, **ended) for meeting in MEETINGS]
    return Simulator(ScriptedScenario(meetings=[*MEETINGS], recordings=recordings), rate_limit=0)


def put_copies(server: BucketServer, api: str) -> None:
    """Upload the copies of two recordings, and an object that is none."""
    answer = httpx.get(
        f"{api}/client/v4/accounts/account/realtime/kit/app/recordings",
        headers={"Authorization": "Bearer simulated"},
    ).json()
    names = {item["meeting"]["id"]: item["output_file_name"] for item in answer["data"]}
    server.put(f"part/{names['below-the-prefix']}", 1000)
    server.put(f"other/{names['elsewhere']}", 1000)
    server.put("part/another.txt", 3)


def by_app(text: str, name: str) -> dict[str, float]:
    return {labels["rk_app"]: value for labels, value in labelled(text, name)}


def saved(text: str) -> dict[str, dict[str, float]]:
    """Return what is known about each copy, by app and meeting."""
    found: dict[str, dict[str, float]] = {}
    for labels, is_saved in labelled(text, "rk_recording_archived"):
        found.setdefault(labels["rk_app"], {})[labels["meeting_id"]] = is_saved
    return found


def scraped_until_listed(url: str) -> str:
    """Scrape until each app has the result of a list, and some more times."""
    deadline, more = time.monotonic() + PATIENCE_SECONDS, 5
    while time.monotonic() < deadline:
        text = httpx.get(f"{url}/metrics", timeout=30).text
        more -= len(by_app(text, "rk_archive_up")) == 4
        if not more:
            return text
        threading.Event().wait(0.2)
    raise TimeoutError(text)


def test_one_bucket(logging_server: LoggingBucketServer, tmp_path: Path) -> None:
    """
    Each app sees the copies below its own prefix; apps with the same prefix share lists.

    An app with the wrong credentials says so, and costs the others nothing.
    """
    server = logging_server.server
    credentials = tmp_path / "credentials"
    canary = "canary-5d1f7c"
    credentials.write_text(
        f"[wrong]\naws_access_key_id = {canary}\naws_secret_access_key = {canary}\n"
    )
    environment = {
        **TOKEN,
        **server.environment,
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }
    configuration = tmp_path / "rk.yml"
    with served(simulator(time.time())) as api:
        put_copies(server, api)
        configuration.write_text(
            CONFIGURATION.format(
                api=api, bucket=BUCKET, url=server.url, meetings=f"{{ids: [{', '.join(MEETINGS)}]}}"
            )
        )
        with started(
            "serve", "--config.file", str(configuration), environment=environment
        ) as process:
            text = scraped_until_listed(url_in(*listening_lines(process)))
            process.terminate()
            _, log = process.communicate(timeout=PATIENCE_SECONDS)
    part = {"below-the-prefix": 1.0, "elsewhere": 0.0, "nowhere": 0.0}
    assert saved(text) == {"whole": {**part, "elsewhere": 1.0}, "part-1": part, "part-2": part}
    assert by_app(text, "rk_archive_objects") == {"whole": 3.0, "part-1": 2.0, "part-2": 2.0}
    up = by_app(text, "rk_archive_up")
    assert up == {"whole": 1.0, "part-1": 1.0, "part-2": 1.0, "locked-out": 0.0}
    assert by_app(text, "rk_up") == dict.fromkeys(up, 1.0)
    failures = {
        (labels["rk_app"], labels["reason"])
        for labels, count in labelled(text, "rk_archive_list_failures_total")
        if count
    }
    assert failures == {("locked-out", "forbidden")}
    assert canary not in text + log
    # The second app with the prefix may come when the first list runs, and then needs one more.
    lists = logging_server.lists
    assert lists.keys() == {("", "200"), ("part/", "200"), ("part/", "403")}
    assert lists["", "200"] == 1
    assert 1 <= lists["part/", "200"] <= 2
    assert lists["part/", "403"] == 1
