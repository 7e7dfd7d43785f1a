"""Whether webhooks announce what polling sees."""

from dataclasses import dataclass
from enum import StrEnum


ANNOUNCED_WITHIN_SECONDS = 120.0
"""How long after polling has seen a change an event may still announce it."""
# One lost delivery does not mean that webhooks are silent.
_MISSED_WHEN_SILENT = 2
# Without recordings nothing shows whether events still arrive.
_PROOF_SECONDS = 86_400.0
_LOSSY_SECONDS = 1800.0


class WebhookHealth(StrEnum):
    """What the last changes of recordings show about an app's webhooks."""

    UNPROVEN = "unproven"
    """No change in the last day was announced, and none was missed."""
    HEALTHY = "healthy"
    """Events announce the changes."""
    LOSSY = "lossy"
    """Events announce changes, but one was missed in the last half hour."""
    SILENT = "silent"
    """Several changes in a row were not announced."""


@dataclass(frozen=True, slots=True)
class WebhookEvidence:
    """What polling and the events of one app have shown; times are unix seconds."""

    last_event_at: float | None = None
    last_announced_at: float | None = None
    """When polling last saw a change that an event has announced."""
    last_missed_at: float | None = None
    missed_in_a_row: int = 0
    """How many changes were missed since the last one that was announced."""
    missed: int = 0


@dataclass(frozen=True, slots=True)
class WebhookStatus:
    """The webhooks of one app, for a snapshot."""

    health: WebhookHealth = WebhookHealth.UNPROVEN
    last_event_timestamp_seconds: float | None = None
    missed: int = 0
    """Changes that polling saw and no event announced in time."""

    @property
    def up(self) -> bool | None:
        """Return whether events arrive; None if nothing shows it."""
        if self.health is WebhookHealth.UNPROVEN:
            return None
        return self.health is not WebhookHealth.SILENT


def health(evidence: WebhookEvidence, *, now: float) -> WebhookHealth:
    """Return the health of webhooks at *now* (unix seconds), given the *evidence* so far."""
    if evidence.missed_in_a_row >= _MISSED_WHEN_SILENT:
        # Until an event announces a change again, however long that takes.
        return WebhookHealth.SILENT
    if not _is_within(_PROOF_SECONDS, evidence.last_announced_at, now):
        return WebhookHealth.UNPROVEN
    if evidence.missed_in_a_row or _is_within(_LOSSY_SECONDS, evidence.last_missed_at, now):
        return WebhookHealth.LOSSY
    return WebhookHealth.HEALTHY


def _is_within(seconds: float, moment: float | None, now: float) -> bool:
    """Return whether *moment* is at most *seconds* ago; not if the clock was set back since."""
    return moment is not None and 0 <= now - moment <= seconds
