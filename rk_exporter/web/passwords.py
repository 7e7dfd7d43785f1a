"""
Passwords of users, checked with bcrypt.

A check takes the same time for unknown users as for known ones, so that nobody finds out who has an
account. bcrypt runs in a thread of its own, one check at a time. Results are remembered, so that a
scrape per second does not keep a processor busy.
"""

import asyncio
import base64
import binascii
import hmac
import secrets

from collections import OrderedDict
from typing import NamedTuple

import bcrypt

from rk_exporter.config.web_values import Users
from rk_exporter.model.secret import Secret
from rk_exporter.runtime.daemon_executor import DaemonExecutor


# What bcrypt uses of a password: other programs cut the rest off silently, as htpasswd does.
_USED_BYTES = 72
_MOST_REMEMBERED = 100
# Together they take a few seconds, about as long as anyone waits.
_MOST_WAITING = 32


class Credentials(NamedTuple):
    """A user's name and password, as the client sent them."""

    user: bytes
    password: bytes

    def __repr__(self) -> str:
        return "Credentials(<secret>)"


class _Digests:
    """The digests of the last checks; older ones are forgotten."""

    def __init__(self) -> None:
        self._digests: OrderedDict[bytes, None] = OrderedDict()

    def __contains__(self, digest: bytes) -> bool:
        if digest not in self._digests:
            return False
        self._digests.move_to_end(digest)
        return True

    def add(self, digest: bytes) -> None:
        self._digests[digest] = None
        if len(self._digests) > _MOST_REMEMBERED:
            self._digests.popitem(last=False)


def parse_authorization(header: bytes) -> Credentials | None:
    """Return the credentials in an Authorization header (RFC 7617); None if there are none."""
    scheme, _, encoded = header.partition(b" ")
    if scheme.lower() != b"basic":
        return None
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        return None
    user, colon, password = decoded.partition(b":")
    return Credentials(user, password) if colon else None


class PasswordChecker:
    """
    Checks passwords, and remembers the last results.

    It keeps no password, only digests under a random key. Wrong passwords cannot push right ones
    out, because the two kinds are remembered separately.
    """

    def __init__(self) -> None:
        self._executor = DaemonExecutor(1, name="bcrypt", max_waiting=_MOST_WAITING)
        self._key = secrets.token_bytes(32)
        self._right, self._wrong = _Digests(), _Digests()
        self._running: dict[bytes, asyncio.Task[bool]] = {}

    async def is_right(self, given: Credentials, users: Users) -> bool:
        """
        Return whether *given* are the credentials of one of the *users*.

        Raises TooManyCalls if too many checks wait.
        """
        stored = users.hashes.get(given.user)
        compared = stored or users.nobody
        digest = self._digest(given, compared)
        # The same digest also means the same hash, so a changed password is checked again.
        if digest in self._right:
            return stored is not None
        if digest in self._wrong:
            return False
        task = self._running.get(digest)
        if task is None:
            task = asyncio.create_task(self._check(given, compared, digest))
            self._running[digest] = task
            task.add_done_callback(lambda _: self._running.pop(digest))
        # Others may wait for the same check.
        return await asyncio.shield(task) and stored is not None

    async def _check(self, given: Credentials, compared: Secret, digest: bytes) -> bool:
        loop = asyncio.get_running_loop()
        is_right = await loop.run_in_executor(self._executor, _matches, given.password, compared)
        (self._right if is_right else self._wrong).add(digest)
        return is_right

    def _digest(self, given: Credentials, compared: Secret) -> bytes:
        parts = (given.user, compared.reveal().encode(), given.password)
        # Each with its length: joined texts could be split in another way (CVE-2022-46146).
        message = b"".join(len(part).to_bytes(8) + part for part in parts)
        return hmac.digest(self._key, message, "sha256")


def _matches(password: bytes, compared: Secret) -> bool:
    return bcrypt.checkpw(password[:_USED_BYTES], compared.reveal().encode())
