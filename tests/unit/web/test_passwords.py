"""Passwords: right, wrong and unknown, once and again."""

import asyncio
import base64

import bcrypt
import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.config.web_values import Users, parse_users
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.daemon_executor import TooManyCalls
from rk_exporter.web import passwords
from rk_exporter.web.passwords import Credentials, PasswordChecker, parse_authorization
from tests.support.web_config import PASSWORD, USER, authorization, bcrypt_hash


USERS = parse_users({USER: bcrypt_hash(), "other": bcrypt_hash("other")})
RIGHT = Credentials(USER.encode(), PASSWORD.encode())


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[bytes, bytes]]:
    """Return the checks that bcrypt has made: the password and the hash."""
    calls: list[tuple[bytes, bytes]] = []
    real = bcrypt.checkpw

    def counting(password: bytes, hashed: bytes) -> bool:
        calls.append((password, hashed))
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", counting)
    return calls


def results(checker: PasswordChecker, *given: Credentials, users: Users = USERS) -> list[bool]:
    async def check_all() -> list[bool]:
        return [await checker.is_right(one, users) for one in given]

    return asyncio.run(check_all())


def credentials(user: str, password: str) -> Credentials:
    return Credentials(user.encode(), password.encode())


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (RIGHT, True),
        (credentials("other", "other"), True),
        (credentials(USER, "other"), False),
        (credentials("other", PASSWORD), False),
        (credentials("nobody", PASSWORD), False),
        (credentials("", ""), False),
        (credentials(USER, ""), False),
        (credentials(USER, PASSWORD + "\0"), False),
        (credentials(USER, "x" * 100_000), False),
        (Credentials(b"\xff", b"\xff"), False),
        # exporter-toolkit's hash for unknown users is that of this password.
        (credentials("nobody", "fakepassword"), False),
    ],
)
def test_is_right(given: Credentials, *, expected: bool) -> None:
    """Only the password of the user is right, also when asked again."""
    assert [expected, expected] == results(PasswordChecker(), given, given)


def test_fake_password_at_its_own_cost() -> None:
    """An unknown user is refused even if the password fits the hash for unknown users."""
    users = parse_users({USER: bcrypt_hash(cost=10)})
    given = credentials("nobody", "fakepassword")
    assert bcrypt.checkpw(given.password, users.nobody.reveal().encode())
    assert [False, False] == results(PasswordChecker(), given, given, users=users)


def test_long_passwords() -> None:
    """Of a long password 72 bytes count, as for htpasswd, which made its hash."""
    long = "ä" * 36
    users = parse_users({USER: bcrypt_hash(long)})
    right, cut = credentials(USER, long + "whatever"), credentials(USER, long[:-1])
    assert [True, False] == results(PasswordChecker(), right, cut, users=users)


def test_results_are_remembered(checked: list[tuple[bytes, bytes]]) -> None:
    """A hash is computed once for the same credentials, right, wrong or unknown."""
    wrong, unknown = credentials(USER, "x"), credentials("nobody", "x")
    results(PasswordChecker(), *[RIGHT, wrong, unknown] * 5)
    assert [PASSWORD.encode(), b"x", b"x"] == [password for password, _ in checked]


def test_unknown_users_cost_the_same(checked: list[tuple[bytes, bytes]]) -> None:
    """For an unknown user bcrypt runs with the highest cost of a known one."""
    users = parse_users({USER: bcrypt_hash(cost=5), "other": bcrypt_hash(cost=4)})
    results(PasswordChecker(), credentials("nobody", "x"), users=users)
    ((_, hashed),) = checked
    assert hashed.startswith(b"$2y$05$")


