"""Secrets, and where tokens come from."""

from typing import NoReturn, Protocol


class Secret:
    """A text that shows itself to nobody but the caller of *reveal*."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text."""
        return self._text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._text == self._text

    def __hash__(self) -> int:
        return hash(self._text)

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret must not be pickled or copied")


class TokenSource(Protocol):
    """The source of an app's token."""

    @property
    def problem(self) -> str | None:
        """Return why the last good token is in use and not the present one, without secrets."""
        ...

    async def refresh(self) -> object:
        """Read the token again if its file has changed; wait for a bounded time only."""
        ...

    def current(self) -> Secret:
        """Return the last good token, without I/O."""
        ...
