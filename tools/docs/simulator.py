"""The reference of the simulator."""

import ast
import inspect

from dataclasses import MISSING, Field, fields
from enum import StrEnum
from itertools import pairwise
from types import ModuleType
from typing import Any

from rk_exporter.simulator import (
    DEMO_PACE,
    REAL_PACE,
    Endpoint,
    Fault,
    FileFault,
    MeetingInList,
    NotFoundBody,
    Pace,
    SimulatorSettings,
)
from rk_exporter.simulator.api.control import CONTROL_ENDPOINTS
from rk_exporter.simulator.api.endpoints import ACCOUNT_PREFIX, APP_PREFIX, APPS_PATH, PATHS
from rk_exporter.simulator.scenarios import pace
from rk_exporter.simulator.webhooks.faults import WebhookFault
from tools.docs.tables import code, table


_TEMPLATE = """\
`rk-exporter simulate` runs a simulated Cloudflare RealtimeKit REST API on port 10059. It needs no
account. It accepts any account id, any app id and the token `simulated`. `rk-exporter demo` runs
the exporter on it. `rk-exporter simulate --help` lists the options.

```sh
rk-exporter simulate --pace demo
```

Read its recordings in another terminal, inject a fault, and see how many calls it counts:

```sh
curl -H 'Authorization: Bearer simulated' \\
  http://localhost:10059/client/v4/accounts/any/realtime/kit/any/recordings
curl -X PUT 'http://localhost:10059/simulator/faults/*?kind=server_error&times=3'
curl http://localhost:10059/simulator/requests
```

To use it with the exporter, set `CLOUDFLARE_API_TOKEN=simulated` and
`--api.base-url http://localhost:10059/client/v4`.

The simulator imports nothing of the exporter, so that they cannot share mistakes. The official
`cloudflare` SDK accepts its responses in strict mode. Each secret in a response contains
`SIMULATED-SECRET`, so that tests can search for leaks.

## Endpoints

The list of the account's apps is at `{apps}`. All other paths begin with `{prefix}`. All
endpoints are read-only.

{endpoints}
Lists have pages: `page_no` starts at 1, `per_page` is 25 by default and at most 100.

## Tokens and rate limit

The gateway rejects a missing or malformed token with 400, a wrong one with 401, and the token
`forbidden` with 403, as if it had no permission.

Each user can make 1,200 calls in 5 minutes, with all tokens together. As at Cloudflare, one more
call is rejected with 429 and code 971, and so is each call in the next 5 minutes. `--rate-limit`
changes the limit; 0 switches it off. The headers `RateLimit`, `RateLimit-Policy` and `Retry-After`
report it.

## Control endpoints

They need no token.

{control}
The request log at `/simulator/requests` counts all calls (`total`), those that the rate limit
rejected (`refused`), and the maximum in any 5 minutes (`peak`). It counts requests for files
separately (`files`).

## Files

The simulator serves the files of uploaded recordings below `/files/`, with ranges, to everybody who
has a download URL. The URLs in its answers lead there if the setting `files_url` says so; otherwise
they name the hosts of the storages. The exporter downloads by TLS only, so put a server with a
certificate in front. The setting `file_fault` lets the storage misbehave:

{file_faults}

## Faults

A fault affects all calls about one meeting, or about any meeting if its id is `*`.
`--fault MEETING=KIND` injects a fault at the start; `PUT /simulator/faults/MEETING` does it later.

{faults}
## Scenarios

A scenario decides what the simulated account contains at each moment. The simulator generates it
from a seed (`--seed`): the same seed gives the same meetings, sessions and recordings. `--pace`
chooses the durations and shares below, `--meetings` the number of meetings, and `--speed` the
speed of the simulated clock.

{paces}
{durations}
The shares are parts of all recordings, except `busy_share` (meetings) and `unrecorded_share`
(sessions). The lists contain the recordings of the last eight days.

Tests in Python can use a scripted scenario instead:

```python
from rk_exporter.simulator import Recording, ScriptedScenario, Simulator

recording = Recording.scripted("weekly", invoked_at=0, started_at=2, stopped_at=60, uploaded_at=75)
simulator = Simulator(ScriptedScenario(recordings=[recording]), clock=lambda: 30.0)
```

## Switches

Tests in Python can change the behaviour of the API. `--latency`, `--linger` and `--rate-limit` of
`rk-exporter simulate` set three of these settings of
`Simulator`. `--set NAME=VALUE` and `PUT /simulator/settings/NAME?value=VALUE` set most of them.

{switches}
`meeting_in_list` is one of:

{meeting_in_list}
`not_found_body` is one of:

{not_found_body}
## Webhooks

`rk-exporter simulate --webhook.url URL` sends a signed event for each change of a recording, and
for the start and end of each session, as [RealtimeKit does](../how-to/webhooks.md). It needs the
extra `webhooks`. The public key is at `/.well-known/webhooks.json`, and `webhook_key` replaces it.
The setting `webhook_fault` is one of:

{webhook_faults}"""


