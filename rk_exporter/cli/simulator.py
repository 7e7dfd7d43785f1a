"""The commands `demo` and `simulate`."""

import sys

from collections.abc import Callable, Coroutine, Iterable, Iterator
from contextlib import ExitStack
from typing import Any, TypedDict, TypeVar, Unpack

import click

from rk_exporter import simulator
from rk_exporter.cli.options import Command, Parsed
from rk_exporter.cli.output import output_failure, print_all
from rk_exporter.cli.process import run
from rk_exporter.cli.simulator_values import count, number, parse_fault
from rk_exporter.config.parsers import Address, parse_address
from rk_exporter.config.web_options import parse_addresses
from rk_exporter.config.webhook_options import parse_target_url, parse_webhook_address
from rk_exporter.demo import demo
from rk_exporter.runtime.line_writer import LineWriter
from rk_exporter.runtime.log_formats import AUTO
from rk_exporter.runtime.logs import configure
from rk_exporter.simulator.webhooks.account import send_signed_events
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import AddressError, bind


F = TypeVar("F", bound=Callable[..., Any])
_PACES = {"demo": simulator.DEMO_PACE, "real": simulator.REAL_PACE}
_PORT_DISTANCE, _LARGE_PORT = 1000, 64_000


class _World(TypedDict):
    """The options that decide what the simulated API contains, and how it answers."""

    seed: int
    meetings: int
    pace: str
    speed: float
    latency: float
    linger: float
    rate_limit: int


def _address_option(flag: str, port: int, help_text: str) -> Callable[[F], F]:
    """Return an option whose parameter is the first word of its *flag*."""
    return click.option(
        flag.lstrip("-").partition(".")[0],
        flag,
        type=Parsed("address", parse_address),
        default=f"127.0.0.1:{port}",
        help=help_text,
    )


def _addresses_option(port: int, help_text: str) -> Callable[[F], F]:
    """Return the option for the addresses of the main server, which works as in `serve`."""
    return click.option(
        "web",
        "--web.listen-address",
        metavar="ADDRESS",
        multiple=True,
        callback=_parse_addresses,
        default=[f"127.0.0.1:{port}"],
        help=f"{help_text} Repeatable.",
    )


