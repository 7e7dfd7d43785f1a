"""Refusals of the API: of the token, of the rate, of all calls for a while."""

import asyncio
import json
import time

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest

from tests.support.building import labelled, value
from tests.support.exporter_process import NO_TOKEN, ExporterProcess, eventually, exporter_process
from tests.support.fault_server import ANY_PATH, Behaviour, Exchange, FaultServer, answer
from tests.support.faulty_api import GONE, NO_RECORDINGS, SHORT_SCRAPE_SECONDS, served, shown


HTML = b"<!DOCTYPE html><html><title>Attention required</title></html>"
GATEWAY = b'{"success":false,"errors":[{"code":10000,"message":"Authentication error"}]}'
HOUR, FIVE_MINUTES = 3600.0, 300.0
# A process may be slow between an answer and the time at which we look.
TOLERANCE_SECONDS = 60.0
MEETINGS = 12
# As many as an app reads at the same time, for which a refusal comes too late, and its lists.
MOST_CALLS = 11


def gmt(seconds: float) -> str:
    """Return the time in some *seconds* as HTTP writes it."""
    return format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


def too_many(*headers: str) -> Behaviour:
    """Answer that there are too many calls."""
    return answer(429, b'{"success":false,"errors":[{"code":971}]}', *headers)


# The answer to all calls for an app, and for how long it makes no calls after that.
REFUSALS: Mapping[str, tuple[Behaviour, float]] = {
    "401": (answer(401, GATEWAY), 15),
    "403": (answer(403, GATEWAY), 15),
    "malformed-token": (
        answer(400, b'{"success":false,"errors":[{"code":6003,"message":"Invalid headers"}]}'),
        15,
    ),
    "403-page": (answer(403, HTML, "Content-Type: text/html"), 15),
    "429-seconds": (too_many("Retry-After: 120"), 120),
    "429-date": (too_many(f"Date: {gmt(0)}", f"Retry-After: {gmt(600)}"), 600),
    "429-garbage": (too_many("Retry-After: soon"), FIVE_MINUTES),
    "429-negative": (too_many("Retry-After: -5"), FIVE_MINUTES),
    "429-week": (too_many("Retry-After: 604800"), HOUR),
    "429-nothing": (too_many(), FIVE_MINUTES),
    "429-as-500": (answer(500, b'{"success":false,"errors":[{"code":971}]}'), FIVE_MINUTES),
    "429-as-200": (answer(200, b'{"success":false,"errors":[{"code":10429}]}'), FIVE_MINUTES),
    "503-seconds": (answer(503, HTML, "Retry-After: 90"), 90),
}
REASONS = {"401": "auth", "403": "auth", "malformed-token": "auth", "403-page": "intercepted"}
FINE = "fine"


def config_of(server: FaultServer) -> str:
    """Return a configuration with an app for each refusal, in groups of their own."""
    apps = [
        {
            "name": name,
            "app_id": name,
            "budget_group": name,
            "meetings": {"ids": [f"{name}-{number}" for number in range(MEETINGS)]},
        }
        for name in (*REFUSALS, FINE)
    ]
    document = {
        "account_id": "account",
        "api": {
            "base_url": f"{server.url}/client/v4",
            "budget": 100_000,
            "read": "active-recording",
        },
        "scrape": {"min_interval": "0s"},
        "web": {"listen_address": "127.0.0.1:0"},
        "apps": apps,
    }
    return json.dumps(document)


class Refusing:
    """An exporter after its first scrape, at which each app but one got its refusal."""

    def __init__(self, server: FaultServer, exporter: ExporterProcess) -> None:
        self.server = server
        self.exporter = exporter
        self.text = exporter.scrape()
        self.calls = self.count_calls()

    def count_calls(self) -> dict[str, int]:
        """Return how many calls there were for each app."""
        paths = [request.path for request in self.server.requests]
        return {name: sum(f"/kit/{name}/" in path for path in paths) for name in (*REFUSALS, FINE)}


