"""The group of all commands: its errors are one line each, and say what to do."""

import sys

from collections import UserDict
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click

from click.exceptions import NoArgsIsHelpError

from rk_exporter.api.connection_setup import SetupError
from rk_exporter.assets.files import AssetsError
from rk_exporter.cli.output import PrintsHelp, print_all
from rk_exporter.config.sources import ConfigError
from rk_exporter.demo.programs import StackError
from rk_exporter.runtime.build import version_text
from rk_exporter.runtime.logs import flush
from rk_exporter.runtime.systemd import SocketError
from rk_exporter.tracking.state_file import StateFileError
from rk_exporter.web.sockets import AddressError


# 128 and the number of SIGINT, as shells report it.
_EXIT_INTERRUPTED = 130


class UsageError(click.ClickException):
    """A usage or configuration error, as click shows errors."""

    exit_code = 2


class ImportedCommands(UserDict[str, Any]):
    """
    Commands by name. Its values are the modules that have them, and become commands on access.

    A run needs one command, and imports no other: see "Lazily Loading Subcommands" in click's
    documentation.
    """

    def __getitem__(self, name: str) -> click.Command:
        """Return a command. Raises KeyError if there is none of this name."""
        command: click.Command = getattr(import_module(self.data[name]), f"{name}_command")
        return command


class Commands(PrintsHelp, click.Group):
    """Shows the errors of all commands like click's own, and click's in one line."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: object,
    ) -> click.Context:
        """Read the options before the command."""
        with _usage_errors_in_one_line():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command."""
        try:
            with _interruptions(), _usage_errors_in_one_line(ctx):
                return super().invoke(ctx)
        except (ConfigError, SetupError) as error:
            raise UsageError(str(error)) from None
        except StateFileError as error:
            raise UsageError(f"state.file: {error}") from None
        except AddressError as error:
            raise click.ClickException(f"{error}; {error.advice}") from None
        except (AssetsError, SocketError, StackError) as error:
            raise click.ClickException(str(error)) from None
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(_EXIT_INTERRUPTED)
        finally:
            flush()


@contextmanager
def _interruptions() -> Iterator[None]:
    """
    End as a signal asks for, although another error has replaced the exception of its handler.

    The handler may raise it within a lock of the standard library, which then fails to release it.
    """
    try:
        yield
    except Exception as error:
        interruption = _interruption_before(error)
        if interruption is None:
            raise
        raise interruption from None


def _interruption_before(error: BaseException) -> BaseException | None:
    """Return the exception of a signal's handler that was being handled when *error* was raised."""
    before = error.__context__
    while before and not isinstance(before, SystemExit | KeyboardInterrupt):
        before = before.__context__
    return before


@contextmanager
def _usage_errors_in_one_line(group: click.Context | None = None) -> Iterator[None]:
    """Show the message of a usage error and where to find help, but not the usage itself."""
    try:
        yield
    except NoArgsIsHelpError:
        raise  # it is no mistake
    except click.UsageError as error:
        message = error.format_message()
        stop = "" if message.endswith((".", "?")) else "."
        command = _command_path(error.ctx, group)
        raise UsageError(f"{message}{stop} Run '{command} --help' for help.") from None


def _command_path(context: click.Context | None, group: click.Context | None) -> str:
    """Return the command that has an error: that of *context* if click knows it."""
    if context is not None:
        return context.command_path
    parts = (group.command_path, group.invoked_subcommand) if group else ("rk-exporter",)
    return " ".join(filter(None, parts))


def print_version(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 # click's signature
    """Print the version if somebody asks for it."""
    if is_asked and not context.resilient_parsing:
        print_all(f"{version_text()}\n")
        context.exit()
