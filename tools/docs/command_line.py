"""The reference of the commands, from their help pages."""

import click

from rk_exporter.cli.main import main
from tools.docs.tables import code, table


_PROGRAM = "rk-exporter"
_WIDTH = 100
_AFTER_COMMANDS = """\
`serve`, `check` and `scrape` take the same [options](options.md). [Simulator](simulator.md) lists
the faults for `simulate`. Each command explains itself with `--help`, as shown below:

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

For scripts, [`check --format json`](check-report.md) says what exactly is wrong.
"""
_COMPLETION = """\
## Shell completion

Bash, zsh and fish complete commands and options. Add the line for your shell to its start-up file:

```sh
eval "$(_RK_EXPORTER_COMPLETE=bash_source rk-exporter)"   # ~/.bashrc
eval "$(_RK_EXPORTER_COMPLETE=zsh_source rk-exporter)"    # ~/.zshrc
_RK_EXPORTER_COMPLETE=fish_source rk-exporter | source    # ~/.config/fish/config.fish
```
"""


def command_line_reference() -> str:
    """Return all commands, their exit codes and help pages, and how to complete them."""
    root = click.Context(main, info_name=_PROGRAM, terminal_width=_WIDTH, **main.context_settings)
    contexts = [
        click.Context(command, root, name, terminal_width=_WIDTH)
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
    return "\n".join([commands, _AFTER_COMMANDS, _COMPLETION, *sections])


def _name(context: click.Context) -> str:
    return f"{_PROGRAM} {context.info_name}"


def _section(title: str, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{context.get_help()}\n```\n"
