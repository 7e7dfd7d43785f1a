"""Conditions that are logged when they change, not each time that they are met."""

from typing import Generic, TypeVar


T = TypeVar("T")


class LastLogged(Generic[T]):
    """The condition that was logged last; *initial* is what needs no log line at the start."""

    def __init__(self, initial: T) -> None:
        self._logged = initial

    def changes_to(self, condition: T) -> bool:
        """Return whether *condition* differs from the one logged last, and remember it."""
        if condition == self._logged:
            return False
        self._logged = condition
        return True
