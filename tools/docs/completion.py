"""The scripts that make shells complete the command, from click."""

from click.shell_completion import ShellComplete, get_completion_class

from rk_exporter.cli.main import main


_PROGRAM, _VARIABLE = "rk-exporter", "_RK_EXPORTER_COMPLETE"


def completion_script(shell: str) -> str:
    """Return the script for a *shell*: bash, zsh or fish."""
    complete = get_completion_class(shell)
    if complete is None:
        raise LookupError(shell)
    # Not the method of the class for bash, which runs bash to look at its version.
    script = ShellComplete.source(complete(main, {}, _PROGRAM, _VARIABLE))
    return script.strip() + "\n"
