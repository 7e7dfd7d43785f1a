"""The accounts in a configuration, and the apps that are found in them."""

import time

from pathlib import Path

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.config.account_options import parse_pattern
from rk_exporter.config.accounts import AccountConfig, found_apps
from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE, FixedToken
from rk_exporter.model.account import Account, AccountApps, ListedApp
from rk_exporter.model.meeting import App, ReadMode
from rk_exporter.model.secret import Secret


CANARY = "canary-4f1b9a"
ENVIRONMENT = {TOKEN_VARIABLE: "simulated", "ACME_TOKEN": CANARY}
ONE = "accounts: [{account_id: acme}]\n"
TWO = """\
accounts:
  - account_id: acme
    name: Acme
    api_token_env: ACME_TOKEN
    budget_group: acme
    budget: 300
    read: list
    apps: {include: "prod-.*|app-1", exclude: ".*-test"}
  - account_id: other
apps:
  - {app_id: app-1, account_id: other, name: explicit, meetings: {ids: [a]}}
api: {budget: 400}
downloads: {verify: true}
"""
APPS = (
    ListedApp("app-1", "prod-one"),
    ListedApp("app-2", "prod-one-test"),
    ListedApp("app-3", "staging"),
    ListedApp("app-4", "prod-two"),
)


def loaded(folder: Path, text: str, **flags: str) -> Config:
    path = folder / "rk.yml"
    path.write_text(text)
    return load(path, {key: Setting(flag, f"--{key}") for key, flag in flags.items()}, ENVIRONMENT)


def error_of(folder: Path, text: str, **flags: str) -> str:
    with pytest.raises(ConfigError) as caught:
        loaded(folder, text, **flags)
    assert CANARY not in str(caught.value)
    return str(caught.value).removeprefix(f"{folder}/")


def lists(*accounts: str, apps: tuple[ListedApp, ...] = APPS) -> dict[str, AccountApps]:
    return {account: AccountApps(account, apps, 1.0) for account in accounts}


def account(folder: Path, apps: str = "{}") -> AccountConfig:
    return loaded(folder, f"accounts: [{{account_id: acme, apps: {apps}}}]\n").accounts[0]


