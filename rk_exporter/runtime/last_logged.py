"""Conditions that are logged when they change, not each time that they are met."""

import logging

from collections.abc import Mapping
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

    def log_problem(
        self: "LastLogged[str | None]",
        logger: logging.Logger,
        problem: str | None,
        *,
        warning: str,
        recovery: str,
        fields: Mapping[str, str],
    ) -> None:
        """Log *warning*, whose `%s` is the *problem*, or the *recovery*, if that is news."""
        if not self.changes_to(problem):
            return
        if problem is None:
            logger.info(recovery, extra=fields)
        else:
            logger.warning(warning, problem, extra=fields)
