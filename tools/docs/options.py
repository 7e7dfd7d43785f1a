"""The reference of the options on the command line and in the environment."""

from rk_exporter.config.config import (
    CONFIG_FILE_FLAG,
    CONFIG_FILE_HELP,
    CONFIG_FILE_VARIABLE,
    OPTIONS,
)
from rk_exporter.config.option import Option
from tools.docs.tables import code, table


NOTES = {
    "meetings.files": "[Formats](configuration.md#meetings-in-files).",
    "follow.retain": "A recording with a URL is shown until the URL expires.",
    "downloads.archive.bucket": "[Archive](../how-to/archive.md).",
    "downloads.verify": "[Verify downloads](../how-to/verify-downloads.md).",
    "downloads.allowed_hosts": "[The usual hosts](../how-to/verify-downloads.md#allowed-hosts).",
    "shard": "[Scaling](../how-to/scaling.md).",
    "state.file": "Its folder must exist. [Keep state across restarts](../how-to/state-file.md).",
    "api.budget": "[The budget](../explanation/budget.md).",
    "web.config_file": "[TLS and passwords](../how-to/tls-and-passwords.md).",
    "api.token_file": "[The API token](configuration.md#the-api-token).",
}
"""Sentences beside the help of an option, by its path in the configuration file."""
_TEMPLATE = """\
Flags override environment variables, and variables override the configuration file. The flag
`--a.b-c` is the key `b_c` under `a` in the [configuration file](configuration.md). Two lists have
other names there: `meeting_ids` and `meetings.files`.

The API token has no flag. It comes from a file or from the environment:
[The API token](configuration.md#the-api-token).

A duration is written as in Prometheus: `500ms`, `5s`, `5m`, `1h30m`, `7d`. A boolean variable is
`true` or `false`. The exporter warns about a variable whose name looks misspelt.

## Table

{table}"""


def options_reference() -> str:
    """Return a table of all flags, with their variables, defaults and meaning."""
    rows = [(code(CONFIG_FILE_FLAG), code(CONFIG_FILE_VARIABLE), "", CONFIG_FILE_HELP)]
    rows += [
        (code(option.flag), code(option.variable), code(option.default), _meaning(option))
        for option in OPTIONS
        if option.flag
    ]
    return _TEMPLATE.format(table=table(("option", "variable", "default", "meaning"), rows))


def _meaning(option: Option) -> str:
    sentences = [option.flag_help]
    if option.metavar and "|" in option.metavar:
        sentences.append(f"One of {', '.join(map(code, option.metavar.split('|')))}.")
    if note := NOTES.get(option.path):
        sentences.append(note)
    return " ".join(sentences)
