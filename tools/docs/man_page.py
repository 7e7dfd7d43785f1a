"""
The manual page, from click's commands.

click-man writes a page for each command, without the groups of options and their variables.
"""

import re
import textwrap

from collections.abc import Iterator
from pathlib import Path

import click

from rk_exporter import __version__
from rk_exporter.cli.main import main
from rk_exporter.cli.options import GroupedOption


_PROGRAM = "rk-exporter"
_SECTIONS = """\
.SH EXIT STATUS
.TP
.B 0
Success.
.TP
.B 1
Something failed: an app cannot be read, a meeting does not exist,
an address is in use.
.TP
.B 2
Usage or configuration error.
.TP
.B 130
Interrupted with Ctrl-C.
.SH ENVIRONMENT
The variable of each option is listed with it. Flags win over variables,
and variables win over the configuration file.
.TP
.B CLOUDFLARE_API_TOKEN
The API token, if there is no file with it.
.TP
.B HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY
The proxy for calls to the API.
.TP
.B SSL_CERT_FILE, SSL_CERT_DIR
The certificate authorities, in place of those of the system.
.TP
.B NO_COLOR
If it is not empty, no colours are printed.
.SH EXAMPLES
Try it without an account:
.PP
.in +4n
.EX
rk-exporter demo
.EE
.in
.PP
Check your configuration, then run the exporter:
.PP
.in +4n
.EX
rk-exporter check \\-\\-config.file /etc/rk\\-exporter.yml
rk-exporter serve \\-\\-config.file /etc/rk\\-exporter.yml
.EE
.in
.SH SEE ALSO
.BR prometheus (1)
"""


def man_page() -> str:
    """Return the page, in the language of man(7)."""
    root = click.Context(main, info_name=_PROGRAM, **main.context_settings)
    contexts = [
        click.Context(command, root, name) for name, command in sorted(main.commands.items())
    ]
    lines = [
        r".\" Generated from the code by `make docs`.",
        f'.TH RK\\-EXPORTER 1 "{_date()}" "{_PROGRAM} {__version__}" "User Commands"',
        # A URL or a variable must stay whole.
        ".nh",
        ".SH NAME",
        f"{_line(_PROGRAM)} \\- {_line((main.help or '').rstrip('.'))}",
        ".SH SYNOPSIS",
        f".B {_line(_PROGRAM)}",
        r"[\fIOPTIONS\fR] \fICOMMAND\fR [\fIARGS\fR]...",
        ".SH OPTIONS",
        *_options(root),
        ".SH COMMANDS",
    ]
    for context in contexts:
        lines += _command(context)
    shared = next(context for context in contexts if _is_configured(context))
    lines += [".SH CONFIGURATION", *_options(shared, shared=True)]
    return "\n".join(lines) + "\n" + _SECTIONS


def _date() -> str:
    """Return when this version was released; nothing if the changelog does not say it yet."""
    changelog = (Path(__file__).parents[2] / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(rf"^## {re.escape(__version__)} - (\S+)$", changelog, re.MULTILINE)
    return found[1] if found else ""


def _is_configured(context: click.Context) -> bool:
    """Return whether a command has the options of the configuration."""
    return any(isinstance(option, GroupedOption) for option in context.command.params)


def _command(context: click.Context) -> Iterator[str]:
    """Return the section of a command: its usage, its help, and its own options."""
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield f".SS {_line(f'{_PROGRAM} {context.info_name} {usage}')}"
    yield from _paragraphs(textwrap.dedent(context.command.help or "").strip())
    if _is_configured(context):
        yield ".PP"
        yield "It also takes the options below CONFIGURATION."
    yield from _options(context)


def _paragraphs(text: str) -> Iterator[str]:
    first, *others = text.split("\n\n")
    yield _lines(first)
    for paragraph in others:
        yield ".PP"
        yield _lines(paragraph)


def _options(context: click.Context, *, shared: bool = False) -> Iterator[str]:
    """Return a command's own options, or the *shared* ones below the heading of each group."""
    last_group = ""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if not record or not isinstance(parameter, click.Option):
            continue
        group = parameter.group if isinstance(parameter, GroupedOption) else ""
        if bool(group) is not shared:
            continue
        if group != last_group:
            yield f".SS {_line(group)}"
        last_group = group
        flags, text = record
        yield ".TP"
        yield f".B {_line(flags)}"
        yield _lines(text)


def _lines(text: str) -> str:
    """Return *text* in short lines; none of them is a request."""
    lines = textwrap.wrap(" ".join(text.split()), 66, break_on_hyphens=False)
    return "\n".join(map(_line, lines))


def _line(text: str) -> str:
    """Return *text* so that no part of it is a request or an escape."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace('"', r"\(dq")
    return rf"\&{text}" if text.startswith(".") else text
