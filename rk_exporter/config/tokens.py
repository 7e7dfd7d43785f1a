"""API tokens from the environment and from files."""

import re

from rk_exporter.model.secret import Secret
from rk_exporter.runtime.watched_file import IS_PUBLIC, WatchedFile


TOKEN_VARIABLE = "CLOUDFLARE_API_TOKEN"  # noqa: S105 # the name of the variable
# RFC 6750, b64token. Anything else, above all a line break, would appear in the error message of
# the HTTP library.
_TOKEN = re.compile(r"[A-Za-z0-9._~+/-]+=*", re.ASCII)


def parse_token(text: str) -> Secret:
    """
    Return *text* as a token, without the white space around it.

    Raises ValueError, whose message never repeats the text.
    """
    token = text.strip()
    if not token:
        raise ValueError("is empty; put the API token there")
    if not _TOKEN.fullmatch(token):
        raise ValueError("has characters that no API token has; put only the token there")
    return Secret(token)


class FixedToken:
    """A token from the environment."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    @property
    def problem(self) -> None:
        """Return None, because the token is used as it is."""

    async def refresh(self) -> None:
        """Do nothing, because the environment of a process does not change."""

    def current(self) -> Secret:
        """Return the token."""
        return self._secret

    def __repr__(self) -> str:
        return "FixedToken(<secret>)"


class TokenFile(WatchedFile[Secret]):
    """A token in a file; the file can be replaced at any time, which rotates the token."""

    kind = "API token file"
    content = "token"
    remedy = "put a valid token into the file; it is read again when it changes"
    max_bytes = 4096
    # A token pasted in the place of the path must not be printed.
    is_path_shown = False
    is_secret = True

    @property
    def warning(self) -> str | None:
        """Return what is wrong with the permissions of the file at the start, or None."""
        return f"{self.fields['option']}: {self.kind} {IS_PUBLIC}" if self.is_public else None

    def parse(self, content: bytes) -> Secret:
        """Return the token in the *content* of the file."""
        return parse_token(content.decode("ascii", errors="replace"))

    def current(self) -> Secret:
        """Return the last good token, without reading the file."""
        return self.value
