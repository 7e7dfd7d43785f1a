"""The command line: which commands there are, and the program that runs one of them."""

import click

from rk_exporter.cli.commands import Commands, ImportedCommands, print_version
from rk_exporter.cli.completion import add_shells
from rk_exporter.cli.process import accept_signals, exit_without_waiting, prepare


add_shells()
# Commands that run until a signal stops them.
_SERVICES = frozenset({"serve", "demo", "simulate"})


@click.group(
    cls=Commands,
    commands=ImportedCommands(
        assets="rk_exporter.cli.assets",
        check="rk_exporter.cli.check_command",
        demo="rk_exporter.cli.simulator",
        scrape="rk_exporter.cli.scrape",
        serve="rk_exporter.cli.serve",
        simulate="rk_exporter.cli.simulator",
    ),
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 100,
        "show_default": True,
    },
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=print_version,
    help="Show the version and exit.",
)
def main() -> None:
    """Prometheus exporter for the recordings of Cloudflare RealtimeKit meetings."""
    command = click.get_current_context().invoked_subcommand
    accept_signals(is_service=command in _SERVICES, reloads=command == "serve")


def entry_point() -> None:
    """Run the command line as a program."""
    prepare()
    exit_without_waiting(main)