def test_wrong_passwords_do_not_push_out_right_ones(
    checked: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood of wrong passwords does not make a scrape with a right one slow."""
    monkeypatch.setattr(passwords, "_MOST_REMEMBERED", 5)
    checker = PasswordChecker()
    flood = [credentials(USER, str(number)) for number in range(20)]
    assert [True, *[False] * 20, True] == results(checker, RIGHT, *flood, RIGHT)
    assert 21 == len(checked)


def test_memory_is_bounded(
    checked: list[tuple[bytes, bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the last results are remembered."""
    monkeypatch.setattr(passwords, "_MOST_REMEMBERED", 5)
    flood = [credentials(USER, str(number)) for number in range(6)]
    results(PasswordChecker(), *flood, flood[0], flood[5])
    assert 7 == len(checked)


def test_changed_password(checked: list[tuple[bytes, bytes]]) -> None:
    """A remembered result belongs to the hash of its time, not to the user."""
    checker = PasswordChecker()
    changed = parse_users({USER: bcrypt_hash("new")})
    removed = parse_users({"other": bcrypt_hash("other")})
    new = credentials(USER, "new")
    assert [True] == results(checker, RIGHT)
    assert [False, True] == results(checker, RIGHT, new, users=changed)
    assert [False] == results(checker, new, users=removed)
    assert [True] == results(checker, RIGHT)
    assert 4 == len(checked)


_parts = st.text("ab:", max_size=3)


@given(_parts, _parts, _parts, _parts)
def test_credentials_cannot_be_split_otherwise(
    user: str, password: str, other_user: str, other_password: str
) -> None:
    """Credentials are never taken for others that were right (CVE-2022-46146)."""
    right, other = credentials(user, password), credentials(other_user, other_password)
    users = Users.of({right.user: Secret(bcrypt_hash(password))})
    assert [True, other == right] == results(PasswordChecker(), right, other, users=users)


def test_one_check_at_a_time(checked: list[tuple[bytes, bytes]]) -> None:
    """Scrapes that start together with the same password wait for one check."""

    async def check() -> list[bool]:
        checker = PasswordChecker()
        return await asyncio.gather(*(checker.is_right(RIGHT, USERS) for _ in range(40)))

    assert [True] * 40 == asyncio.run(check())
    assert 1 == len(checked)


def test_too_many_checks() -> None:
    """Beyond a number of waiting checks, further ones fail at once, and a known password works."""

    async def check() -> tuple[int, int, bool]:
        checker = PasswordChecker()
        assert await checker.is_right(RIGHT, USERS)
        flood = (checker.is_right(credentials(USER, str(n)), USERS) for n in range(100))
        running = asyncio.gather(*flood, return_exceptions=True)
        await asyncio.sleep(0)
        is_right = await checker.is_right(RIGHT, USERS)
        found = await running
        refused = sum(isinstance(result, TooManyCalls) for result in found)
        return found.count(False), refused, is_right

    wrong, refused, is_right = asyncio.run(check())
    assert is_right
    assert 100 == wrong + refused
    assert 30 < wrong < 100


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (authorization("a", "b").encode(), Credentials(b"a", b"b")),
        (b"basic " + base64.b64encode(b"a:b"), Credentials(b"a", b"b")),
        (b"BASIC " + base64.b64encode(b"a:b:c"), Credentials(b"a", b"b:c")),
        (b"Basic " + base64.b64encode(b":"), Credentials(b"", b"")),
        (b"Basic " + base64.b64encode(b"\xff:\x00"), Credentials(b"\xff", b"\x00")),
        (b"", None),
        (b"Basic", None),
        (b"Basic ", None),
        (b"Basic a:b", None),
        (b"Basic " + base64.b64encode(b"ab"), None),
        (b"Basic " + base64.b64encode(b"a:bc").rstrip(b"="), None),
        (b"Basic  " + base64.b64encode(b"a:b"), None),
        (b"Basic \xff", None),
        (b"Bearer " + base64.b64encode(b"a:b"), None),
        (b"Basic" + base64.b64encode(b"a:b"), None),
    ],
)
def test_parse_authorization(header: bytes, expected: Credentials | None) -> None:
    """Only a well-formed header has credentials."""
    assert expected == parse_authorization(header)


@given(st.binary(max_size=60))
def test_any_header(header: bytes) -> None:
    """No header is an error."""
    for text in (header, b"Basic " + header, b"Basic " + base64.b64encode(header)):
        parsed = parse_authorization(text)
        assert parsed is None or b":" in b":".join(parsed)


def test_credentials_are_not_shown() -> None:
    """A password does not appear in the text of the credentials."""
    assert PASSWORD not in repr(RIGHT)
