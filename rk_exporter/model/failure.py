"""Why a call failed."""

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """Why a call failed: the closed set of values of the label `reason`."""

    TIMEOUT = "timeout"
    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    NOT_FOUND = "not_found"
    INVALID_RESPONSE = "invalid_response"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call: its bounded *reason*, and an *explanation* in our own words for people."""

    reason: Reason
    explanation: str
