"""What a valid configuration means, and how its options are declared."""

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
from rk_exporter.config.sources import Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.config.webhook_options import DEFAULT_KEY_URL
from rk_exporter.model.meeting import App, Meeting, ReadMode
from tests.support.configs import CANARY, ENVIRONMENT, ONE, error_of, from_file, settings


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
