import re

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import get_type_hints

import pytest

from rk_exporter.config.app_options import AppOptions
from rk_exporter.config.config import OPTIONS, Config
from rk_exporter.config.loader import load
from rk_exporter.config.option import options_of
from rk_exporter.config.parsers import (
    DEFAULT_BASE_URL,
    Address,
    is_sent_in_clear_text,
    parse_duration,
)
from rk_exporter.config.ranges import Range
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.config.webhook_options import DEFAULT_KEY_URL
from rk_exporter.model.meeting import App, Meeting, ReadMode


CANARY = "canary-4f1b9a"
ENVIRONMENT = {TOKEN_VARIABLE: CANARY}
SMALLEST: dict[str, str | list[str]] = {
    "account_id": "account",
    "app_id": "app",
    "meeting_ids": ["a", "b"],
}


def settings(**values: str | list[str]) -> dict[str, Setting]:
    options = {**SMALLEST, **{key.replace("__", "."): value for key, value in values.items()}}
    return {path: Setting(value, f"--{path}") for path, value in options.items()}


def from_file(folder: Path, text: str, **flags: str) -> Config:
    path = folder / "rk.yml"
    path.write_text(text)
    overrides = {key.replace("__", "."): Setting(flag, "--flag") for key, flag in flags.items()}
    return load(path, overrides, ENVIRONMENT)


