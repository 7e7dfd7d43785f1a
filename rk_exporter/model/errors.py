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
      Unreachable       not called, because the calls before it found no connection

Messages are in our own words, because the API's may contain a token or a presigned URL. Only
`check` shows the API's, without those.
"""

from rk_exporter.model.failure import Failure, Reason


class ApiError(Exception):
    """A failed call; *api_message* is what the API says about it, without secrets."""

    reason: Reason
    api_message: str | None = None
    opened_connection: bool | None = None
    """Whether the call could open one; None if it used an open one, or had no time to try."""

    @property
    def failure(self) -> Failure:
        """Return the reason and the explanation as a value that outlives the call."""
        return Failure(self.reason, str(self), self.api_message)

    @property
    def was_sent(self) -> bool:
        """Return whether the failure may say something about the request."""
        return self.opened_connection is not False


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


class Unreachable(ApiError):
    """The call was not made, because the calls before it found no connection, for a *cause*."""

    opened_connection = False

    def __init__(self, cause: Failure) -> None:
        super().__init__(cause.explanation)
        self.reason = cause.reason
