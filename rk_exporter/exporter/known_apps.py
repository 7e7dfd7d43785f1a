"""The apps of accounts that are known before their first lists."""

from collections.abc import Collection, Mapping

from rk_exporter.config.accounts import AccountConfig
from rk_exporter.config.config import Config
from rk_exporter.model.account import AccountApps, ListedApp
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import App


def known_lists(
    config: Config, lists: Mapping[str, AccountApps], apps: Collection[App]
) -> dict[str, AccountApps]:
    """
    Return what is known of the accounts in *config*, by their ids: their *lists*, as far as read.

    The other accounts have those of the *apps*, which run already or were saved, that belong to
    them. An app may have been moved from `apps`, and must lose nothing before the list decides.
    """
    named = {app.ids for app in config.listed_apps}
    free = [app for app in apps if app.ids not in named]
    known = {entry.account.account_id: _assumed(entry, free) for entry in config.accounts}
    assumed = {key: assumed for key, assumed in known.items() if assumed.apps}
    return assumed | {key: listed for key, listed in lists.items() if key in known}


def _assumed(entry: AccountConfig, apps: Collection[App]) -> AccountApps:
    """Return those of the *apps* that belong to an account and that it wants, each once."""
    account_id, found = entry.account.account_id, dict[str, ListedApp]()
    for app in apps:
        listed = ListedApp(canonical(app.app_id), app.name)
        if canonical(app.account_id) == canonical(account_id) and entry.wants(listed):
            found.setdefault(listed.app_id, listed)
    return AccountApps(account_id, tuple(found.values()), listed_at=None)
