"""
The ways in which a call can fail, each with the bounded reason for its metric.

    ApiError
      ApiTimeout        no complete answer in time
      ConnectFailed     no connection, or a broken one
        ConnectionStale   the server closed a kept-alive connection before it answered
      TlsFailed         no trusted TLS connection
      Unauthorized      401, 403, or the gateway's 400 for a malformed token
      Intercepted       401 or 403 with a web page: something in front of the API refuses the call
      RateLimited       429, or a rate limit's error code at any status
      ServerError       5xx
      ClientError       any other 4xx
      NotFound          404, except for "no active recording"
      InvalidResponse   an answer that differs from the documentation
      BodyTooLarge      an answer larger than any documented one

Messages are in our own words, because the API's may contain a token or a presigned URL. Only
`check` shows the API's, without those.
"""

from typing import ClassVar

from rk_exporter.model.failure import Failure, Reason


class ApiError(Exception):
    """A failed call; *api_message* is what the API says about it, without secrets."""

    reason: ClassVar[Reason]
    api_message: str | None = None

    @property
    def failure(self) -> Failure:
        """Return the reason and the explanation as a value that outlives the call."""
        return Failure(self.reason, str(self), self.api_message)


class ApiTimeout(ApiError):
    """The answer was not complete in time."""

    reason = Reason.TIMEOUT


class ConnectFailed(ApiError):
    """The connection could not be opened, or broke."""

    reason = Reason.CONNECT


class ConnectionStale(ConnectFailed):
    """The server closed a kept-alive connection before it answered; one retry is safe."""


class TlsFailed(ApiError):
    """The TLS connection could not be opened or trusted."""

    reason = Reason.TLS


class Unauthorized(ApiError):
    """The API rejected the token."""

    reason = Reason.AUTH


class Intercepted(ApiError):
    """Something in front of the API refused the call with a web page."""

    reason = Reason.INTERCEPTED


class RateLimited(ApiError):
    """The API asks for fewer calls, and none for *retry_after_seconds* if it gives a time."""

    reason = Reason.RATE_LIMITED
    retry_after_seconds: float | None = None


class ServerError(ApiError):
    """The API, or a proxy in front of it, failed; it may ask for a pause, as with RateLimited."""

    reason = Reason.SERVER_ERROR
    retry_after_seconds: float | None = None


class ClientError(ApiError):
    """The API rejected the request, perhaps because it *rejects_query* parameters."""

    reason = Reason.CLIENT_ERROR
    rejects_query: bool = False


class NotFound(ApiError):
    """
    The API does not know the account, the app or the route.

    If the answer *may_mean_none*, it may also say that there is no such recording.
    """

    reason = Reason.NOT_FOUND
    may_mean_none: bool = False


class InvalidResponse(ApiError):
    """The answer differs from the documentation."""

    reason = Reason.INVALID_RESPONSE


class BodyTooLarge(ApiError):
    """The answer is larger than any documented one."""

    reason = Reason.TOO_LARGE
