"""The settings of the simulator, most of which choose between behaviours of the real API."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, get_type_hints

import msgspec

from rk_exporter.simulator.api.files import FileFault
from rk_exporter.simulator.api.payloads import MeetingInList
from rk_exporter.simulator.api.rate_limit_headers import HeaderWriter, documented_headers
from rk_exporter.simulator.api.responses import JsonObject
from rk_exporter.simulator.webhooks.faults import WebhookFault


class NotFoundBody(StrEnum):
    """The body of RealtimeKit's own 404; the gateway's codes 7000 and 7003 do not change."""

    ERROR = "error"
    """RealtimeKit's `error` object."""
    ERRORS = "errors"
    """An `errors` array, as the gateway sends it."""
    MESSAGE = "message"
    """An object with only a `message`."""
    EMPTY = "empty"
    """No body."""
    TEXT = "text"
    """Plain text."""
    HTML = "html"
    """An HTML page."""


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """The settings of a simulator; `PUT /simulator/settings/NAME` changes most of them later."""

    token: str | Collection[str] = "simulated"  # noqa: S105 - made up and documented
    """Accepted token, or several of them."""
    forbidden_token: str = "forbidden"  # noqa: S105 - made up and documented
    """Known token without the permission."""
    users: Mapping[str, str] = field(default_factory=dict)
    """User of each token; all other tokens belong to one user."""
    rate_limit: int = 1200
    """Calls per user in 300 s of simulated time; 0 switches the limit off."""
    burst_limit: int = 0
    """Calls per user in 60 s of simulated time; 0 switches the limit off."""
    limit_headers: HeaderWriter = documented_headers
    """Function that writes the rate limit headers."""
    latency_seconds: float = 0.0
    """Delay before each response."""
    linger_seconds: float = 0.0
    """Time during which an ended recording still counts as active."""
    uploading_is_active: bool = True
    """Whether a recording counts as active while it is UPLOADING."""
    active_as_list: bool = False
    """Whether a meeting's active recordings come as a list."""
    refuse_later_statuses: bool = False
    """Whether the list rejects ERRORED and PAUSED as status filters."""
    refuse_status_filter: bool = False
    """Whether the list rejects all status filters."""
    refuse_status_lists: bool = False
    """Whether the list rejects a filter with several statuses."""
    meeting_in_list: MeetingInList = MeetingInList.MEETING
    """How an item in the list of recordings names its meeting."""
    not_found_body: NotFoundBody = NotFoundBody.ERROR
    """The body of RealtimeKit's own 404."""
    apps: str = "app"
    """Apps of the account, separated by commas; `id=name` gives an app a name."""
    most_apps: int = 100
    """Largest `per_page` of the list of apps."""
    apps_status: int = 200
    """Status of the list of apps."""
    apps_in_object: bool = False
    """Whether the list of apps is one level deeper, in `data.apps`."""
    apps_without_paging: bool = False
    """Whether the list of apps has no `paging`."""
    knows_meetings: bool = False
    """Whether active-recording has another 404 message for a meeting that does not exist."""
    filter_by_creation: bool = False
    """Whether `start_time` and `end_time` of the recordings compare the meeting's creation."""
    most_recordings: int = 100
    """Largest `per_page` of the list of recordings."""
    most_sessions: int = 100
    """Largest `per_page` of the list of sessions."""
    page_refusal: int = 400
    """Status of the response to a larger `per_page`."""
    track_files: int = 1
    """Files of each track recording; the URLs of several files have about 830 characters."""
    capital_ids: bool = False
    """Whether lists show ids in capitals; filters and paths accept any case of a UUID."""
    cached_seconds: int = 0
    """`Age` of each response; its `Date` is as old."""
    date_ahead_seconds: int = 0
    """How far the `Date` of each response is ahead of the API's times."""
    content_encoding: str | None = None
    """Value of a `Content-Encoding` header; the body is never packed."""
    list_status: int = 200
    """Status of the list of recordings."""
    list_lag_seconds: int = 0
    """How long after its invocation a recording is missing in the list."""
    unavailable_app: str = ""
    """App whose calls get 503 with `Retry-After: 30`."""
    blocked_app: str = ""
    """App whose calls get 403 with an HTML page."""
    moving_expiry: bool = False
    """Whether each read makes the download URLs expire seven days later."""
    track_urls_elsewhere: bool = False
    """Whether `download_url` of a track recording is a list without URLs."""
    files_url: str = ""
    """Beginning of the download URLs, e.g. `https://localhost:8443`, where this simulator is
    reached by TLS; it serves the files there. Without it, the URLs are those of the storages."""
    file_fault: FileFault = FileFault.NONE
    """How the storage answers requests for files."""
    status_word: str = ""
    """Undocumented word that replaces the status RECORDING."""
    webhook_fault: WebhookFault = WebhookFault.NONE
    """What is wrong with the webhooks that are sent from now on."""
    webhook_key: int = 0
    """Number of the key that signs webhooks; another number is another key."""
    webhook_key_status: int = 200
    """Status of the public key; with another one than 200 it has no body."""

    def changed(self, name: str, text: str) -> "SimulatorSettings":
        """Return the settings with the value that *text* gives to one of them."""
        if name not in self.__slots__ or name in _FIXED:
            raise ValueError(f"there is no setting {name!r} that can change")
        # Not the type of the value, which is 0 instead of 0.0 if a caller likes.
        kind = _KINDS[name]
        try:
            value: Any = msgspec.convert(text, kind, strict=False)
        except msgspec.ValidationError as error:
            raise ValueError(f"invalid {name}: {error}") from None
        smallest, largest = _RANGES.get(name, _USUAL_RANGE)
        if kind in (int, float) and not smallest <= value <= largest:
            raise ValueError(f"invalid {name}: must be between {smallest} and {largest}")
        return replace(self, **{name: value})

    def content(self) -> JsonObject:
        """Return the settings that can change as a JSON object."""
        return {name: getattr(self, name) for name in self.__slots__ if name not in _FIXED}


_KINDS: Mapping[str, Any] = get_type_hints(SimulatorSettings)
_USUAL_RANGE = (0, 10**9)
_RANGES = {
    "latency_seconds": (0, 3600),
    # Those below 200 announce another response, and the server sends none.
    "list_status": (200, 599),
    "webhook_key_status": (200, 599),
    "page_refusal": (400, 599),
    "most_recordings": (1, 10**9),
    "most_sessions": (1, 10**9),
    "most_apps": (1, 10**9),
    "apps_status": (200, 599),
    "track_files": (1, 10_000),
}
_FIXED = frozenset(
    {"token", "forbidden_token", "users", "rate_limit", "burst_limit", "limit_headers"}
)
