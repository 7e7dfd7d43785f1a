"""The reference of the HTTP endpoints, from the code of the web application."""

import ast
import inspect

from collections.abc import Iterator

from rk_exporter.exporter import exporter
from rk_exporter.web import application, guard, metrics_page, pages, prefix, reload_page
from rk_exporter.web.http import WEBHOOK_PATH
from rk_exporter.web.status import pages as status_pages
from rk_exporter.webhooks.application import RESPONSES
from tools.docs.tables import code, table


PATHS = {
    "MetricsPage": "the metrics, as text or OpenMetrics (header `Accept`), compressed with gzip on "
    "request (`Accept-Encoding`); `--web.telemetry-path` changes the path",
    "healthy": "whether the process is alive; it never calls the API",
    "ReadyPage": "whether the metrics are complete and current",
    "ReloadPage": "reloads the configuration, see [reload](../how-to/reload.md); `POST` or `PUT`",
    "StatusPage": "what the exporter knows and how it is doing, for people; `?app=`, `?problem=` "
    "and `?refresh=off`",
    "StatusApi": "the same as JSON, see [status API](status-api.md)",
}
"""What a path is for, by the function or class that answers."""
REASONS = {
    ("MetricsPage", 200): "the metrics",
    ("MetricsPage", 503): "more than `--web.max-requests` scrapes at the same time; the header "
    "`Retry-After` is `1`",
    ("healthy", 200): "always",
    ("ReadyPage", 200): "the metrics are complete and current",
    ("ReadyPage", 503): "see below",
    ("StatusPage", 200): "always; an unknown filter shows no rows",
    ("StatusPage", 503): "too many requests at the same time; the header `Retry-After` is `1`",
    ("StatusApi", 200): "always",
    ("StatusApi", 400): "unknown app or problem in the query, as JSON",
    ("StatusApi", 503): "too many requests at the same time; the header `Retry-After` is `1`",
    ("ReloadPage", 200): "the new configuration is in use; further lines name what needs a restart",
    ("ReloadPage", 403): "without `--web.enable-lifecycle`",
    ("ReloadPage", 500): "the new configuration cannot be used; the old one stays in use",
    ("Redirect", 302): "with `--web.route-prefix`: to the page below the prefix",
    ("Application", 400): "the target of the request is neither a path nor a URL",
    ("Application", 404): "unknown path",
    (
        "Application",
        405,
    ): "a method that the path does not accept; the header `Allow` names the right ones",
    ("Application", 413): "the request has a body of more than 64 KiB; the connection is closed",
    ("or_internal_error", 500): "a bug in the exporter; the log has the details",
    ("Guard", 401): "with `basic_auth_users`: no password, or a wrong one; the header "
    "`WWW-Authenticate` is `Basic`",
    ("Guard", 429): "beyond `rate_limit`; the header `Retry-After` has the interval",
    ("Guard", 500): "the web configuration has become unusable",
    ("Guard", 503): "too many different passwords wait for their check; the header `Retry-After` "
    "is `1`",
}
_MODULES = (application, guard, metrics_page, pages, prefix, reload_page, status_pages)
_TEMPLATE = """\
The exporter listens on port 10058 (`--web.listen-address`). All paths except `/-/reload` accept
{methods}. A `HEAD` request for the metrics makes no API calls.

## Paths

{paths}
With `--web.config.file`, all paths may need TLS and a password:
[Web configuration file](web-configuration.md).

With `--web.route-prefix` or `--web.external-url`, all paths are below a prefix:
[Behind a reverse proxy](../how-to/reverse-proxy.md).

Empty segments of a path do not count: `/metrics/` and `//metrics` are `/metrics`.

A pass ends half a second (`--scrape.timeout-offset`) before the timeout that Prometheus sends in
the header `X-Prometheus-Scrape-Timeout-Seconds`. Without this header the exporter assumes 10 s.
Prometheus servers that scrape at the same time share one pass.

## Status codes

{statuses}
The body is one line of text, except for the metrics, the page at `/` and JSON. The server also
answers 400 to a malformed request or to HTTP without TLS on a port with TLS, and 431 to a request
whose headers are too large.

`/-/ready` returns 503 and says why, with the apps and since when:

- Before the first scrape, and during the first pass.
- If no API call of the last pass succeeded: `token refused (401) for app a since 14:02 UTC`.
- After a start, until all meetings were read, and the recordings that were shown before the start.
- With `--meetings.discover`, after a start until the live sessions were listed. If that fails and
  other meetings are known, readiness does not wait for it.
- If the last pass of an app ended with a bug of the exporter.
- If the last pass is older than `--scrape.stale-after`.

Use `/-/healthy` for probes, because readiness depends on being scraped. A pod that is scraped only
when it is ready would never become ready.

The [OpenAPI description](openapi.yaml) says the same for programs, also about webhooks.

A client must send the headers of a request within 5 s and read the response within 30 s. Otherwise
the exporter closes the connection.

## Webhooks

With `--webhook.listen-address`, the exporter listens on one more address for
[webhooks](../how-to/webhooks.md). It answers `POST {webhook_path}` only. TLS of the web
configuration applies there too, but passwords and the rate limit do not. The label `result` of
`rk_webhook_events_total` says how an event was answered:

{webhook_results}
The answer 200 means that everything that the event makes due is recorded. Further answers, which
are not counted: 400 to a request that is incomplete, 404 to any other path, 405 to any other
method, 408 if the body takes longer than 5 s, and 413 if it is larger than 64 KiB.
"""