def _parse_addresses(
    _context: click.Context, _parameter: click.Parameter, texts: tuple[str, ...]
) -> tuple[Address, ...]:
    try:
        return parse_addresses(texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


_seed_option = click.option(
    "--seed",
    default=1,
    metavar="N",
    help="Number that the meetings and recordings follow from; the same one gives the same.",
)


@click.command("demo", cls=Command)
@_seed_option
@_addresses_option(10058, "Address that the exporter listens on.")
@_address_option("--simulator.listen-address", 10059, "Address that the simulated API listens on.")
@click.option(
    "webhook",
    "--webhook.listen-address",
    metavar="ADDRESS",
    type=Parsed("address", parse_webhook_address),
    help="Address to listen on for webhooks, e.g. 127.0.0.1:10060. The simulated API signs and "
    "sends them. Off if not set.",
)
@click.option(
    "--stack", is_flag=True, help="Also start Prometheus and Alertmanager, with the shipped rules."
)
@_address_option(
    "--prometheus.listen-address", 9090, "Address that Prometheus listens on, with --stack."
)
@_address_option(
    "--alertmanager.listen-address", 9093, "Address that Alertmanager listens on, with --stack."
)
def demo_command(
    *,
    seed: int,
    stack: bool,
    web: tuple[Address, ...],
    webhook: Address | None,
    **addresses: Address,
) -> None:
    """
    Run the exporter against a simulated API.

    The demo needs no account, no token and no configuration.
    """
    output = LineWriter(sys.stdout)

    def show(text: str) -> None:
        if output.error:
            raise output_failure(output.error)
        output.write(text)

    all_addresses = demo.Addresses(web=web, webhook=webhook, **addresses)
    program = demo.run(seed, all_addresses, has_stack=stack, show=show)
    try:
        _run(program, hint='{argument}, or make demo ARGS="{argument}"')
    finally:
        output.flush()


@click.command("simulate", cls=Command)
@_addresses_option(10059, "Address to listen on.")
@_seed_option
@click.option(
    "--meetings", type=count(100_000), default=12, metavar="N", help="Number of meetings."
)
@click.option(
    "--pace",
    type=click.Choice(list(_PACES)),
    default="real",
    help="Length of recordings: hours (real), or about a minute (demo).",
)
@click.option(
    "--speed",
    type=number(0.01, 1e6),
    default=1,
    metavar="FACTOR",
    help="How many times faster than real time the simulated clock runs.",
)
@click.option(
    "--latency",
    type=number(0, 3600),
    default=0,
    metavar="SECONDS",
    help="Time before each response.",
)
@click.option(
    "--linger",
    type=number(0, 1e9),
    default=0,
    metavar="SECONDS",
    help="How long the API still shows a finished recording as active.",
)
@click.option(
    "--rate-limit",
    type=count(10**9),
    default=1200,
    metavar="N",
    help="Calls per 5 minutes and user; 0 means no limit.",
)
@click.option(
    "faults",
    "--fault",
    type=Parsed("fault", parse_fault),
    multiple=True,
    metavar="MEETING=KIND",
    help="Let calls for a meeting fail, or for all meetings (*). Repeatable.",
)
@click.option(
    "settings",
    "--set",
    multiple=True,
    metavar="NAME=VALUE",
    help="Change a setting of the simulated API. Repeatable.",
)
@click.option(
    "webhook_url",
    "--webhook.url",
    type=Parsed("URL", parse_target_url),
    metavar="URL",
    help="Send webhooks to this URL; the public key is at /.well-known/webhooks.json.",
)
@click.option(
    "webhook_app_id",
    "--webhook.app-id",
    default="simulated",
    show_default=True,
    metavar="ID",
    help="Id of the app that the webhooks name.",
)
def simulate_command(
    *,
    web: tuple[Address, ...],
    faults: tuple[tuple[str, simulator.Fault], ...],
    settings: tuple[str, ...],
    webhook_url: str | None,
    webhook_app_id: str,
    **world: Unpack[_World],
) -> None:
    """
    Run only the simulated API.

    It accepts any account id and app id, and the token `simulated`.
    """
    clock = simulator.AcceleratedClock(world["speed"])
    api = _new_api(clock, world)
    _change(api, settings)
    for meeting_id, fault in faults:
        api.inject(meeting_id, fault)

    async def simulate() -> None:
        with ExitStack() as bound:
            sockets = [bound.enter_context(bind(address)) for address in web]
            listeners = [Listener(api, socket, date_header=False) for socket in sockets]
            for listener in listeners:
                print_all(f"simulated API {listener.url}/client/v4  (token `simulated`)\n")
            webhooks = _send_webhooks(api, clock, webhook_url, webhook_app_id)
            await demo.until_one_ends(serve(listeners), *webhooks)

    _run(simulate(), hint="{argument}")


def _new_api(clock: Callable[[], float], world: _World) -> simulator.Simulator:
    scenario = simulator.GeneratedScenario(
        world["seed"], world["meetings"], clock(), _PACES[world["pace"]]
    )
    return simulator.Simulator(
        scenario,
        clock=clock,
        latency_seconds=world["latency"],
        linger_seconds=world["linger"],
        rate_limit=world["rate_limit"],
    )


def _change(api: simulator.Simulator, settings: Iterable[str]) -> None:
    """Change the *settings* of an API, each a `NAME=VALUE` pair."""
    for setting in settings:
        name, _, value = setting.partition("=")
        try:
            api.settings = api.settings.changed(name, value)
        except ValueError as error:
            raise click.BadParameter(str(error), param_hint="'--set'") from None


def _send_webhooks(
    api: simulator.Simulator, clock: Callable[[], float], url: str | None, app_id: str
) -> Iterator[Coroutine[Any, Any, None]]:
    """Return what sends the webhooks of a simulated API, if there is a *url*."""
    if url is not None:
        yield send_signed_events(api, url, clock=clock, app_id=app_id)


def _run(program: Coroutine[Any, Any, None], *, hint: str) -> None:
    """Run a program; if an address is in use, the *hint* contains an argument that avoids it."""
    configure(level="warning", form=AUTO)
    try:
        run(program)
    except AddressError as error:
        context = click.get_current_context()
        flags = dict(_flags_by_value(context))
        port = error.address.port
        other_port = port + _PORT_DISTANCE if port < _LARGE_PORT else port - _PORT_DISTANCE
        argument = f"{flags[error.address]} :{other_port}"
        raise click.ClickException(
            f"{error}; choose another with {hint.format(argument=argument)}"
        ) from None


def _flags_by_value(context: click.Context) -> Iterator[tuple[object, str]]:
    """Return the flag of each value of a command."""
    for option in context.command.params:
        value = context.params[str(option.name)]
        for item in value if isinstance(value, tuple) else (value,):
            yield item, option.opts[0]
