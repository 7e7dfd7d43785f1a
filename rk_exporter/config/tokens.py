"""API tokens: where they come from, and a wrapper that keeps them out of everything printed."""

import logging
import re

from pathlib import Path

from rk_exporter.model.secret import Secret


logger = logging.getLogger(__name__)
# What may stand in a header behind "Bearer" (RFC 6750, b64token). Anything else, a line break
# above all, would end up in the message of the HTTP library's own error.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)
_LONGEST_FILE_BYTES = 4096


class TokenError(Exception):
    """A token cannot be had; the message never holds what was read."""


class FixedToken:
    """A token that was in the environment."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def current(self) -> Secret:
        """Return the one token there is."""
        return self._secret

    def __repr__(self) -> str:
        return "FixedToken(<secret>)"


class TokenFile:
    """
    A token in a file that is read again at each use, so that it can be rotated at any time.

    A file that turns unreadable or invalid leaves the last good token in use, and a warning in
    the log, with the *option* that named the file, each time that what is wrong changes. Raises
    TokenError where it begins so.
    """

    def __init__(self, path: Path, *, option: str) -> None:
        self._path = path
        self._option = option
        self._secret = _read(path)
        self._trouble: str | None = None

    def current(self) -> Secret:
        """Return the file's token, or the last good one."""
        try:
            self._secret = _read(self._path)
        except TokenError as error:
            self._report(str(error))
        else:
            self._report(None)
        return self._secret

    def __repr__(self) -> str:
        return f"TokenFile({str(self._path)!r})"

    def _report(self, trouble: str | None) -> None:
        if trouble != self._trouble:
            fields = {"option": self._option}
            if trouble:
                logger.warning(
                    "API token file: %s; the last good token stays in use", trouble, extra=fields
                )
            else:
                logger.info("API token file: it can be read again", extra=fields)
        self._trouble = trouble


def parse_token(text: str) -> Secret:
    """
    Return *text* as a token, without blanks and line breaks around it.

    Raises TokenError where it is empty or cannot be a token.
    """
    token = text.strip()
    if not token:
        raise TokenError("it is empty; put the API token there")
    if not _TOKEN.fullmatch(token):
        raise TokenError("it holds characters that no API token has; put the token alone there")
    return Secret(token)


def _read(path: Path) -> Secret:
    try:
        with path.open("rb") as file:
            content = file.read(_LONGEST_FILE_BYTES + 1)
    except OSError as error:
        # Not the path: a token pasted in the place of its file's name must not be printed.
        raise TokenError(f"it cannot be read ({error.strerror})") from None
    if len(content) > _LONGEST_FILE_BYTES:
        raise TokenError("it is larger than 4 KiB; put the token alone there")
    return parse_token(content.decode("ascii", errors="replace"))
