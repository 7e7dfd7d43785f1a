"""How long recordings are kept and shown. All times are unix seconds, by the API's clock."""

from rk_exporter.tracking.lifecycle import (
    LONGEST_LIFE_SECONDS,
    URL_LIFETIME_SECONDS,
    FollowRules,
    KnownRecording,
    ended_at,
)


# How long a recording is shown after its URL has expired, so that people see the loss.
EXPIRED_SHOWN_SECONDS = 86_400.0


def shown_until(known: KnownRecording, rules: FollowRules) -> float | None:
    """Return until when, by the API's clock, a recording is shown; None while in progress."""
    if not known.is_finished:
        return None
    retained_until = ended_at(known) + rules.retain_seconds
    expires_at = known.recording.download_url_expiry_timestamp_seconds
    if expires_at is None:
        return retained_until
    return max(retained_until, expires_at + EXPIRED_SHOWN_SECONDS)


def has_expired(known: KnownRecording, rules: FollowRules, *, now: float) -> bool:
    """Return whether a recording is no longer shown at *now*, by the API's clock."""
    until = shown_until(known, rules)
    return until is not None and until <= now


def listed_age_seconds(rules: FollowRules) -> float:
    """Return how long ago a recording may have been invoked that is still shown."""
    shown_seconds = max(URL_LIFETIME_SECONDS + EXPIRED_SHOWN_SECONDS, rules.retain_seconds)
    return shown_seconds + LONGEST_LIFE_SECONDS


def survives_removal(known: KnownRecording, rules: FollowRules) -> bool:
    """Return whether a recording stays when its meeting is removed from the list."""
    return rules.any_meeting or (rules.keep_removed and known.is_finished)
