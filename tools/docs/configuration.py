"""The reference of the keys in the configuration file."""

from collections.abc import Iterable

from rk_exporter.config.account_options import ACCOUNT_OPTIONS
from rk_exporter.config.config import OPTIONS
from rk_exporter.config.option import Option
from tools.docs.options import NOTES
from tools.docs.tables import code, table


_TYPES = {
    "ID": "id",
    "NAME": "text",
    "PATH": "path",
    "URL": "URL",
    "N": "whole number",
    "PERCENT": "percentage",
    "DURATION": "duration",
    "ADDRESS": "addresses",
    "PREFIX": "path",
    "HOST": "host",
    "I/N": "text",
    "REGEX": "regular expression",
    "TEXT": "text",
    "TEMPLATE": "text",
}
_HEADS = ("key", "type", "default", "example", "meaning")
_MEETING_ROWS = (
    ("`id`", "id", "", "`abcdef-ghijkl`", "Id of the meeting; required."),
    ("`name`", "text", "the id", "`weekly review`", "Name in `rk_meeting_info`."),
)
_EXAMPLE = """\
Flags and environment variables can set everything for one app ([Options](options.md)). You need a
file for [several apps](../how-to/several-apps.md) and [accounts](../how-to/accounts.md).

Check a file without calling the API:

```sh
rk-exporter check --offline --config.file rk.yml
```

The exporter accepts a file as a whole or not at all. One message lists all mistakes, each with
file, line, key, cause and fix.

```yaml
apps:
  - name: telehealth                   # the label `rk_app`; default: the app_id
    account_id: 023e105f4ecef8ad9ca31a8372d0c353
    app_id: 2a95132c-1573-2412-d22c-16fd0a01e000
    api_token_file: /run/secrets/cloudflare-api-token
    meetings:
      ids:
        - 497f6eca-6276-4993-bfeb-53cbbbba6f08
        - {id: abcdef-ghijkl, name: weekly review}
      files: [meetings.yml]            # lists that are reloaded when they change
      discover: true                   # also read live meetings, found through the API
  - name: proctoring
    account_id: 8d9ca31a8372d0c353023e105f4ecef8
    app_id: 7f0c5d2e-41f5-4c1b-9d0f-3f6b0c9a1e22
    api_token_env: PROCTORING_API_TOKEN        # the name of a variable
    budget_group: proctoring           # the token belongs to another Cloudflare user
    budget: 300                        # default: api.budget
    read: active-recording             # default: api.read
    meetings:
      ids: [exam-2026-11-22]
    downloads:
      archive: {bucket: exams, prefix: recordings/}  # your own copies

api:
  budget: 600
  reserve: 20%
scrape:
  min_interval: 5s
  stale_after: 5m
follow:                                # finished recordings
  retain: 7d
  max_recordings: 1000
  reread_interval: 6h
  keep_removed: false
downloads:
  verify: true                         # can the files be downloaded?
state:
  file: /var/lib/rk-exporter/state
web:
  listen_address: ":10058"
log:
  format: json
```

## Rules

- **Ids** have 1 to 128 letters, digits, `-` and `_`. They are text, whatever they look like:
  `0123` stays `0123`.
- **Durations** are written as in Prometheus: `500ms`, `5s`, `5m`, `1h30m`, `7d`.
- **Paths** in the file are relative to the file. The configuration, lists of meetings and tokens
  must be regular files: a pipe or a device is an error.
- **Duplicates**: a meeting that is listed twice is read once and keeps its first name.
- **Unknown keys**, duplicate keys and YAML aliases are errors.
- An app needs at least one of `ids`, `files` and `discover`.

## One app

For a single app, write its settings at the top level:

```yaml
account_id: 023e105f4ecef8ad9ca31a8372d0c353
app_id: 2a95132c-1573-2412-d22c-16fd0a01e000
meeting_ids:
  - 497f6eca-6276-4993-bfeb-53cbbbba6f08
meetings:
  files: [meetings.yml]
  discover: true
api:
  token_file: /run/secrets/cloudflare-api-token
  budget: 600
  read: auto
```

With `apps`, a top-level `account_id` and the settings under `api` and `downloads` apply to every
app that has none of its own. `app_id`, `meeting_ids` and `meetings` are then errors at the top
level, whether they come from the file, a variable or a flag.

All apps without a `budget_group` share one [budget](../explanation/budget.md), the smallest of
theirs, even if their tokens differ. So do the apps of each `budget_group`.
"""
_KEYS = """\
## Keys of the file

[Following](../explanation/following.md) explains the keys under `follow`.
[Keep state across restarts](../how-to/state-file.md) explains `state.file`.
"""
_APP_KEYS = """\
## Keys of an entry in `apps`

An entry can also have [keys of the file](#keys-of-the-file-in-an-entry).
"""
_ACCOUNT_KEYS = """\
## Keys of an entry in `accounts`

[Read whole accounts](../how-to/accounts.md) explains them. An entry can also have
[keys of the file](#keys-of-the-file-in-an-entry). Other keys of an app have their defaults in the
apps that are found.
"""
_INHERITED_KEYS = """## Keys of the file in an entry

Entries in `apps` and in `accounts` can have these keys. The value of the file applies to all apps
that have none of their own.
"""
_MEETING_KEYS = """\
## Keys of a meeting

An item in a list of meetings is an id, or a mapping with these keys.
"""
_REST = """\
## Meetings in files

A meetings file is YAML, JSON, or plain text with one id per line. `#` starts a comment, except
in JSON. These three files hold the same meetings; plain text has no names.

```yaml
- 497f6eca-6276-4993-bfeb-53cbbbba6f08
- {id: abcdef-ghijkl, name: weekly review}
```

```json
["497f6eca-6276-4993-bfeb-53cbbbba6f08", {"id": "abcdef-ghijkl", "name": "weekly review"}]
```

```text
497f6eca-6276-4993-bfeb-53cbbbba6f08
abcdef-ghijkl   # weekly review
```

The exporter looks at the file before each pass and reads it again when it has changed. You can add
and remove meetings without a restart. Replace the file (`mv new.yml meetings.yml`, a Kubernetes
ConfigMap) or edit it in place. A file that changed less than a second ago waits for the next pass,
so that the exporter never takes half a list.

If the file is deleted, becomes unreadable or has an error, the last good list stays in use. The log
gives the error and the line. An empty file, or one with comments only, is an error too. To list no
meetings, write `[]`. At the start, an error in a meetings file is a configuration error.

## The API token

The exporter uses the first of these that is set:

1. the app's own `api_token_file` or `api_token_env`;
2. `--api.token-file` or `RK_API_TOKEN_FILE`;
3. `CLOUDFLARE_API_TOKEN`;
4. `api.token_file` in the file.

It reads a token file again before each pass, so you can
[rotate the token](../how-to/rotate-the-token.md) without a restart.

The token, download URLs and storage credentials never appear in metrics, pages, log lines or error
messages. Over `http://` the token travels in clear text. The log warns about it, unless the API is
on the same machine.
"""


