"""The configuration: a YAML file, environment variables and flags become one frozen Config."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from rk_exporter.config import parsers
from rk_exporter.config.account_options import ACCOUNT_OPTIONS
from rk_exporter.config.accounts import AccountConfig, account_configs, found_apps
from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.apps import AppConfig, app_configs
from rk_exporter.config.option import Option, declare, in_groups, options_of
from rk_exporter.config.parsers import Address
from rk_exporter.config.ranges import Counts, Durations, Percentages
from rk_exporter.config.shard import parse_shard
from rk_exporter.config.sources import ConfigError, ConfigSource, Setting
from rk_exporter.config.suggestions import unknown_variables
from rk_exporter.config.tokens import TOKEN_VARIABLE, TokenFile
from rk_exporter.config.web_options import (
    parse_addresses,
    parse_external_url,
    parse_route_prefix,
    prefix_of,
)
from rk_exporter.config.webhook_options import (
    DEFAULT_KEY_URL,
    check_webhook_options,
    parse_key_url,
    parse_webhook_address,
)
from rk_exporter.config.yaml_document import read_document
from rk_exporter.model.account import AccountApps
from rk_exporter.model.meeting import App
from rk_exporter.model.shard import Shard
from rk_exporter.runtime.files import FileError
from rk_exporter.runtime.log_formats import AUTO, FORMATS, LEVELS


CONFIG_FILE_FLAG, CONFIG_FILE_VARIABLE = "--config.file", "RK_CONFIG_FILE"
CONFIG_FILE_HELP = "YAML file; it can contain every other option."


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """
    The complete configuration; the options of its apps are in AppOptions.

    *apps* are those of this exporter's shard, and *listed_apps* all apps that the file lists. The
    budgets of *apps* and *accounts* are the shard's part. *warnings* are about settings that look
    like mistakes but can be ignored.
    """

    apps: tuple[AppConfig, ...]
    accounts: tuple[AccountConfig, ...] = ()
    listed_apps: tuple[App, ...] = ()
    warnings: tuple[str, ...] = ()
    base_url: str = declare(
        "Base URL of the API.",
        Option("api.base_url", parsers.parse_base_url, "URL", default=parsers.DEFAULT_BASE_URL),
    )
    reserve_ratio: float = declare(
        "Percentage of Cloudflare's reported limit reserved for other clients.",
        Option("api.reserve", Percentages("0%", "90%"), "PERCENT", default="20"),
    )
    min_interval_seconds: float = declare(
        "Scrapes within this time get the same values, without new API calls.",
        Option("scrape.min_interval", Durations("0s", "1h"), "DURATION", default="5s"),
    )
    stale_after_seconds: float = declare(
        "How long a meeting that cannot be read keeps its last values.",
        Option("scrape.stale_after", Durations("1s", "1d"), "DURATION", default="5m"),
    )
    timeout_offset_seconds: float = declare(
        "How long before Prometheus's scrape timeout the exporter responds.",
        Option("scrape.timeout_offset", Durations("0s", "10s"), "DURATION", default="500ms"),
    )
    follow_retain_seconds: float = declare(
        "How long a finished recording is shown at least; with a download URL, it is shown until a "
        "day after its expiry.",
        Option("follow.retain", Durations("1m", "365d"), "DURATION", default="7d"),
    )
    follow_max_recordings: int = declare(
        "Finished recordings with series of their own, per app: failed ones first, then those that "
        "expire next. Recordings in progress are always shown.",
        Option(
            "follow.max_recordings",
            Counts("1", "100000", "recordings per app"),
            "N",
            default="1000",
        ),
    )
    follow_reread_seconds: float = declare(
        "How often finished recordings are read again, to detect a new download URL.",
        Option(
            "follow.reread_interval",
            Durations("10m", "30d", reason="shorter intervals would use up the API budget"),
            "DURATION",
            default="6h",
        ),
    )
    follow_keep_removed: bool = declare(
        "Keep showing finished recordings of meetings that you remove from the list.",
        Option("follow.keep_removed", parsers.parse_switch),
    )
    shard: Shard | None = declare(
        "Read only the apps of one shard, as exporter I of N with a part of the budget; I is 0 to "
        "N-1, or auto for the number at the end of the host's name.",
        Option("shard", parse_shard, "I/N", example="0/3"),
    )
    state_file: Path | None = declare(
        "File that keeps counters and readings across restarts; off if not set.",
        Option(
            "state.file",
            parsers.parse_state_file,
            "PATH",
            example="/var/lib/rk-exporter/state",
            is_file=True,
            is_fixed=True,
        ),
    )
    listen_addresses: tuple[Address, ...] = declare(
        "Addresses to listen on (host:port); port 0 is any free port.",
        Option(
            "web.listen_address",
            parse_addresses,
            "ADDRESS",
            default=":10058",
            example='[":10058"]',
            is_list=True,
            allows_text=True,
            is_fixed=True,
        ),
    )
    systemd_socket: bool = declare(
        "Listen on the sockets that systemd passes (socket activation), instead of on addresses.",
        Option("web.systemd_socket", parsers.parse_switch, is_fixed=True),
    )
    external_url: str | None = declare(
        "URL under which people reach the exporter through a reverse proxy, or only its path.",
        Option(
            "web.external_url",
            parse_external_url,
            "URL",
            example="https://monitoring.example/rk-exporter",
        ),
    )
    route_prefix: str | None = declare(
        "Prefix of all paths that the exporter answers; by default the path of web.external_url.",
        Option("web.route_prefix", parse_route_prefix, "PREFIX", example="/rk-exporter"),
    )
    telemetry_path: str = declare(
        "Path of the metrics.",
        Option("web.telemetry_path", parsers.parse_telemetry_path, "PATH", default="/metrics"),
    )
    web_config_file: Path | None = declare(
        "File with TLS, users and headers for the exporter's own server, in the format of "
        "Prometheus's exporter-toolkit.",
        Option(
            "web.config_file",
            Path,
            "PATH",
            example="web.yml",
            is_file=True,
            is_fixed=True,
            custom_flag="--web.config.file",
        ),
    )
    enable_lifecycle: bool = declare(
        "Reload the configuration on `POST /-/reload`, too.",
        Option("web.enable_lifecycle", parsers.parse_switch),
    )
    max_requests: int = declare(
        "Maximum number of concurrent scrapes; further ones get a 503.",
        Option("web.max_requests", Counts("1", "10000", "concurrent scrapes"), "N", default="40"),
    )
    webhook_address: Address | None = declare(
        "Address to listen on for webhooks (host:port), which make reads due; off if not set.",
        Option(
            "webhook.listen_address",
            parse_webhook_address,
            "ADDRESS",
            example=":10060",
            is_fixed=True,
        ),
    )
    webhook_key_url: str = declare(
        "URL of the public key with which webhooks are signed.",
        Option(
            "webhook.public_key_url",
            parse_key_url,
            "URL",
            default=DEFAULT_KEY_URL,
            is_fixed=True,
        ),
    )
    webhook_key_file: Path | None = declare(
        "File with the public key, instead of its URL; reloaded when it changes.",
        Option(
            "webhook.public_key_file",
            Path,
            "PATH",
            example="webhooks.pem",
            is_file=True,
            is_fixed=True,
        ),
    )
    log_level: str = declare(
        "Lowest severity that is logged.",
        Option(
            "log.level",
            parsers.choice_in_any_case(*LEVELS, warn="warning"),
            "|".join(LEVELS),
            default="info",
        ),
    )
    log_format: str = declare(
        "Log format; auto is console on a terminal, and logfmt elsewhere.",
        Option("log.format", parsers.choice_in_any_case(*FORMATS), "|".join(FORMATS), default=AUTO),
    )

    @property
    def entries(self) -> tuple[AppConfig | AccountConfig, ...]:
        """Return everything in the configuration that makes calls."""
        return (*self.apps, *self.accounts)

    def with_found(self, lists: Mapping[str, AccountApps]) -> "Config":
        """Return the configuration with this shard's apps in the *lists* of its accounts, too."""
        found = found_apps(self.accounts, lists, self.listed_apps)
        return replace(self, apps=(*self.apps, *_of_shard(found, self.shard)))

    @property
    def served_prefix(self) -> str:
        """Return the prefix of all paths in requests, e.g. `/rk-exporter`; empty if none."""
        return self.link_prefix if self.route_prefix is None else self.route_prefix

    @property
    def link_prefix(self) -> str:
        """Return the prefix of all links on pages, as browsers see them behind a proxy."""
        if self.external_url is None:
            return self.route_prefix or ""
        return prefix_of(urlsplit(self.external_url).path)


