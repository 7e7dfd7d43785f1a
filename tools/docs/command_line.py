"""The reference of the commands, from their help pages."""

import click

from rk_exporter.cli.main import main


_PROGRAM = "rk-exporter"
_WIDTH = 100
_COMPLETION = """\
## Shell completion

Bash, zsh and fish complete commands and options. Add the line for your shell to its start-up file:

```sh
eval "$(_RK_EXPORTER_COMPLETE=bash_source rk-exporter)"   # bash: ~/.bashrc
eval "$(_RK_EXPORTER_COMPLETE=zsh_source rk-exporter)"    # zsh: ~/.zshrc
_RK_EXPORTER_COMPLETE=fish_source rk-exporter | source    # fish: ~/.config/fish/config.fish
```
"""


def command_line_reference() -> str:
    """Return the help page of the program and of each command, and how to complete them."""
    root = click.Context(
        main, info_name=_PROGRAM, terminal_width=_WIDTH, help_option_names=["-h", "--help"]
    )
    sections = [_section(_PROGRAM, root)]
    for name, command in sorted(main.commands.items()):
        context = click.Context(command, root, name, terminal_width=_WIDTH)
        sections.append(_section(f"{_PROGRAM} {name}", context))
    return "\n".join([*sections, _COMPLETION])


def _section(title: str, context: click.Context) -> str:
    return f"## {title}\n\n```text\n{context.get_help()}\n```\n"
