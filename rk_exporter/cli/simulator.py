"""The commands `demo` and `simulate`."""

import math

from collections.abc import Coroutine
from typing import Any

import click

from rk_exporter.cli.process import run
from rk_exporter.config.parsers import Address, parse_addresses
from rk_exporter.demo import demo
from rk_exporter.demo.demo import StackAddresses
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


_PACES = {"demo": DEMO_PACE, "real": REAL_PACE}
EXPORTER_ADDRESS = "127.0.0.1:10058"
SIMULATOR_ADDRESS = "127.0.0.1:10059"
PROMETHEUS_ADDRESS = "127.0.0.1:9090"
ALERTMANAGER_ADDRESS = "127.0.0.1:9093"


class _Address(click.ParamType[Address]):
    """A host:port."""

    name = "address"

    def convert(
        self, value: str | Address, param: click.Parameter | None, ctx: click.Context | None
    ) -> Address:
        """Return the address, or fail with what would be right."""
        if isinstance(value, Address):
            return value
        try:
            addresses = parse_addresses(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)
        if len(addresses) > 1:
            self.fail("has to be one address", param, ctx)
        return addresses[0]


class _Number(click.FloatRange):
    """A number in a range, in which NaN is not."""

    def convert(
        self, value: float, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Return the number, or fail with the range."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is no number", param, ctx)
        return number


class _MeetingFault(click.ParamType[tuple[str, Fault]]):
    """A `MEETING=KIND` pair."""

    name = "fault"

    def convert(
        self,
        value: str | tuple[str, Fault],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[str, Fault]:
        """Return the meeting's id and the fault, or fail with the kinds that there are."""
        if isinstance(value, tuple):
            return value
        meeting_id, _, kind = value.rpartition("=")
        if not meeting_id or kind not in list(Fault):
            self.fail(f"{value!r}: write MEETING=KIND, KIND one of {', '.join(Fault)}", param, ctx)
        return meeting_id, Fault(kind)


@click.command("demo")
@click.option("--seed", default=1, show_default=True, help="Which story is told.")
@click.option(
    "exporter_address",
    "--web.listen-address",
    type=_Address(),
    default=EXPORTER_ADDRESS,
    show_default=True,
    help="Where the exporter listens.",
)
@click.option(
    "simulator_address",
    "--simulator.listen-address",
    type=_Address(),
    default=SIMULATOR_ADDRESS,
    show_default=True,
    help="Where the simulated API listens.",
)
@click.option(
    "--stack", is_flag=True, help="Start Prometheus and Alertmanager too, with the shipped rules."
)
@click.option(
    "prometheus_address",
    "--prometheus.listen-address",
    type=_Address(),
    default=PROMETHEUS_ADDRESS,
    show_default=True,
    help="Where Prometheus listens, with --stack.",
)
@click.option(
    "alertmanager_address",
    "--alertmanager.listen-address",
    type=_Address(),
    default=ALERTMANAGER_ADDRESS,
    show_default=True,
    help="Where Alertmanager listens, with --stack.",
)
def demo_command(
    *,
    seed: int,
    exporter_address: Address,
    simulator_address: Address,
    stack: bool,
    prometheus_address: Address,
    alertmanager_address: Address,
) -> None:
    """Run the exporter on an embedded simulated API: no account, no token, no configuration."""
    names = ["web", "simulator", *(["prometheus", "alertmanager"] if stack else [])]
    *first, last = [f"--{name}.listen-address" for name in names]
    _run(
        demo.run(
            seed=seed,
            exporter_address=exporter_address,
            simulator_address=simulator_address,
            stack_addresses=(
                StackAddresses(prometheus=prometheus_address, alertmanager=alertmanager_address)
                if stack
                else None
            ),
            say=click.echo,
        ),
        hint=f"{', '.join(first)} and {last} take others",
    )


@click.command("simulate")
@click.option(
    "address",
    "--web.listen-address",
    type=_Address(),
    default=SIMULATOR_ADDRESS,
    show_default=True,
    help="Where to listen.",
)
@click.option("--seed", default=1, show_default=True, help="Which story is told.")
@click.option(
    "--meetings",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="How many meetings there are.",
)
@click.option(
    "--pace",
    type=click.Choice(list(_PACES)),
    default="real",
    show_default=True,
    help="How long recordings last: hours, or about a minute.",
)
@click.option(
    "--speed",
    type=_Number(min=0.01, max=1e6),
    default=1.0,
    show_default=True,
    help="How fast the simulated clock runs.",
)
@click.option(
    "--latency",
    type=_Number(min=0, max=3600),
    default=0.0,
    show_default=True,
    metavar="S",
    help="Seconds before each answer.",
)
@click.option(
    "--linger",
    type=_Number(min=0, max=1e9),
    default=0.0,
    show_default=True,
    metavar="S",
    help="Seconds for which an ended recording is still called active.",
)
@click.option(
    "--rate-limit",
    type=click.IntRange(min=0),
    default=1200,
    show_default=True,
    help="Calls per 5 minutes and token; 0: none.",
)
@click.option(
    "faults",
    "--fault",
    type=_MeetingFault(),
    multiple=True,
    metavar="MEETING=KIND",
    help="Trouble with a meeting, or with all (*); repeatable.",
)
def simulate_command(  # noqa: PLR0913 # an argument for each option
    *,
    address: Address,
    seed: int,
    meetings: int,
    pace: str,
    speed: float,
    latency: float,
    linger: float,
    rate_limit: int,
    faults: tuple[tuple[str, Fault], ...],
) -> None:
    """Run the simulated API alone; any account and app id will do, the token is `simulated`."""
    clock = AcceleratedClock(speed)
    simulator = Simulator(
        GeneratedScenario(seed, meetings, clock(), _PACES[pace]),
        clock=clock,
        latency_seconds=latency,
        linger_seconds=linger,
        rate_limit=rate_limit,
    )
    for meeting_id, fault in faults:
        simulator.inject(meeting_id, fault)

    async def simulate() -> None:
        listener = Listener(simulator, bind(address), date_header=False)
        click.echo(f"simulated API {listener.url}/client/v4  (token `simulated`)")
        await serve([listener])

    _run(simulate(), hint="--web.listen-address takes another")


def _run(program: Coroutine[Any, Any, None], *, hint: str) -> None:
    configure(level="warning", form="logfmt")
    try:
        run(program)
    except AddressError as error:
        raise click.ClickException(f"{error}; {hint}") from None
    except StackError as error:
        raise click.ClickException(str(error)) from None
