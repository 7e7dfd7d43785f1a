"""What every request passes first: usable configuration, rate limit, password; and headers."""

import asyncio

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rk_exporter.config.web_config import WebConfig, parse_web_config
from rk_exporter.web.guard import Guard
from rk_exporter.web.http import Receive, Scope, Send, line, send_response
from rk_exporter.web.passwords import PasswordChecker
from rk_exporter.web.token_bucket import TokenBucket
from tests.support.building import Time
from tests.support.web_config import USER, authorization, bcrypt_hash


USERS = f"basic_auth_users: {{{USER}: {bcrypt_hash()}}}\n"
HEADERS = """\
http_server_config:
  headers: {X-Frame-Options: deny, X-Content-Type-Options: nosniff, Content-Security-Policy: mine}
"""
LIMIT = "rate_limit: {interval: 10s, burst: 2}\n"


def configured(text: str) -> WebConfig:
    return parse_web_config(Path("web.yml"), text.encode())


@dataclass
class InUse:
    """The owner of the configuration."""

    config: WebConfig
    is_usable: bool = True


@dataclass
class Guarded:
    """A guarded application that counts what gets through."""

    text: str = ""
    in_use: InUse = field(init=False)
    passed: int = 0
    time: Time = field(default_factory=lambda: Time(1000.0))

    def __post_init__(self) -> None:
        self.in_use = InUse(configured(self.text))
        self.guard = Guard(self._application, self.in_use, monotonic=self.time)

    async def _application(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        self.passed += 1
        headers = {"Content-Security-Policy": "own", "X-Own": "1"}
        await send_response(line(200, "inside", headers), send, with_body=True)

    async def get(self, *headers: tuple[bytes, bytes], method: str = "GET") -> "Answer":
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = {"type": "http", "method": method, "headers": [*headers]}
        await self.guard(scope, None, send)  # type: ignore[arg-type] # no body is read
        body = b"".join(message.get("body", b"") for message in sent)
        names = [name for name, _ in sent[0]["headers"]]
        assert len(names) == len({*names})
        return Answer(sent[0]["status"], dict(sent[0]["headers"]), body.decode())


@dataclass
class Answer:
    """A response."""

    status: int
    headers: dict[bytes, bytes]
    body: str


def basic(user: str = USER, password: str | None = None) -> tuple[bytes, bytes]:
    header = authorization(user) if password is None else authorization(user, password)
    return b"authorization", header.encode()


def get(text: str, *headers: tuple[bytes, bytes], method: str = "GET") -> tuple[Answer, int]:
    guarded = Guarded(text)
    answer = asyncio.run(guarded.get(*headers, method=method))
    return answer, guarded.passed


def test_no_users() -> None:
    """Without users nobody needs a password."""
    answer, passed = get("")
    assert (200, "inside\n", 1) == (answer.status, answer.body, passed)


def test_right_password() -> None:
    """The right password gets through."""
    answer, passed = get(USERS, basic())
    assert (200, 1) == (answer.status, passed)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [basic(password="wrong")],
        [basic("nobody")],
        [(b"authorization", b"Bearer x")],
        [(b"authorization", b"Basic ###")],
        # The first one counts, as in Go.
        [basic(password="wrong"), basic()],
    ],
    ids=["none", "wrong", "unknown", "bearer", "malformed", "two"],
)
def test_unauthorized(headers: list[tuple[bytes, bytes]]) -> None:
    """Other requests get a 401 that asks for a password, and never reach the application."""
    answer, passed = get(USERS, *headers)
    assert (401, b"Basic", 0) == (answer.status, answer.headers[b"www-authenticate"], passed)
    assert USER not in answer.body


def test_head() -> None:
    """The answer to HEAD has no body."""
    answer, _ = get(USERS, method="HEAD")
    assert (401, "") == (answer.status, answer.body)


@pytest.mark.parametrize(
    ("text", "headers", "status"),
    [
        (USERS + HEADERS, [basic()], 200),
        (USERS + HEADERS, [], 401),
        (HEADERS, [], 200),
    ],
)
def test_headers(text: str, headers: list[tuple[bytes, bytes]], status: int) -> None:
    """Configured headers are in every response, and replace those of the application."""
    answer, _ = get(text, *headers)
    assert status == answer.status
    expected = {
        b"x-frame-options": b"deny",
        b"x-content-type-options": b"nosniff",
        b"content-security-policy": b"mine",
    }
    assert expected.items() <= answer.headers.items()
    assert (answer.headers.get(b"x-own") == b"1") is (status == 200)


