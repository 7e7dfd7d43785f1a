"""The endpoints of the API that are called, by the names that metrics and logs have for them."""

from urllib.parse import quote


ACTIVE_RECORDING = "active-recording"
RECORDINGS = "recordings"
SESSIONS = "sessions"
MEETING = "meeting"
RECORDING = "recording"
APPS = "apps"
# Those of an app; the list of apps is about an account.
ENDPOINTS = (ACTIVE_RECORDING, RECORDING, RECORDINGS, SESSIONS, MEETING)
LISTS = (RECORDINGS, SESSIONS, APPS)
# The code of a call without a complete answer.
NO_STATUS = "none"
# The name under which malformed rate limit headers are counted.
RATELIMIT_FIELD = "ratelimit"


def segment(identifier: str) -> str:
    """Return an id as a segment of a path."""
    return quote(identifier, safe="")