def simulator_reference() -> str:
    """Return all endpoints, faults, durations and switches."""
    return _TEMPLATE.format(
        apps=f"{ACCOUNT_PREFIX}{APPS_PATH}",
        prefix=APP_PREFIX,
        endpoints=_endpoints(),
        control=table(
            ("request", "what it does"),
            ((f"`{item.method} {item.path}`", item.description) for item in CONTROL_ENDPOINTS),
        ),
        faults=_members(("kind", "response"), Fault),
        paces=_paces(),
        durations=_durations(),
        switches=_switches(),
        not_found_body=_members(("value", "body of the 404"), NotFoundBody),
        webhook_faults=_members(("value", "what is wrong with events"), WebhookFault),
        file_faults=_members(("value", "how the storage answers"), FileFault),
        meeting_in_list=_members(("value", "how an item names its meeting"), MeetingInList),
    )


def _endpoints() -> str:
    descriptions = _descriptions(Endpoint)
    paths = {Endpoint.APPS: APPS_PATH, **PATHS}
    return table(
        ("path", "name in the request log", "response"),
        (
            (code(path), code(endpoint), descriptions[endpoint.name])
            for endpoint, path in paths.items()
        ),
    )


def _members(heads: tuple[str, str], enumeration: type[StrEnum]) -> str:
    """List the members of an enumeration with their docstrings."""
    descriptions = _descriptions(enumeration)
    return table(heads, ((code(member), descriptions[member.name]) for member in enumeration))


def _paces() -> str:
    descriptions = _descriptions(pace)
    names = ("real", "demo")
    return table(
        ("pace", "account"), ((code(name), descriptions[f"{name.upper()}_PACE"]) for name in names)
    )


def _durations() -> str:
    """List the values of both paces."""
    return table(
        ("property", "real", "demo", "meaning"),
        (
            (
                code(name),
                *(_value(getattr(values, name)) for values in (REAL_PACE, DEMO_PACE)),
                text,
            )
            for name, text in _descriptions(Pace).items()
        ),
    )


def _value(value: float | tuple[float, float]) -> str:
    """Format a range of seconds, a duration or a share."""
    if isinstance(value, tuple):
        return f"{value[0]:,g} to {value[1]:,g} s"
    return f"{value:,g} s" if value > 1 else f"{100 * value:g} %"


def _switches() -> str:
    """List the settings."""
    descriptions = _descriptions(SimulatorSettings)
    return table(
        ("setting", "default", "meaning"),
        (
            (code(item.name), code(_default(item)), descriptions[item.name])
            for item in fields(SimulatorSettings)
        ),
    )


def _default(item: Field[object]) -> str:
    value: Any = {} if item.default is MISSING else item.default
    if isinstance(value, StrEnum):
        return str(value)
    return value.__name__ if callable(value) else repr(value)


def _descriptions(subject: type | ModuleType) -> dict[str, str]:
    """Return the docstrings below the attributes of a class or below the names in a module."""
    tree = ast.parse(inspect.getsource(subject))
    nodes = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else tree.body
    found = {}
    for node, following in pairwise(nodes):
        match node, following:
            case (
                ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                found[name] = " ".join(text.split())
    return found
