"""What is wrong with a configuration, and what the message says."""

import re

from pathlib import Path

import pytest

from rk_exporter.config.account_options import ACCOUNT_OPTIONS
from rk_exporter.config.config import OPTIONS
from rk_exporter.config.loader import load
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from tests.support.configs import CANARY, ENVIRONMENT, ONE, error_of, from_file, settings


def test_errors_are_printable(tmp_path: Path) -> None:
    """Control characters in the names of keys and variables are escaped in messages."""
    path = tmp_path / "rk.yml"
    path.write_text(f'{ONE}"\\e[31m": 1\n')
    with pytest.raises(ConfigError) as caught:
        load(path, {}, {**ENVIRONMENT, "RK_\x1b[31m": ""})
    assert "\\x1b[31m: unknown option" in str(caught.value)
    assert "unknown variable RK_\\x1b[31m" in str(caught.value)
    assert str(caught.value).replace("\n", "").isprintable()


def _nested(path: str) -> str:
    """Return the option at *path* as YAML."""
    keys = path.split(".")
    return "".join(f"{{{key}: " for key in keys) + "x" + "}" * len(keys)


@pytest.mark.parametrize(
    ("path", "path_in_app"),
    [
        pytest.param(option.path, option.path_in_app, id=option.path)
        for option in OPTIONS
        if option.path and option.path_in_app not in {"", option.path}
    ],
)
def test_options_with_two_names(tmp_path: Path, path: str, path_in_app: str) -> None:
    """The name that an option has for several apps is corrected for one app, and vice versa."""
    assert f"did you mean {path}?" in error_of(tmp_path, _nested(path_in_app))
    in_accounts = {option.path_in_app for option in ACCOUNT_OPTIONS.values()}
    for place in ["apps", *(["accounts"] if path_in_app in in_accounts else [])]:
        error = error_of(tmp_path, f"{{{place}: [{_nested(path)}]}}")
        assert f"did you mean {path_in_app}?" in error


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
            "rk.yml:4: meetings.ids: unknown option; did you mean meeting_ids?",
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
