"""The reference of the log messages, from the calls in the package's source."""

import ast
import logging
import re

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC
from functools import cache
from pathlib import Path

import rk_exporter

from rk_exporter.cli.configured import CLEAR_TEXT, large_budget
from rk_exporter.collector.read_mode import Load
from rk_exporter.collector.waiting_log import EXPLANATIONS
from rk_exporter.config.budget_groups import divided_token
from rk_exporter.config.meeting_file import MeetingFile
from rk_exporter.config.suggestions import unknown_variables
from rk_exporter.config.tokens import TokenFile
from rk_exporter.model.meeting import ReadMode
from rk_exporter.model.remedies import Wait
from rk_exporter.runtime.log_formats import ConsoleFormatter, JsonFormatter, LogfmtFormatter
from rk_exporter.runtime.watched_file import IS_PUBLIC
from rk_exporter.webhooks.keys import KeyFile
from tools.docs.tables import code, table


PACKAGE = Path(rk_exporter.__file__).parent
LOGGERS = frozenset({"logger", "self._logger"})
LEVELS = frozenset({"info", "warning", "error", "exception"})

_TITLES = {
    "api": "API",
    "archive": "Archives",
    "cli": "Start and end",
    "collector": "Reading",
    "config": "Meetings files",
    "downloads": "Downloads",
    "exporter": "Reload",
    "runtime": "Files that are reloaded",
    "tracking": "Recordings and the state file",
    "web": "Web server",
    "webhooks": "Webhooks",
}
# Messages that the code computes, and their levels.
_LOAD = Load(100, 15.0, 600)
_COMPUTED = {
    ("cli/configured.py", "%s"): [
        ("warning", text)
        for text in (
            *unknown_variables(
                {"RK_API_BUDGT": "", "RK_UNRELATED": ""}, ["RK_API_BUDGET", "CLOUDFLARE_API_TOKEN"]
            ),
            f"api.token_file: {TokenFile.kind} {IS_PUBLIC}",
            CLEAR_TEXT,
            large_budget(2000),
            divided_token(["app a (budget_group x)", "app b (no budget_group)"]),
        )
    ],
    ("collector/waiting_log.py", "meetings have to wait: %s"): [
        ("warning", f"meetings have to wait: {EXPLANATIONS[cause]}") for cause in Wait
    ],
    ("collector/read_mode.py", "%s"): [
        ("info", _LOAD.explain(ReadMode.LIST)),
        ("warning", _LOAD.explain(ReadMode.ACTIVE_RECORDING)),
    ],
    ("runtime/watched_file.py", "%s can be used again"): [
        ("info", f"{file.kind} can be used again") for file in (MeetingFile, TokenFile, KeyFile)
    ],
    ("runtime/watched_file.py", "%s %s"): [("warning", f"{TokenFile.kind} {IS_PUBLIC}")],
    ("runtime/watched_file.py", "%s cannot be used, the last good %s stays in use: %s"): [
        (
            "warning",
            f"{file.kind} cannot be used, the last good {file.content} stays in use: {{problem}}",
        )
        for file in (MeetingFile, TokenFile, KeyFile)
    ],
}
_CAUSES = "../how-to/troubleshooting.md#what-the-log-says-about-a-missing-meeting"
# By the beginning of the message.
ADVICE = {
    "API token is sent in clear text": "Use `https`, except for tests.",
    "configuration was not reloaded": "Correct the file, and [reload](../how-to/reload.md) again.",
    "internal error in the check of a download": "A bug: report it with the field `traceback`.",
    "reload failed": "A bug: report it with the field `traceback`.",
    "{path} cannot change": "[Restart](../how-to/reload.md#what-needs-a-restart), or nothing.",
    "budget of": "Lower `--api.budget`, unless Cloudflare gave you a higher limit.",
    "one API token is in several": "[Tokens of several users]"
    "(../how-to/several-apps.md#tokens-of-several-users).",
    "connections cannot be accepted": "[Open files](../how-to/install.md#open-files).",
    f"api.token_file: {TokenFile.kind} can": "`chmod 600`; in Kubernetes, `defaultMode: 0440` and "
    "an `fsGroup`.",
    f"{TokenFile.kind} can be read": "As at the start.",
    "unknown variable": "Correct the name, or remove the variable.",
    "meetings cannot be read": f"The field `remedy`, and [Troubleshooting]({_CAUSES}).",
    "recordings cannot be read": f"The field `remedy`, and [Troubleshooting]({_CAUSES}).",
    "API calls are suspended": f"The field `remedy`, and [Troubleshooting]({_CAUSES}).",
    "values of meetings are too old": f"Look for `reasons` in [Troubleshooting]({_CAUSES}).",
    "meetings have to wait: the API budget": "[Read many meetings](../how-to/many-meetings.md).",
    "meetings have to wait: the time": "Raise `scrape_timeout` in Prometheus, or find out why the "
    "API is slow.",
    "meetings have to wait: API calls": "See the line `API calls are suspended`.",
    "meetings have no recording": "If one should be recorded, run `rk-exporter check`.",
    "meetings are no longer read": "Nothing, if somebody removed them, or if they are over.",
    "meetings are listed more than once": "Nothing; the first name counts.",
    "API answer has a field": "Report the name of the field, because the API has changed.",
    "recording in an unknown state": "Update the exporter, or report the state.",
    "sockets that systemd passed": "Set `--web.systemd-socket`, or remove the socket unit.",
    "systemd cannot be notified": "Check `NotifyAccess` in the unit.",
    "web configuration cannot be": "Correct the file; it is read again when it changes.",
    "TLS files cannot be used": "Correct the files; they are read again when they change.",
    "some finished recordings": "Raise `--follow.max-recordings`, or do nothing: failed ones come "
    "first.",
    "too many recordings": "[Limits](../explanation/limits.md).",
    "live sessions cannot be listed": "[RealtimeKitDataStale]"
    "(../how-to/runbook.md#realtimekitdatastale).",
    "internal error": "A bug: report it with the field `traceback`, which contains no secrets. "
    "`rk_exporter_internal_errors_total` counts these.",
    "passwords of basic_auth_users": "[TLS and passwords](../how-to/tls-and-passwords.md).",
    "web configuration": "[Web configuration file](web-configuration.md).",
    "TLS handshake failed": "[What clients say]"
    "(../how-to/tls-and-passwords.md#if-it-does-not-work).",
    "client certificate has none": "`client_allowed_sans` lists the names.",
    "request failed": "A bug: report it with the field `traceback`.",
    "list of recordings cannot be read": "Nothing, if it happens once. Otherwise run "
    "`rk-exporter check`.",
    "recordings cannot be listed by status": "Nothing; it needs more calls. The exporter tries "
    "again after an hour.",
    "meetings file has lost": "Check that this is intended; the exporter no longer reads the "
    "others.",
    "state file cannot be written": "[Keep state across restarts](../how-to/state-file.md).",
    "state file {reason}": "Look at the file that was moved aside; delete it if you do not need "
    "it.",
    "impossible status change": "Nothing; please report it, because the API's behaviour has "
    "changed.",
    "recording no longer exists": "Nothing, if somebody deleted it.",
    "100 meetings": "[Read many meetings](../how-to/many-meetings.md).",
    f"{TokenFile.kind} cannot be used": "[Rotate the token](../how-to/rotate-the-token.md).",
    f"{KeyFile.kind} cannot be used": "Correct the file; it is read again when it changes.",
    "public key of webhooks cannot": "The field `remedy`, and "
    "[Webhooks](../how-to/webhooks.md#the-public-key).",
    "public key of webhooks has changed": "Nothing.",
    f"{MeetingFile.kind} cannot be used": "Correct the file, at the line in the message.",
}
_TEMPLATE = """\
The exporter logs to standard error, from `--log.level` on. `--log.format` chooses the format. By
default it is `console` on a terminal, and `logfmt` in a pipe, a file, a container or the journal.

| format | for | time | colours |
| --- | --- | --- | --- |
| `console` | people | local | on a terminal, unless `NO_COLOR` is set or `TERM` is `dumb` |
| `logfmt` | Loki and other programs | `time`, UTC | none |
| `json` | programs | `ts`, UTC | none |

One event in each format:

```text
{console}
{logfmt}
{json}
```

Each event is one line, except that `console` shows tracebacks below it. Control characters in
names and other values from outside are escaped in every format.

A line of `json` is an object with these fields first, and then those in the tables below:

| field | content |
| --- | --- |
| `ts` | time of the event in UTC (RFC 3339), with milliseconds: `2026-11-18T11:06:40.000Z` |
| `level` | `debug`, `info`, `warning` or `error`; `critical` from libraries only |
| `msg` | the message |
| `logger` | the module: those of the exporter begin with `rk_exporter.` |

Names in braces stand for values; numbers and names of variables are examples. A lasting problem is
logged when it begins, when it changes and when it ends, not at each scrape. The field `remedy` says
what to do. The exporter also logs errors of its libraries.

The messages of level `debug` are for developers and may change at any time, so this page leaves
them out. The texts are not part of the contract either: alert on [metrics](metrics.md) instead.
"""


