"""The accounts in the status document."""

from rk_exporter.model.remedies import REMEDIES
from rk_exporter.snapshot import AccountSnapshot
from rk_exporter.web.status.document import AccountStatus
from rk_exporter.web.status.readiness import cause_text


def account_status(account: AccountSnapshot) -> AccountStatus:
    """Return how listing the apps of an account goes."""
    failure = account.failure
    return AccountStatus(
        name=account.account.name,
        account_id=account.account.account_id,
        is_up=account.up,
        apps=account.apps,
        apps_listed=account.listed,
        last_success_timestamp_seconds=account.last_success_timestamp_seconds,
        problem=f"apps cannot be listed: {cause_text(failure)}" if failure else None,
        remedy=REMEDIES[failure.reason] if failure else None,
        token_problem=account.token_problem,
    )
