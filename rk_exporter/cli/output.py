"""Printing to standard output."""

import sys

import click


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
