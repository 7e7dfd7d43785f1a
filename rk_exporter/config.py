"""
The configuration: a YAML file, the environment and flags become one frozen Config.

All three are laid over each other as plain text first, the stronger last, and are checked once:
the option `--a.b-c` stands in the file as `b_c` under `a`. So a value is refused in the same
words wherever it came from, with its place: file and line, variable or flag.
"""

import re

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn, TypeVar

import msgspec

from rk_exporter.credentials import (
    FixedToken,
    TokenError,
    TokenFile,
    TokenSource,
    parse_token,
)
from rk_exporter.documents import Document, DocumentError, PlainValue, read_document
from rk_exporter.logs import FORMATS, LEVELS
from rk_exporter.option_errors import explain
from rk_exporter.option_values import (
    Address,
    parse_addresses,
    parse_base_url,
    parse_choice,
    parse_count,
    parse_duration,
    parse_id,
    parse_name,
    parse_positive_duration,
    parse_telemetry_path,
)
from rk_exporter.options import AppEntry, MeetingEntry, Options
from rk_exporter.recordings import App, Meeting


T = TypeVar("T")
V = TypeVar("V")

TOKEN_VARIABLE = "CLOUDFLARE_API_TOKEN"  # noqa: S105 # the name of the variable
_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


class ConfigError(Exception):
    """A configuration that cannot be used; the message names the place and what would be right."""


