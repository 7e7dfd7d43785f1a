"""The options of the configuration as click's, and help pages that are grouped by subject."""

import re

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from click.core import ParameterSource
from click.shell_completion import CompletionItem

from rk_exporter.cli.completion import offer_files, offer_values
from rk_exporter.cli.output import PrintsHelp
from rk_exporter.config.config import (
    CONFIG_FILE_FLAG,
    CONFIG_FILE_HELP,
    CONFIG_FILE_VARIABLE,
    OPTIONS,
)
from rk_exporter.config.option import Option
from rk_exporter.config.sources import Setting


T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class _Text(click.ParamType[str]):
    """Text that the configuration parses; a variable's text is split if the option is a list."""

    name = "text"

    def __init__(self, option: Option) -> None:
        self._option = option

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem[str]]:
        """Return what a shell offers."""
        del ctx, param
        return offer_values(self._option, incomplete)

    def split_envvar_value(self, rv: str) -> Sequence[str]:
        """Return the parts of *rv*, which commas or spaces separate."""
        return [part for part in re.split(r"[,\s]+", rv) if part]


class _Switch(click.types.BoolParamType):
    """A flag without a value; the configuration parses the text of its variable."""

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Any:  # noqa: ANN401 # text, where click's own type has a truth value
        """Return *value* as text."""
        del param, ctx
        return "true" if value is True else value


class Parsed(click.ParamType[T]):
    """A value that *parse* makes of text; the message of its ValueError is shown."""

    def __init__(self, name: str, parse: Callable[[str], T]) -> None:
        self.name = name
        self._parse = parse

    def convert(
        self, value: str | T, param: click.Parameter | None, ctx: click.Context | None
    ) -> T:
        """Return the value, or fail with the parser's message."""
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class GroupedOption(click.Option):
    """An option that the help page shows below the heading *group*."""

    def __init__(self, *arguments: Any, group: str, **keywords: Any) -> None:  # noqa: ANN401 # click's own
        super().__init__(*arguments, **keywords)
        self.group = group


class Command(PrintsHelp):
    """A command whose help page groups its options by subject."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write each group of options below its heading."""
        groups: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record and isinstance(parameter, click.Option):
                group = getattr(parameter, "group", "Options")
                groups.setdefault(group, []).append(record)
        for group, records in groups.items():
            with formatter.section(group):
                formatter.write_dl(records)

    def get_short_help_str(self, limit: int = 0) -> str:
        """Return the first sentence of the help, without cutting it off."""
        del limit
        return " ".join((self.help or "").strip().partition("\n\n")[0].split())


def configuration_options(command: F) -> F:
    """Add the options of the configuration to a command."""
    for option in reversed([option for option in OPTIONS if option.flag]):
        command = click.option(
            _parameter(option),
            option.flag,
            cls=GroupedOption,
            group=option.group,
            envvar=option.variable,
            show_envvar=True,
            default=[option.default] if option.is_list and option.default else option.default,
            show_default=True,
            metavar=option.metavar,
            multiple=option.is_list,
            is_flag=option.is_switch,
            type=_Switch() if option.is_switch else _Text(option),
            help=option.flag_help,
        )(command)
    return click.option(
        "config_file",
        CONFIG_FILE_FLAG,
        cls=GroupedOption,
        group="Configuration file",
        envvar=CONFIG_FILE_VARIABLE,
        show_envvar=True,
        metavar="PATH",
        # click's type for paths asks the file system, which may hang.
        type=Parsed("path", Path),
        shell_complete=offer_files,
        help=CONFIG_FILE_HELP,
    )(command)


def given_settings(context: click.Context) -> dict[str, Setting]:
    """Return what flags and variables give, by path in the file."""
    settings = {}
    for option in OPTIONS:
        source = context.get_parameter_source(_parameter(option))
        if source not in (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT):
            continue
        value = context.params[_parameter(option)]
        origin = option.flag if source is ParameterSource.COMMANDLINE else option.variable
        settings[option.path] = Setting([*value] if option.is_list else value, origin)
    return settings


def _parameter(option: Option) -> str:
    """Return the name by which click passes the value."""
    return re.sub(r"[.-]", "_", option.flag.lstrip("-"))
