"""The reference of the commands, from their help pages."""

import copy

import click

from rk_exporter.cli.main import main
from rk_exporter.cli.options import GroupedOption
from tools.docs.tables import code, table


_PROGRAM = "rk-exporter"
_WIDTH = 100
_AFTER_COMMANDS = """\
`serve`, `check` and `scrape` take all [options](options.md) of the configuration, which their help
pages below leave out. [Simulator](simulator.md) lists the faults for `simulate`. Each command
explains itself with `--help`:

```sh
rk-exporter --help
rk-exporter check --help
```

## Exit codes

| code | meaning |
| ---: | --- |
| 0 | success |
| 1 | something failed: an app cannot be read, a meeting does not exist, an address is in use |
| 2 | usage or configuration error |
| 130 | interrupted with Ctrl-C; `serve`, `demo` and `simulate` stop with 0 once they serve |

`man rk-exporter` shows the same as a manual page. Shells
[complete](../how-to/shell-completion.md) commands, options and their values. For scripts,
[`check --format json`](check-report.md) says what exactly is wrong.
"""


def command_line_reference() -> str:
    """Return all commands, their exit codes and help pages."""
    root = click.Context(main, info_name=_PROGRAM, terminal_width=_WIDTH, **main.context_settings)
    contexts = [
        click.Context(_with_its_own_options(command), root, name, terminal_width=_WIDTH)
        for name, command in sorted(main.commands.items())
    ]
    commands = table(
        ("command", "what it does"),
        ((code(_name(context)), context.command.get_short_help_str()) for context in contexts),
    )
    sections = [
        _section(_PROGRAM, root),
        *(_section(_name(context), context) for context in contexts),
    ]
    return "\n".join([commands, _AFTER_COMMANDS, *sections])


def _with_its_own_options(command: click.Command) -> click.Command:
    """Return a copy without the options of the configuration, which have a page of their own."""
    copied = copy.copy(command)
    copied.params = [option for option in command.params if not isinstance(option, GroupedOption)]
    return copied


def _name(context: click.Context) -> str:
    return f"{_PROGRAM} {context.info_name}"


def _section(title: str, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{context.get_help()}\n```\n"
