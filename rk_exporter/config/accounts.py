"""The accounts in a configuration, and the apps that are found in them."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rk_exporter.config.account_options import ACCOUNT_OPTIONS, SHARED_OPTIONS, AccountOptions
from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.apps import MISSING_IN_ENTRY, AppConfig
from rk_exporter.config.entry import Entry
from rk_exporter.config.sources import ConfigSource
from rk_exporter.model.account import Account, AccountApps, ListedApp
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import App
from rk_exporter.model.secret import Secret, TokenSource


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AccountConfig(AccountOptions):
    """
    An account whose apps are found through the API.

    *app_values* are the values of options that all of these apps share, by the option's name.
    """

    account: Account
    token: TokenSource
    budget: int
    budget_group: str | None
    app_values: Mapping[str, Any]

    def wants(self, listed: ListedApp) -> bool:
        """Return whether an app of the account is to be read."""
        names = (listed.name, listed.app_id)
        included, excluded = (
            pattern is not None and any(pattern.fullmatch(name) for name in names)
            for pattern in (self.include, self.exclude)
        )
        return (included or self.include is None) and not excluded


def account_configs(
    source: ConfigSource, environment: Mapping[str, str]
) -> tuple[AccountConfig, ...]:
    """
    Return the accounts in *source*; *environment* has tokens.

    The source records the mistakes, and an account with mistakes is left out.
    """
    accounts: dict[str, AccountConfig] = {}
    names: set[str] = set()
    for number in range(source.account_count or 0):
        at = f"accounts[{number}]."
        config = _account(source, environment, at=at)
        if config is None:
            continue
        account = config.account
        if canonical(account.account_id) in accounts:
            source.fail(f"{at}account_id", "duplicate account; list each account once")
        elif account.name in names:
            source.fail(f"{at}name", "duplicate name; give each account its own")
        accounts.setdefault(canonical(account.account_id), config)
        names.add(account.name)
    return tuple(accounts.values())


def _account(
    source: ConfigSource, environment: Mapping[str, str], *, at: str
) -> AccountConfig | None:
    entry = Entry(source, environment, ACCOUNT_OPTIONS, at=at)
    missing = {"account_id": entry.lacks("account_id"), "API token": entry.lacks_token}
    for name, is_missing in missing.items():
        if is_missing:
            path, message = MISSING_IN_ENTRY[name]
            source.fail(f"{at}{path}", message)
    entry.check_archive()
    values, token = entry.values, entry.token()
    if token is None or values["account_id"] is None:
        return None
    account = Account(values["name"] or values["account_id"], values["account_id"])
    own = ("name", "include", "exclude", "budget", "budget_group")
    return AccountConfig(
        account=account,
        token=token,
        app_values={name: values[name] for name in SHARED_OPTIONS},
        **{name: values[name] for name in own},
    )


class AccountToken:
    """The token of an account for one of its apps. The account's reader refreshes it in time."""

    def __init__(self, source: TokenSource) -> None:
        self._source = source

    @property
    def problem(self) -> str | None:
        """Return why the token in its file cannot be used."""
        return self._source.problem

    async def refresh(self) -> None:
        """Do nothing: hundreds of apps must not look at the same file in each pass."""

    def current(self) -> Secret:
        """Return the last good token."""
        return self._source.current()


def found_apps(
    accounts: Iterable[AccountConfig],
    lists: Mapping[str, AccountApps],
    known: Sequence[App],
) -> Iterator[AppConfig]:
    """
    Return the apps of the *accounts* that are to be read, from the *lists* by the account's id.

    An app that the configuration names itself, which is among *known*, is left out. A name that
    several apps have is followed by the id, however the list is sorted.
    """
    ids = {app.ids for app in known}
    found = [
        (config, listed)
        for config in accounts
        if (apps := lists.get(config.account.account_id)) is not None
        for listed in apps.apps
        if config.wants(listed)
        and (canonical(config.account.account_id), canonical(listed.app_id)) not in ids
    ]
    taken = Counter([app.name for app in known] + [listed.name for _, listed in found])
    used = {app.name for app in known}
    for config, listed in found:
        account_id, app_id = config.account.account_id, listed.app_id
        is_unique = taken[listed.name] == 1
        name = _free_name(listed, account_id, used, is_unique=is_unique)
        used.add(name)
        yield _found_app(config, App(name, account_id, app_id))


def _free_name(
    listed: ListedApp, account_id: str, used: Collection[str], *, is_unique: bool
) -> str:
    """Return a name for an app that is not *used*: the shortest one that tells it from others."""
    names = [
        *([listed.name] if is_unique else []),
        f"{listed.name} ({listed.app_id})",
        f"{listed.name} ({account_id}/{listed.app_id})",
    ]
    name = next((name for name in names if name not in used), names[-1])
    while name in used:
        name += "'"
    return name


def _found_app(config: AccountConfig, app: App) -> AppConfig:
    defaults = {name: option.fallback for name, option in APP_OPTIONS.items()}
    # The account's budget may be the part of a shard.
    values = {**defaults, **config.app_values, "discover": True, "budget": config.budget}
    return AppConfig(app=app, token=AccountToken(config.token), meeting_files=(), **values)