_GLOBAL_OPTIONS = options_of(Config)
OPTIONS = in_groups([*APP_OPTIONS.values(), *_GLOBAL_OPTIONS.values()])
"""All options, also those that only an entry of `apps` can have."""


def with_fixed_options(config: Config, running: Config) -> tuple[Config, tuple[str, ...]]:
    """
    Return *config* with those values of the *running* one that cannot change.

    Also return the paths of these options, e.g. `state.file`, if *config* has other values.
    """
    kept = {
        name: getattr(running, name)
        for name, option in _GLOBAL_OPTIONS.items()
        if option.is_fixed and getattr(config, name) != getattr(running, name)
    }
    return replace(config, **kept), tuple(_GLOBAL_OPTIONS[name].path for name in kept)


def load(
    path: Path | None, settings: Mapping[str, Setting], environment: Mapping[str, str]
) -> Config:
    """
    Return the configuration in the file at *path*, overridden by *settings*.

    The keys of *settings* are paths in the file, e.g. `scrape.stale_after`. Tokens may be in
    *environment*. Raises ConfigError.
    """
    try:
        document = None if path is None else read_document(path)
    except FileError as error:
        raise ConfigError(str(error)) from None
    source = ConfigSource(document, settings, OPTIONS, ACCOUNT_OPTIONS.values())
    values = {name: source.parse(option, option.path) for name, option in _GLOBAL_OPTIONS.items()}
    is_too_long = values["min_interval_seconds"] >= values["stale_after_seconds"]
    if is_too_long and not source.is_wrong("scrape"):
        if source.is_given("scrape.min_interval"):
            source.fail("scrape.min_interval", "must be shorter than scrape.stale_after")
        else:
            source.fail("scrape.stale_after", "must be longer than scrape.min_interval")
    if values["systemd_socket"] and source.is_given("web.listen_address"):
        message = "cannot be combined with web.listen_address; leave out one of them"
        source.fail("web.systemd_socket", message)
    check_webhook_options(source)
    apps = app_configs(source, environment)
    accounts = account_configs(source, environment)
    shard: Shard | None = values["shard"]
    if shard:
        _check_shares(source, [*apps, *accounts], shard)
        apps = tuple(replace(app, budget=shard.share(app.budget)) for app in apps)
        accounts = tuple(replace(entry, budget=shard.share(entry.budget)) for entry in accounts)
    known = [TOKEN_VARIABLE, CONFIG_FILE_VARIABLE]
    known += [option.variable for option in OPTIONS if option.variable]
    known += map(str, source.values_in_entries("api_token_env"))
    warnings = list(unknown_variables(environment, known))
    source.raise_problems(hints=warnings)
    tokens = [*(app.token for app in apps), *(account.token for account in accounts)]
    files = [token for token in tokens if isinstance(token, TokenFile)]
    warnings += [file.warning for file in files if file.warning]
    return Config(
        apps=tuple(_of_shard(apps, shard)),
        accounts=accounts,
        listed_apps=tuple(app.app for app in apps),
        warnings=tuple(dict.fromkeys(warnings)),
        **values,
    )


def _check_shares(
    source: ConfigSource, entries: Iterable[AppConfig | AccountConfig], shard: Shard
) -> None:
    """Record a mistake if a part of a budget would be less than one call."""
    smallest = min((entry.budget for entry in entries), default=shard.count)
    if smallest < shard.count:
        message = f"a budget of {smallest} calls is too small for {shard.count} shards; raise it"
        source.fail("shard", message)


def _of_shard(apps: Iterable[AppConfig], shard: Shard | None) -> Iterator[AppConfig]:
    """Return those of the *apps* that this exporter reads."""
    for config in apps:
        if shard is None or shard.owns(config.app.account_id, config.app.app_id):
            yield config
