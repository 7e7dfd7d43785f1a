"""Accounts whose apps are found through the API."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Account:
    """A Cloudflare account: *name* is the label `rk_account`."""

    name: str
    account_id: str


@dataclass(frozen=True, slots=True)
class ListedApp:
    """An app in the list of an account; its name is the id if it has no other."""

    app_id: str
    name: str


@dataclass(frozen=True, slots=True)
class AccountApps:
    """
    The apps of an account as they were last listed, at *listed_at* (unix seconds).

    That is None if they were never listed, and are only known from elsewhere.
    """

    account_id: str
    apps: tuple[ListedApp, ...]
    listed_at: float | None