@pytest.fixture(scope="module")
def refusing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Refusing]:
    """Run an exporter with an app for each refusal."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    for name, (behaviour, _) in REFUSALS.items():
        for number in range(MEETINGS):
            server.script(f"{name}-{number}", behaviour)
    for number in range(MEETINGS):
        server.script(f"{FINE}-{number}", shown(f"{FINE}-{number}"))
    config = tmp_path_factory.mktemp("refusing") / "rk.yml"
    with served(server):
        config.write_text(config_of(server))
        with exporter_process(config) as exporter:
            yield Refusing(server, exporter)
            exporter.terminate()


@pytest.mark.parametrize("name", REFUSALS)
def test_refusal(refusing: Refusing, name: str) -> None:
    """After a refusal no call is made for as long as it says; the log says why and until when."""
    _, seconds = REFUSALS[name]
    until = value(refusing.text, "rk_api_blocked_until_timestamp_seconds", rk_app=name)
    assert until is not None
    now = datetime.now(UTC).timestamp()
    started_at = value(refusing.text, "process_start_time_seconds")
    assert started_at is not None
    assert started_at + seconds <= until + 1
    assert until <= now + seconds + TOLERANCE_SECONDS
    are_up = {
        number
        for labels, number in labelled(refusing.text, "rk_meeting_up")
        if labels["rk_app"] == name
    }
    assert {0.0} == are_up
    # Those that ran at the same time had begun before the first refusal.
    assert refusing.calls[name] <= MOST_CALLS
    suspended = refusing.exporter.logged("API calls are suspended, and", times=len(REFUSALS))
    (line,) = [line for line in suspended if f"app={name} " in line]
    expected = "server_error" if name == "503-seconds" else REASONS.get(name, "rate_limited")
    assert f"reason={expected} " in line


def test_no_calls_while_they_are_suspended(refusing: Refusing) -> None:
    """However often it is scraped, an exporter makes no calls for apps that are suspended."""
    for _ in range(3):
        text = refusing.exporter.scrape()
    calls = refusing.count_calls()
    long_enough = [name for name, (_, seconds) in REFUSALS.items() if seconds > 60]
    assert [] == [name for name in long_enough if calls[name] != refusing.calls[name]]
    assert {0.0} == {value(text, "rk_up", rk_app=name) for name in long_enough}
    assert calls[FINE] > refusing.calls[FINE]
    assert MEETINGS == sum(
        number for labels, number in labelled(text, "rk_meeting_up") if labels["rk_app"] == FINE
    )
    assert 1 == value(text, "rk_up", rk_app=FINE)


# What ends a refusal, and what comes before one.


@contextmanager
def one_app(folder: Path, behaviour: Behaviour) -> Iterator[tuple[FaultServer, ExporterProcess]]:
    """Run an exporter of one meeting with a token in a file."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    server.script("meeting", behaviour)
    (folder / "token").write_text("first-token")
    (folder / "token").chmod(0o600)
    config = folder / "rk.yml"
    with served(server):
        config.write_text(
            "account_id: account\napp_id: app\nmeeting_ids: [meeting]\n"
            f"api: {{base_url: '{server.url}/client/v4', budget: 100000, token_file: token, "
            "read: active-recording}\n"
            "scrape: {min_interval: 0s}\nweb: {listen_address: '127.0.0.1:0'}\n"
        )
        with exporter_process(config, environment=NO_TOKEN) as exporter:
            yield server, exporter
            exporter.terminate()


def test_new_token(tmp_path: Path) -> None:
    """After the token was rejected, a new one in the file is tried at the next scrape."""
    with one_app(tmp_path, answer(401, GATEWAY)) as (server, exporter):
        server.script("recordings", answer(401, GATEWAY))
        assert 0 == value(exporter.scrape(), "rk_up")
        calls = len(server.requests)
        exporter.scrape()
        assert calls == len(server.requests)
        server.script("meeting", shown("meeting"))
        new = tmp_path / "new"
        new.write_text("second-token\r\n")
        new.rename(tmp_path / "token")
        assert 1 == value(exporter.scrape(), "rk_up")
        assert "Bearer second-token" == server.requests[-1].headers["authorization"]
        assert "first-token" not in exporter.log
        assert "second-token" not in exporter.log


