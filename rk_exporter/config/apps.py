"""The apps in a configuration: their ids, tokens, meetings and budgets."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from rk_exporter.config.app_options import APP_OPTIONS, AppOptions
from rk_exporter.config.entry import Entry
from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.config.sources import ConfigSource
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.ids import canonical
from rk_exporter.model.meeting import App
from rk_exporter.model.secret import TokenSource


def _ways(*names: str) -> str:
    """Return the flags and variables of the options with these *names*."""
    options = [APP_OPTIONS[name] for name in names]
    return "; ".join(f"{option.flag} or {option.variable}" for option in options)


# How people give what is missing: in a configuration of one app, and in an entry of `apps`.
_MISSING = {
    "account_id": _ways("account_id"),
    "app_id": _ways("app_id"),
    "meetings": _ways("meetings", "meeting_file_paths", "discover"),
    "API token": f"{TOKEN_VARIABLE}; {_ways('token_file')}",
}
MISSING_IN_ENTRY = {
    "account_id": ("account_id", "missing; the Cloudflare dashboard shows it"),
    "app_id": ("app_id", "missing; the Cloudflare dashboard shows it"),
    "meetings": ("meetings", "missing; give ids, files, or discover: true"),
    "API token": (
        "api_token_file",
        f"missing; give a file here or with --api.token-file, or set {TOKEN_VARIABLE}",
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class AppConfig(AppOptions):
    """
    One app to read, its token, and its meetings.

    Its meetings are *meetings*, those in *meeting_files*, and with *discover* the live ones.
    *budget* is in calls per 5 minutes; *read* is None if the exporter chooses.
    """

    app: App
    token: TokenSource
    meeting_files: tuple[MeetingFile, ...]


def app_configs(source: ConfigSource, environment: Mapping[str, str]) -> tuple[AppConfig, ...]:
    """
    Return the apps in *source*, or the single app; *environment* has tokens.

    The source records the mistakes, and an app with mistakes is left out.
    """
    lists = {"apps": source.app_count, "accounts": source.account_count}
    given = [name for name, count in lists.items() if count is not None]
    if not given:
        app = _AppBuilder(source, environment, at="").build()
        return (app,) if app else ()
    for option in APP_OPTIONS.values():
        # Parsing reports mistakes in values that no app inherits.
        if source.parse(option, option.path) and not option.is_inherited:
            message = f"the file has `{given[0]}`; give this option in one of the apps"
            source.fail(option.path, message)
    for name in given:
        if not (lists[name] or source.is_wrong(name)):
            source.fail(name, f"must not be empty; add an {name[:-1]}, or remove the key")
    apps: dict[str, AppConfig] = {}
    for number in range(source.app_count or 0):
        app = _AppBuilder(source, environment, at=f"apps[{number}].").build()
        if app and app.app.name in apps:
            is_same = _ids(app) == _ids(apps[app.app.name])
            field, message = (
                ("app_id", "duplicate app; list each app once")
                if is_same
                else ("name", "duplicate name; give each app its own")
            )
            source.fail(f"apps[{number}].{field}", message)
        elif app:
            apps[app.app.name] = app
    return tuple(apps.values())


def _ids(app: AppConfig) -> tuple[str, str]:
    return canonical(app.app.account_id), canonical(app.app.app_id)


class _AppBuilder:
    """Builds one app; *at* is the prefix of its paths: empty for the single app."""

    def __init__(self, source: ConfigSource, environment: Mapping[str, str], *, at: str) -> None:
        self._source = source
        self._at = at
        self._entry = Entry(source, environment, APP_OPTIONS, at=at)

    def build(self) -> AppConfig | None:
        """Return the app; None if something is missing or wrong that it cannot be built without."""
        values, token = self._entry.values, self._entry.token()
        account_id, app_id = values["account_id"], values["app_id"]
        self._report_missing()
        self._entry.check_archive()
        meeting_files = tuple(self._meeting_files())
        if token is None or account_id is None or app_id is None:
            return None
        app = App(values["name"] or app_id, account_id, app_id)
        return AppConfig(app=app, token=token, meeting_files=meeting_files, **values)

    def _report_missing(self) -> None:
        lacks = self._entry.lacks
        missing = {
            "account_id": lacks("account_id"),
            "app_id": lacks("app_id"),
            "meetings": all(map(lacks, ("meetings", "meeting_file_paths", "discover"))),
            "API token": self._entry.lacks_token,
        }
        names = [name for name, is_missing in missing.items() if is_missing]
        if self._at:
            for name in names:
                path, message = MISSING_IN_ENTRY[name]
                self._source.fail(f"{self._at}{path}", message)
        elif names:
            lines = [f"{name} ({_MISSING[name]})" for name in names]
            separator = "\n  " if len(lines) > 1 else " "
            self._source.fail("", separator.join(["missing:", *lines]))

    def _meeting_files(self) -> Iterator[MeetingFile]:
        list_path = self._entry.paths["meeting_file_paths"]
        paths = self._entry.values["meeting_file_paths"]
        for number, path in enumerate(paths):
            if path in paths[:number]:
                continue
            option = self._source.item_path(list_path, f"[{number}]")
            file = self._source.attempt(option, partial(MeetingFile, path, option=option))
            if file:
                yield file
