"""Printing to standard output."""

import sys

import click


class PrintsHelp(click.Command):
    """Prints its help page as all other output."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        """Return click's option with a callback that fails in one line."""
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _print_help
        return option


def _print_help(context: click.Context, _parameter: click.Parameter, is_asked: bool) -> None:  # noqa: FBT001 # click's signature
    if is_asked and not context.resilient_parsing:
        print_all(f"{context.get_help()}\n")
        context.exit()


def print_all(text: str | bytes) -> None:
    """Print bytes as they are, and text in the encoding of the locale, with escapes if need be."""
    if isinstance(text, str):
        text = text.encode(sys.stdout.encoding, "backslashreplace")
    try:
        click.echo(text, nl=False)
    except OSError as error:
        raise output_failure(error) from None


def output_failure(error: Exception) -> Exception:
    """Return what a command must raise if *error* prevents its output."""
    # Nobody may read the rest, as with `head`: click ends the program without a message.
    if isinstance(error, BrokenPipeError):
        return error
    return click.ClickException(f"cannot write the output: {getattr(error, 'strerror', error)}")
