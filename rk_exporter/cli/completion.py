"""What shells offer as the value of an option; click completes commands and options itself."""

from click import Context, Parameter
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    ZshComplete,
    add_completion_class,
)

from rk_exporter.config.option import Option


Items = list[CompletionItem[str]]


def offer_files(context: Context, parameter: Parameter, incomplete: str) -> Items:
    """Let the shell offer files: it knows their names better."""
    del context, parameter
    return [CompletionItem(incomplete, type="file")]


def offer_folders(context: Context, parameter: Parameter, incomplete: str) -> Items:
    """Let the shell offer folders."""
    del context, parameter
    return [CompletionItem(incomplete, type="dir")]


def offer_values(option: Option, incomplete: str) -> Items:
    """Return the values of an *option* that has a few fixed ones, or let the shell offer files."""
    metavar = option.metavar or ""
    if option.is_file:
        return [CompletionItem(incomplete, type="file")]
    choices = metavar.split("|") if "|" in metavar else []
    return [CompletionItem(choice) for choice in choices if choice.startswith(incomplete.lower())]


class _BashComplete(BashComplete):
    """Bash, for which the sign in `--option=value` is a word of its own."""

    name = "bash"

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the one to complete, and that word."""
        words, incomplete = super().get_completion_args()
        joined: list[str] = []
        for word in (*words, incomplete):
            is_value = bool(joined) and (word == "=" or joined[-1].endswith("="))
            if is_value and joined[-1].startswith("--"):
                joined[-1] += word
            else:
                joined.append(word)
        return joined[:-1], joined[-1]


class _ZshComplete(ZshComplete):
    """Zsh, with a script that also works the second time when zsh has loaded it from a file."""

    name = "zsh"
    source_template = ZshComplete.source_template.replace(
        # True in the first call only; later ones would offer nothing.
        "$zsh_eval_context[-1] == loadautofunc",
        "$funcstack[1] == _%(prog_name)s",
    )


def add_shells() -> None:
    """Let click use our own scripts for bash and zsh."""
    add_completion_class(_BashComplete)
    add_completion_class(_ZshComplete)
