"""The verdicts of a check on each app, each meeting, and all of them together."""

from collections import Counter
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from types import MappingProxyType
from typing import Annotated

import msgspec

from rk_exporter.cli.check_meetings import Existence
from rk_exporter.model.failure import Failure, Reason
from rk_exporter.model.meeting import Reading
from rk_exporter.snapshot import AccountSnapshot, AppSnapshot, Snapshot


ExistenceByApp = Mapping[str, Existence]
NOTHING_KNOWN: ExistenceByApp = MappingProxyType({})
_BUDGET_NOTE = "check uses at most a tenth of the budget"


class Verdict(Enum):
    """The verdict on one meeting."""

    FINE = auto()
    MISSING = auto()
    FAILED = auto()
    UNREAD = auto()


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Counts over all apps. Each meeting is counted once: as fine, missing, failed, and so on."""

    apps: int
    meetings: int
    fine: Annotated[int, msgspec.Meta(description="read without a problem")]
    missing: Annotated[int, msgspec.Meta(description="the API has no meeting with this id")]
    failed: Annotated[int, msgspec.Meta(description="the call failed")]
    unread: Annotated[
        int, msgspec.Meta(description="not read: the budget or the time ran out, or no calls made")
    ]
    unverified: Annotated[
        int,
        msgspec.Meta(description="read, have no recording, and nobody knows whether they exist"),
    ]
    left_out: Annotated[int, msgspec.Meta(description="more than a check has calls for")]
    rejected_tokens: Annotated[int, msgspec.Meta(description="apps whose token is rejected")]
    failed_discoveries: Annotated[
        int, msgspec.Meta(description="apps whose live meetings cannot be listed")
    ]
    failed_accounts: Annotated[
        int, msgspec.Meta(description="accounts whose apps cannot be listed")
    ]
    accounts_without_apps: Annotated[
        int, msgspec.Meta(description="accounts all of whose apps are left out")
    ]


def is_fine(snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN) -> bool:
    """Return whether the API accepts each token, and all meetings exist and can be read."""
    are_apps_fine = all(is_app_fine(app, known_about(app, existence)) for app in snapshot.apps)
    return are_apps_fine and all(map(is_account_fine, snapshot.accounts))


def is_account_fine(account: AccountSnapshot) -> bool:
    """Return whether the apps of an account can be listed, and any of them is to be read."""
    return account.up is True and not account.wants_none


def is_app_fine(app: AppSnapshot, known: Existence) -> bool:
    """Return whether the API accepts the token of *app*, and all its meetings are fine."""
    is_accepted = app.up is not False and discovery_failure(app) is None
    return is_accepted and all(verdict(reading, known) is Verdict.FINE for reading in app.readings)


def known_about(app: AppSnapshot, existence: ExistenceByApp) -> Existence:
    """Return what is known about the existence of the meetings of *app*."""
    return existence.get(app.app.name, Existence())


def verdict(reading: Reading, known: Existence) -> Verdict:
    """Return what to say about one meeting."""
    if reading.meeting.meeting_id in known.missing:
        return Verdict.MISSING
    if reading.up is None:
        return Verdict.UNREAD
    return Verdict.FINE if reading.up else Verdict.FAILED


def summary(snapshot: Snapshot, existence: ExistenceByApp = NOTHING_KNOWN) -> Summary:
    """Return the counts over all apps."""
    known = {app.app.name: known_about(app, existence) for app in snapshot.apps}
    counts = Counter(
        verdict(reading, known[app.app.name]) for app in snapshot.apps for reading in app.readings
    )
    unverified = sum(item.unverified + len(item.failures) for item in known.values())
    left_out = sum(item.left_out for item in known.values())
    return Summary(
        apps=len(snapshot.apps),
        meetings=counts.total() + left_out,
        fine=counts[Verdict.FINE] - unverified,
        missing=counts[Verdict.MISSING],
        failed=counts[Verdict.FAILED],
        unread=counts[Verdict.UNREAD],
        unverified=unverified,
        left_out=left_out,
        rejected_tokens=sum(token_failure(app) is not None for app in snapshot.apps),
        failed_discoveries=sum(discovery_failure(app) is not None for app in snapshot.apps),
        failed_accounts=sum(account.up is False for account in snapshot.accounts),
        accounts_without_apps=sum(account.wants_none for account in snapshot.accounts),
    )


def token_failure(app: AppSnapshot) -> Failure | None:
    """Return the failure of all calls if the API has rejected the token."""
    if app.up is not False:
        return None
    failures = [discovery_failure(app), *(reading.failure for reading in app.readings)]
    return next((item for item in failures if item and item.reason is Reason.AUTH), None)


def discovery_failure(app: AppSnapshot) -> Failure | None:
    """Return why the live meetings cannot be listed."""
    return app.discovery.failure if app.discovery else None


def blocked_until(app: AppSnapshot) -> float | None:
    """Return the unix time until which a refused call suspends the calls."""
    status = app.budget_status
    return status.blocked_until_timestamp_seconds if status else None


def missing_meeting(reading: Reading, known: Existence) -> tuple[str, str] | None:
    """Return why a meeting that does not exist is wrong, and what to do."""
    place = known.missing.get(reading.meeting.meeting_id)
    if place is None:
        return None
    return "the API has no meeting with this id", f"correct or remove it: {place}"


def notes(app: AppSnapshot, known: Existence) -> Iterator[str]:
    """Return what the check did not find out about the meetings of *app*."""
    if app.up and app.discovery and not app.discovery.up and app.discovery.failure is None:
        yield f"not all live meetings are listed; {_BUDGET_NOTE}"
    if known.refusal:
        yield (
            f"{known.refusal}, so the check cannot see whether meetings without a recording exist; "
            "a mistyped id looks like a meeting that nobody records"
        )
    elif known.unverified:
        yield f"not asked whether they exist: {counted(known.unverified)}; {_BUDGET_NOTE}"
    if known.left_out:
        yield f"not checked: {counted(known.left_out)}, the last in the list; {_BUDGET_NOTE}"


def counted(count: int, noun: str = "meeting") -> str:
    """Return a number with its noun."""
    return f"1 {noun}" if count == 1 else f"{count:,} {noun}s"