@dataclass(frozen=True, slots=True)
class Message:
    """A log message of a *module*, and the *line* of the call."""

    module: str
    line: int
    level: str
    text: str
    fields: tuple[str, ...]


def log_messages_reference() -> str:
    """Return all messages from level info on, by package, with their fields and what to do."""
    found = messages()
    parts = [
        _TEMPLATE.format(
            console=_example(ConsoleFormatter(has_colours=False, zone=UTC)),
            logfmt=_example(LogfmtFormatter()),
            json=_example(JsonFormatter()),
        )
    ]
    for package in sorted({message.module.split("/")[0] for message in found}):
        rows = [_row(message) for message in found if message.module.startswith(f"{package}/")]
        parts.append(
            f"## {_TITLES[package]}\n\n"
            + table(("level", "message", "fields", "module", "what to do"), rows)
        )
    return "\n".join(parts)


@cache
def messages() -> tuple[Message, ...]:
    """Return all messages of the package but those for developers."""
    return tuple(_all_messages())


def _all_messages() -> Iterator[Message]:
    trees = {path: ast.parse(path.read_text()) for path in sorted(PACKAGE.rglob("*.py"))}
    for path, tree in trees.items():
        module = str(path.relative_to(PACKAGE))
        for function in _nodes(tree):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                scopes = [function, tree, *trees.values()]
                for method, call in _calls(function):
                    yield from _messages(module, method, call, scopes)