@dataclass(frozen=True, slots=True)
class AppConfig:
    """One app to read: where, with which token, and which meetings."""

    app: App
    token: TokenSource
    meetings: tuple[Meeting, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """Everything that the exporter was told."""

    apps: tuple[AppConfig, ...]
    base_url: str
    stale_after_seconds: float
    timeout_offset_seconds: float
    listen_addresses: tuple[Address, ...]
    telemetry_path: str
    max_requests: int
    log_level: str
    log_format: str


@dataclass(frozen=True, slots=True)
class Setting:
    """A value given outside the file, and its *origin*: the flag or variable that gave it."""

    value: str | list[str]
    origin: str


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
    return _ConfigBuilder(document, settings, environment).build()


class _ConfigBuilder:
    """Checks one set of options; every refusal names the place of the value."""

    def __init__(
        self,
        document: Document | None,
        settings: Mapping[str, Setting],
        environment: Mapping[str, str],
    ) -> None:
        self._document = document
        self._settings = settings
        self._environment = environment

    def build(self) -> Config:
        options = self._options()
        scrape, web, log = options.scrape, options.web, options.log
        return Config(
            apps=self._apps(options),
            base_url=self._parsed("api.base_url", parse_base_url, options.api.base_url),
            stale_after_seconds=self._parsed(
                "scrape.stale_after", parse_positive_duration, scrape.stale_after
            ),
            timeout_offset_seconds=self._parsed(
                "scrape.timeout_offset", parse_duration, scrape.timeout_offset
            ),
            listen_addresses=self._parsed(
                "web.listen_address", parse_addresses, web.listen_address
            ),
            telemetry_path=self._parsed(
                "web.telemetry_path", parse_telemetry_path, web.telemetry_path
            ),
            max_requests=self._parsed("web.max_requests", parse_count, web.max_requests),
            log_level=self._parsed("log.level", partial(parse_choice, choices=LEVELS), log.level),
            log_format=self._parsed(
                "log.format", partial(parse_choice, choices=FORMATS), log.format
            ),
        )

    def _refuse(self, where: str, message: str) -> NoReturn:
        """Raise ConfigError for the value at the path *where*."""
        if where in self._settings:
            raise ConfigError(f"{self._settings[where].origin}: {message}")
        subject = f"{where}: " if where else ""
        if self._document:
            subject = f"{self._document.place(where)}: {subject}"
        raise ConfigError(f"{subject}{message}")

    def _parsed(self, where: str, parse: Callable[[T], V], value: T) -> V:
        try:
            return parse(value)
        except (ValueError, TokenError) as error:
            self._refuse(where, str(error))

    def _options(self) -> Options:
        content = (self._document and self._document.content) or {}
        merged = _without_nulls(content)
        if not isinstance(merged, dict):
            self._refuse("", "the file has to hold options, like `account_id: …`")
        for where, setting in self._settings.items():
            _put(merged, where.split("."), setting.value)
        try:
            return msgspec.convert(merged, Options, strict=False)
        except msgspec.ValidationError as error:
            self._refuse(*explain(str(error)))

    def _apps(self, options: Options) -> tuple[AppConfig, ...]:
        if options.apps is None:
            self._refuse_missing(options)
            only = AppEntry(app_id=options.app_id)
            meetings = self._meetings("meeting_ids", options.meeting_ids)
            return (self._app("", only, options, meetings),)
        for where, value in (("app_id", options.app_id), ("meeting_ids", options.meeting_ids)):
            if value:
                self._refuse(where, "the file has `apps`; name it in the app that it belongs to")
        if not options.apps:
            self._refuse("apps", "is empty; list an app, or leave it out")
        apps: list[AppConfig] = []
        for i, entry in enumerate(options.apps):
            at = f"apps[{i}]."
            meetings = self._meetings(f"{at}meetings.ids", entry.meetings.ids)
            app = self._app(at, entry, options, meetings)
            if app.app.name in {other.app.name for other in apps}:
                self._refuse(f"{at}name", "another app has this name; give it one of its own")
            apps.append(app)
        return tuple(apps)

    def _refuse_missing(self, options: Options) -> None:
        """Name all that a single app lacks at once."""
        missing = [
            f"{name} ({option})"
            for name, option, value in (
                ("account_id", "--account-id", options.account_id),
                ("app_id", "--app-id", options.app_id),
                ("meeting_ids", "--meeting-id", options.meeting_ids),
            )
            if not value
        ]
        if missing:
            self._refuse("", f"missing: {', '.join(missing)}")

    def _app(
        self, at: str, entry: AppEntry, options: Options, meetings: tuple[Meeting, ...]
    ) -> AppConfig:
        account_at = f"{at}account_id" if entry.account_id else "account_id"
        account_id = self._id(account_at, entry.account_id or options.account_id)
        app_id = self._id(f"{at}app_id", entry.app_id)
        name = self._parsed(f"{at}name", parse_name, entry.name or app_id)
        return AppConfig(App(name, account_id, app_id), self._token(at, entry, options), meetings)

    def _id(self, where: str, text: str | None) -> str:
        if not text:
            self._refuse(where, "is missing; the Cloudflare dashboard shows it")
        return self._parsed(where, parse_id, text)

    def _meetings(self, where: str, entries: Iterable[str | MeetingEntry]) -> tuple[Meeting, ...]:
        """Return each meeting once, with the first name that it was given."""
        names: dict[str, str] = {}
        for i, entry in enumerate(entries):
            place = where if where in self._settings else f"{where}[{i}]"
            text, name = (entry, None) if isinstance(entry, str) else (entry.id, entry.name)
            meeting_id = self._parsed(place, parse_id, text)
            known = names.get(meeting_id)
            names[meeting_id] = known or self._parsed(f"{place}.name", parse_name, name or "")
        if not names:
            self._refuse(where, "is missing; name at least one meeting")
        return tuple(Meeting(meeting_id, name or meeting_id) for meeting_id, name in names.items())

    def _token(self, at: str, entry: AppEntry, options: Options) -> TokenSource:
        """Return the app's own token, else that of the flag, the environment or the file."""
        if entry.api_token_file and entry.api_token_env:
            self._refuse(f"{at}api_token_env", "api_token_file is given too; leave one of them")
        if entry.api_token_file:
            return self._token_file(f"{at}api_token_file", entry.api_token_file)
        if entry.api_token_env:
            return self._token_variable(f"{at}api_token_env", entry.api_token_env)
        if "api.token_file" not in self._settings and self._environment.get(TOKEN_VARIABLE):
            return self._token_variable("", TOKEN_VARIABLE)
        if not options.api.token_file:
            self._refuse(
                f"{at}api_token_file" if at else "",
                f"there is no API token: set {TOKEN_VARIABLE} or name a file (--api.token-file)",
            )
        return self._token_file("api.token_file", options.api.token_file)

    def _token_file(self, where: str, name: str) -> TokenSource:
        # As with Prometheus' own files, a path in the file is relative to the file.
        folder = Path()
        if self._document and where not in self._settings:
            folder = self._document.path.parent
        return self._parsed(where, partial(TokenFile, option=where), folder / name)

    def _token_variable(self, where: str, name: str) -> TokenSource:
        if not _VARIABLE_NAME.fullmatch(name):
            # Not the name: a token pasted in its place must not be printed.
            self._refuse(where, "has to be the name of a variable, in capitals")
        if name not in self._environment:
            self._refuse(where, f"the variable {name} is not set")

        def read(variable: str) -> TokenSource:
            try:
                return FixedToken(parse_token(self._environment[variable]))
            except TokenError as error:
                raise TokenError(f"{variable}: {error}") from None

        return self._parsed(where, read, name)


def _without_nulls(value: PlainValue) -> PlainValue:
    """Return a copy without keys that have no value: their lines are commented out, mostly."""
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [_without_nulls(each) for each in value] if isinstance(value, list) else value


def _put(mapping: dict[str, PlainValue], path: list[str], value: str | list[str]) -> None:
    """Put *value* into nested mappings; what else stands in the way is replaced."""
    *parents, last = path
    for name in parents:
        inner = mapping.get(name)
        if not isinstance(inner, dict):
            inner = mapping[name] = {}
        mapping = inner
    mapping[last] = [*value] if isinstance(value, list) else value
