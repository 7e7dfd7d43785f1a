"""The reference of the HTTP endpoints, from the code of the web application."""

import ast
import inspect

from collections.abc import Iterator

from rk_exporter.web import application
from tools.docs.tables import code, table


# By the methods of the application that answer.
_PATHS = {
    "_metrics": "the metrics, as text or OpenMetrics (header `Accept`), compressed with gzip on "
    "request (`Accept-Encoding`); `--web.telemetry-path` changes the path",
    "_healthy": "whether the process is alive; it never calls the API",
    "_ready": "whether the metrics are complete and current",
    "_landing_page": "a page with links to the others",
}
_REASONS = {
    ("_metrics", 200): "the metrics",
    ("_metrics", 503): "more than `--web.max-requests` scrapes at the same time; the header "
    "`Retry-After` is `1`",
    ("_healthy", 200): "always",
    ("_ready", 200): "the metrics are complete and current",
    ("_ready", 503): "see below",
    ("_landing_page", 200): "always",
    ("_respond", 400): "the target of the request is neither a path nor a URL",
    ("_respond", 404): "unknown path",
    ("_respond", 405): "another method than `GET` or `HEAD`; the header `Allow` names both",
    ("_respond", 413): "the request has a body of more than 64 KiB; the connection is closed",
    ("__call__", 500): "a bug in the exporter; the log has the details",
}
_TEMPLATE = """\
The exporter listens on port 10058 (`--web.listen-address`). All paths accept {methods}. A `HEAD`
request for the metrics makes no API calls.

## Paths

{paths}
Empty segments of a path do not count: `/metrics/` and `//metrics` are `/metrics`.

A pass ends half a second (`--scrape.timeout-offset`) before the timeout that Prometheus sends in
the header `X-Prometheus-Scrape-Timeout-Seconds`. Without this header the exporter assumes 10 s.
Prometheus servers that scrape at the same time share one pass.

## Status codes

{statuses}
The body is one line of text, except for the metrics and the page at `/`. The server also answers
400 to a malformed request, and 431 to one whose headers are too large.

`/-/ready` returns 503 in two cases:

- After a start, until scrapes have read the recordings that were shown before the start.
- If the last pass is older than `--scrape.stale-after`.

Use `/-/healthy` for probes, because readiness depends on being scraped. A pod that is scraped only
when it is ready would never become ready.

A client must send the headers of a request within 5 s and read the response within 30 s. Otherwise
the exporter closes the connection.
"""


def http_reference() -> str:
    """Return the paths with their answers, and the status codes with their reasons."""
    tree = ast.parse(inspect.getsource(application.Application))
    routes = dict(_routes(tree))
    order = list(_REASONS)
    responses = sorted(set(_responses(tree)), key=lambda response: order.index(response[:2]))
    return _TEMPLATE.format(
        methods=" and ".join(map(code, application.METHODS)),
        paths=table(
            ("path", "answer"), ((code(path), _PATHS[name]) for path, name in routes.items())
        ),
        statuses=table(
            ("path", "status", "body", "when"),
            (
                (_path_of(name, routes), str(status), code(body), _REASONS[name, status])
                for name, status, body in responses
            ),
        ),
    )


def _path_of(name: str, routes: dict[str, str]) -> str:
    return next((code(path) for path, answers in routes.items() if answers == name), "any")


def _routes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Return each path, and the name of the method that answers."""
    for node in ast.walk(tree):
        match node:
            case ast.AnnAssign(
                target=ast.Attribute(attr="_routes"), value=ast.Dict(keys=paths, values=methods)
            ):
                for path, method in zip(paths, methods, strict=True):
                    # The path that is no constant is the value of --web.telemetry-path.
                    text = str(path.value) if isinstance(path, ast.Constant) else "/metrics"
                    yield text, ast.unparse(method).removeprefix("self.")


def _responses(tree: ast.AST) -> Iterator[tuple[str, int, str]]:
    """Return the method, the status and the text of each response."""
    for method in ast.walk(tree):
        if not isinstance(method, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in ast.walk(method):
            match node:
                case ast.Call(
                    func=ast.Name(id="_line" | "Response"),
                    args=[ast.Constant(value=int(status)), text, *_],
                ):
                    yield method.name, status, _text(text, method)


def _text(node: ast.expr, method: ast.AST) -> str:
    """Return a text in which an ellipsis replaces computed parts; "" if all is computed."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, method) or "…" for part in parts)
        case ast.Name(id=name):
            for assigned in ast.walk(method):
                match assigned:
                    case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                        return _text(assigned.value, method)
    return ""
