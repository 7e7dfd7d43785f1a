"""Loads the configuration: a file, environment variables and flags become one frozen Config."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from rk_exporter.config.account_options import ACCOUNT_OPTIONS
from rk_exporter.config.accounts import AccountConfig, account_configs
from rk_exporter.config.apps import AppConfig, app_configs
from rk_exporter.config.budget_groups import divided_tokens
from rk_exporter.config.config import CONFIG_FILE_VARIABLE, GLOBAL_OPTIONS, OPTIONS, Config
from rk_exporter.config.shard import apps_of_shard, check_shares, with_shares
from rk_exporter.config.sources import ConfigError, ConfigSource, Setting
from rk_exporter.config.suggestions import unknown_variables
from rk_exporter.config.tokens import TOKEN_VARIABLE, TokenFile
from rk_exporter.config.webhook_options import check_webhook_options
from rk_exporter.config.yaml_document import Document, read_document
from rk_exporter.runtime.files import FileError


def load(
    path: Path | None, settings: Mapping[str, Setting], environment: Mapping[str, str]
) -> Config:
    """
    Return the configuration in the file at *path*, overridden by *settings*.

    The keys of *settings* are paths in the file, e.g. `scrape.stale_after`. Tokens may be in
    *environment*. Raises ConfigError.
    """
    source = ConfigSource(_document(path), settings, OPTIONS, ACCOUNT_OPTIONS.values())
    values = {name: source.parse(option, option.path) for name, option in GLOBAL_OPTIONS.items()}
    _check_intervals(source, values)
    _check_sockets(source, values)
    check_webhook_options(source)
    apps = app_configs(source, environment)
    accounts = account_configs(source, environment)
    shard = values["shard"]
    check_shares(source, [*apps, *accounts], shard)
    unknown = [*unknown_variables(environment, [*_known_variables(source)])]
    source.raise_problems(hints=unknown)
    entries: tuple[AppConfig | AccountConfig, ...] = (*apps, *accounts)
    warnings = [*unknown, *_token_warnings(entries), *divided_tokens(entries)]
    return Config(
        apps=tuple(with_shares(apps_of_shard(apps, shard), shard)),
        accounts=tuple(with_shares(accounts, shard)),
        listed_apps=tuple(app.app for app in apps),
        warnings=tuple(dict.fromkeys(warnings)),
        **values,
    )


def _document(path: Path | None) -> Document | None:
    try:
        return None if path is None else read_document(path)
    except FileError as error:
        raise ConfigError(str(error)) from None


def _check_intervals(source: ConfigSource, values: Mapping[str, Any]) -> None:
    """Record a mistake if values would be too old to be shown before they are read again."""
    is_too_long = values["min_interval_seconds"] >= values["stale_after_seconds"]
    if not is_too_long or source.is_wrong("scrape"):
        return
    if source.is_given("scrape.min_interval"):
        source.fail("scrape.min_interval", "must be shorter than scrape.stale_after")
    else:
        source.fail("scrape.stale_after", "must be longer than scrape.min_interval")


def _check_sockets(source: ConfigSource, values: Mapping[str, Any]) -> None:
    """Record a mistake if there are two answers to the question where to listen."""
    if values["systemd_socket"] and source.is_given("web.listen_address"):
        message = "cannot be combined with web.listen_address; leave out one of them"
        source.fail("web.systemd_socket", message)


def _known_variables(source: ConfigSource) -> Iterator[str]:
    """Return the names of all environment variables that have a meaning here."""
    yield from (TOKEN_VARIABLE, CONFIG_FILE_VARIABLE)
    yield from (option.variable for option in OPTIONS if option.variable)
    yield from map(str, source.values_in_entries("api_token_env"))


def _token_warnings(entries: Iterable[AppConfig | AccountConfig]) -> Iterator[str]:
    for entry in entries:
        if isinstance(entry.token, TokenFile) and entry.token.warning:
            yield entry.token.warning
