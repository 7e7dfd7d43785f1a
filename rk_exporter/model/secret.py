"""Secrets, and the source of tokens."""

from typing import NoReturn, Protocol


class Secret:
    """A text that appears in no repr, log line or error; only *reveal* returns it."""

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
        raise TypeError("a secret cannot be pickled or copied")


class TokenSource(Protocol):
    """The source of an app's token."""

    def current(self) -> Secret:
        """Return the token to use now."""
        ...