def test_unusable_configuration() -> None:
    """If the configuration is broken, nobody gets in, not even with a password that was right."""
    guarded = Guarded(USERS + HEADERS)

    async def requests() -> list[Answer]:
        answers = [await guarded.get(basic())]
        guarded.in_use.is_usable = False
        answers += [await guarded.get(basic()), await guarded.get()]
        guarded.in_use.is_usable = True
        return [*answers, await guarded.get(basic())]

    answers = asyncio.run(requests())
    assert [200, 500, 500, 200] == [answer.status for answer in answers]
    assert all(answer.headers[b"x-frame-options"] == b"deny" for answer in answers)
    assert 2 == guarded.passed


def test_users_without_users() -> None:
    """Users that are added or removed count from the next request on."""
    guarded = Guarded()

    async def requests() -> list[int]:
        statuses = [(await guarded.get()).status]
        guarded.in_use.config = configured(USERS)
        statuses += [(await guarded.get()).status, (await guarded.get(basic())).status]
        guarded.in_use.config = configured("")
        return [*statuses, (await guarded.get()).status]

    assert [200, 401, 200, 200] == asyncio.run(requests())


def test_rate_limit() -> None:
    """More requests than allowed get a 429, before their password is looked at."""
    guarded = Guarded(USERS + LIMIT + HEADERS)

    async def requests() -> list[Answer]:
        answers = [await guarded.get(basic()), await guarded.get(), await guarded.get(basic())]
        guarded.time.now += 10
        return [*answers, await guarded.get(basic()), await guarded.get(basic())]

    answers = asyncio.run(requests())
    assert [200, 401, 429, 200, 429] == [answer.status for answer in answers]
    assert b"10" == answers[2].headers[b"retry-after"]
    assert b"deny" == answers[2].headers[b"x-frame-options"]


def test_changed_rate_limit() -> None:
    """A changed limit counts immediately; an unchanged one keeps its count after a reload."""
    guarded = Guarded(LIMIT)

    async def requests() -> list[int]:
        statuses = [(await guarded.get()).status for _ in range(2)]
        guarded.in_use.config = configured(LIMIT)
        statuses.append((await guarded.get()).status)
        guarded.in_use.config = configured("rate_limit: {interval: 1s, burst: 1}")
        statuses += [(await guarded.get()).status for _ in range(2)]
        guarded.in_use.config = configured("rate_limit: {interval: 0, burst: 1}")
        return [*statuses, *[(await guarded.get()).status for _ in range(5)]]

    assert [200, 200, 429, 200, 429, *[200] * 5] == asyncio.run(requests())


def test_many_wrong_passwords() -> None:
    """A flood of wrong passwords gets 401 and 503, and the right password still works."""
    guarded = Guarded(USERS)

    async def requests() -> tuple[list[int], int]:
        await guarded.get(basic())
        flood = asyncio.gather(*(guarded.get(basic(password=str(n))) for n in range(200)))
        right = await guarded.get(basic())
        return [answer.status for answer in await flood], right.status

    statuses, right = asyncio.run(requests())
    assert {401, 503} == {*statuses}
    assert 200 == right


def test_bug(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected error lets nobody in; the log has a traceback without values."""

    async def broken(*_: object) -> bool:
        raise RuntimeError("canary")

    monkeypatch.setattr(PasswordChecker, "is_right", broken)
    answer, passed = get(USERS + HEADERS, basic())
    assert (500, 0) == (answer.status, passed)
    assert b"deny" == answer.headers[b"x-frame-options"]
    assert "request failed" in caplog.text
    assert "canary" not in caplog.text


def test_token_bucket() -> None:
    """A bucket starts full, and never has more than its burst."""
    time = Time(5.0)
    bucket = TokenBucket(0.5, 3, monotonic=time)

    def allowed(count: int) -> int:
        return sum(bucket.allow() for _ in range(count))

    found = [allowed(5)]
    for seconds in (0.25, 0.25, 1.0, 1000.0):
        time.now += seconds
        found.append(allowed(5))
    assert [3, 0, 1, 2, 3] == found
