"""The apps in a configuration: their ids, tokens, meetings and budgets."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from rk_exporter.config.app_options import APP_OPTIONS, AppOptions
from rk_exporter.config.archive_options import MISSING_PACKAGE, PARTS_OF_A_PLACE, has_boto3
from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.config.option import Option
from rk_exporter.config.sources import ConfigSource
from rk_exporter.config.tokens import TOKEN_VARIABLE, FixedToken, TokenFile, parse_token
from rk_exporter.model.meeting import App
from rk_exporter.model.secret import TokenSource
from rk_exporter.model.shard import Shard


_TOKEN_FILE_PATH = APP_OPTIONS["token_file"].path


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
_MISSING_IN_APP = {
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
    if source.app_count is None:
        app = _AppBuilder(source, environment, at="").build()
        return (app,) if app else ()
    for option in APP_OPTIONS.values():
        # Parsing reports mistakes in values that no app inherits.
        if source.parse(option, option.path) and not option.is_inherited:
            source.fail(option.path, "the file has `apps`; give this option in one of the apps")
    if not (source.app_count or source.is_wrong("apps")):
        source.fail("apps", "must not be empty; add an app, or remove the key")
    apps: dict[str, AppConfig] = {}
    for number in range(source.app_count):
        app = _AppBuilder(source, environment, at=f"apps[{number}].").build()
        if app and app.app.name in apps:
            source.fail(f"apps[{number}].name", "duplicate name; give each app its own")
        elif app:
            apps[app.app.name] = app
    return tuple(apps.values())


def shard_apps(
    source: ConfigSource, apps: Iterable[AppConfig], shard: Shard
) -> tuple[AppConfig, ...]:
    """Return those of the *apps* that the *shard* reads, each with its part of the budget."""
    apps = tuple(apps)
    smallest = min((app.budget for app in apps), default=shard.count)
    if smallest < shard.count:
        message = f"a budget of {smallest} calls is too small for {shard.count} shards; raise it"
        source.fail("shard", message)
        return ()
    return tuple(
        replace(app, budget=shard.share(app.budget))
        for app in apps
        if shard.owns(app.app.account_id, app.app.app_id)
    )


class _AppBuilder:
    """Builds one app; *at* is the prefix of its paths: empty for the single app."""

    def __init__(self, source: ConfigSource, environment: Mapping[str, str], *, at: str) -> None:
        self._source = source
        self._environment = environment
        self._at = at
        self._paths = {name: self._path(option) for name, option in APP_OPTIONS.items()}
        self._values = {
            name: source.parse(option, self._paths[name]) for name, option in APP_OPTIONS.items()
        }

    def _path(self, option: Option) -> str:
        """Return the path of the value that counts for this app."""
        own = f"{self._at}{option.path_in_app}" if self._at else option.path
        inherits = option.is_inherited and not self._source.is_given(own)
        return option.path if inherits and self._source.is_given(option.path) else own

    def build(self) -> AppConfig | None:
        """Return the app; None if something is missing or wrong that it cannot be built without."""
        token = self._token()
        account_id, app_id = self._values["account_id"], self._values["app_id"]
        self._report_missing()
        self._check_archive()
        meeting_files = tuple(self._meeting_files())
        if token is None or account_id is None or app_id is None:
            return None
        app = App(self._values["name"] or app_id, account_id, app_id)
        return AppConfig(app=app, token=token, meeting_files=meeting_files, **self._values)

    def _lacks(self, name: str) -> bool:
        """Return whether an option has no value, and that is not because of a mistake in it."""
        return not self._values[name] and not self._source.is_wrong(self._paths[name])

    def _report_missing(self) -> None:
        missing = {
            "account_id": self._lacks("account_id"),
            "app_id": self._lacks("app_id"),
            "meetings": all(map(self._lacks, ("meetings", "meeting_file_paths", "discover"))),
            "API token": not self._environment.get(TOKEN_VARIABLE)
            and all(map(self._lacks, ("token_file", "token_variable"))),
        }
        names = [name for name, is_missing in missing.items() if is_missing]
        if self._at:
            for name in names:
                path, message = _MISSING_IN_APP[name]
                self._source.fail(f"{self._at}{path}", message)
        elif names:
            lines = [f"{name} ({_MISSING[name]})" for name in names]
            separator = "\n  " if len(lines) > 1 else " "
            self._source.fail("", separator.join(["missing:", *lines]))

    def _check_archive(self) -> None:
        """Report an archive that cannot be listed: without a bucket, or without boto3."""
        if self._values["archive_bucket"]:
            if not has_boto3():
                self._source.fail(self._paths["archive_bucket"], MISSING_PACKAGE)
        elif self._lacks("archive_bucket"):
            for name in PARTS_OF_A_PLACE:
                path = self._paths[name]
                if self._source.is_given(path) and not self._source.is_wrong(path):
                    self._source.fail(path, "needs downloads.archive.bucket; give the bucket, too")

    def _meeting_files(self) -> Iterator[MeetingFile]:
        list_path = self._paths["meeting_file_paths"]
        paths = self._values["meeting_file_paths"]
        for number, path in enumerate(paths):
            if path in paths[:number]:
                continue
            option = self._source.item_path(list_path, f"[{number}]")
            file = self._source.attempt(option, partial(MeetingFile, path, option=option))
            if file:
                yield file

    def _token(self) -> TokenSource | None:
        """Return the app's own token, else that of the flag, the environment, or the file."""
        source, environment = self._source, self._environment
        path, file = self._paths["token_file"], self._values["token_file"]
        variable_path, variable = self._paths["token_variable"], self._values["token_variable"]
        is_own = file is not None and path != _TOKEN_FILE_PATH
        if source.is_given(variable_path):
            if is_own:
                source.fail(variable_path, "api_token_file is given too; remove one of them")
            elif variable:
                return source.attempt(variable_path, lambda: _token_in(environment, variable))
            return None
        if not (is_own or source.is_setting(path)) and environment.get(TOKEN_VARIABLE):
            return source.attempt("", lambda: _token_in(environment, TOKEN_VARIABLE))
        return source.attempt(path, lambda: TokenFile(file, option=path)) if file else None


def _token_in(environment: Mapping[str, str], name: str) -> FixedToken:
    if name not in environment:
        raise ValueError(f"the variable {name} is not set")
    try:
        return FixedToken(parse_token(environment[name]))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
