"""The options on the command line: each with its variable, its place in the file, its help."""

import re

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from click.core import ParameterSource

from rk_exporter.config.apps import TOKEN_VARIABLE
from rk_exporter.config.parsers import READ_CHOICES
from rk_exporter.config.schema import default_of
from rk_exporter.config.sources import Setting
from rk_exporter.runtime.logs import FORMATS, LEVELS


F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Option:
    """
    One option: a *flag*, a *variable* of the environment, and its path in the file, *place*.

    Without a *metavar* the flag takes no value; the variable has to say true or false.
    """

    flag: str
    variable: str
    place: str
    metavar: str | None
    help: str
    multiple: bool = False

    @property
    def parameter(self) -> str:
        """Return the name that click passes the value by."""
        return re.sub(r"[.-]", "_", self.flag.lstrip("-"))


OPTIONS = (
    Option(
        "--account-id",
        "CLOUDFLARE_ACCOUNT_ID",
        "account_id",
        "ID",
        "The Cloudflare account of the app.",
    ),
    Option("--app-id", "RK_APP_ID", "app_id", "ID", "The RealtimeKit app."),
    Option(
        "--meeting-id",
        "RK_MEETING_IDS",
        "meeting_ids",
        "ID",
        "A meeting to read; repeatable. In the variable, commas or blanks stand between them.",
        multiple=True,
    ),
    Option(
        "--meetings.file",
        "RK_MEETINGS_FILE",
        "meetings.files",
        "PATH",
        "File with a list of meetings, read again when it changes; repeatable, like --meeting-id.",
        multiple=True,
    ),
    Option(
        "--meetings.discover",
        "RK_MEETINGS_DISCOVER",
        "meetings.discover",
        None,
        "Read the meetings too that are live, found through the API.",
    ),
    Option(
        "--api.token-file",
        "RK_API_TOKEN_FILE",
        "api.token_file",
        "PATH",
        f"File with the API token, read again when it changes; or set {TOKEN_VARIABLE}.",
    ),
    Option("--api.base-url", "RK_API_BASE_URL", "api.base_url", "URL", "Where the API is."),
    Option(
        "--api.budget",
        "RK_API_BUDGET",
        "api.budget",
        "N",
        "Calls per 5 minutes and token; Cloudflare allows 1200 to all of a user's tools.",
    ),
    Option(
        "--api.read",
        "RK_API_READ",
        "api.read",
        "|".join(READ_CHOICES),
        "Read each meeting's active recording, or the app's list of recordings.",
    ),
    Option(
        "--api.reserve",
        "RK_API_RESERVE",
        "api.reserve",
        "PERCENT",
        "Part of the limit that Cloudflare reports which is left to other tools.",
    ),
    Option(
        "--scrape.min-interval",
        "RK_SCRAPE_MIN_INTERVAL",
        "scrape.min_interval",
        "DURATION",
        "How long a pass' readings answer further scrapes, before the API is called again.",
    ),
    Option(
        "--scrape.stale-after",
        "RK_SCRAPE_STALE_AFTER",
        "scrape.stale_after",
        "DURATION",
        "How long the last reading of a meeting that cannot be read is shown.",
    ),
    Option(
        "--scrape.timeout-offset",
        "RK_SCRAPE_TIMEOUT_OFFSET",
        "scrape.timeout_offset",
        "DURATION",
        "How long before Prometheus' timeout a scrape is answered.",
    ),
    Option(
        "--follow.retain",
        "RK_FOLLOW_RETAIN",
        "follow.retain",
        "DURATION",
        "How long a finished recording is shown; one with a download URL: until that expires.",
    ),
    Option(
        "--follow.max-recordings",
        "RK_FOLLOW_MAX_RECORDINGS",
        "follow.max_recordings",
        "N",
        "Recordings shown per app; beyond, those that finished longest ago are dropped.",
    ),
    Option(
        "--follow.reread-interval",
        "RK_FOLLOW_REREAD_INTERVAL",
        "follow.reread_interval",
        "DURATION",
        "How often finished recordings are read again, to notice a refreshed download URL.",
    ),
    Option(
        "--follow.keep-removed",
        "RK_FOLLOW_KEEP_REMOVED",
        "follow.keep_removed",
        None,
        "Show finished recordings of meetings that were removed from the list.",
    ),
    Option(
        "--state.file",
        "RK_STATE_FILE",
        "state.file",
        "PATH",
        "File that keeps counters and readings across restarts; without it nothing is written.",
    ),
    Option(
        "--web.listen-address",
        "RK_WEB_LISTEN_ADDRESS",
        "web.listen_address",
        "ADDRESS",
        "Where to listen: a list of host:port with commas; port 0 takes a free one.",
    ),
    Option(
        "--web.telemetry-path",
        "RK_WEB_TELEMETRY_PATH",
        "web.telemetry_path",
        "PATH",
        "Path of the metrics.",
    ),
    Option(
        "--web.max-requests",
        "RK_WEB_MAX_REQUESTS",
        "web.max_requests",
        "N",
        "Scrapes answered at once; more get a 503.",
    ),
    Option(
        "--log.level", "RK_LOG_LEVEL", "log.level", "|".join(LEVELS), "Least severe line logged."
    ),
    Option("--log.format", "RK_LOG_FORMAT", "log.format", "|".join(FORMATS), "Form of log lines."),
)
CONFIG_FILE_VARIABLE = "RK_CONFIG_FILE"


class _Text(click.ParamType[str]):
    """Text that is checked later, together with the file's; a variable's is split into a list."""

    name = "text"

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the parts of *rv*, which commas or blanks separate."""
        return [part for part in re.split(r"[,\s]+", rv) if part]


class _Switch(click.types.BoolParamType):
    """Whether a flag stands there; a variable's text is checked later, together with the file's."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401 # text, where click's own type has a truth value
        """Return *value* as text, whatever a variable says."""
        del param, ctx
        return "true" if value is True else value


def configuration_options(command: F) -> F:
    """Add the options of a command that reads the API; `check` takes all that `serve` does."""
    for option in reversed(OPTIONS):
        is_switch = option.metavar is None
        command = click.option(
            option.parameter,
            option.flag,
            envvar=option.variable,
            show_envvar=True,
            show_default=default_of(option.place) or False,
            metavar=option.metavar,
            multiple=option.multiple,
            is_flag=is_switch,
            default=None,
            type=_Switch() if is_switch else _Text(),
            help=option.help,
        )(command)
    return click.option(
        "config_file",
        "--config.file",
        envvar=CONFIG_FILE_VARIABLE,
        show_envvar=True,
        metavar="PATH",
        type=click.Path(path_type=Path),
        help="YAML file; every option below can stand in it.",
    )(command)


def given_settings(context: click.Context) -> dict[str, Setting]:
    """Return what flags and variables gave, by place in the file."""
    settings = {}
    for option in OPTIONS:
        value = context.params.get(option.parameter)
        if value is None or value == ():
            continue
        source = context.get_parameter_source(option.parameter)
        origin = option.variable if source is ParameterSource.ENVIRONMENT else option.flag
        settings[option.place] = Setting(list(value) if option.multiple else value, origin)
    return settings
