"""The servers do what their OpenAPI description says, whether a request is as described or not."""

import asyncio
import contextlib
import json

from collections.abc import Callable
from http import HTTPMethod
from typing import Any

import httpx
import pytest
import requests
import schemathesis.openapi
import yaml

from hypothesis import given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from rk_exporter.config.parsers import Address
from rk_exporter.exporter import Exporter
from rk_exporter.exporter.webhooks import Webhooks
from rk_exporter.simulator import ScriptedScenario, Simulator
from rk_exporter.web.http import WEBHOOK_PATH
from rk_exporter.web.reload_page import ReloadResult
from rk_exporter.web.server import Listener, serve
from rk_exporter.web.sockets import bind
from tests.support.building import config, in_process, scripted
from tests.support.webhooks import KEY_URL, event_body, signed
from tools.docs.__main__ import ROOT


DESCRIPTION = yaml.safe_load((ROOT / "docs/reference/openapi.yaml").read_text(encoding="utf-8"))
SCHEMA = schemathesis.openapi.from_dict(DESCRIPTION)
PATHS = DESCRIPTION["paths"]
OPERATIONS = {
    found.ok().label: found.ok() for found in SCHEMA.get_all_operations() if isinstance(found, Ok)
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
# Only what has parameters or a body can be asked for in a wrong way.
KINDS = [
    (label, mode)
    for label, operation in OPERATIONS.items()
    for mode in GenerationMode
    if mode is GenerationMode.POSITIVE or "parameters" in operation.definition.raw
]
# Answers while nothing is wrong with the exporter: not ready before the first scrape.
UNAVAILABLE = {"/-/ready"}
CONFIGURATION = config(
    meeting_ids=["meeting-1"],
    scrape__min_interval="4m",
    web__enable_lifecycle="true",
    webhook__listen_address=":0",
    webhook__public_key_url=KEY_URL,
)


async def reload() -> ReloadResult:
    return ReloadResult()


def new_exporter(simulator: Simulator) -> Exporter:
    return Exporter(CONFIGURATION, make_client=in_process(simulator), reload=reload)


def with_servers(ask: Callable[[dict[str, str]], None]) -> None:
    """Call *ask* with the URL of the server for each path of the description."""

    async def run() -> None:
        simulator = Simulator(
            ScriptedScenario(meetings=["meeting-1"], recordings=[scripted()]), rate_limit=0
        )
        exporter = new_exporter(simulator)
        webhooks = Webhooks(exporter, make_client=in_process(simulator))
        applications = (exporter.application, webhooks.application)
        async with contextlib.AsyncExitStack() as stack:
            await stack.enter_async_context(webhooks.running())
            listeners = [
                Listener(application, stack.enter_context(bind(Address("127.0.0.1", 0))))
                for application in applications
            ]
            pages, events = (
                f"http://127.0.0.1:{listener.socket.getsockname()[1]}" for listener in listeners
            )
            urls = {path: events if path == WEBHOOK_PATH else pages for path in PATHS}
            serving = asyncio.create_task(serve(listeners))
            try:
                await asyncio.to_thread(ask, urls)
            finally:
                serving.cancel()
                await asyncio.wait([serving])
                await exporter.close()

    asyncio.run(run())


def test_every_route() -> None:
    """The description has each path of the applications with its methods, and no other."""
    routes = new_exporter(
        Simulator(ScriptedScenario(meetings=["meeting-1"], recordings=[]))
    ).application.routes
    expected = {
        path: {method.lower() for method in route.methods} for path, route in routes.items()
    }
    described = {
        path: {method.lower() for method in HTTPMethod} & item.keys()
        for path, item in PATHS.items()
    }
    assert {**expected, WEBHOOK_PATH: {"post"}} == described


def test_valid() -> None:
    """The description is valid OpenAPI 3.1."""
    SCHEMA.validate()


@pytest.mark.hypothesis
@pytest.mark.parametrize(("label", "mode"), KINDS, ids=lambda value: getattr(value, "value", value))
def test_answers(label: str, mode: GenerationMode) -> None:
    """Each answer has a described status, with its headers and a body of its form."""
    operation = OPERATIONS[label]

    def ask(urls: dict[str, str]) -> None:
        with requests.Session() as session:

            @settings(max_examples=settings().max_examples // 3)
            @given(case=operation.as_strategy(generation_mode=mode))
            def check(case: Any) -> None:
                response = case.call(base_url=urls[operation.path], session=session)
                is_unavailable = operation.path in UNAVAILABLE and response.status_code == 503
                checks = CHECKS[is_unavailable:]
                case.validate_response(response, checks=checks)

            check()

    with_servers(ask)


@pytest.mark.hypothesis
def test_signed_events() -> None:
    """An event as described is taken if its signature is right; anything else is malformed."""

    def ask(urls: dict[str, str]) -> None:
        url = f"{urls[WEBHOOK_PATH]}{WEBHOOK_PATH}"
        with requests.Session() as session:

            def answer(body: bytes) -> requests.Response:
                return session.post(url, data=body, headers=signed(body, event_id=None))

            @settings(max_examples=settings().max_examples // 3)
            @given(case=OPERATIONS[f"POST {WEBHOOK_PATH}"].as_strategy())
            def check(case: Any) -> None:
                response = answer(json.dumps(case.body).encode())
                assert 200 == response.status_code
                case.validate_response(response, checks=CHECKS)

            check()
            assert 200 == answer(event_body()).status_code
            assert 400 == answer(b"[]").status_code

    with_servers(ask)


def test_other_methods() -> None:
    """A method that is not described is answered with 405 and those that are."""

    def ask(urls: dict[str, str]) -> None:
        for path, url in urls.items():
            described = {method for method in HTTPMethod if method.lower() in PATHS[path]}
            for method in {*HTTPMethod, "PROPFIND"} - described - {HTTPMethod.CONNECT}:
                answer = httpx.request(method, f"{url}{path}")
                assert 405 == answer.status_code, (method, path)
                assert described == set(answer.headers["Allow"].split(", "))

    with_servers(ask)
