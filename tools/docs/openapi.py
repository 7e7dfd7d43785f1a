"""The description of the HTTP endpoints in OpenAPI 3.1, for programs."""

import json
import re

from typing import Any

import msgspec
import yaml

from rk_exporter import __version__
from rk_exporter.metrics.exposition import Format
from rk_exporter.web import application, reload_page
from rk_exporter.web.http import WEBHOOK_PATH
from rk_exporter.web.status.document import Answer, Refusal
from rk_exporter.web.status.pages import JSON_TYPE
from rk_exporter.web.status.problems import Problem
from tools.docs.http import PATHS, REASONS, responses, routes_by_path


Tree = dict[str, Any]
_TEXT = "text/plain; charset=utf-8"
_METHODS = {"ReloadPage": reload_page.METHODS}
# Responses that are no line of text, by who answers and the status.
_CONTENT: dict[tuple[str, int], dict[str, Tree]] = {
    ("MetricsPage", 200): {form.value: {"type": "string"} for form in Format},
    ("StatusPage", 200): {"text/html; charset=utf-8": {"type": "string"}},
    ("StatusApi", 200): {JSON_TYPE: {"$ref": "#/components/schemas/Answer"}},
    ("StatusApi", 400): {JSON_TYPE: {"$ref": "#/components/schemas/Refusal"}},
}
# Headers of some responses with a status.
_HEADERS = {401: "WWW-Authenticate", 405: "Allow", 429: "Retry-After", 503: "Retry-After"}
_APP = {
    "name": "app",
    "in": "query",
    "description": "only rows of this app, by its label `rk_app`",
    "schema": {"type": "string"},
}
_PROBLEM = {
    "name": "problem",
    "in": "query",
    "description": "only rows with this problem",
    "schema": {"type": "string", "enum": [*Problem]},
}
_PARAMETERS = {
    "MetricsPage": [
        {
            "name": "X-Prometheus-Scrape-Timeout-Seconds",
            "in": "header",
            "description": "how long the client waits, as Prometheus sends it",
            "schema": {"type": "number", "exclusiveMinimum": 0},
        }
    ],
    "StatusPage": [
        _APP,
        _PROBLEM,
        {
            "name": "refresh",
            "in": "query",
            "description": "`off`: the page does not load itself again",
            "schema": {"type": "string", "enum": ["off"]},
        },
    ],
    "StatusApi": [_APP, _PROBLEM],
}
# The guard answers before the application, at each path; and a request may be malformed.
_ANYWHERE = ("Guard", "Application", "or_internal_error")
# Only other paths are unknown.
_NEVER_AT_A_PATH = {404}
_WEBHOOK_RESPONSES = {
    400: "malformed event, or incomplete request",
    403: "the signature is missing or wrong",
    405: "a method other than POST; the header `Allow` is `POST`",
    408: "the body took longer than 5 s",
    413: "the body is larger than 64 KiB",
    500: "a bug in the exporter; the log has the details",
    503: "the public key is not available",
    200: "the event was taken, was sent before, or is about a meeting that is not read",
}
_NOTICE = "# Generated from the code by `make docs`. Change the code or tools/docs instead.\n"


def openapi_description() -> str:
    """Return the description as YAML."""
    # YAML would write parts that are the same object only once, as aliases.
    tree = json.loads(json.dumps(description()))
    return _NOTICE + yaml.safe_dump(tree, sort_keys=False, width=100, allow_unicode=True)


def description() -> Tree:
    """Return the description."""
    paths = {path: _path(name) for path, name in routes_by_path().items()}
    _, schemas = msgspec.json.schema_components(
        [Answer, Refusal], ref_template="#/components/schemas/{name}"
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "rk-exporter",
            "version": __version__,
            "description": "With --web.route-prefix or --web.external-url, the paths are below a "
            "prefix. --web.telemetry-path changes /metrics.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "http://127.0.0.1:10058"}],
        "security": [{}, {"basic": []}],
        "paths": {**paths, WEBHOOK_PATH: _webhook_path()},
        "components": {
            "securitySchemes": {
                "basic": {
                    "type": "http",
                    "scheme": "basic",
                    "description": "with basic_auth_users in the web configuration",
                }
            },
            "schemas": schemas,
        },
    }


def _path(name: str) -> Tree:
    """Return the operations of the path that a function or class answers."""
    return {
        method.lower(): {
            "operationId": f"{method.lower()}{name[0].upper()}{name[1:].removesuffix('Page')}",
            "summary": _plain(PATHS[name]),
            **({"parameters": _PARAMETERS[name]} if name in _PARAMETERS else {}),
            "responses": _responses(name, with_body=method != "HEAD"),
        }
        for method in _METHODS.get(name, application.READING)
    }


def _responses(name: str, *, with_body: bool) -> Tree:
    described: dict[int, list[tuple[str, str]]] = {}
    for owner, status, _ in sorted(responses(), key=lambda response: response[:2]):
        if owner in (name, *_ANYWHERE) and status not in _NEVER_AT_A_PATH:
            answer = (owner, _plain(REASONS[owner, status]))
            if answer not in described.setdefault(status, []):
                described[status].append(answer)
    return {
        str(status): _response(name, status, answers, with_body=with_body)
        for status, answers in sorted(described.items())
    }


def _response(name: str, status: int, answers: list[tuple[str, str]], *, with_body: bool) -> Tree:
    response: Tree = {"description": "; or ".join(reason for _, reason in answers)}
    if header := _HEADERS.get(status):
        response["headers"] = {header: {"schema": {"type": "string"}}}
    if with_body:
        owners = {owner for owner, _ in answers}
        content = _CONTENT.get((name, status), {}) if name in owners else {}
        if owners != {name} or not content:
            content = {**content, _TEXT: {"type": "string"}}
        response["content"] = {kind: {"schema": schema} for kind, schema in content.items()}
    return response


def _webhook_path() -> Tree:
    described: Tree = {
        str(status): {
            "description": text,
            "content": {_TEXT: {"schema": {"type": "string"}}},
        }
        for status, text in sorted(_WEBHOOK_RESPONSES.items())
    }
    described["405"]["headers"] = {"Allow": {"schema": {"type": "string"}}}
    return {
        # Of a listener of its own, whose address has no default.
        "servers": [{"url": "http://127.0.0.1:10060", "description": "--webhook.listen-address"}],
        "post": {
            "operationId": "postWebhook",
            "summary": "takes an event of RealtimeKit",
            "security": [],
            "parameters": [
                {
                    "name": "rtk-signature",
                    "in": "header",
                    "required": True,
                    "description": "the signature of the body, in base64",
                    "schema": {"type": "string"},
                },
                {
                    "name": "rtk-uuid",
                    "in": "header",
                    "description": "the id of the delivery",
                    "schema": {"type": "string"},
                },
            ],
            "requestBody": {
                "required": True,
                "content": {
                    JSON_TYPE: {
                        "schema": {
                            "type": "object",
                            "required": ["event"],
                            "properties": {"event": {"type": "string"}},
                        }
                    }
                },
            },
            "responses": described,
        },
    }


def _plain(markdown: str) -> str:
    """Return a text without links, which would lead nowhere."""
    return re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", markdown)