class TestOptions:
    """An entry of `accounts` has a token, a budget and two regular expressions."""

    def test_all(self, tmp_path: Path) -> None:
        """All options have their values, and those of the API are inherited."""
        config = loaded(tmp_path, TWO)
        acme, other = config.accounts
        assert ("Acme", "acme", CANARY) == (
            acme.account.name,
            acme.account.account_id,
            acme.token.current().reveal(),
        )
        assert (300, "acme") == (acme.budget, acme.budget_group)
        assert ("other", 400, None, None) == (
            other.account.name,
            other.budget,
            other.budget_group,
            other.include,
        )
        assert ["explicit"] == [app.app.name for app in config.apps]
        assert [300, 400] == sorted({entry.budget for entry in config.entries})

    def test_only_accounts(self, tmp_path: Path) -> None:
        """Accounts alone are a complete configuration, without any app."""
        config = loaded(tmp_path, ONE)
        assert ((), 1) == (config.apps, len(config.accounts))
        assert CANARY not in repr(config)

    def test_shard(self, tmp_path: Path) -> None:
        """Each shard gets its part of an account's budget, and its part of the apps."""
        configs = [loaded(tmp_path, ONE, shard=f"{index}/2") for index in range(2)]
        assert [300, 300] == [config.accounts[0].budget for config in configs]
        found = [config.with_found(lists("acme")).apps for config in configs]
        assert sorted(app.app.app_id for apps in found for app in apps) == [
            listed.app_id for listed in APPS
        ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("accounts: []\n", "rk.yml:1: accounts: must not be empty; add an account"),
        ("accounts: acme\n", "rk.yml:1: accounts: expected a list, e.g. [{account_id: abc"),
        ("accounts: [acme]\n", "rk.yml:1: accounts[0]: expected a mapping"),
        ("accounts: [{name: a}]\n", "accounts[0].account_id: missing; the Cloudflare dashboard"),
        ("accounts: [{account_id: 'a/b'}]\n", "accounts[0].account_id: 'a/b' is not a valid id"),
        ("accounts: [{account_id: a, app_id: b}]\n", "accounts[0].app_id: unknown option"),
        ("accounts: [{account_id: a, apps: [b]}]\n", "accounts[0].apps: expected a mapping"),
        ("accounts: [{account_id: a, apps: {inclde: b}}]\n", "did you mean include?"),
        ("accounts: [{account_id: a, budget: 0}]\n", "accounts[0].budget: "),
        (
            "accounts: [{account_id: a}, {account_id: a}]\n",
            "accounts[1].account_id: duplicate account; list each account once",
        ),
        (
            "accounts: [{account_id: a}, {account_id: b, name: a}]\n",
            "accounts[1].name: duplicate name; give each account its own",
        ),
        (
            "accounts: [{account_id: a, apps: {include: '('}}]\n",
            "accounts[0].apps.include: invalid regular expression (missing ), unterminated",
        ),
        (
            "accounts: [{account_id: a, apps: {exclude: '(a+)+'}}]\n",
            "accounts[0].apps.exclude: a repeated group, e.g. (ab)*, could take too long",
        ),
        (
            "accounts: [{account_id: a, api_token_env: MISSING}]\n",
            "accounts[0].api_token_env: the variable MISSING is not set",
        ),
        (
            "accounts: [{account_id: a, api_token_file: nowhere}]\n",
            "accounts[0].api_token_file: ",
        ),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    """Each mistake is named with its place and its remedy."""
    assert message in error_of(tmp_path, text)


def test_single_app(tmp_path: Path) -> None:
    """With accounts, options of a single app belong into an entry of `apps`."""
    message = error_of(tmp_path, ONE, app_id="app")
    assert "--app_id: the file has `accounts`; give this option in one of the apps" == message


def test_no_token(tmp_path: Path) -> None:
    """An account needs a token, as an app does."""
    path = tmp_path / "rk.yml"
    path.write_text(ONE)
    with pytest.raises(ConfigError, match=r"accounts.0..api_token_file: missing"):
        load(path, {}, {})


class TestPatterns:
    """The expressions are anchored, as in Prometheus, and cannot take long."""

    @pytest.mark.parametrize(
        ("apps", "wanted"),
        [
            ("{}", ["app-1", "app-2", "app-3", "app-4"]),
            ("{include: 'prod-.*'}", ["app-1", "app-2", "app-4"]),
            ("{include: 'prod'}", []),
            ("{include: 'app-3'}", ["app-3"]),
            ("{exclude: '.*-test|staging'}", ["app-1", "app-4"]),
            ("{include: 'prod-.*', exclude: 'app-4|.*test'}", ["app-1"]),
            ("{include: '', exclude: ''}", ["app-1", "app-2", "app-3", "app-4"]),
        ],
    )
    def test_wanted(self, tmp_path: Path, apps: str, wanted: list[str]) -> None:
        """An app is read if its whole name or id is included and neither is excluded."""
        config = account(tmp_path, apps)
        assert wanted == [listed.app_id for listed in APPS if config.wants(listed)]

    @pytest.mark.parametrize(
        "text",
        [
            *("(a+)+", "(a|a)*b", "(?:x*){2,}", "a*b*c*d*e", "(.*)(.*)(.*)(.*)x", "a{9999999999}"),
            # Optional parts and choices in groups multiply as well.
            *("a?" * 30 + "a" * 30, "(a|a)" * 30, "(a|aa)" * 20, "(a*|b)" * 20 + "c"),
            *(".*.*.*(a|a)(a|a)(a|a)(a|a)", "(?:a|(?:b|c)?)" * 8, "[\\](]x|(a*|b)" + "(a*|b)" * 9),
        ],
    )
    def test_slow(self, text: str) -> None:
        """An expression whose search could take very long is refused."""
        with pytest.raises(ValueError, match=r"too long|invalid"):
            parse_pattern(text)

    def test_verbose(self) -> None:
        """In an expression with comments, brackets may mean nothing, so it is refused."""
        with pytest.raises(ValueError, match="the flag x is not supported"):
            parse_pattern("(?x)(a*#)\n|b)(a*|b)(a*|b)(a*|b)c")

    @pytest.mark.parametrize(
        "text",
        [
            *("prod-.*", ".*-test|staging", "(prod|staging|dev|qa)-(eu|us|ap)(-[0-9]+)?"),
            *("(?i)prod-.*", "(prod|stage).*-.*-.*", r"a\?b\|c\(d", "[*+?|(]{1,3}", "a??b?"),
        ],
    )
    def test_usual(self, text: str) -> None:
        """What people write is accepted."""
        parse_pattern(text)

    def test_too_long(self) -> None:
        """A very long expression is refused with its length."""
        with pytest.raises(ValueError, match="at most 200 characters, and this has 201"):
            parse_pattern("a" * 201)

    @given(st.text("ab*+?(|)[]{}\\^$.19,", max_size=60), st.sampled_from("ab(."))
    def test_time(self, text: str, letter: str) -> None:
        """Any accepted expression decides quickly about the longest name."""
        try:
            pattern = parse_pattern(text)
        except ValueError:
            return
        begun = time.process_time()
        pattern.fullmatch(letter * 254 + "!")
        assert time.process_time() - begun < 2.0


class TestFoundApps:
    """The apps of an account become apps of the exporter."""

    def test_options(self, tmp_path: Path) -> None:
        """They are read with discovery, and have the account's token, budget and group."""
        config = loaded(tmp_path, TWO)
        found = config.with_found(lists("acme")).apps[1:]
        assert ["prod-one", "prod-two"] == [app.app.name for app in found]
        for app in found:
            assert (True, (), ()) == (app.discover, app.meetings, app.meeting_files)
            assert (300, "acme", ReadMode.LIST) == (app.budget, app.budget_group, app.read)
            assert app.verify_downloads
            assert CANARY == app.token.current().reveal()
            assert CANARY not in repr(app)

    def test_explicit_app(self, tmp_path: Path) -> None:
        """An app that the configuration lists itself is read once, with its own options."""
        config = loaded(tmp_path, TWO).with_found(lists("other"))
        of_other = [app.app for app in config.apps if app.app.account_id == "other"]
        assert App("explicit", "other", "app-1") == of_other[0]
        assert ["app-1", "app-2", "app-3", "app-4"] == [app.app_id for app in of_other]

    def test_explicit_app_of_another_shard(self, tmp_path: Path) -> None:
        """It is not read a second time by a shard that does not own it."""
        for index in range(4):
            config = loaded(tmp_path, TWO, shard=f"{index}/4").with_found(lists("other"))
            names = [app.app.name for app in config.apps if app.app.app_id == "app-1"]
            assert names in ([], ["explicit"])

    def test_duplicate_names(self, tmp_path: Path) -> None:
        """Names that several apps have are followed by the id, also beside an explicit app."""
        apps = (ListedApp("a", "x"), ListedApp("b", "x"), ListedApp("c", "explicit"))
        config = loaded(tmp_path, TWO.replace("prod-.*|app-1", ".*")).with_found(
            lists("acme", apps=apps)
        )
        assert ["explicit", "x (a)", "x (b)", "explicit (c)"] == [
            app.app.name for app in config.apps
        ]

    @given(
        st.lists(
            st.builds(
                ListedApp,
                st.text("ab", min_size=1, max_size=2),
                st.text("ab ()/'", min_size=1, max_size=8),
            ),
            unique_by=lambda listed: listed.app_id,
        )
    )
    def test_unique(self, apps: list[ListedApp]) -> None:
        """Whatever the apps are called, each has a name of its own."""
        entries = (
            AccountConfig(
                account=Account(name, name),
                token=FixedToken(Secret("simulated")),
                budget=1,
                budget_group=None,
                app_values={},
                name=None,
                include=None,
                exclude=None,
            )
            for name in ("a", "b")
        )
        known = [App("a", "c", "d")]
        found = [*found_apps(entries, lists("a", "b", apps=tuple(apps)), known)]
        names = [app.app.name for app in found]
        assert len({*names, "a"}) == len(names) + 1 == 2 * len(apps) + 1
