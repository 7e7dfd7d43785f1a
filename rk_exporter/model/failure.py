"""The reasons why calls fail."""

from dataclasses import dataclass, field
from enum import StrEnum


class Reason(StrEnum):
    """Why a call failed: the closed set of values of the label `reason`."""

    TIMEOUT = "timeout"
    CONNECT = "connect"
    TLS = "tls"
    AUTH = "auth"
    INTERCEPTED = "intercepted"
    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    CLIENT_ERROR = "client_error"
    NOT_FOUND = "not_found"
    INVALID_RESPONSE = "invalid_response"
    TOO_LARGE = "too_large"


@dataclass(frozen=True, slots=True)
class Failure:
    """
    Why a call failed: a bounded *reason*, and an *explanation* for people in our own words.

    *api_message* is what the API said, without secrets. It may differ in each answer, so it is no
    difference between two failures.
    """

    reason: Reason
    explanation: str
    api_message: str | None = field(default=None, compare=False)
