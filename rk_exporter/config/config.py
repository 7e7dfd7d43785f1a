"""The configuration: a YAML file, the environment and flags become one frozen Config."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rk_exporter.config.apps import AppConfig, app_configs
from rk_exporter.config.parsers import (
    Address,
    parse_addresses,
    parse_base_url,
    parse_choice,
    parse_count,
    parse_duration,
    parse_max_recordings,
    parse_positive_duration,
    parse_reread_interval,
    parse_reserve,
    parse_state_file,
    parse_telemetry_path,
)
from rk_exporter.config.sources import ConfigError, ConfigSource, Setting
from rk_exporter.config.yaml_document import DocumentError, read_document
from rk_exporter.runtime.logs import FORMATS, LEVELS


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """
    Everything that the exporter was told.

    *reserve_ratio* is the part of the API's own limit that is left to others. Without a
    *state_file* nothing is kept across restarts.
    """

    apps: tuple[AppConfig, ...]
    base_url: str
    reserve_ratio: float
    min_interval_seconds: float
    stale_after_seconds: float
    timeout_offset_seconds: float
    follow_retain_seconds: float
    follow_max_recordings: int
    follow_reread_seconds: float
    follow_keep_removed: bool
    state_file: Path | None
    listen_addresses: tuple[Address, ...]
    telemetry_path: str
    max_requests: int
    log_level: str
    log_format: str


def load(
    path: Path | None, settings: Mapping[str, Setting], environment: Mapping[str, str]
) -> Config:
    """
    Return the configuration in the file at *path*, with *settings* laid over it.

    The keys of *settings* are paths in the file, like `scrape.stale_after`. Tokens are looked up
    in *environment*. Raises ConfigError.
    """
    try:
        document = None if path is None else read_document(path)
    except DocumentError as error:
        raise ConfigError(str(error)) from None
    given = ConfigSource(document, settings)
    api, scrape, follow, web, log = (
        given.options.api,
        given.options.scrape,
        given.options.follow,
        given.options.web,
        given.options.log,
    )
    parsed = given.parsed
    stale_after_seconds = parsed("scrape.stale_after", parse_positive_duration, scrape.stale_after)
    min_interval_seconds = parsed("scrape.min_interval", parse_duration, scrape.min_interval)
    if min_interval_seconds >= stale_after_seconds:
        given.refuse("scrape.min_interval", "has to be shorter than scrape.stale_after")
    return Config(
        apps=app_configs(given, environment),
        base_url=parsed("api.base_url", parse_base_url, api.base_url),
        reserve_ratio=parsed("api.reserve", parse_reserve, api.reserve),
        min_interval_seconds=min_interval_seconds,
        stale_after_seconds=stale_after_seconds,
        timeout_offset_seconds=parsed(
            "scrape.timeout_offset", parse_duration, scrape.timeout_offset
        ),
        follow_retain_seconds=parsed("follow.retain", parse_positive_duration, follow.retain),
        follow_max_recordings=parsed(
            "follow.max_recordings", parse_max_recordings, follow.max_recordings
        ),
        follow_reread_seconds=parsed(
            "follow.reread_interval", parse_reread_interval, follow.reread_interval
        ),
        follow_keep_removed=follow.keep_removed,
        state_file=_state_file(given),
        listen_addresses=parsed("web.listen_address", parse_addresses, web.listen_address),
        telemetry_path=parsed("web.telemetry_path", parse_telemetry_path, web.telemetry_path),
        max_requests=parsed("web.max_requests", parse_count, web.max_requests),
        log_level=parsed("log.level", partial(parse_choice, choices=LEVELS), log.level),
        log_format=parsed("log.format", partial(parse_choice, choices=FORMATS), log.format),
    )


def _state_file(given: ConfigSource) -> Path | None:
    where, name = "state.file", given.options.state.file
    if name is None:
        return None
    if not name.strip():
        given.refuse(where, "is empty; give the path of a file, or leave it out to keep nothing")
    return given.parsed(where, parse_state_file, given.path(where, name))
