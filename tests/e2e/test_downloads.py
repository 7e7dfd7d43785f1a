"""Downloads are verified by the real process, against a storage that may misbehave."""

from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import CANARY, FileFault
from tests.support.building import labelled, value
from tests.support.storages import VERIFY, allowing, exporting, finished, scrape_until, storage


VERIFIED = "rk_recording_download_verified"
FAILURE = "rk_recording_download_failure_info"
FAILURES = "rk_download_check_failures_total"


def has_checks(text: str) -> bool:
    return f"{VERIFIED}{{" in text


def failed(text: str) -> dict[str, str]:
    """Return the reason of each download that does not work, by its kind."""
    return {labels["kind"]: labels["reason"] for labels, _ in labelled(text, FAILURE)}


def test_files_that_are_there(tmp_path: Path) -> None:
    """The files of a recording are verified once, without a call to the API of its own."""
    with (
        storage(tmp_path, finished(audio=True)) as served,
        exporting(served, *allowing(served)) as (url, _),
    ):
        text = scrape_until(url, has_checks)
        ids = {"rk_app": "app", "meeting_id": "weekly", "recording_id": "r-1"}
        assert 1 == value(text, VERIFIED, kind="composite", **ids)
        assert 1 == value(text, VERIFIED, kind="audio", **ids)
        assert 20_212_537 == value(text, "rk_recording_download_size_bytes", kind="composite")
        assert {} == failed(text)
        assert value(text, "rk_recording_download_last_check_timestamp_seconds", kind="audio")
        for _ in range(5):
            text = httpx.get(f"{url}/metrics").text
        assert 2 == served.simulator.requests.files
        assert {"recordings"} >= set(served.simulator.requests.by_endpoint) - {"active_recording"}
        assert 2 == value(text, "rk_download_checks_total", rk_app="app")


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        (FileFault.GONE, "gone"),
        (FileFault.FORBIDDEN, "forbidden"),
        (FileFault.SERVER_ERROR, "server_error"),
        (FileFault.WRONG_SIZE, "size_mismatch"),
        (FileFault.EMPTY, "empty"),
        (FileFault.NOT_MEDIA, "not_media"),
        (FileFault.TRUNCATED, "connect"),
        (FileFault.SLOW, "timeout"),
        (FileFault.REDIRECT, "refused_host"),
        (FileFault.ENDLESS, "not_media"),
        (FileFault.HUGE_HEADERS, "server_error"),
        (FileFault.GZIP, "not_media"),
    ],
)
def test_storage_that_misbehaves(tmp_path: Path, fault: FileFault, reason: str) -> None:
    """Each kind of broken download has its reason, and no secret reaches metrics or the log."""
    with (
        storage(tmp_path, finished(), file_fault=fault) as served,
        exporting(served, *allowing(served)) as (url, process),
    ):
        text = scrape_until(url, has_checks)
        assert 0 == value(text, VERIFIED, kind="composite")
        assert {"composite": reason} == failed(text)
        grown = scrape_until(url, lambda text: value(text, FAILURES, reason=reason))
        assert 1 == sum(number for _, number in labelled(grown, FAILURES))
        pages = [httpx.get(f"{url}{path}").text for path in ("/", "/api/v1/status")]
        assert all(reason in page for page in pages)
        assert CANARY not in "".join([grown, *pages])
        process.terminate()
        _, errors = process.communicate(timeout=60)
    assert f"reason={reason}" in errors
    assert CANARY not in errors


def test_whole_file(tmp_path: Path) -> None:
    """A storage that ignores ranges has its file verified, and the rest of it is not read."""
    with (
        storage(tmp_path, finished(), file_fault=FileFault.NO_RANGES) as served,
        exporting(served, *allowing(served)) as (url, _),
    ):
        text = scrape_until(url, has_checks)
    assert 1 == value(text, VERIFIED, kind="composite")
    assert 20_212_537 == value(text, "rk_recording_download_size_bytes")


def test_tracks(tmp_path: Path) -> None:
    """The files of all participants are one check, and their sizes are added."""
    recording = finished(track=True, file_size_bytes=1000)
    with (
        storage(tmp_path, recording, track_files=3) as served,
        exporting(served, *allowing(served)) as (url, _),
    ):
        text = scrape_until(url, has_checks)
        assert 3 == served.simulator.requests.files
    assert 1 == value(text, VERIFIED, kind="track")
    assert 3000 == value(text, "rk_recording_download_size_bytes", kind="track")


def test_host_that_is_not_allowed(tmp_path: Path) -> None:
    """A host that is not in the list gets no request."""
    with storage(tmp_path, finished()) as served, exporting(served, *VERIFY) as (url, _):
        text = scrape_until(url, has_checks)
        assert 0 == served.simulator.requests.files
    assert {"composite": "refused_host"} == failed(text)


def test_allowed_host_with_a_private_address(tmp_path: Path) -> None:
    """A host that resolves to 127.0.0.1 gets no request unless private addresses are allowed."""
    with (
        storage(tmp_path, finished()) as served,
        exporting(served, *VERIFY, "--downloads.allowed-hosts", served.host) as (url, _),
    ):
        text = scrape_until(url, has_checks)
        assert 0 == served.simulator.requests.files
    assert {"composite": "refused_host"} == failed(text)


def test_certificate_of_another_host(tmp_path: Path) -> None:
    """A certificate for another name is refused."""
    with (
        storage(tmp_path, finished(), certified="files.example.com") as served,
        exporting(served, *allowing(served)) as (url, _),
    ):
        text = scrape_until(url, has_checks)
    assert {"composite": "tls"} == failed(text)


def test_restart(tmp_path: Path) -> None:
    """What was checked before a restart is shown after it, and not checked again."""
    state = ("--state.file", str(tmp_path / "state"))
    with storage(tmp_path, finished()) as served:
        with exporting(served, *allowing(served), *state) as (url, process):
            before = scrape_until(url, has_checks)
            process.terminate()
            process.wait(60)
        content = (tmp_path / "state").read_text()
        with exporting(served, *allowing(served), *state) as (url, _):
            after = scrape_until(url, has_checks)
        assert 1 == served.simulator.requests.files
    name = "rk_recording_download_last_check_timestamp_seconds"
    assert labelled(before, name) == labelled(after, name)
    assert CANARY not in content
    assert "localhost" not in content


def test_switched_on_and_off_by_a_reload(tmp_path: Path) -> None:
    """A reload switches the checks on, and off again with all their series."""
    file = tmp_path / "config.yml"
    with storage(tmp_path, finished()) as served:
        hosts = f"allowed_hosts: ['{served.host}']"
        on = f"downloads: {{verify: true, allow_private_addresses: true, {hosts}}}\n"
        off = "downloads: {verify: false}\n"
        file.write_text(off)
        arguments = ("--config.file", str(file), "--web.enable-lifecycle")
        with exporting(served, *arguments) as (url, _):
            first = httpx.get(f"{url}/metrics").text
            file.write_text(on)
            assert 200 == httpx.post(f"{url}/-/reload", timeout=60).status_code
            scrape_until(url, has_checks)
            file.write_text(off)
            assert 200 == httpx.post(f"{url}/-/reload", timeout=60).status_code
            last = httpx.get(f"{url}/metrics").text
    for text in (first, last):
        assert "rk_recording_download_verified" not in text
        assert "rk_download_check" not in text
