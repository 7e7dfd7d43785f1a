"""Whole accounts, through the command line."""

import json
import re

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from rk_exporter.simulator import ScriptedScenario, Simulator
from tests.support.building import labelled, value
from tests.support.processes import TOKEN, invoke, listening_lines, started, url_in
from tests.support.serving import served


@pytest.fixture
def simulator() -> Simulator:
    return Simulator(
        ScriptedScenario(meetings=["weekly"]), apps="a=production,b=staging,c=old-test"
    )


@pytest.fixture
def config_file(simulator: Simulator, tmp_path: Path) -> Iterator[str]:
    path = tmp_path / "rk.yml"
    with served(simulator) as api:
        path.write_text(
            f"api: {{base_url: {api}/client/v4}}\nweb: {{listen_address: '127.0.0.1:0'}}\n"
            "accounts: [{account_id: acme, name: Acme, apps: {exclude: '.*-test'}}]\n"
        )
        yield str(path)


def test_serve(config_file: str) -> None:
    """The exporter reads the apps that it finds, and is ready after the first scrape."""
    with started("serve", "--config.file", config_file, environment=TOKEN) as process:
        url = url_in(*listening_lines(process))
        text = httpx.get(f"{url}/metrics").text
        assert ["production", "staging"] == sorted(
            labels["rk_app"] for labels, _ in labelled(text, "rk_up")
        )
        assert 2 == value(text, "rk_account_apps", rk_account="Acme")
        assert 200 == httpx.get(f"{url}/-/ready").status_code
        status = httpx.get(f"{url}/api/v1/status").json()["data"]
        assert 2 == status["apps_total"]


def test_check(config_file: str) -> None:
    """`check` lists the apps of the account and reads them."""
    result = invoke("check", "--config.file", config_file)
    assert 0 == result.exit_code
    first, *others = result.stdout.splitlines()
    assert "Acme: account acme, all apps: ok, 3 apps found, 2 to read" == first
    assert [line.partition(":")[0] for line in others[:2]] == ["production", "staging"]


def test_check_for_scripts(config_file: str) -> None:
    """The JSON report has the account."""
    result = invoke("check", "--config.file", config_file, "--format", "json")
    (account,) = json.loads(result.stdout)["accounts"]
    assert (True, 3, 2, None) == (
        account["ok"],
        account["apps_found"],
        account["apps_read"],
        account["failure"],
    )


def test_check_offline(config_file: str) -> None:
    """Offline, nothing is listed, and the configuration is valid."""
    result = invoke("check", "--offline", "--config.file", config_file)
    assert 0 == result.exit_code
    assert "Acme: account acme, all apps: no API calls made" in result.stdout


def test_check_of_a_rejected_token(config_file: str) -> None:
    """A token that may not list the apps is a failure with its remedy."""
    environment = {**TOKEN, "CLOUDFLARE_API_TOKEN": "forbidden"}
    result = invoke("check", "--config.file", config_file, environment=environment)
    assert 1 == result.exit_code
    assert "all apps: FAILED auth: the API answered 403" in result.stdout
    assert 'give the token the permission "Realtime"' in result.stdout
    assert "apps of 1 account not listed" in result.stdout
    document = invoke(
        *("check", "--config.file", config_file, "--format", "json"), environment=environment
    )
    assert (1, False) == (document.exit_code, json.loads(document.stdout)["ok"])


def test_check_of_an_account_without_wanted_apps(config_file: str) -> None:
    """Expressions that leave out all apps of an account are a failure with its remedy."""
    path = Path(config_file)
    path.write_text(re.sub("exclude: .*?}", "include: nobody}", path.read_text()))
    result = invoke("check", "--config.file", config_file)
    assert 1 == result.exit_code
    first, *_, last = result.stdout.splitlines()
    assert first.endswith(
        "all apps: FAILED 3 apps found, none to read; "
        "correct apps.include and apps.exclude of the account"
    )
    assert "all apps of 1 account left out" in last


def test_scrape(config_file: str) -> None:
    """One pass lists the apps and reads them; its exit code says if that failed."""
    result = invoke("scrape", "--config.file", config_file)
    assert 0 == result.exit_code
    assert 1 == value(result.stdout, "rk_account_up", rk_account="Acme")
    assert 1 == value(result.stdout, "rk_up", rk_app="staging")
    environment = {**TOKEN, "CLOUDFLARE_API_TOKEN": "forbidden"}
    failed = invoke("scrape", "--config.file", config_file, environment=environment)
    assert 1 == failed.exit_code
    assert 0 == value(failed.stdout, "rk_account_up", rk_account="Acme")


def test_state_file(config_file: str, tmp_path: Path) -> None:
    """The state file keeps the apps; one of a version without accounts still works."""
    state = tmp_path / "state"
    arguments = ("scrape", "--config.file", config_file, "--state.file", str(state))
    assert 0 == invoke(*arguments).exit_code
    content = json.loads(state.read_text())
    (account,) = content["accounts"]
    assert ("acme", ["a", "b", "c"]) == (
        account["account_id"],
        [listed["app_id"] for listed in account["apps"]],
    )
    del content["accounts"]
    state.write_text(json.dumps(content))
    assert 1 == value(invoke(*arguments).stdout, "rk_account_up", rk_account="Acme")