def error_of(folder: Path, text: str, **flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        from_file(folder, text, **flags)
    assert CANARY not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


ONE = "account_id: account\napp_id: app\nmeeting_ids: [a]\n"
TWO = """\
account_id: shared
apps:
  - name: production
    app_id: app-1
    account_id: account-1
    api_token_file: tokens/one
    meetings:
      ids: [a, {id: b, name: weekly review}, a, {id: a, name: daily}]
  - app_id: app-2
    api_token_env: SECOND_TOKEN
    meetings: {ids: [0123]}
"""


def test_smallest_configuration() -> None:
    """Account, app, a meeting and a token are a complete configuration."""
    config = load(None, settings(), ENVIRONMENT)
    (app,) = config.apps
    assert App("app", "account", "app") == app.app
    assert (Meeting("a", "a"), Meeting("b", "b")) == app.meetings
    assert ((), False, 600, None) == (app.meeting_files, app.discover, app.budget, app.read)
    assert CANARY == app.token.current().reveal()
    assert CANARY not in repr(config)
    expected = Config(
        apps=config.apps,
        listed_apps=(app.app,),
        base_url=DEFAULT_BASE_URL,
        reserve_ratio=0.2,
        min_interval_seconds=5,
        stale_after_seconds=300,
        timeout_offset_seconds=0.5,
        follow_retain_seconds=604800,
        follow_max_recordings=1000,
        follow_reread_seconds=21600,
        follow_keep_removed=False,
        shard=None,
        state_file=None,
        listen_addresses=(Address("", 10058),),
        systemd_socket=False,
        external_url=None,
        route_prefix=None,
        telemetry_path="/metrics",
        web_config_file=None,
        enable_lifecycle=False,
        max_requests=40,
        webhook_address=None,
        webhook_key_url=DEFAULT_KEY_URL,
        webhook_key_file=None,
        log_level="info",
        log_format="auto",
    )
    assert expected == config


def test_several_apps(tmp_path: Path) -> None:
    """Each app has its own account, token and meetings, or those at the top of the file."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/one").write_text("first-token\n")
    path = tmp_path / "rk.yml"
    path.write_text(TWO)
    config = load(path, {}, {"SECOND_TOKEN": "second-token"})
    assert [
        App("production", "account-1", "app-1"),
        App("app-2", "shared", "app-2"),
    ] == [app.app for app in config.apps]
    tokens = [app.token.current().reveal() for app in config.apps]
    assert ["first-token", "second-token"] == tokens
    assert (Meeting("a", "daily"), Meeting("b", "weekly review")) == config.apps[0].meetings
    assert (Meeting("0123", "0123"),) == config.apps[1].meetings


@pytest.mark.parametrize(
    ("changes", "level", "form", "read"),
    [
        ({"log__level": "INFO", "log__format": "JSON"}, "info", "json", None),
        ({"log__level": "warn", "api__read": "List"}, "warning", "auto", ReadMode.LIST),
        ({"log__level": "WARN", "log__format": "Console"}, "warning", "console", None),
        ({"log__level": "Debug", "api__read": "AUTO"}, "debug", "auto", None),
    ],
)
def test_choices_in_any_case(
    changes: dict[str, str], level: str, form: str, read: ReadMode | None
) -> None:
    """Names of levels, formats and modes are accepted in any case, and `warn` as in Go."""
    config = load(None, settings(**changes), ENVIRONMENT)
    assert (level, form, read) == (config.log_level, config.log_format, config.apps[0].read)


def test_errors_are_printable(tmp_path: Path) -> None:
    """Control characters in the names of keys and variables are escaped in messages."""
    path = tmp_path / "rk.yml"
    path.write_text(f'{ONE}"\\e[31m": 1\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {}, {**ENVIRONMENT, "RK_\x1b[31m": ""})
    assert "\\x1b[31m: unknown option" in str(caught.value)
    assert "unknown variable RK_\\x1b[31m" in str(caught.value)
    assert str(caught.value).replace("\n", "").isprintable()


def test_flags_override_the_file(tmp_path: Path) -> None:
    """A flag replaces the value in the file, in a section or at the top."""
    text = f"{ONE}scrape: {{stale_after: 10m}}\nweb:\n"
    config = from_file(tmp_path, text, scrape__stale_after="1h30m", web__max_requests="7")
    assert (5400, 7) == (config.stale_after_seconds, config.max_requests)
    assert 600 == from_file(tmp_path, text).stale_after_seconds


def test_meetings_from_files_and_discovery(tmp_path: Path) -> None:
    """An app needs no ids; paths in the configuration file are relative to it."""
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists/one.yml").write_text("[a, {id: b, name: daily}]")
    (tmp_path / "two.txt").write_text("c\n")
    text = (
        "account_id: account\napp_id: app\n"
        "meetings:\n  files: [lists/one.yml, two.txt, ./two.txt]\n  discover: true\n"
    )
    (app,) = from_file(tmp_path, text).apps
    assert ((), True) == (app.meetings, app.discover)
    assert [
        (tmp_path / "lists/one.yml", (Meeting("a", "a"), Meeting("b", "daily"))),
        (tmp_path / "two.txt", (Meeting("c", "c"),)),
    ] == [(file.path, file.meetings) for file in app.meeting_files]


def test_paths_of_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in a flag or variable is relative to the working directory."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/list.txt").write_text("c\n")
    path = tmp_path / "rk.yml"
    path.write_text("account_id: account\napp_id: app\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    flags = {"meetings.files": Setting(["list.txt"], "--meetings.file")}
    (app,) = load(path, flags, ENVIRONMENT).apps
    assert [Path("list.txt")] == [file.path for file in app.meeting_files]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"meetings__discover": "true", "meeting_ids": []}, (True, 600, None)),
        ({"meetings__discover": "false"}, (False, 600, None)),
        ({"api__budget": "100000", "api__read": "list"}, (False, 100_000, ReadMode.LIST)),
        ({"api__read": "active-recording"}, (False, 600, ReadMode.ACTIVE_RECORDING)),
    ],
)
def test_read_options(
    changes: dict[str, str | list[str]], expected: tuple[bool, int, ReadMode | None]
) -> None:
    """Flags and variables can set budget, read mode and discovery, as text."""
    (app,) = load(None, settings(**changes), ENVIRONMENT).apps
    assert expected == (app.discover, app.budget, app.read)


def test_budgets_of_several_apps(tmp_path: Path) -> None:
    """An app's own budget and read mode override those in `api`."""
    text = (
        "account_id: x\napi: {budget: 300, read: list}\napps:\n"
        "  - {app_id: a, meetings: {discover: true}}\n"
        "  - {app_id: b, meetings: {discover: true}, budget: 10, read: auto}\n"
        "  - {app_id: c, meetings: {discover: true}, budget: ~, read: active-recording}\n"
    )
    assert [(300, ReadMode.LIST), (10, None), (300, ReadMode.ACTIVE_RECORDING)] == [
        (app.budget, app.read) for app in from_file(tmp_path, text).apps
    ]


def test_budget_groups(tmp_path: Path) -> None:
    """Apps may name a group, in their entry only; without that all apps share one budget."""
    text = (
        "account_id: x\napps:\n"
        "  - {app_id: a, meetings: {discover: true}, budget_group: acme}\n"
        "  - {app_id: b, meetings: {discover: true}}\n"
    )
    assert ["acme", None] == [app.budget_group for app in from_file(tmp_path, text).apps]
    text = text.replace("acme", "[acme]")
    assert error_of(tmp_path, text).startswith("rk.yml:3: apps[0].budget_group: expected a single")
    assert "budget_group" in error_of(tmp_path, "budget_group: acme\n")


@pytest.mark.parametrize(
    ("apps", "users"),
    [
        (
            "[{app_id: a, %s, budget_group: x}, {app_id: b, %s}]",
            "app a (budget_group x), app b (no budget_group)",
        ),
        (
            "[{app_id: a, %s}, {app_id: b, %s}, {app_id: c, %s, budget_group: x}]",
            "app a (no budget_group), app c (budget_group x)",
        ),
        ("[{app_id: a, %s, budget_group: x}, {app_id: b, %s, budget_group: x}]", None),
        ("[{app_id: a, %s, budget_group: x}, {app_id: b, %s, api_token_env: OTHER}]", None),
    ],
)
def test_one_token_in_several_groups(tmp_path: Path, apps: str, users: str | None) -> None:
    """Apps with one token, but different budgets, are a warning that names a user of each."""
    path = tmp_path / "rk.yml"
    path.write_text(f"account_id: x\napps: {apps.replace('%s', 'meetings: {ids: [m]}')}\n")
    warnings = load(path, {}, {**ENVIRONMENT, "OTHER": "of-another-user"}).warnings
    assert len(warnings) == (users is not None)
    assert all(f"in several budget groups: {users}; give" in warning for warning in warnings)
    assert CANARY not in str(warnings)


def test_one_token_of_app_and_account(tmp_path: Path) -> None:
    """An account and an app with the same token belong in one group, too."""
    text = "accounts: [{account_id: acme, budget_group: x}]\n"
    text += "apps: [{account_id: acme, app_id: a, meetings: {ids: [m]}}]\n"
    (warning,) = from_file(tmp_path, text).warnings
    assert "app a (no budget_group), account acme (budget_group x);" in warning


@pytest.mark.parametrize(("text", "ratio"), [("20", 0.2), ("20%", 0.2), ("0", 0), ("90", 0.9)])
def test_reserve(text: str, ratio: float) -> None:
    """The reserve is a percentage, with or without its sign."""
    assert ratio == load(None, settings(api__reserve=text), ENVIRONMENT).reserve_ratio


def test_no_interval() -> None:
    """The minimum interval can be 0s, so that each scrape calls the API."""
    assert 0 == load(None, settings(scrape__min_interval="0s"), ENVIRONMENT).min_interval_seconds


def test_finished_recordings(tmp_path: Path) -> None:
    """Flags, variables and the file can set the options of finished recordings."""
    flags = settings(
        follow__retain="1d12h",
        follow__max_recordings="100000",
        follow__reread_interval="10m",
        follow__keep_removed="true",
    )
    text = (
        f"{ONE}follow:\n  retain: 1m\n  max_recordings: 1\n"
        "  reread_interval: 1d\n  keep_removed: true\n"
    )
    configs = [
        load(None, flags, ENVIRONMENT),
        from_file(tmp_path, text),
        from_file(tmp_path, text, follow__retain="2w", follow__keep_removed="false"),
    ]
    assert [
        (129600, 100_000, 600, True),
        (60, 1, 86400, True),
        (1209600, 1, 86400, False),
    ] == [
        (
            config.follow_retain_seconds,
            config.follow_max_recordings,
            config.follow_reread_seconds,
            config.follow_keep_removed,
        )
        for config in configs
    ]


def test_state_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in the file is relative to it; the state file may be missing and is not created."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = f"{ONE}state:\n  file: there/state\n"
    assert tmp_path / "there/state" == from_file(tmp_path, text).state_file
    assert Path("state") == from_file(tmp_path, text, state__file="state").state_file
    assert Path("state") == load(None, settings(state__file="state"), ENVIRONMENT).state_file
    assert from_file(tmp_path, f"{ONE}state:\n  file:\n").state_file is None
    assert [] == [*(tmp_path / "here").iterdir(), *(tmp_path / "there").iterdir()]
    (tmp_path / "there/state").write_text("kept")
    assert tmp_path / "there/state" == from_file(tmp_path, text).state_file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('""', "expected the path of a file"),
        ('" "', "expected the path of a file"),
        ("missing/state", "there is no folder {folder}/missing; create it, or give another path"),
        ("rk.yml/state", "there is no folder {folder}/rk.yml; create it"),
        ("rk.yml/folder/state", "there is no folder {folder}/rk.yml/folder; create it"),
        (".", "{folder} is a folder; give the path of a file in it"),
        ("there/", "{folder}/there is a folder; give the path of a file in it"),
        ("linked", "{folder}/linked is a folder; give"),
        ("x" * 1_000, "cannot be used (File name too long)"),
        ("[state]", "expected a single value, e.g. /var"),
    ],
)
def test_invalid_state_files(tmp_path: Path, name: str, message: str) -> None:
    """A path at which no file can be created is an error that names the folder."""
    (tmp_path / "there").mkdir()
    (tmp_path / "linked").symlink_to("there")
    error = error_of(tmp_path, f"{ONE}state:\n  file: {name}\n")
    assert error.startswith(f"rk.yml:5: state.file: {message.format(folder=tmp_path)}")


