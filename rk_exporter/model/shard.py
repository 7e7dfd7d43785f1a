"""Shards: which of several exporters reads an app, and its part of the budget."""

from dataclasses import dataclass
from hashlib import sha256

from rk_exporter.model.ids import canonical


@dataclass(frozen=True, slots=True)
class Shard:
    """One of *count* exporters that share the apps; the first has the *index* 0."""

    index: int
    count: int

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def owns(self, account_id: str, app_id: str) -> bool:
        """
        Return whether this exporter reads an app.

        The shard with the highest hash wins. So one more shard takes only its own part of the apps
        from the others, and all other apps stay where they are.
        """
        app = f"{canonical(account_id)}/{canonical(app_id)}"
        winner = max(
            range(self.count), key=lambda index: sha256(f"{index}/{app}".encode()).digest()
        )
        return winner == self.index

    def share(self, budget: int) -> int:
        """Return this exporter's part of a *budget*; all parts together are never more."""
        return budget // self.count
