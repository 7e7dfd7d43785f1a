"""The complete configuration, and its options."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

from rk_exporter.config import parsers
from rk_exporter.config.accounts import AccountConfig, found_apps
from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.apps import AppConfig
from rk_exporter.config.option import Option, declare, in_groups, options_of
from rk_exporter.config.parsers import Address
from rk_exporter.config.ranges import Counts, Durations, Percentages
from rk_exporter.config.shard import apps_of_shard, parse_shard
from rk_exporter.config.web_options import (
    parse_addresses,
    parse_external_url,
    parse_route_prefix,
    prefix_of,
)
from rk_exporter.config.webhook_options import (
    DEFAULT_KEY_URL,
    parse_key_url,
    parse_webhook_address,
)
from rk_exporter.model.account import AccountApps
from rk_exporter.model.meeting import App
from rk_exporter.model.shard import Shard
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
        return replace(self, apps=(*self.apps, *apps_of_shard(found, self.shard)))

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


GLOBAL_OPTIONS = options_of(Config)
"""The options of Config, by the name of the field."""
OPTIONS = in_groups([*APP_OPTIONS.values(), *GLOBAL_OPTIONS.values()])
"""All options, also those that only an entry of `apps` can have."""


def with_fixed_options(config: Config, running: Config) -> tuple[Config, tuple[str, ...]]:
    """
    Return *config* with those values of the *running* one that cannot change.

    Also return the paths of these options, e.g. `state.file`, if *config* has other values.
    """
    kept = {
        name: getattr(running, name)
        for name, option in GLOBAL_OPTIONS.items()
        if option.is_fixed and getattr(config, name) != getattr(running, name)
    }
    return replace(config, **kept), tuple(GLOBAL_OPTIONS[name].path for name in kept)
