import re

from dataclasses import replace
from pathlib import Path

import pytest

from rk_exporter.config.apps import TOKEN_VARIABLE
from rk_exporter.config.config import Config, load
from rk_exporter.config.parsers import Address, parse_duration, travels_in_clear
from rk_exporter.config.schema import DEFAULT_BASE_URL, Options, default_of
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.model.meeting import App, Meeting, ReadMode


CANARY = "canary-4f1b9a"
ENVIRONMENT = {TOKEN_VARIABLE: CANARY}
SMALLEST: dict[str, str | list[str]] = {
    "account_id": "account",
    "app_id": "app",
    "meeting_ids": ["a", "b"],
}


def given(**values: str | list[str]) -> dict[str, Setting]:
    options = {**SMALLEST, **{key.replace("__", "."): value for key, value in values.items()}}
    return {place: Setting(value, f"--{place}") for place, value in options.items()}


def from_file(folder: Path, text: str, **flags: str) -> Config:
    path = folder / "rk.yml"
    path.write_text(text)
    settings = {place.replace("__", "."): Setting(flag, "--flag") for place, flag in flags.items()}
    return load(path, settings, ENVIRONMENT)


def refusal(folder: Path, text: str, **flags: str) -> str:
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
    """Account, app, a meeting and a token are all that has to be given."""
    config = load(None, given(), ENVIRONMENT)
    (app,) = config.apps
    assert App("app", "account", "app") == app.app
    assert (Meeting("a", "a"), Meeting("b", "b")) == app.meetings
    assert ((), False, 600, None) == (app.meeting_files, app.discover, app.budget, app.read)
    assert CANARY == app.token.current().reveal()
    assert CANARY not in repr(config)
    expected = Config(
        apps=config.apps,
        base_url=DEFAULT_BASE_URL,
        reserve_ratio=0.2,
        min_interval_seconds=5,
        stale_after_seconds=300,
        timeout_offset_seconds=0.5,
        follow_retain_seconds=604800,
        follow_max_recordings=1000,
        follow_reread_seconds=21600,
        follow_keep_removed=False,
        state_file=None,
        listen_addresses=(Address("", 10058),),
        telemetry_path="/metrics",
        max_requests=40,
        log_level="info",
        log_format="logfmt",
    )
    assert expected == config


def test_several_apps(tmp_path: Path) -> None:
    """Each app has its own account, token and meetings; what it leaves out the top gives."""
    (tmp_path / "tokens").mkdir()
    (tmp_path / "tokens/one").write_text("first-token\n")
    path = tmp_path / "rk.yml"
    path.write_text(TWO)
    config = load(path, {}, {"SECOND_TOKEN": "second-token"})
    assert [
        App("production", "account-1", "app-1"),
        App("app-2", "shared", "app-2"),
    ] == [each.app for each in config.apps]
    tokens = [each.token.current().reveal() for each in config.apps]
    assert ["first-token", "second-token"] == tokens
    assert (Meeting("a", "daily"), Meeting("b", "weekly review")) == config.apps[0].meetings
    assert (Meeting("0123", "0123"),) == config.apps[1].meetings


def test_flags_win_over_the_file(tmp_path: Path) -> None:
    """A value from outside replaces the file's, in a section or not."""
    text = f"{ONE}scrape: {{stale_after: 10m}}\nweb:\n"
    config = from_file(tmp_path, text, scrape__stale_after="1h30m", web__max_requests="7")
    assert (5400, 7) == (config.stale_after_seconds, config.max_requests)
    assert 600 == from_file(tmp_path, text).stale_after_seconds


def test_meetings_from_files_and_discovery(tmp_path: Path) -> None:
    """Meetings can come from files and from the API alone; a path in the file is relative to it."""
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
    ] == [(each.path, each.meetings) for each in app.meeting_files]


