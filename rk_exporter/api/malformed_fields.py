"""A warning for each field of the API's answers that cannot be understood."""

import logging

from collections.abc import Iterable, Mapping


logger = logging.getLogger(__name__)
# The names come from the schema; an endless number of them would be a bug.
_MOST_FIELDS = 50


class MalformedFieldLog:
    """Logs each malformed field of the answers about one app or account, *subject*, once."""

    def __init__(self, subject: Mapping[str, str]) -> None:
        self._subject = subject
        self._logged: set[str] = set()

    def log(self, fields: Iterable[str]) -> None:
        """Log those of the *fields* that are new."""
        for name in fields:
            if name in self._logged or len(self._logged) >= _MOST_FIELDS:
                continue
            self._logged.add(name)
            logger.warning(
                "API answer has a field that cannot be understood; its values are not shown",
                extra={**self._subject, "field": name},
            )