@pytest.mark.parametrize(
    ("flag", "in_file", "in_environment", "expected"),
    [
        ("flag", "file", "environment", "flag"),
        (None, "file", "environment", "environment"),
        (None, "file", None, "file"),
        ("flag", None, None, "flag"),
    ],
)
def test_token_precedence(
    tmp_path: Path,
    flag: str | None,
    in_file: str | None,
    in_environment: str | None,
    expected: str,
) -> None:
    """A token file in a flag wins over the token in the environment, and this over the file's."""
    flags = {}
    text = ONE
    if flag:
        (tmp_path / "flag-token").write_text(flag)
        flags["api.token_file"] = Setting(str(tmp_path / "flag-token"), "--api.token-file")
    if in_file:
        (tmp_path / "file-token").write_text(in_file)
        text += "api: {token_file: file-token}\n"
    path = tmp_path / "rk.yml"
    path.write_text(text)
    environment = {TOKEN_VARIABLE: in_environment} if in_environment else {}
    (app,) = load(path, flags, environment).apps
    assert expected == app.token.current().reveal()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("0s", 0), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600)],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations have Prometheus's format."""
    assert seconds == parse_duration(text)


@pytest.mark.parametrize(
    ("base_url", "expected"),
    [
        ("https://api.cloudflare.com/client/v4", False),
        ("http://127.0.0.1:10059", False),
        ("http://[::1]:10059", False),
        ("http://localhost", False),
        ("http://simulator:10059", True),
        ("http://192.0.2.1", True),
    ],
)
def test_tokens_in_clear_text(base_url: str, expected: bool) -> None:  # noqa: FBT001 # parameter of a test
    """Without TLS, the token is safe only within this machine."""
    assert expected == is_sent_in_clear_text(base_url)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"account_id": ""}, "missing: account_id (--account-id or CLOUDFLARE_ACCOUNT_ID)"),
        (
            {"account_id": "", "meeting_ids": []},
            "missing:\n  account_id (--account-id or CLOUDFLARE_ACCOUNT_ID)\n  meetings (--meet",
        ),
        ({"account_id": "a/b"}, "--account_id: 'a/b' is not a valid id: use 1 to 128 letters"),
        ({"app_id": ".."}, "--app_id: '..' is not a valid id"),
        ({"meeting_ids": ["a", "../b"]}, "--meeting_ids: '../b' is not a valid id"),
        ({"meeting_ids": ["x" * 129]}, "is not a valid id"),
        ({"meeting_ids": ["é"]}, "is not a valid id"),
        ({"meeting_ids": ["x" * 100_000 + "/"]}, f"{'x' * 40!r} is not a valid id"),
        (
            {"meeting_ids": []},
            (
                "missing: meetings (--meeting-id or RK_MEETING_IDS; --meetings.file or "
                "RK_MEETINGS_FILE; --meetings.discover or RK_MEETINGS_DISCOVER)"
            ),
        ),
        ({"meetings__discover": "maybe"}, "--meetings.discover: must be true or false"),
        (
            {"meetings__files": ["missing.yml"]},
            "--meetings.files: missing.yml: cannot be read (No such file or directory)",
        ),
        ({"api__budget": "0"}, "--api.budget: must be between 1 and 100000 calls per 5"),
        ({"api__budget": "100001"}, "--api.budget: must be between 1 and 100000"),
        ({"api__budget": "9" * 30}, "--api.budget: must be between 1 and 100000"),
        ({"api__budget": "9" * 5000}, "--api.budget: must be a whole number"),
        ({"api__budget": "much"}, "--api.budget: must be a whole number"),
        ({"api__read": "both"}, "invalid value 'both'; use auto, active-recording, list"),
        ({"api__reserve": "91"}, "--api.reserve: must be between 0% and 90%"),
        ({"api__reserve": "-1"}, "--api.reserve: must be between 0% and 90%"),
        ({"api__reserve": "0.2"}, "--api.reserve: must be a whole percentage, e.g. 20%"),
        ({"scrape__min_interval": "5"}, "--scrape.min_interval: invalid duration '5'"),
        ({"scrape__min_interval": "5m"}, "must be shorter than scrape.stale_after"),
        (
            {"scrape__stale_after": "5s"},
            "--scrape.stale_after: must be longer than scrape.min_interval",
        ),
        ({"scrape__stale_after": "0s"}, "--scrape.stale_after: must be between 1s and 1d"),
        ({"scrape__stale_after": "5 minutes"}, "invalid duration '5 minutes'; write e.g. 500ms"),
        ({"scrape__timeout_offset": "-1s"}, "invalid duration '-1s'"),
        ({"follow__retain": "0s"}, "--follow.retain: must be between 1m and 365d"),
        (
            {"follow__retain": "a week"},
            "--follow.retain: invalid duration 'a week'; write e.g. 500ms",
        ),
        (
            {"follow__max_recordings": "0"},
            "--follow.max_recordings: must be between 1 and 100000 recordings per app",
        ),
        ({"follow__max_recordings": "100001"}, "--follow.max_recordings: must be between 1 and"),
        ({"follow__max_recordings": "all"}, "--follow.max_recordings: must be a whole number"),
        (
            {"follow__reread_interval": "9m59s"},
            "--follow.reread_interval: must be between 10m and 30d; shorter intervals would use up",
        ),
        ({"follow__reread_interval": "0s"}, "--follow.reread_interval: must be between 10m"),
        ({"follow__reread_interval": "6"}, "--follow.reread_interval: invalid duration '6'; write"),
        ({"follow__keep_removed": "some"}, "--follow.keep_removed: must be true or false"),
        ({"state__file": ""}, "--state.file: expected the path of a file"),
        ({"state__file": "missing/state"}, "--state.file: there is no folder missing; create it"),
        ({"state__file": "/"}, "--state.file: / is a folder; give the path of a file in it"),
        ({"web__telemetry_path": "metrics"}, "invalid path 'metrics'; write e.g. /metrics"),
        ({"web__telemetry_path": "/"}, "invalid path '/'"),
        ({"web__telemetry_path": "/-/healthy"}, "invalid path '/-/healthy'"),
        ({"web__max_requests": "many"}, "--web.max_requests: must be a whole number"),
        ({"web__max_requests": "0"}, "must be between 1 and 10000 concurrent scrapes"),
        ({"log__level": "loud"}, "invalid value 'loud'; use debug, info, warning, error"),
        ({"log__format": "xml"}, "invalid value 'xml'; use auto, console, logfmt, json"),
        ({"api__base_url": "api.cloudflare.com"}, "must be a URL, e.g. https://api"),
        ({"api__base_url": "ftp://x/"}, "must be a URL"),
        ({"api__base_url": f"https://user:{CANARY}@x/"}, "must be a URL"),
        ({"api__base_url": "https://x/?a=b"}, "must be a URL"),
        ({"api__base_url": "https://x?"}, "must be a URL"),
        ({"api__base_url": "https://x#"}, "must be a URL"),
        ({"api__base_url": "https://x y/"}, "must be a URL"),
        ({"api__base_url": "https://x\\y/"}, "must be a URL"),
        ({"api__base_url": "https://x/\n"}, "must be a URL"),
        ({"api__base_url": "https://x:port/"}, "must be a URL"),
        ({"api__base_url": "https://[::1/"}, "must be a URL"),
        ({"api__token_file": CANARY}, "--api.token_file: cannot be read"),
    ],
)
def test_invalid_flags(changes: dict[str, str | list[str]], message: str) -> None:
    """An invalid value is an error with its flag and what is valid."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(None, settings(**changes), ENVIRONMENT)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ONE}acount_id: x\n", "rk.yml:4: acount_id: unknown option; did you mean account_id?"),
        (
            f"{ONE}scrape:\n  stail_after: 5m\n",
            "rk.yml:5: scrape.stail_after: unknown option; did you mean stale_after?",
        ),
        (
            f"{ONE}log:\n  x: 5m\n",
            "rk.yml:5: log.x: unknown option; expected one of level, format",
        ),
        (
            f"{ONE}meetings: {{ids: [a]}}\n",
            "rk.yml:4: meetings.ids: unknown option; did you mean apps[].meetings.ids?",
        ),
        (
            f"{ONE}meetings:\n  discover: often\n",
            "rk.yml:5: meetings.discover: must be true or false",
        ),
        (
            f"{ONE}meetings:\n  discover: [often]\n",
            "rk.yml:5: meetings.discover: must be true or false",
        ),
        (
            f"{ONE}meetings:\n  files: list.yml\n",
            "rk.yml:5: meetings.files: expected a list, e.g. [",
        ),
        (
            f"{ONE}meetings:\n  file: list.yml\n",
            "rk.yml:5: meetings.file: unknown option; did you mean files or state.file?",
        ),
        (
            f"{ONE}follow:\n  retain: 0s\n",
            "rk.yml:5: follow.retain: must be between 1m and 365d",
        ),
        (
            f"{ONE}follow:\n  retain: 7d\n  max_recordings: 0\n",
            "rk.yml:6: follow.max_recordings: must be between 1 and 100000 recordings per",
        ),
        (
            f"{ONE}follow:\n  reread_interval: 5m\n",
            "rk.yml:5: follow.reread_interval: must be between 10m and 30d",
        ),
        (
            f"{ONE}follow:\n  keep_removed: some\n",
            "rk.yml:5: follow.keep_removed: must be true or false",
        ),
        (
            f"{ONE}follow:\n  max_recording: 5\n",
            "rk.yml:5: follow.max_recording: unknown option; did you mean max_recordings?",
        ),
        (
            f"{ONE}discover: true\n",
            "rk.yml:4: discover: unknown option; did you mean meetings.discover or",
        ),
        (f"{ONE}{'x' * 1_000}: 1\n", f"rk.yml:4: {'x' * 80}: unknown option; expected one of"),
        (f"{ONE}api_token: {CANARY}\n", "rk.yml:4: api_token: unknown option; expected one of"),
        (f"{ONE}web: [1]\n", "rk.yml:4: web: expected a mapping, e.g. {key: value}"),
        ("account_id: x\napps: x\n", "rk.yml:2: apps: expected a list, e.g. ["),
        (
            f"{ONE}web: {{telemetry_path: [a]}}\n",
            "rk.yml:4: web.telemetry_path: expected a single value, e.g. /metrics",
        ),
        ("account_id: x\napps: []\n", "rk.yml:2: apps: must not be empty; add an app"),
        (
            f"{ONE}scrape:\n  stale_after: soon\n",
            "rk.yml:5: scrape.stale_after: invalid duration 'soon'",
        ),
        (f"{ONE}account_id: other\n", "rk.yml:4: account_id: duplicate key; remove one of them"),
        ("- a\n", "rk.yml:1: expected a mapping of options"),
        ("just text\n", "rk.yml:1: expected a mapping of options"),
        (
            "",
            "rk.yml: missing:\n  account_id (--account-id or CLOUDFLARE_ACCOUNT_ID)\n  app_id (--",
        ),
        (
            "account_id: x\napps:\n  - app_id: y\n",
            "rk.yml:3: apps[0].meetings: missing; give ids, files, or discover: true",
        ),
        (
            "account_id: x\napps:\n  - app_id: y\n    meetings: {ids: [], discover: false}\n",
            "rk.yml:4: apps[0].meetings: missing",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]},\n     budget: some}\n",
            "rk.yml:4: apps[0].budget: must be a whole number",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]},\n     budget: 0}\n",
            "rk.yml:4: apps[0].budget: must be between 1 and",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]},\n     read: all}\n",
            "rk.yml:4: apps[0].read: invalid value 'all'; use auto,",
        ),
        (
            "apps:\n  - app_id: y\n    meetings: {ids: [a]}\n",
            "rk.yml:2: apps[0].account_id: missing",
        ),
        (
            "account_id: x\napps:\n  - meetings: {ids: [a]}\n",
            "rk.yml:3: apps[0].app_id: missing",
        ),
        (
            (
                "account_id: x\napps:\n  - app_id: y\n    meetings:\n      ids:\n        - ok\n"
                "        - not/ok\n"
            ),
            "rk.yml:7: apps[0].meetings.ids[1]: 'not/ok' is not a valid id",
        ),
        (
            'account_id: x\napps:\n  - {app_id: y, name: "\\e", meetings: {ids: [a]}}\n',
            "rk.yml:3: apps[0].name: must contain a printable character",
        ),
        (
            "account_id: x\napps:\n  - app_id: y\n    meetings: {ids: [{name: a}]}\n",
            "rk.yml:4: apps[0].meetings.ids[0]: id: missing",
        ),
        (
            (
                "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}}\n"
                "  - {app_id: y, meetings: {ids: [a]}}\n"
            ),
            "rk.yml:4: apps[1].app_id: duplicate app; list each app once",
        ),
        (
            (
                "account_id: x\napps:\n  - {app_id: y, name: n, meetings: {ids: [a]}}\n"
                "  - {app_id: z, name: n, meetings: {ids: [a]}}\n"
            ),
            "rk.yml:4: apps[1].name: duplicate name",
        ),
        (
            (
                "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}, api_token_file: t,"
                " api_token_env: TOKEN}\n"
            ),
            "rk.yml:3: apps[0].api_token_env: api_token_file is given too",
        ),
        (
            (
                f"account_id: x\napps:\n  - {{app_id: y, meetings: {{ids: [a]}},"
                f" api_token_env: {CANARY}}}\n"
            ),
            "rk.yml:3: apps[0].api_token_env: must be the name of an environment variable",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}, api_token_env: NOT_SET}\n",
            "rk.yml:3: apps[0].api_token_env: the variable NOT_SET is not set",
        ),
        (
            (
                f"account_id: x\napps:\n  - {{app_id: y, meetings: {{ids: [a]}},"
                f" api_token_file: {CANARY}}}\n"
            ),
            "rk.yml:3: apps[0].api_token_file: cannot be read",
        ),
    ],
)
def test_invalid_files(tmp_path: Path, text: str, message: str) -> None:
    """A mistake in a file is an error with file, line, path and what is valid."""
    assert error_of(tmp_path, text).startswith(message)


def test_invalid_list_of_meetings(tmp_path: Path) -> None:
    """The error about an invalid list has the position that names it, and the one in the list."""
    (tmp_path / "list.yml").write_text("- a\n- ../b\n")
    text = "account_id: x\napps:\n  - app_id: y\n    meetings:\n      files:\n        - list.yml\n"
    expected = (
        f"rk.yml:6: apps[0].meetings.files[0]: {tmp_path}/list.yml:2: [1]: '../b' is not a valid id"
    )
    assert error_of(tmp_path, text).startswith(expected)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("app_id", "z"),
        ("meeting_ids", ["z"]),
        ("meetings.files", ["z"]),
        ("meetings.discover", "true"),
    ],
)
def test_options_of_a_single_app_with_several(
    tmp_path: Path, option: str, value: str | list[str]
) -> None:
    """An option of a single app is an error if the file lists several."""
    text = "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}}\n"
    flags = {option: Setting(value, f"--{option}")}
    path = tmp_path / "rk.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"--{option}: the file has `apps`"):
        load(path, flags, ENVIRONMENT)


def test_discovery_that_is_off_with_several_apps(tmp_path: Path) -> None:
    """A variable that says false is no mistake if the file lists several apps."""
    text = "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}}\n"
    (app,) = from_file(tmp_path, text, meetings__discover="false").apps
    assert not app.discover


def test_invalid_option_that_no_app_inherits(tmp_path: Path) -> None:
    """A mistake at the top of the file is an error, even if each app has a value of its own."""
    text = (
        "account_id: x\napi: {budget: 0}\napps:\n  - {app_id: y, budget: 5, meetings: {ids: [a]}}\n"
    )
    assert error_of(tmp_path, text).startswith("rk.yml:2: api.budget: must be between")


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "missing: API token \\(CLOUDFLARE_API_TOKEN; --api.token-file or"),
        ({TOKEN_VARIABLE: ""}, "missing: API token"),
        ({TOKEN_VARIABLE: f"{CANARY} x"}, "CLOUDFLARE_API_TOKEN: has characters"),
    ],
)
def test_missing_and_invalid_tokens(environment: dict[str, str], message: str) -> None:
    """A missing or invalid token is an error that does not repeat the text."""
    with pytest.raises(ConfigError, match=message) as caught:
        load(None, settings(), environment)
    assert CANARY not in str(caught.value)


def test_missing_file() -> None:
    """The error about a missing configuration file has its path."""
    with pytest.raises(ConfigError, match=r"missing.yml: cannot be read \(No such file"):
        load(Path("missing.yml"), settings(), ENVIRONMENT)


def test_example_in_the_documentation(root: Path, tmp_path: Path) -> None:
    """The example in the documentation is valid, except for tokens and folders."""
    page = (root / "docs/reference/configuration.md").read_text()
    (example,) = re.findall(r"```yaml\n(apps:\n.*?)```", page, re.DOTALL)
    text = re.sub(r"api_token_file: .*", "api_token_env: TOKEN", example)
    text = text.replace("/var/lib/rk-exporter/", f"{tmp_path}/")
    (tmp_path / "meetings.yml").write_text("[]")
    path = tmp_path / "rk.yml"
    path.write_text(text)
    assert load(path, {}, {"TOKEN": "x", "PROCTORING_API_TOKEN": "x"}).apps


def test_config_is_frozen() -> None:
    """A configuration cannot be changed, only replaced."""
    config = load(None, settings(), ENVIRONMENT)
    with pytest.raises(AttributeError):
        config.max_requests = 1  # type: ignore[misc] # that is the point
    assert 1 == replace(config, max_requests=1).max_requests


def test_each_option_is_declared_once() -> None:
    """No two options share a path, a flag or a variable, and the defaults are valid."""
    for name in ("path", "path_in_app", "flag", "variable"):
        counts = Counter(filter(None, (getattr(option, name) for option in OPTIONS)))
        assert {1} == set(counts.values())
    assert all(option.help.endswith(".") for option in OPTIONS)
    defaults = {option.path: option.default for option in OPTIONS if option.default}
    assert ("5m", "600", "7d") == tuple(
        defaults[path] for path in ("scrape.stale_after", "api.budget", "follow.retain")
    )


@pytest.mark.parametrize("declaring", [Config, AppOptions])
def test_parsers_return_the_type_of_their_field(declaring: type) -> None:
    """The annotation of a field and the parser of its option agree."""
    types = get_type_hints(declaring)
    for name, option in options_of(declaring).items():
        parse = type(option.parse).__call__ if isinstance(option.parse, Range) else option.parse
        parsed = parse if isinstance(parse, type) else get_type_hints(parse)["return"]
        assert types[name] in {parsed, parsed | None}, name


def test_token_in_the_place_of_a_path(tmp_path: Path) -> None:
    """The configuration does not show the path of a token file, even of an unused one."""
    text = f"account_id: x\napp_id: y\nmeeting_ids: [a]\napi: {{token_file: {CANARY}}}\n"
    assert CANARY not in repr(from_file(tmp_path, text))


def test_all_mistakes_in_one_message(tmp_path: Path) -> None:
    """Mistakes of the file come first, by line; then those of flags; then what is missing."""
    text = "acount_id: x\nscrape:\n  stale_after: 5\n  stale_after: 5m\nweb: [1]\n"
    folder, lines = tmp_path, error_of(tmp_path, text, log__level="loud").splitlines()
    assert "5 problems in the configuration:" == lines[0]
    assert [
        f"  {folder}/rk.yml:1: acount_id: unknown option; did you mean account_id?",
        f"  {folder}/rk.yml:4: scrape.stale_after: duplicate key; remove one of them",
        f"  {folder}/rk.yml:5: web: expected a mapping, e.g. {{key: value}}",
        "  --flag: invalid value 'loud'; use debug, info, warning, error",
        f"  {folder}/rk.yml: missing:",
    ] == lines[1:6]
    assert ["account_id", "app_id", "meetings"] == [line.split()[0] for line in lines[6:]]


def test_all_mistakes_of_all_apps(tmp_path: Path) -> None:
    """Each app and each item of a list can have mistakes of its own."""
    text = """\