def http_reference() -> str:
    """Return the paths with their answers, and the status codes with their reasons."""
    routes = routes_by_path()
    order = list(REASONS)
    return _TEMPLATE.format(
        methods=" and ".join(map(code, application.READING)),
        paths=table(
            ("path", "answer"), ((code(path), PATHS[name]) for path, name in routes.items())
        ),
        webhook_path=WEBHOOK_PATH,
        webhook_results=table(
            ("result", "status", "body"),
            (
                (code(result), str(status), code(text))
                for result, (status, text) in RESPONSES.items()
            ),
        ),
        statuses=table(
            ("path", "status", "body", "when"),
            (
                (_path_of(name, routes), str(status), code(body), REASONS[name, status])
                for name, status, body in sorted(
                    responses(), key=lambda response: (order.index(response[:2]), response[2])
                )
            ),
        ),
    )


def routes_by_path() -> dict[str, str]:
    """Return the name of the function or class that answers at each path."""
    return dict(_routes(ast.parse(inspect.getsource(exporter))))


def responses() -> set[tuple[str, int, str]]:
    """Return the function or class, the status and the text of each response."""
    return {
        response
        for module in _MODULES
        for response in _responses(ast.parse(inspect.getsource(module)))
    }


def _path_of(name: str, routes: dict[str, str]) -> str:
    if name == prefix.Redirect.__name__:
        return code("/")
    return next((code(path) for path, answers in routes.items() if answers == name), "any")


def _routes(tree: ast.AST) -> Iterator[tuple[str, str]]:
    """Return each path, and the name of the function or class that answers."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Dict):
            continue
        for path, route in zip(node.keys, node.values, strict=True):
            match route:
                case ast.Call(func=ast.Name(id="Route"), args=[page, *_]):
                    # The path that is no constant is the value of --web.telemetry-path.
                    text = str(path.value) if isinstance(path, ast.Constant) else "/metrics"
                    name = page.func if isinstance(page, ast.Call) else page
                    yield text, ast.unparse(name)


def _responses(tree: ast.Module) -> Iterator[tuple[str, int, str]]:
    """Return the outermost function or class, the status and the text of each response."""
    for owner in tree.body:
        if not isinstance(owner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            continue
        for node in ast.walk(owner):
            match node:
                case ast.Call(
                    func=ast.Name(id="line" | "Response"),
                    args=[ast.Constant(value=int(status)), text, *_],
                ):
                    yield owner.name, status, _text(text, owner)


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
