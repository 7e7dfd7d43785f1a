"""The reference of the options on the command line and in the environment."""

from rk_exporter.config.config import (
    CONFIG_FILE_FLAG,
    CONFIG_FILE_HELP,
    CONFIG_FILE_VARIABLE,
    OPTIONS,
)
from tools.docs.tables import code, table


def options_reference() -> str:
    """Return a table of all flags, with their variables, defaults and meaning."""
    rows = [(code(CONFIG_FILE_FLAG), code(CONFIG_FILE_VARIABLE), "", CONFIG_FILE_HELP)]
    rows += [
        (code(option.flag), code(option.variable), code(option.default), option.flag_help)
        for option in OPTIONS
        if option.flag
    ]
    return table(("option", "variable", "default", "meaning"), rows)
