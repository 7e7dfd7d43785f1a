import shlex

from dataclasses import fields
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from rk_exporter.simulator import (
    DEMO_PACE,
    Endpoint,
    Fault,
    FileFault,
    MeetingInList,
    NotFoundBody,
    SimulatorSettings,
)
from rk_exporter.simulator.api.control import CONTROL_ENDPOINTS
from tests.support.simulator import call, make_simulator


@pytest.fixture(scope="module")
def page(root: Path) -> str:
    return (root / "docs/reference/simulator.md").read_text()


def test_complete(page: str) -> None:
    """The page lists all endpoints, faults, paces and switches."""
    names = [
        *Fault,
        *FileFault,
        *MeetingInList,
        *NotFoundBody,
        *(set(Endpoint) - {Endpoint.UNKNOWN}),
    ]
    names += [name for name in dir(DEMO_PACE) if name.endswith("_share")]
    names += [item.name for item in fields(SimulatorSettings)]

    assert [name for name in names if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("endpoint", CONTROL_ENDPOINTS, ids=lambda endpoint: endpoint.description)
def test_control_endpoints(endpoint: tuple[str, str, str]) -> None:
    """Each control endpoint that the page lists exists."""
    method, path, _ = endpoint
    path = path.replace("KIND", "html").replace("[&times=N]", "&times=1")
    path = path.replace("seconds=N[&user=USER]", "seconds=300&user=any")
    path = path.replace("NAME?value=VALUE", "list_status?value=201")

    assert call(path, make_simulator(), method=method, authorization=None).status_code == 200


def test_commands(page: str) -> None:
    """The page's requests succeed; the injected fault makes the next call fail."""
    commands = page.replace("\\\n", "").splitlines()
    simulator = make_simulator()
    statuses = []
    for command in commands:
        if command.startswith("curl"):
            words = shlex.split(command)
            method = words[words.index("-X") + 1] if "-X" in words else "GET"
            url = urlsplit(next(word for word in words if word.startswith("http")))
            path = f"{url.path}?{url.query}"
            statuses.append(call(path, simulator, method=method).status_code)

    assert statuses == [200, 200, 200]
    assert call("/client/v4/any", simulator).status_code == 500
