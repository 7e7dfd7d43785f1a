"""Copies of recordings in a bucket, as the running exporter shows them."""

import signal
import socket
import time

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import Recording, ScriptedScenario, Simulator
from tests.support.bucket_server import BUCKET, BucketServer, bucket_server
from tests.support.building import labelled, scripted, value
from tests.support.processes import TOKEN, listening_lines, started, url_in
from tests.support.serving import served


PATIENCE_SECONDS = 60.0
KINDS = ("saved", "half", "missing")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BucketServer]:
    with bucket_server(tmp_path_factory.mktemp("moto")) as running:
        yield running


def recordings(now: float) -> list[Recording]:
    """Return recordings that were uploaded a minute ago, and one that runs."""
    begun = {"invoked_at": now - 200, "started_at": now - 198, "paused": ()}
    ended = {**begun, "stopped_at": now - 100, "uploaded_at": now - 60, "file_size_bytes": 1000}
    return [
        *(scripted(meeting, **ended) for meeting in KINDS),
        scripted("running", **begun, stopped_at=None, uploaded_at=None),
    ]


@contextmanager
def exporter(
    api: str, folder: Path, *arguments: str, environment: dict[str, str]
) -> Iterator[tuple[str, list[str]]]:
    """Run an exporter of all meetings, and give its URL and, at the end, its log."""
    ids = [argument for meeting in (*KINDS, "running") for argument in ("--meeting-id", meeting)]
    log: list[str] = []
    command = (
        *("serve", "--account-id", "account", "--app-id", "app", *ids),
        *("--api.base-url", f"{api}/client/v4", "--scrape.min-interval", "0s"),
        *("--web.listen-address", "127.0.0.1:0", *arguments),
    )
    # No files of the person who runs the tests.
    files = {
        name: str(folder / name) for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE")
    }
    with started(*command, environment={**TOKEN, **files, **environment}) as process:
        yield url_in(*listening_lines(process)), log
        process.send_signal(signal.SIGTERM)
        begin = time.monotonic()
        _, rest = process.communicate(timeout=PATIENCE_SECONDS)
        log += rest.splitlines()
        assert 0 == process.returncode
        assert time.monotonic() - begin < 10


def scraped_until(url: str, name: str) -> str:
    """Scrape until a metric has a sample, and return the metrics."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        begin = time.monotonic()
        text = httpx.get(f"{url}/metrics", timeout=30).text
        assert time.monotonic() - begin < 9, "a scrape has waited for the bucket"
        if labelled(text, name):
            return text
        time.sleep(0.1)
    raise TimeoutError(text)


def archive(server: BucketServer, prefix: str) -> tuple[str, ...]:
    return (
        *("--downloads.archive.bucket", BUCKET, "--downloads.archive.prefix", prefix),
        *("--downloads.archive.endpoint-url", server.url),
        *("--downloads.archive.region", "us-east-1"),
    )


def sizes(api: str) -> dict[str, tuple[str, int]]:
    """Return the name and the size of each meeting's file, as the API gives them."""
    answer = httpx.get(
        f"{api}/client/v4/accounts/account/realtime/kit/app/recordings",
        params={"per_page": 50},
        headers={"Authorization": "Bearer simulated"},
    ).json()
    return {
        item["meeting"]["id"]: (item["output_file_name"], item["file_size"])
        for item in answer["data"]
    }


def test_copies(server: BucketServer, tmp_path: Path) -> None:
    """A whole copy counts as saved; half of one, and none, do not; a running recording is open."""
    simulator = Simulator(
        ScriptedScenario(meetings=[*KINDS, "running"], recordings=recordings(time.time())),
        rate_limit=0,
    )
    with served(simulator) as api:
        files = sizes(api)
        name, size = files["saved"]
        server.put(f"live/2026/11/{name}", size)
        name, size = files["half"]
        server.put(f"live/2026/11/{name}", size // 2)
        server.put("live/something-else.txt", 5)
        arguments = archive(server, "live/")
        with exporter(api, tmp_path, *arguments, environment=dict(server.environment)) as (
            url,
            log,
        ):
            text = scraped_until(url, "rk_recording_archived")
    assert {"saved": 1.0, "half": 0.0, "missing": 0.0} == {
        labels["meeting_id"]: is_saved
        for labels, is_saved in labelled(text, "rk_recording_archived")
    }
    assert (1.0, 1.0, 3.0) == (
        value(text, "rk_archive_up"),
        value(text, "rk_recordings_archived"),
        value(text, "rk_archive_objects"),
    )
    assert 0 == sum(count for _, count in labelled(text, "rk_recordings_not_archived")), (
        "no URL expires soon"
    )
    assert not [line for line in log if "level=warning" in line]
    for secret in server.environment.values():
        assert secret == "true" or secret not in text + "".join(log)


def test_wrong_credentials(server: BucketServer, tmp_path: Path) -> None:
    """With wrong credentials the exporter reads recordings as usual, and says what is wrong."""
    simulator = Simulator(
        ScriptedScenario(meetings=[*KINDS, "running"], recordings=recordings(time.time())),
        rate_limit=0,
    )
    environment = {**server.environment, "AWS_SECRET_ACCESS_KEY": "canary-5d1f7c"}
    with (
        served(simulator) as api,
        exporter(
            api, tmp_path, *archive(server, ""), "--log.level", "debug", environment=environment
        ) as (url, log),
    ):
        text = scraped_until(url, "rk_archive_up")
    assert (0.0, 1.0) == (value(text, "rk_archive_up"), value(text, "rk_up"))
    assert not labelled(text, "rk_recording_archived")
    failures = labelled(text, "rk_archive_list_failures_total")
    assert "forbidden" in {labels["reason"] for labels, _ in failures}
    (line,) = [line for line in log if "archive could not be listed" in line]
    assert "reason=forbidden" in line
    assert 'remedy="check the credentials' in line
    everything = text + "".join(log)
    assert "canary" not in everything
    assert server.environment["AWS_ACCESS_KEY_ID"] not in everything


def test_hanging_bucket(tmp_path: Path) -> None:
    """A bucket that accepts connections and never answers delays neither scrapes nor the end."""
    simulator = Simulator(
        ScriptedScenario(meetings=[*KINDS, "running"], recordings=recordings(time.time())),
        rate_limit=0,
    )
    environment = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret"}
    with socket.create_server(("127.0.0.1", 0)) as silent, served(simulator) as api:
        silent.settimeout(PATIENCE_SECONDS)
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        arguments = (
            *("--downloads.archive.bucket", "recordings", "--downloads.archive.region", "auto"),
            *("--downloads.archive.endpoint-url", endpoint),
        )
        with exporter(api, tmp_path, *arguments, environment=environment) as (url, _):
            scraped_until(url, "rk_recording_status")
            connection, _ = silent.accept()
            text = scraped_until(url, "rk_recording_status")
            connection.close()
    assert not labelled(text, "rk_archive_up")
    assert 1 == value(text, "rk_up")
