"""The reference of the web configuration file, from the options that its parser has."""

from collections.abc import Iterable

from rk_exporter.config.option import Option
from rk_exporter.config.web_config import WEB_OPTIONS
from rk_exporter.config.web_values import CIPHER_SUITES, CURVES, HEADERS
from tools.docs.tables import code, table


_TYPES = {
    "PATH": "path",
    "PEM": "PEM",
    "N": "whole number",
    "MAPPING": "mapping",
    "GO_DURATION": "duration",
}
_UNVERIFIED = (
    "`RequestClientCert`, `RequireAnyClientCert` and `RequireClientCert` are errors, because "
    "nobody verifies such certificates"
)
_FAILURES = (
    (
        "the certificate, its key or the clients' authorities",
        "the last good ones stay in use",
    ),
    (
        "the file itself: deleted, unreadable, an error in it",
        "all requests get 500 until it is good again",
    ),
    (
        "`tls_server_config` was added or removed",
        "TLS stays as it was; the rest of the file is used; a restart is needed",
    ),
    ("the file system does not answer", "everything stays as it was"),
)
_DIFFERENCES = (
    ("`client_auth_type`", _UNVERIFIED),
    ("`client_allowed_sans`", "an error without `client_auth_type`, which the toolkit ignores"),
    ("`min_version`, `max_version`", "`TLS10` and `TLS11` are errors: RFC 8996"),
    ("`cipher_suites`", "suites that Go calls insecure are errors"),
    ("`curve_preferences`", "one curve only, because Python cannot set several"),
    (
        "`tls_server_config`",
        "an error without certificate and key, even if the toolkit serves without TLS then",
    ),
    (
        "`cert` and `cert_file`, `key` and `key_file`, `client_ca` and `client_ca_file`",
        "an error if both are given",
    ),
    ("`http_server_config.http2`", "accepted; the exporter speaks HTTP/1.1"),
    (
        "`http_server_config.headers`",
        "also in answers 429 and 500, and they replace the exporter's own",
    ),
    ("`rate_limit`", "`burst: 0` is an error; changes count without a restart"),
    (
        "broken TLS files while it runs",
        "the last good ones stay in use; the toolkit refuses connections",
    ),
)
_TEMPLATE = """\
`--web.config.file` names a YAML file with TLS, users and headers for the exporter's own server. The
format is that of Prometheus's
[exporter-toolkit](https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md),
so a file for node_exporter works here too.
[TLS and passwords](../how-to/tls-and-passwords.md) shows how to write one.

Check a file without starting the exporter:

```sh
rk-exporter check --offline --config.file rk.yml --web.config.file web.yml
```

```yaml
tls_server_config:
  cert_file: server.crt
  key_file: server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example.net]
http_server_config:
  headers:
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  prometheus: $2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG
rate_limit:
  interval: 100ms
  burst: 20
```

## Keys of the file

{keys}
- **Unknown keys**, duplicate keys and YAML aliases are errors.
- **Paths** are relative to the file.
- A **duration** is written as in Go: `100ms`, `1.5s`, `1m30s`.
- The key must belong to the certificate, and must not be encrypted.
- The server's certificate comes first in `cert_file`, and intermediate ones after it.

## Headers

{headers}
## Cipher suites

{suites}
`curve_preferences` has one of {curves}.

## What every request passes

1. If the file cannot be used any more, the answer is 500, whatever the request has.
2. A request beyond `rate_limit` gets 429.
3. If there are users, a request without the name and password of one gets 401. This is so for all
   paths, also for `/-/healthy`.

All users can read everything. A check takes the same time for users that do not exist as for
others, if all hashes have the same cost. The exporter remembers the results of the last checks, so
a password costs the time of bcrypt once. If too many different passwords wait for their check,
further ones get 503; those that were right before still work. Of a password, 72 bytes count, as for
all programs that use bcrypt.

## Reload

The exporter looks at the file, and at the files that it names, twice a second. It uses a change
that it sees twice, so within about a second. New connections get the new TLS; open ones stay as
they are.

{failures}
In each case the log names the file and the key once, and `rk_web_config_last_reload_successful` is
0.

## Differences from exporter-toolkit

{differences}"""


def web_configuration_reference() -> str:
    """Return the keys of the file, and what the exporter does with them."""
    return _TEMPLATE.format(
        keys=table(("key", "type", "default", "example", "meaning"), _rows()),
        headers=table(
            ("header", "values"), ((code(name), _any(of)) for name, of in HEADERS.items())
        ),
        suites=table(
            ("name", "in OpenSSL"),
            (
                (code(name), code(of) if of else "always in TLS 1.3")
                for name, of in CIPHER_SUITES.items()
            ),
        ),
        curves=", ".join(map(code, CURVES)),
        failures=table(("what is wrong", "what happens"), _FAILURES),
        differences=table(("key", "difference"), _DIFFERENCES),
    )


def _rows() -> Iterable[tuple[str, ...]]:
    for option in WEB_OPTIONS.values():
        yield (
            code(option.path),
            _type(option),
            code(option.default),
            code(option.example),
            option.help,
        )


def _type(option: Option) -> str:
    if option.metavar is None:
        return "true or false"
    if option.is_list:
        return "list of names"
    return _TYPES.get(option.metavar) or ", ".join(map(code, option.metavar.split("|")))


def _any(values: Iterable[str]) -> str:
    return ", ".join(map(code, values)) or "any"
