"""The apps that a configuration names: where each is, its token, its meetings and its budget."""

import re

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.config.parsers import (
    EntryError,
    distinct_meetings,
    parse_budget,
    parse_name,
    parse_read,
)
from rk_exporter.config.schema import AppEntry, MeetingEntry, MeetingsEntry
from rk_exporter.config.sources import ConfigSource
from rk_exporter.config.tokens import FixedToken, TokenError, TokenFile, parse_token
from rk_exporter.model.ids import parse_id
from rk_exporter.model.meeting import App, Meeting, ReadMode
from rk_exporter.model.secret import TokenSource


TOKEN_VARIABLE = "CLOUDFLARE_API_TOKEN"  # noqa: S105 # the name of the variable
_MEETINGS = (
    "meeting_ids (--meeting-id) or meetings.files (--meetings.file)"
    " or meetings.discover (--meetings.discover)"
)
_VARIABLE_NAME = re.compile(r"[A-Z_][A-Z0-9_]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class AppConfig:
    """
    One app to read: where, with which token, which meetings, and how.

    To the *meetings* that are listed come those in *meeting_files*, and with *discover* the live
    ones. *budget* is in calls per 5 minutes; *read* is None where it is left to the exporter.
    """

    app: App
    token: TokenSource
    meetings: tuple[Meeting, ...]
    meeting_files: tuple[MeetingFile, ...]
    discover: bool
    budget: int
    read: ReadMode | None


def app_configs(given: ConfigSource, environment: Mapping[str, str]) -> tuple[AppConfig, ...]:
    """
    Return the apps that were *given*, or the single one; tokens are looked up in *environment*.

    Raises ConfigError.
    """
    return _AppsBuilder(given, environment).build()


class _AppsBuilder:
    """Builds the apps of one configuration."""

    def __init__(self, given: ConfigSource, environment: Mapping[str, str]) -> None:
        self._given = given
        self._options = given.options
        self._environment = environment
        api = given.options.api
        self._budget = given.parsed("api.budget", parse_budget, api.budget)
        self._read = given.parsed("api.read", parse_read, api.read)

    def build(self) -> tuple[AppConfig, ...]:
        if self._options.apps is None:
            return (self._only_app(),)
        self._refuse_options_of_a_single_app()
        if not self._options.apps:
            self._given.refuse("apps", "is empty; list an app, or leave it out")
        apps: list[AppConfig] = []
        for i, entry in enumerate(self._options.apps):
            at = f"apps[{i}]."
            app = self._app(at, entry, ids_at=f"{at}meetings.ids")
            if app.app.name in {other.app.name for other in apps}:
                self._given.refuse(f"{at}name", "another app has this name; give it one of its own")
            apps.append(app)
        return tuple(apps)

    def _only_app(self) -> AppConfig:
        options = self._options
        meetings = MeetingsEntry(
            ids=options.meeting_ids,
            files=options.meetings.files,
            discover=options.meetings.discover,
        )
        needed = {
            "account_id (--account-id)": options.account_id,
            "app_id (--app-id)": options.app_id,
            _MEETINGS: _names_any(meetings),
        }
        missing = [name for name, value in needed.items() if not value]
        if missing:
            self._given.refuse("", f"missing: {', '.join(missing)}")
        entry = AppEntry(app_id=options.app_id, meetings=meetings)
        return self._app("", entry, ids_at="meeting_ids")

    def _refuse_options_of_a_single_app(self) -> None:
        options = self._options
        for where, value in (
            ("app_id", options.app_id),
            ("meeting_ids", options.meeting_ids),
            ("meetings.files", options.meetings.files),
            ("meetings.discover", options.meetings.discover),
        ):
            if value:
                self._given.refuse(
                    where, "the file has `apps`; name it in the app that it belongs to"
                )

    def _app(self, at: str, entry: AppEntry, *, ids_at: str) -> AppConfig:
        given, meetings = self._given, entry.meetings
        if not _names_any(meetings):
            given.refuse(f"{at}meetings", "names none; give it ids, files, or discover: true")
        account_at = f"{at}account_id" if entry.account_id else "account_id"
        account_id = self._id(account_at, entry.account_id or self._options.account_id)
        app_id = self._id(f"{at}app_id", entry.app_id)
        name = given.parsed(f"{at}name", parse_name, entry.name or app_id)
        budget, read = self._budget, self._read
        if entry.budget is not None:
            budget = given.parsed(f"{at}budget", parse_budget, entry.budget)
        if entry.read is not None:
            read = given.parsed(f"{at}read", parse_read, entry.read)
        return AppConfig(
            app=App(name, account_id, app_id),
            token=self._token(at, entry),
            meetings=self._meetings(ids_at, meetings.ids),
            meeting_files=self._meeting_files(f"{at}meetings.files", meetings.files),
            discover=meetings.discover,
            budget=budget,
            read=read,
        )

    def _id(self, where: str, text: str | None) -> str:
        if not text:
            self._given.refuse(where, "is missing; the Cloudflare dashboard shows it")
        return self._given.parsed(where, parse_id, text)

    def _meetings(self, where: str, entries: Iterable[str | MeetingEntry]) -> tuple[Meeting, ...]:
        try:
            return distinct_meetings(entries)
        except EntryError as error:
            self._given.refuse(self._given.entry(where, error.at), str(error))

    def _meeting_files(self, where: str, names: Iterable[str]) -> tuple[MeetingFile, ...]:
        return tuple(
            self._given.parsed(place, partial(MeetingFile, option=place), path)
            for path, place in self._given.paths(where, names).items()
        )

    def _token(self, at: str, entry: AppEntry) -> TokenSource:
        """Return the app's own token, else that of the flag, the environment or the file."""
        if entry.api_token_file and entry.api_token_env:
            self._given.refuse(
                f"{at}api_token_env", "api_token_file is given too; leave one of them"
            )
        if entry.api_token_file:
            return self._token_file(f"{at}api_token_file", entry.api_token_file)
        if entry.api_token_env:
            return self._token_variable(f"{at}api_token_env", entry.api_token_env)
        if not self._given.is_setting("api.token_file") and self._environment.get(TOKEN_VARIABLE):
            return self._token_variable("", TOKEN_VARIABLE)
        token_file = self._options.api.token_file
        if not token_file:
            self._given.refuse(
                f"{at}api_token_file" if at else "",
                f"there is no API token: set {TOKEN_VARIABLE} or name a file (--api.token-file)",
            )
        return self._token_file("api.token_file", token_file)

    def _token_file(self, where: str, name: str) -> TokenSource:
        path = self._given.path(where, name)
        return self._given.parsed(where, partial(TokenFile, option=where), path)

    def _token_variable(self, where: str, name: str) -> TokenSource:
        if not _VARIABLE_NAME.fullmatch(name):
            # Not the name: a token pasted in its place must not be printed.
            self._given.refuse(where, "has to be the name of a variable, in capitals")
        if name not in self._environment:
            self._given.refuse(where, f"the variable {name} is not set")

        def read(variable: str) -> TokenSource:
            try:
                return FixedToken(parse_token(self._environment[variable]))
            except TokenError as error:
                raise TokenError(f"{variable}: {error}") from None

        return self._given.parsed(where, read, name)


def _names_any(meetings: MeetingsEntry) -> bool:
    return bool(meetings.ids or meetings.files or meetings.discover)