@cache
def _nodes(scope: ast.AST) -> Sequence[ast.AST]:
    """Return *scope* and all nodes in it; walking is slow, and each name is looked for."""
    return [*ast.walk(scope)]


def _calls(function: ast.AST) -> Iterator[tuple[str, ast.Call]]:
    calls = [node for node in _nodes(function) if isinstance(node, ast.Call)]
    for call in sorted(calls, key=lambda call: call.lineno):
        match call.func:
            case ast.Attribute(value=logger, attr=method) if ast.unparse(
                logger
            ) in LOGGERS and method in {*LEVELS, "log"}:
                yield method, call


def _messages(
    module: str, method: str, call: ast.Call, scopes: Sequence[ast.AST]
) -> Iterator[Message]:
    template, *values = call.args[1:] if method == "log" else call.args
    text = str(ast.literal_eval(template))
    fields = [
        name
        for keyword in call.keywords
        if keyword.arg == "extra"
        for name in _keys(keyword.value, scopes)
    ]
    if method == "exception":
        fields.append("exception")
    level = "error" if method == "exception" else method
    for actual_level, actual_text in _COMPUTED.get(
        (module, text), [(level, _readable(text, values))]
    ):
        yield Message(module, call.lineno, actual_level, actual_text, tuple(fields))


def _readable(template: str, values: Iterable[ast.expr]) -> str:
    """Replace the placeholders of a template by names in braces."""
    names = iter(values)
    return re.sub(r"%[sd]", lambda _: f"{{{_name(next(names))}}}", template)


def _name(value: ast.expr) -> str:
    """Return a short name for an expression, e.g. explanation for `failures[0].explanation`."""
    names = [node for node in ast.walk(value) if isinstance(node, ast.Name | ast.Attribute)]
    first = names[0]
    name = first.attr if isinstance(first, ast.Attribute) else first.id
    return name.lower().removesuffix("_text")


def _keys(value: ast.expr, scopes: Sequence[ast.AST]) -> Iterator[str]:
    """Return the keys of a dictionary that the code puts together."""
    match value:
        case ast.Dict(keys=keys, values=values):
            for key, inner in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant):
                    yield str(key.value)
                else:
                    yield from _keys(inner, scopes)
        case ast.BinOp(left=left, right=right):
            yield from _keys(left, scopes)
            yield from _keys(right, scopes)
        case ast.Call(func=function):
            yield from _keys(function, scopes)
        case ast.Name() | ast.Attribute():
            name = ast.unparse(value)
            found = (list(_definitions(name, scope)) for scope in scopes)
            for node in next(filter(None, found), []):
                yield from _keys(node, scopes)


def _definitions(name: str, scope: ast.AST) -> Iterator[ast.expr]:
    """Return the dictionaries that *name* stands for, or that a function *name* returns."""
    for node in _nodes(scope):
        match node:
            case ast.Assign(targets=[ast.Subscript(value=target, slice=key)]) if (
                ast.unparse(target) == name
            ):
                yield ast.Dict([key], [node.value])
            case ast.Assign(targets=[target], value=ast.Dict()) if ast.unparse(target) == name:
                yield node.value
            case ast.For(target=target, iter=ast.Call(func=function)) if (
                ast.unparse(target) == name
            ):
                yield function
            case ast.FunctionDef(name=method) if name in {method, f"self.{method}"}:
                returned = (
                    part.value
                    for part in ast.walk(node)
                    if isinstance(part, ast.Return | ast.Yield)
                )
                yield from (value for value in returned if isinstance(value, ast.Dict))


def _row(message: Message) -> tuple[str, ...]:
    advice = next((text for start, text in ADVICE.items() if message.text.startswith(start)), "")
    return (
        message.level,
        code(message.text),
        ", ".join(map(code, message.fields)),
        code(message.module),
        advice,
    )


def _example(formatter: logging.Formatter) -> str:
    """Return a line in the format of the *formatter*."""
    record = logging.makeLogRecord(
        {
            "created": 1795000000.0,
            "levelname": "INFO",
            "name": "rk_exporter.cli.serve",
            "msg": "listening",
            "address": "[::]:10058",
            "url": "http://localhost:10058/metrics",
        }
    )
    return formatter.format(record)
