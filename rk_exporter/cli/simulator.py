"""The commands `demo` and `simulate`."""

import math

from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import click

from rk_exporter.cli.options import Command, Parsed
from rk_exporter.cli.process import run
from rk_exporter.config.parsers import Address, parse_address
from rk_exporter.demo import demo
from rk_exporter.demo.programs import StackError
from rk_exporter.runtime.logs import configure
from rk_exporter.simulator import (
    DEMO_PACE,
    REAL_PACE,
    AcceleratedClock,
    Fault,
    GeneratedScenario,
    Simulator,
)
from rk_exporter.web.server import AddressError, Listener, bind, serve


F = TypeVar("F", bound=Callable[..., Any])
_PACES = {"demo": DEMO_PACE, "real": REAL_PACE}
EXPORTER_FLAG = "--web.listen-address"
EXPORTER_ADDRESS = "127.0.0.1:10058"
SIMULATOR_ADDRESS = "127.0.0.1:10059"
PROMETHEUS_ADDRESS = "127.0.0.1:9090"
ALERTMANAGER_ADDRESS = "127.0.0.1:9093"
_PORT_DISTANCE, _LARGE_PORT = 1000, 64_000


class _Number(click.FloatRange):
    """A number in a range; NaN is in no range."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with the range."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number", param, ctx)
        return number


def _parse_fault(text: str) -> tuple[str, Fault]:
    """Return the meeting's id and the fault in a `MEETING=KIND` pair."""
    meeting_id, _, kind = text.rpartition("=")
    if not meeting_id or kind not in list(Fault):
        kinds = ", ".join(Fault)
        raise ValueError(f"invalid fault {text!r}; write MEETING=KIND with KIND {kinds}")
    return meeting_id, Fault(kind)


def _address_option(name: str, flag: str, default: str, help_text: str) -> Callable[[F], F]:
    return click.option(
        name,
        flag,
        type=Parsed("address", parse_address),
        default=default,
        show_default=True,
        help=help_text,
    )


_seed_option = click.option(
    "--seed", default=1, show_default=True, help="Seed of the generated meetings and recordings."
)


@click.command("demo", cls=Command)
@_seed_option
@_address_option(
    "exporter_address", EXPORTER_FLAG, EXPORTER_ADDRESS, "Address that the exporter listens on."
)
@_address_option(
    "simulator_address",
    "--simulator.listen-address",
    SIMULATOR_ADDRESS,
    "Address that the simulated API listens on.",
)
@click.option(
    "--stack",
    "has_stack",
    is_flag=True,
    help="Also start Prometheus and Alertmanager, with the shipped rules.",
)
@_address_option(
    "prometheus_address",
    "--prometheus.listen-address",
    PROMETHEUS_ADDRESS,
    "Address that Prometheus listens on, with --stack.",
)
@_address_option(
    "alertmanager_address",
    "--alertmanager.listen-address",
    ALERTMANAGER_ADDRESS,
    "Address that Alertmanager listens on, with --stack.",
)
def demo_command(
    *,
    seed: int,
    exporter_address: Address,
    simulator_address: Address,
    has_stack: bool,
    prometheus_address: Address,
    alertmanager_address: Address,
) -> None:
    """
    Run the exporter against a simulated API.

    The demo needs no account, no token and no configuration.
    """
    program = demo.run(
        seed=seed,
        exporter_address=exporter_address,
        simulator_address=simulator_address,
        stack_addresses=(prometheus_address, alertmanager_address) if has_stack else None,
        show=click.echo,
    )
    flags = {
        exporter_address: EXPORTER_FLAG,
        simulator_address: "--simulator.listen-address",
        prometheus_address: "--prometheus.listen-address",
        alertmanager_address: "--alertmanager.listen-address",
    }
    try:
        _run(program)
    except AddressError as error:
        argument = _other_address(flags[error.address], error)
        raise click.ClickException(
            f'{error}; choose another with {argument}, or make demo ARGS="{argument}"'
        ) from None
    except StackError as error:
        raise click.ClickException(str(error)) from None


@click.command("simulate", cls=Command)
@_address_option("address", EXPORTER_FLAG, SIMULATOR_ADDRESS, "Address to listen on.")
@_seed_option
@click.option(
    "--meetings",
    "meeting_count",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="Number of meetings.",
)
@click.option(
    "--pace",
    type=click.Choice(list(_PACES)),
    default="real",
    show_default=True,
    help="Length of recordings: hours (real), or about a minute (demo).",
)
@click.option(
    "--speed",
    type=_Number(min=0.01, max=1e6),
    default=1.0,
    show_default=True,
    help="Speed of the simulated clock.",
)
@click.option(
    "--latency",
    type=_Number(min=0, max=3600),
    default=0.0,
    show_default=True,
    metavar="S",
    help="Seconds before each response.",
)
@click.option(
    "--linger",
    type=_Number(min=0, max=1e9),
    default=0.0,
    show_default=True,
    metavar="S",
    help="Seconds for which the API still shows a finished recording as active.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(min=0),
    default=1200,
    show_default=True,
    help="Calls per 5 minutes and user; 0 means no limit.",
)
@click.option(
    "faults",
    "--fault",
    type=Parsed("fault", _parse_fault),
    multiple=True,
    metavar="MEETING=KIND",
    help="Let calls for a meeting fail, or for all meetings (*); repeatable.",
)
@click.option(
    "settings",
    "--set",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting of the API; repeatable.",
)
def simulate_command(  # noqa: PLR0913 # an argument for each option
    *,
    address: Address,
    seed: int,
    meeting_count: int,
    pace: str,
    speed: float,
    latency: float,
    linger: float,
    rate_limit: int,
    faults: tuple[tuple[str, Fault], ...],
    settings: tuple[str, ...],
) -> None:
    """
    Run only the simulated API.

    It accepts any account id and app id, and the token `simulated`.
    """
    clock = AcceleratedClock(speed)
    simulator = Simulator(
        GeneratedScenario(seed, meeting_count, clock(), _PACES[pace]),
        clock=clock,
        latency_seconds=latency,
        linger_seconds=linger,
        rate_limit=rate_limit,
    )
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            simulator.settings = simulator.settings.changed(name, value)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="--set") from None
    for meeting_id, fault in faults:
        simulator.inject(meeting_id, fault)

    async def simulate() -> None:
        listener = Listener(simulator, bind(address), date_header=False)
        click.echo(f"simulated API {listener.url}/client/v4  (token `simulated`)")
        await serve([listener])

    try:
        _run(simulate())
    except AddressError as error:
        argument = _other_address(EXPORTER_FLAG, error)
        raise click.ClickException(f"{error}; choose another with {argument}") from None


def _other_address(flag: str, error: AddressError) -> str:
    """Return the argument that would avoid an address that is in use."""
    port = error.address.port
    return f"{flag} :{port + _PORT_DISTANCE if port < _LARGE_PORT else port - _PORT_DISTANCE}"


def _run(program: Coroutine[Any, Any, None]) -> None:
    configure(level="warning", form="logfmt")
    run(program)