account_id: x
apps:
  - app_id: a/b
    meetings: {ids: [ok, b/c, {nmae: x}], files: [missing.yml]}
  - {app_id: y, budget: 0, read: all}
  - 3
"""
    lines = error_of(tmp_path, text).replace(f"{tmp_path}/", "").splitlines()
    assert [
        "rk.yml:3: apps[0].app_id",
        "rk.yml:4: apps[0].meetings.files[0]",
        "rk.yml:4: apps[0].meetings.ids[1]",
        "rk.yml:4: apps[0].meetings.ids[2].nmae",
        "rk.yml:5: apps[1].budget",
        "rk.yml:5: apps[1].meetings",
        "rk.yml:5: apps[1].read",
        "rk.yml:6: apps[2]",
    ] == [line.strip().rsplit(": ", line.count(": ") - 1)[0] for line in lines[1:]]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("RK_API_BUGDET", "unknown variable RK_API_BUGDET; did you mean RK_API_BUDGET?"),
        ("RK_FOO", "unknown variable RK_FOO; it has no effect"),
        (
            "CLOUDFLARE_ACOUNT_ID",
            "unknown variable CLOUDFLARE_ACOUNT_ID; did you mean CLOUDFLARE_ACCOUNT_ID?",
        ),
        # Other tools have these, and Kubernetes sets those.
        ("CLOUDFLARE_API_KEY", None),
        ("CLOUDFLARE_EMAIL", None),
        ("RK_EXPORTER_SERVICE_HOST", None),
        ("RK_EXPORTER_SERVICE_PORT_HTTP", None),
        ("RK_EXPORTER_PORT_10058_TCP_ADDR", None),
        ("RK_CONFIG_FILE", None),
        ("PATH", None),
    ],
)
def test_unknown_variables(name: str, message: str | None) -> None:
    """A variable that looks like ours is a warning, which does not show its value."""
    environment = {**ENVIRONMENT, name: CANARY}
    expected = (message,) if message else ()
    assert expected == load(None, settings(), environment).warnings
    with pytest.raises(ConfigError) as caught:
        load(None, settings(log__level="loud"), environment)
    assert (message or "loud") in str(caught.value)
    assert CANARY not in str(caught.value)


def test_variables_of_tokens_are_known(tmp_path: Path) -> None:
    """A variable that an app names is no typing mistake."""
    path = tmp_path / "rk.yml"
    path.write_text(
        "account_id: x\napps: [{app_id: y, api_token_env: RK_T, meetings: {ids: [a]}}]\n"
    )
    assert () == load(path, {}, {"RK_T": "x"}).warnings
