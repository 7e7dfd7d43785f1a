"""What cannot be read now, and how that changes from one pass to the next."""

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from rk_exporter.model.failure import Failure, Reason


@dataclass(frozen=True, slots=True)
class NewFailures:
    """What began to fail for the reason of *failure*: the *ids*, and the failure of the first."""

    ids: tuple[str, ...]
    failure: Failure


@dataclass(frozen=True, slots=True)
class Changes:
    """How a pass changed what fails: *new* failures by reason, and the ids that *recovered*."""

    new: Mapping[Reason, NewFailures]
    recovered: tuple[str, ...]


class Failing:
    """The meetings, or the recordings, of one app that could not be read the last time."""

    def __init__(self) -> None:
        self._reasons: dict[str, Reason] = {}

    def __len__(self) -> int:
        return len(self._reasons)

    @property
    def reasons_text(self) -> str:
        """Return how many fail for each reason, e.g. `connect:3,timeout:1`."""
        counts = Counter(self._reasons.values())
        return ",".join(f"{reason}:{count}" for reason, count in sorted(counts.items()))

    def observe(
        self, outcomes: Mapping[str, Failure | None], *, listed: Callable[[], Collection[str]]
    ) -> Changes:
        """
        Take in the *outcomes* of a pass by id, None for a success, and return what has changed.

        Ids that are no longer *listed* are dropped. Another text for the same reason is no change.
        """
        new: dict[Reason, list[str]] = {}
        first: dict[Reason, Failure] = {}
        recovered = []
        for key, failure in outcomes.items():
            before = self._reasons.get(key)
            if failure is None:
                if before is not None:
                    recovered.append(key)
                    del self._reasons[key]
            elif failure.reason is not before:
                self._reasons[key] = failure.reason
                new.setdefault(failure.reason, []).append(key)
                first.setdefault(failure.reason, failure)
        if self._reasons:
            known = listed()
            self._reasons = {key: reason for key, reason in self._reasons.items() if key in known}
        found = {reason: NewFailures(tuple(ids), first[reason]) for reason, ids in new.items()}
        return Changes(found, tuple(recovered))
