"""The values of one app or account in a configuration, and its token."""

from collections.abc import Mapping
from typing import Any

from rk_exporter.config.app_options import APP_OPTIONS
from rk_exporter.config.archive_options import MISSING_PACKAGE, PARTS_OF_A_PLACE, has_boto3
from rk_exporter.config.option import Option
from rk_exporter.config.sources import ConfigSource
from rk_exporter.config.tokens import TOKEN_VARIABLE, FixedToken, TokenFile, parse_token
from rk_exporter.model.secret import TokenSource


_TOKEN_FILE_PATH = APP_OPTIONS["token_file"].path


class Entry:
    """
    The values of the *options* of one app or account; *environment* has tokens.

    *at* is the prefix of its paths, e.g. `apps[0].`; it is empty for the single app.
    """

    def __init__(
        self,
        source: ConfigSource,
        environment: Mapping[str, str],
        options: Mapping[str, Option],
        *,
        at: str,
    ) -> None:
        self._source = source
        self._environment = environment
        self._at = at
        self.paths = {name: self._path(option) for name, option in options.items()}
        self.values: dict[str, Any] = {
            name: source.parse(option, self.paths[name]) for name, option in options.items()
        }

    def _path(self, option: Option) -> str:
        """Return the path of the value that counts for this entry."""
        own = f"{self._at}{option.path_in_app}" if self._at else option.path
        inherits = option.is_inherited and not self._source.is_given(own)
        return option.path if inherits and self._source.is_given(option.path) else own

    def lacks(self, name: str) -> bool:
        """Return whether an option has no value, and that is not because of a mistake in it."""
        return not self.values[name] and not self._source.is_wrong(self.paths[name])

    @property
    def lacks_token(self) -> bool:
        """Return whether nothing gives a token."""
        is_in_environment = bool(self._environment.get(TOKEN_VARIABLE))
        return not is_in_environment and all(map(self.lacks, ("token_file", "token_variable")))

    def check_archive(self) -> None:
        """Report an archive that cannot be listed: without a bucket, or without boto3."""
        source = self._source
        if self.values["archive_bucket"]:
            if not has_boto3():
                source.fail(self.paths["archive_bucket"], MISSING_PACKAGE)
        elif self.lacks("archive_bucket"):
            for name in PARTS_OF_A_PLACE:
                path = self.paths[name]
                if source.is_given(path) and not source.is_wrong(path):
                    source.fail(path, "needs downloads.archive.bucket; give the bucket, too")

    def token(self) -> TokenSource | None:
        """Return the entry's own token, else that of the flag, the environment, or the file."""
        source, environment = self._source, self._environment
        path, file = self.paths["token_file"], self.values["token_file"]
        variable_path, variable = self.paths["token_variable"], self.values["token_variable"]
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
