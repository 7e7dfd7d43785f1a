"""What to do about failed calls and meetings that have to wait, for `check` and the log."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from rk_exporter.model.failure import Reason


class Wait(StrEnum):
    """Why a pass left a meeting unread."""

    BUDGET = "budget"
    TIME = "time"
    BLOCKED = "blocked"


REMEDIES: Mapping[Reason, str] = MappingProxyType(
    {
        Reason.TIMEOUT: "check the network path to the API, and Cloudflare's status page",
        Reason.CONNECT: "check network, DNS and firewall between this machine and the API",
        Reason.TLS: "check this machine's certificates and clock, and any proxy that intercepts "
        "TLS",
        Reason.AUTH: 'give the token the permission "Realtime" for this account, or create a new '
        "token",
        Reason.INTERCEPTED: "check the firewall and the proxy between this machine and the API; "
        "the token may be right",
        Reason.RATE_LIMITED: "wait 5 minutes; if it recurs, lower --api.budget",
        Reason.SERVER_ERROR: "try again later, and check Cloudflare's status page",
        Reason.CLIENT_ERROR: "check the meeting id",
        Reason.NOT_FOUND: "check account_id and app_id",
        Reason.INVALID_RESPONSE: "check --api.base-url, and any proxy between this machine and the "
        "API",
        Reason.TOO_LARGE: "check --api.base-url, and any proxy between this machine and the API",
    }
)
ACCOUNT_REMEDIES: Mapping[Reason, str] = MappingProxyType(
    {
        **REMEDIES,
        Reason.CLIENT_ERROR: "check account_id",
        Reason.NOT_FOUND: "check account_id",
    }
)
"""What to do if the apps of an account cannot be listed."""
SESSIONS_REMEDIES: Mapping[Reason, str] = MappingProxyType(
    {**REMEDIES, Reason.CLIENT_ERROR: "check account_id and app_id"}
)
"""What to do if the live sessions of an app cannot be listed."""
SLOW_SESSIONS_REMEDY = "raise --api.budget if Cloudflare allows it"
UNWANTED_APPS_REMEDY = "correct apps.include and apps.exclude of the account"
UNLISTED_APPS_REMEDY = "name the apps that are missing in `apps`, each with its app_id"
WAIT_REMEDIES: Mapping[Wait, str] = MappingProxyType(
    {
        Wait.BUDGET: "raise --api.budget if Cloudflare allows it, scrape less often, or list fewer "
        "meetings",
        Wait.TIME: "raise scrape_timeout in Prometheus, or find out why the API is slow",
        Wait.BLOCKED: "see the warning about suspended API calls",
    }
)
EXISTENCE_REMEDY = (
    "if one should be recorded, run rk-exporter check: it finds ids that do not exist"
)