def configuration_reference() -> str:
    """Return an example, the rules, and tables of all keys of the file, of an app and a meeting."""
    return "\n".join(
        [
            _EXAMPLE,
            _KEYS,
            table(_HEADS, _top_rows()),
            _APP_KEYS,
            table(_HEADS, _rows(OPTIONS)),
            _ACCOUNT_KEYS,
            table(_HEADS, _rows(ACCOUNT_OPTIONS.values())),
            _INHERITED_KEYS,
            table(("key of the entry", "key of the file"), _inherited_rows()),
            _MEETING_KEYS,
            table(_HEADS, _MEETING_ROWS),
            _REST,
        ]
    )


def _top_rows() -> Iterable[tuple[str, ...]]:
    for option in OPTIONS:
        if option.path:
            yield _row(option.path, option, code(option.default))
    apps = "Several apps, each with its own keys; the keys of a single app are then errors."
    yield code("apps"), "list", "", "", apps
    accounts = "Accounts whose apps are found through the API; `apps` may list more apps."
    yield code("accounts"), "list", "", "", accounts


def _rows(options: Iterable[Option]) -> Iterable[tuple[str, ...]]:
    for option in options:
        if option.path_in_app and not option.is_inherited:
            yield _row(option.path_in_app, option, code(option.default))


def _inherited_rows() -> Iterable[tuple[str, ...]]:
    for option in OPTIONS:
        if option.path_in_app and option.is_inherited:
            yield code(option.path_in_app), code(option.path)


def _row(key: str, option: Option, default: str) -> tuple[str, ...]:
    if option.is_switch:
        default = default or code("false")
    example = "true" if option.is_switch else option.example or option.default
    meaning = " ".join(filter(None, (option.help, option.range_help, NOTES.get(option.path))))
    return code(key), _type(option), default, code(example), meaning


def _type(option: Option) -> str:
    if option.metavar is None:
        return "true or false"
    if "|" in option.metavar:
        return ", ".join(option.metavar.split("|"))
    name = _TYPES[option.metavar]
    return f"list of {'meetings' if name == 'id' else f'{name}s'}" if option.is_list else name
