"""The accounts in the status document."""

from rk_exporter.model.remedies import (
    ACCOUNT_REMEDIES,
    UNLISTED_APPS_REMEDY,
    UNWANTED_APPS_REMEDY,
)
from rk_exporter.snapshot import AccountSnapshot
from rk_exporter.web.status.document import AccountStatus
from rk_exporter.web.status.readiness import cause_text


def account_status(account: AccountSnapshot) -> AccountStatus:
    """Return how listing the apps of an account goes."""
    failure = account.failure
    problem = f"apps cannot be listed: {cause_text(failure)}" if failure else None
    remedy = ACCOUNT_REMEDIES[failure.reason] if failure else None
    if problem is None and account.is_cut:
        problem = f"it has more apps than the {account.listed:,} that the exporter lists"
        remedy = UNLISTED_APPS_REMEDY
    if problem is None and account.wants_none:
        problem = f"none of its {account.listed:,} apps is to be read"
        remedy = UNWANTED_APPS_REMEDY
    return AccountStatus(
        name=account.account.name,
        account_id=account.account.account_id,
        is_up=account.up,
        apps=account.apps,
        apps_listed=account.listed,
        last_success_timestamp_seconds=account.last_success_timestamp_seconds,
        problem=problem,
        remedy=remedy,
        token_problem=account.token_problem,
    )