def test_paths_of_flags(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path that a flag or variable gives is relative to where the exporter is started."""
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/list.txt").write_text("c\n")
    path = tmp_path / "rk.yml"
    path.write_text("account_id: account\napp_id: app\n")
    monkeypatch.chdir(tmp_path / "elsewhere")
    settings = {"meetings.files": Setting(["list.txt"], "--meetings.file")}
    (app,) = load(path, settings, ENVIRONMENT).apps
    assert [Path("list.txt")] == [each.path for each in app.meeting_files]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"meetings__discover": "true", "meeting_ids": []}, (True, 600, None)),
        ({"meetings__discover": "false"}, (False, 600, None)),
        ({"api__budget": "100000", "api__read": "list"}, (False, 100_000, ReadMode.LIST)),
        ({"api__read": "active-recording"}, (False, 600, ReadMode.ACTIVE_RECORDING)),
    ],
)
def test_how_an_app_is_read(
    changes: dict[str, str | list[str]], expected: tuple[bool, int, ReadMode | None]
) -> None:
    """Budget, way of reading and discovery can be given as text, by flags and variables."""
    (app,) = load(None, given(**changes), ENVIRONMENT).apps
    assert expected == (app.discover, app.budget, app.read)


def test_budgets_of_several_apps(tmp_path: Path) -> None:
    """An app's own budget and way of reading win over those under `api`."""
    text = (
        "account_id: x\napi: {budget: 300, read: list}\napps:\n"
        "  - {app_id: a, meetings: {discover: true}}\n"
        "  - {app_id: b, meetings: {discover: true}, budget: 10, read: auto}\n"
        "  - {app_id: c, meetings: {discover: true}, budget: ~, read: active-recording}\n"
    )
    assert [(300, ReadMode.LIST), (10, None), (300, ReadMode.ACTIVE_RECORDING)] == [
        (app.budget, app.read) for app in from_file(tmp_path, text).apps
    ]


@pytest.mark.parametrize(("text", "ratio"), [("20", 0.2), ("20%", 0.2), ("0", 0), ("90", 0.9)])
def test_reserve(text: str, ratio: float) -> None:
    """The reserve is a percentage, with its sign or without."""
    assert ratio == load(None, given(api__reserve=text), ENVIRONMENT).reserve_ratio


def test_no_interval() -> None:
    """With an interval of 0s each scrape calls the API."""
    assert 0 == load(None, given(scrape__min_interval="0s"), ENVIRONMENT).min_interval_seconds


def test_finished_recordings(tmp_path: Path) -> None:
    """How finished recordings are followed can be given by flags, variables and the file."""
    flags = given(
        follow__retain="1d12h",
        follow__max_recordings="100000",
        follow__reread_interval="10m",
        follow__keep_removed="true",
    )
    text = (
        f"{ONE}follow:\n  retain: 1ms\n  max_recordings: 1\n"
        "  reread_interval: 1d\n  keep_removed: true\n"
    )
    configs = [
        load(None, flags, ENVIRONMENT),
        from_file(tmp_path, text),
        from_file(tmp_path, text, follow__retain="2w", follow__keep_removed="false"),
    ]
    assert [
        (129600, 100_000, 600, True),
        (0.001, 1, 86400, True),
        (1209600, 1, 86400, False),
    ] == [
        (
            each.follow_retain_seconds,
            each.follow_max_recordings,
            each.follow_reread_seconds,
            each.follow_keep_removed,
        )
        for each in configs
    ]


def test_state_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path in the file is relative to it; the file need not be there, and is not made."""
    (tmp_path / "there").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = f"{ONE}state:\n  file: there/state\n"
    assert tmp_path / "there/state" == from_file(tmp_path, text).state_file
    assert Path("state") == from_file(tmp_path, text, state__file="state").state_file
    assert Path("state") == load(None, given(state__file="state"), ENVIRONMENT).state_file
    assert from_file(tmp_path, f"{ONE}state:\n  file:\n").state_file is None
    assert [] == [*(tmp_path / "here").iterdir(), *(tmp_path / "there").iterdir()]
    (tmp_path / "there/state").write_text("kept")
    assert tmp_path / "there/state" == from_file(tmp_path, text).state_file


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ('""', "is empty; give the path of a file, or leave it out to keep nothing"),
        ('" "', "is empty; give the path of a file"),
        ("missing/state", "there is no folder {folder}/missing; create it, or give another path"),
        ("rk.yml/state", "there is no folder {folder}/rk.yml; create it"),
        ("rk.yml/folder/state", "there is no folder {folder}/rk.yml/folder; create it"),
        (".", "{folder} is a folder; give the path of a file in it"),
        ("there/", "{folder}/there is a folder; give the path of a file in it"),
        ("linked", "{folder}/linked is a folder; give"),
        ("x" * 1_000, "cannot be looked at (File name too long)"),
        ("[state]", "has to be one text"),
    ],
)
def test_refused_state_files(tmp_path: Path, name: str, message: str) -> None:
    """Where no file can stand, that is refused at the start, with the folder that it is about."""
    (tmp_path / "there").mkdir()
    (tmp_path / "linked").symlink_to("there")
    refused = refusal(tmp_path, f"{ONE}state:\n  file: {name}\n")
    assert refused.startswith(f"rk.yml:5: state.file: {message.format(folder=tmp_path)}")


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
    """A token file given as a flag wins over the environment's token, that over the file's."""
    settings = {}
    text = ONE
    if flag:
        (tmp_path / "flag-token").write_text(flag)
        settings["api.token_file"] = Setting(str(tmp_path / "flag-token"), "--api.token-file")
    if in_file:
        (tmp_path / "file-token").write_text(in_file)
        text += "api: {token_file: file-token}\n"
    path = tmp_path / "rk.yml"
    path.write_text(text)
    environment = {TOKEN_VARIABLE: in_environment} if in_environment else {}
    (app,) = load(path, settings, environment).apps
    assert expected == app.token.current().reveal()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("0s", 0), ("1h30m", 5400), ("7d", 604800), ("2w", 1209600)],
)
def test_durations(text: str, seconds: float) -> None:
    """Durations are written as Prometheus writes them."""
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
    """Only on this machine itself does a token not travel in clear text over http."""
    assert expected == travels_in_clear(base_url)


def test_listen_addresses() -> None:
    """A list of addresses with commas, for one host, for all, and in IPv6."""
    config = load(None, given(web__listen_address=":1, 127.0.0.1:0,[::1]:65535"), ENVIRONMENT)
    expected = (Address("", 1), Address("127.0.0.1", 0), Address("::1", 65535))
    assert expected == config.listen_addresses


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"account_id": ""}, "missing: account_id (--account-id)"),
        ({"account_id": "", "meeting_ids": []}, "missing: account_id (--account-id), meeting_ids"),
        ({"account_id": "a/b"}, "--account_id: 'a/b' is not a valid id: use 1 to 128 letters"),
        ({"app_id": ".."}, "--app_id: '..' is not a valid id"),
        ({"meeting_ids": ["a", "../b"]}, "--meeting_ids: '../b' is not a valid id"),
        ({"meeting_ids": ["x" * 129]}, "is not a valid id"),
        ({"meeting_ids": ["é"]}, "is not a valid id"),
        ({"meeting_ids": ["x" * 100_000 + "/"]}, f"{'x' * 40!r} is not a valid id"),
        (
            {"meeting_ids": []},
            (
                "missing: meeting_ids (--meeting-id) or meetings.files (--meetings.file)"
                " or meetings.discover (--meetings.discover)"
            ),
        ),
        ({"meetings__discover": "maybe"}, "--meetings.discover: has to be true or false"),
        (
            {"meetings__files": ["missing.yml"]},
            "--meetings.files: missing.yml: cannot be read (No such file or directory)",
        ),
        ({"api__budget": "0"}, "--api.budget: has to be between 1 and 100000, in calls per 5"),
        ({"api__budget": "100001"}, "--api.budget: has to be between 1 and 100000"),
        ({"api__budget": "9" * 30}, "--api.budget: has to be between 1 and 100000"),
        ({"api__budget": "9" * 5000}, "--api.budget: Integer value out of range"),
        ({"api__budget": "much"}, "--api.budget: has to be a whole number"),
        ({"api__read": "both"}, "'both' is not one of auto, active-recording, list"),
        ({"api__reserve": "91"}, "'91' is no whole percentage from 0 to 90; write 20 or 20%"),
        ({"api__reserve": "-1"}, "'-1' is no whole percentage"),
        ({"api__reserve": "0.2"}, "'0.2' is no whole percentage"),
        ({"scrape__min_interval": "5"}, "--scrape.min_interval: '5' is no duration"),
        ({"scrape__min_interval": "5m"}, "has to be shorter than scrape.stale_after"),
        ({"scrape__stale_after": "0s"}, "has to be longer than 0s"),
        ({"scrape__stale_after": "5 minutes"}, "'5 minutes' is no duration; write 500ms"),
        ({"scrape__timeout_offset": "-1s"}, "'-1s' is no duration"),
        ({"follow__retain": "0s"}, "--follow.retain: has to be longer than 0s"),
        ({"follow__retain": "a week"}, "--follow.retain: 'a week' is no duration; write 500ms"),
        (
            {"follow__max_recordings": "0"},
            "--follow.max_recordings: has to be between 1 and 100000, in recordings per app",
        ),
        ({"follow__max_recordings": "100001"}, "--follow.max_recordings: has to be between 1 and"),
        ({"follow__max_recordings": "all"}, "--follow.max_recordings: has to be a whole number"),
        (
            {"follow__reread_interval": "9m59s"},
            "--follow.reread_interval: has to be at least 10m: more often, it would spend the API",
        ),
        ({"follow__reread_interval": "0s"}, "--follow.reread_interval: has to be at least 10m"),
        ({"follow__reread_interval": "6"}, "--follow.reread_interval: '6' is no duration; write"),
        ({"follow__keep_removed": "some"}, "--follow.keep_removed: has to be true or false"),
        ({"state__file": ""}, "--state.file: is empty; give the path of a file, or leave it out"),
        ({"state__file": "missing/state"}, "--state.file: there is no folder missing; create it"),
        ({"state__file": "/"}, "--state.file: / is a folder; give the path of a file in it"),
        ({"web__listen_address": "10058"}, "'10058' is no address; write :10058"),
        ({"web__listen_address": ":99999"}, "is no address"),
        ({"web__telemetry_path": "metrics"}, "'metrics' is no path like /metrics"),
        ({"web__telemetry_path": "/"}, "is no path"),
        ({"web__telemetry_path": "/-/healthy"}, "is no path"),
        ({"web__max_requests": "many"}, "--web.max_requests: has to be a whole number"),
        ({"web__max_requests": "0"}, "has to be at least 1"),
        ({"log__level": "loud"}, "'loud' is not one of debug, info, warning, error"),
        ({"log__format": "xml"}, "'xml' is not one of logfmt, json"),
        ({"api__base_url": "api.cloudflare.com"}, "has to be a URL like https://api"),
        ({"api__base_url": "ftp://x/"}, "has to be a URL"),
        ({"api__base_url": f"https://user:{CANARY}@x/"}, "has to be a URL"),
        ({"api__base_url": "https://x/?a=b"}, "has to be a URL"),
        ({"api__base_url": "https://x?"}, "has to be a URL"),
        ({"api__base_url": "https://x#"}, "has to be a URL"),
        ({"api__base_url": "https://x y/"}, "has to be a URL"),
        ({"api__base_url": "https://x\\y/"}, "has to be a URL"),
        ({"api__base_url": "https://x/\n"}, "has to be a URL"),
        ({"api__base_url": "https://x:port/"}, "has to be a URL"),
        ({"api__base_url": "https://[::1/"}, "has to be a URL"),
        ({"api__token_file": CANARY}, "--api.token_file: it cannot be read"),
    ],
)
def test_refused_flags(changes: dict[str, str | list[str]], message: str) -> None:
    """A bad value is refused with the flag that gave it and what would be right."""
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load(None, given(**changes), ENVIRONMENT)
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{ONE}acount_id: x\n", "rk.yml:4: acount_id: is no option; is `account_id` meant?"),
        (
            f"{ONE}scrape:\n  stail_after: 5m\n",
            "rk.yml:5: scrape.stail_after: is no option; is `stale_after` meant?",
        ),
        (
            f"{ONE}log:\n  x: 5m\n",
            "rk.yml:5: log.x: is no option; here may stand level, format",
        ),
        (
            f"{ONE}meetings: {{ids: [a]}}\n",
            "rk.yml:4: meetings.ids: is no option here, but apps[].meetings.ids is one",
        ),
        (
            f"{ONE}meetings:\n  discover: often\n",
            "rk.yml:5: meetings.discover: has to be true or false",
        ),
        (
            f"{ONE}meetings:\n  files: list.yml\n",
            "rk.yml:5: meetings.files: has to be a list, like [a, b]",
        ),
        (
            f"{ONE}meetings:\n  file: list.yml\n",
            (
                "rk.yml:5: meetings.file: is no option here, but state.file is one;"
                " or is `files` meant?"
            ),
        ),
        (
            f"{ONE}follow:\n  retain: 0s\n",
            "rk.yml:5: follow.retain: has to be longer than 0s",
        ),
        (
            f"{ONE}follow:\n  retain: 7d\n  max_recordings: 0\n",
            "rk.yml:6: follow.max_recordings: has to be between 1 and 100000, in recordings per",
        ),
        (
            f"{ONE}follow:\n  reread_interval: 5m\n",
            "rk.yml:5: follow.reread_interval: has to be at least 10m",
        ),
        (
            f"{ONE}follow:\n  keep_removed: some\n",
            "rk.yml:5: follow.keep_removed: has to be true or false",
        ),
        (
            f"{ONE}follow:\n  max_recording: 5\n",
            "rk.yml:5: follow.max_recording: is no option; is `max_recordings` meant?",
        ),
        (f"{ONE}discover: true\n", "rk.yml:4: discover: is no option here, but meetings.discover"),
        (f"{ONE}{'x' * 1_000}: 1\n", f"rk.yml:4: {'x' * 80}: is no option; here may stand"),
        (f"{ONE}api_token: {CANARY}\n", "rk.yml:4: api_token: is no option; here may stand"),
        (f"{ONE}web: [1]\n", "rk.yml:4: web: has to be a mapping, like {key: value}"),
        (f"{ONE}apps: x\n", "rk.yml:4: apps: has to be a list, like [a, b]"),
        (f"{ONE}web: {{telemetry_path: [a]}}\n", "rk.yml:4: web.telemetry_path: has to be one"),
        ("account_id: x\napps: []\n", "rk.yml:2: apps: is empty; list an app"),
        (f"{ONE}scrape:\n  stale_after: soon\n", "rk.yml:5: scrape.stale_after: 'soon' is no"),
        (f"{ONE}account_id: other\n", "rk.yml:4: account_id stands here a second time"),
        ("- a\n", "rk.yml:1: the file has to hold options"),
        ("just text\n", "rk.yml:1: the file has to hold options"),
        ("", "rk.yml: missing: account_id (--account-id), app_id (--app-id), meeting_ids (--meet"),
        (
            "account_id: x\napps:\n  - app_id: y\n",
            "rk.yml:3: apps[0].meetings: names none; give it ids, files, or discover: true",
        ),
        (
            "account_id: x\napps:\n  - app_id: y\n    meetings: {ids: [], discover: false}\n",
            "rk.yml:4: apps[0].meetings: names none",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]},\n     budget: some}\n",
            "rk.yml:4: apps[0].budget: has to be a whole number",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]},\n     budget: 0}\n",
            "rk.yml:4: apps[0].budget: has to be between 1 and",
        ),
        (
            "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]},\n     read: all}\n",
            "rk.yml:4: apps[0].read: 'all' is not one of auto,",
        ),
        ("apps:\n  - app_id: y\n    meetings: {ids: [a]}\n", "rk.yml:1: account_id: is missing"),
        (
            "account_id: x\napps:\n  - meetings: {ids: [a]}\n",
            "rk.yml:3: apps[0].app_id: is missing",
        ),
        (
            (
                "account_id: x\napps:\n  - app_id: y\n    meetings:\n      ids:\n        - ok\n"
                "        - not/ok\n"
            ),
            "rk.yml:7: apps[0].meetings.ids[1]: 'not/ok' is not a valid id",
        ),
        (
            'account_id: x\napps:\n  - app_id: y\n    meetings: {ids: [{id: a, name: "\\e"}]}\n',
            "rk.yml:4: apps[0].meetings.ids[0].name: has to be printable",
        ),
        (
            "account_id: x\napps:\n  - app_id: y\n    meetings: {ids: [{name: a}]}\n",
            "rk.yml:4: apps[0].meetings.ids[0]: `id` is missing",
        ),
        (
            (
                "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}}\n"
                "  - {app_id: y, meetings: {ids: [a]}}\n"
            ),
            "rk.yml:4: apps[1].name: another app has this name",
        ),
        (
            (
                f"account_id: x\napps:\n  - {{app_id: y, meetings: {{ids: [a]}}, api_token_file: t,"
                f" api_token_env: {CANARY}}}\n"
            ),
            "rk.yml:3: apps[0].api_token_env: api_token_file is given too",
        ),
        (
            (
                f"account_id: x\napps:\n  - {{app_id: y, meetings: {{ids: [a]}},"
                f" api_token_env: {CANARY}}}\n"
            ),
            "rk.yml:3: apps[0].api_token_env: has to be the name of a variable",
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
            "rk.yml:3: apps[0].api_token_file: it cannot be read",
        ),
    ],
)
def test_refused_files(tmp_path: Path, text: str, message: str) -> None:
    """A bad file is refused whole, with file, line, path and what would be right."""
    assert refusal(tmp_path, text).startswith(message)


def test_bad_list_of_meetings(tmp_path: Path) -> None:
    """A bad list is refused with the place that names it, and its own."""
    (tmp_path / "list.yml").write_text("- a\n- ../b\n")
    text = "account_id: x\napps:\n  - app_id: y\n    meetings:\n      files:\n        - list.yml\n"
    expected = (
        f"rk.yml:6: apps[0].meetings.files[0]: {tmp_path}/list.yml:2: [1]: '../b' is not a valid id"
    )
    assert refusal(tmp_path, text).startswith(expected)


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
    """Where the file lists apps, it is not guessed which of them a flag is about."""
    text = "account_id: x\napps:\n  - {app_id: y, meetings: {ids: [a]}}\n"
    settings = {option: Setting(value, f"--{option}")}
    path = tmp_path / "rk.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=f"--{option}: the file has `apps`"):
        load(path, settings, ENVIRONMENT)


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({}, "there is no API token: set CLOUDFLARE_API_TOKEN"),
        ({TOKEN_VARIABLE: ""}, "there is no API token"),
        ({TOKEN_VARIABLE: f"{CANARY} x"}, "CLOUDFLARE_API_TOKEN: it holds characters"),
    ],
)
def test_missing_and_bad_tokens(environment: dict[str, str], message: str) -> None:
    """Without a token, or with what is none, nothing starts; the text is not repeated."""
    with pytest.raises(ConfigError, match=message) as caught:
        load(None, given(), environment)
    assert CANARY not in str(caught.value)


def test_missing_file() -> None:
    """A configuration file that is not there is named."""
    with pytest.raises(ConfigError, match=r"missing.yml: cannot be read \(No such file"):
        load(Path("missing.yml"), given(), ENVIRONMENT)


def test_example_in_the_documentation(root: Path, tmp_path: Path) -> None:
    """The example file of the documentation can be used as it is, but for tokens and folders."""
    page = (root / "docs/configuration.md").read_text()
    (example,) = re.findall(r"```yaml\n(apps:\n.*?)```", page, re.DOTALL)
    text = re.sub(r"api_token_file: .*", "api_token_env: TOKEN", example)
    text = text.replace("/var/lib/rk-exporter/", f"{tmp_path}/")
    (tmp_path / "meetings.yml").write_text("[]")
    path = tmp_path / "rk.yml"
    path.write_text(text)
    assert load(path, {}, {"TOKEN": "x", "PROCTORING_API_TOKEN": "x"}).apps


def test_config_is_frozen() -> None:
    """A configuration is replaced, never changed."""
    config = load(None, given(), ENVIRONMENT)
    with pytest.raises(AttributeError):
        config.max_requests = 1  # type: ignore[misc] # that is the point
    assert 1 == replace(config, max_requests=1).max_requests


def test_defaults_are_written_once() -> None:
    """What is shown as a default is what is used."""
    assert "5m" == default_of("scrape.stale_after") == Options().scrape.stale_after
    assert "600" == default_of("api.budget")
    assert ("7d", "1000", "6h") == tuple(
        default_of(f"follow.{name}") for name in ("retain", "max_recordings", "reread_interval")
    )
    for option in (
        "account_id",
        "meetings.files",
        "meetings.discover",
        "follow.keep_removed",
        "state.file",
    ):
        assert default_of(option) is None