def test_short_pause_is_over(tmp_path: Path) -> None:
    """When the time of a 429 is over, the next scrape makes a call, and everything is right."""
    with one_app(tmp_path, too_many("Retry-After: 1")) as (server, exporter):
        exporter.scrape()
        server.script("meeting", shown("meeting"))
        eventually(lambda: value(exporter.scrape(), "rk_up") == 1)
        assert None is value(exporter.scrape(), "rk_api_blocked_until_timestamp_seconds")
        exporter.logged("API calls are made again")


@pytest.mark.parametrize("remaining", ["0", "-5"])
def test_few_calls_left(tmp_path: Path, remaining: str) -> None:
    """If the API says that few calls are left, the answer counts, and later calls wait."""
    body = json.dumps({"success": True, "data": None}).encode()
    header = f'Ratelimit: "default";r={remaining};t=240'
    left = answer(200, body, header, 'Ratelimit-Policy: "default";q=1200')
    with one_app(tmp_path, left) as (server, exporter):
        text = exporter.scrape()
        assert 1 == value(text, "rk_up")
        assert 0 == value(text, "rk_api_ratelimit_remaining")
        calls = len(server.requests)
        for _ in range(3):
            text = exporter.scrape()
        assert calls == len(server.requests)
        assert 1 == value(text, "rk_meetings_deferred")
        assert 1 == value(text, "rk_meeting_up")


@pytest.mark.parametrize(
    "header",
    [
        "Ratelimit: default;r=",
        'Ratelimit: "default";r=99999999999999999999999;t=1e999',
        "Ratelimit: " + '"x";r=1000;t=1,' * 500,
        "Ratelimit: \x7f\x01",
        'Ratelimit: "default";r="3";t=abc',
        "Ratelimit: " + "x" * 8000,
    ],
    ids=["cut", "huge", "many", "control", "texts", "long"],
)
def test_malformed_rate_limit(tmp_path: Path, header: str) -> None:
    """A header about the rate limit that makes no sense neither stops nor speeds up calls."""
    body = json.dumps({"success": True, "data": None}).encode()
    with one_app(tmp_path, answer(200, body, header)) as (server, exporter):
        for _ in range(3):
            calls = len(server.requests)
            text = exporter.scrape()
            assert 1 == value(text, "rk_meeting_up")
            assert 0 == value(text, "rk_meetings_deferred")
            assert calls < len(server.requests)
        assert None is value(text, "rk_api_blocked_until_timestamp_seconds")


def test_slow_api(tmp_path: Path) -> None:
    """A scrape of an API that needs a second per call is answered in time; the next ones go on."""
    server = FaultServer()
    server.script(ANY_PATH, GONE)
    server.script("recordings", NO_RECORDINGS)
    names = [f"meeting-{number}" for number in range(30)]
    for name in names:
        server.script(name, slowly(name))
    config = tmp_path / "rk.yml"
    with served(server):
        config.write_text(
            f"account_id: account\napp_id: app\nmeeting_ids: {json.dumps(names)}\n"
            f"api: {{base_url: '{server.url}/client/v4', budget: 100000, read: active-recording}}\n"
            "scrape: {min_interval: 0s}\nweb: {listen_address: '127.0.0.1:0'}\n"
        )
        with exporter_process(config) as exporter:
            begun = time.monotonic()
            text = exporter.scrape(SHORT_SCRAPE_SECONDS)
            assert time.monotonic() - begun < SHORT_SCRAPE_SECONDS + 5
            waiting = value(text, "rk_meetings_deferred")
            assert waiting is not None
            assert waiting > 0
            exporter.logged("meetings have to wait: the time of the scrape is over")
            eventually(lambda: read(exporter.scrape()) == len(names))
            exporter.terminate()


def slowly(name: str) -> Behaviour:
    """Answer with a recording, a second later."""
    shortly = shown(name)

    async def behave(exchange: Exchange) -> bool:
        await asyncio.sleep(1)
        return await shortly(exchange)

    return behave


def read(text: str) -> int:
    """Return how many meetings were read."""
    return len(labelled(text, "rk_meeting_last_success_timestamp_seconds"))
