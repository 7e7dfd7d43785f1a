"""
Every way in which a call can fail, each with the bounded reason that its metric shows.

    ApiError
      ApiTimeout        no complete answer in time
      ConnectFailed     no connection, or it broke
        ConnectionStale   a kept connection was closed by the other side before it answered
      TlsFailed         no trusted connection
      Unauthorized      401, 403, or the gateway's 400 for a malformed token
      RateLimited       429, or a rate limit's error code at any status
      ServerError       5xx
      ClientError       any other 4xx
      NotFound          404 that is not "no active recording"
      InvalidResponse   an answer that is not the documented one
      BodyTooLarge      more bytes than any documented answer has

Messages are our own words: what the API sent may hold a token or a presigned URL.
"""

from typing import ClassVar

from rk_exporter.model.failure import Failure, Reason


class ApiError(Exception):
    """A call that gave no reading."""

    reason: ClassVar[Reason]

    @property
    def failure(self) -> Failure:
        """Return what outlives the call: its reason and explanation."""
        return Failure(self.reason, str(self))


class ApiTimeout(ApiError):
    """No complete answer in time."""

    reason = Reason.TIMEOUT


class ConnectFailed(ApiError):
    """The connection could not be made, or broke."""

    reason = Reason.CONNECT


class ConnectionStale(ConnectFailed):
    """A kept connection was closed before it answered: trying once more is safe."""


class TlsFailed(ApiError):
    """No trusted connection could be made."""

    reason = Reason.TLS


class Unauthorized(ApiError):
    """The token was refused."""

    reason = Reason.AUTH


class RateLimited(ApiError):
    """The API asks for fewer calls, and none for *retry_after_seconds* if it gives a time."""

    reason = Reason.RATE_LIMITED

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class ServerError(ApiError):
    """The API, or what stands in front of it, failed."""

    reason = Reason.SERVER_ERROR


class ClientError(ApiError):
    """The API refused the request itself."""

    reason = Reason.CLIENT_ERROR


class NotFound(ApiError):
    """The API knows no such account, app or route."""

    reason = Reason.NOT_FOUND


class InvalidResponse(ApiError):
    """The answer is not the documented one."""

    reason = Reason.INVALID_RESPONSE


class BodyTooLarge(ApiError):
    """The answer is larger than any documented one."""

    reason = Reason.TOO_LARGE
