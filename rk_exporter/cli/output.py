"""Printing to standard output."""

import sys

import click


def print_all(text: str | bytes) -> None:
    """Print bytes as they are, and text in the encoding of the locale, with escapes if need be."""
    if isinstance(text, str):
        text = text.encode(sys.stdout.encoding, "backslashreplace")
    try:
        click.echo(text, nl=False)
        sys.stdout.flush()
    except OSError as error:
        raise click.ClickException(f"cannot write the output: {error.strerror}") from None
