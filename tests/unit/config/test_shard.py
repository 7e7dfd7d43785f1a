"""The option `shard`."""

from pathlib import Path

import pytest

from rk_exporter.config.config import Config
from rk_exporter.config.loader import load
from rk_exporter.config.shard import parse_shard
from rk_exporter.config.sources import ConfigError, Setting
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.model.shard import Shard


APPS = "".join(
    f"  - {{app_id: app-{number}, meetings: {{discover: true}}}}\n" for number in range(20)
)
FILE = f"account_id: account\napps:\n{APPS}"


def loaded(folder: Path, shard: str | None, text: str = FILE) -> Config:
    """Return the configuration of one shard."""
    path = folder / "rk.yml"
    path.write_text(text)
    settings = {} if shard is None else {"shard": Setting(shard, "--shard")}
    return load(path, settings, {TOKEN_VARIABLE: "simulated"})


@pytest.mark.parametrize(
    ("text", "host_name", "expected"),
    [
        ("0/1", "", Shard(0, 1)),
        ("2/3", "", Shard(2, 3)),
        ("99/100", "", Shard(99, 100)),
        ("auto/3", "rk-exporter-2", Shard(2, 3)),
        ("auto/12", "rk-exporter-11.rk-exporter.monitoring.svc.cluster.local", Shard(11, 12)),
        ("auto/3", "0", Shard(0, 3)),
    ],
)
def test_valid(text: str, host_name: str, expected: Shard) -> None:
    """A shard is a number and a count; `auto` takes the number of a StatefulSet's pod."""
    assert expected == parse_shard(text, host_name=host_name)


@pytest.mark.parametrize(
    ("text", "host_name", "message"),
    [
        ("3/3", "", "the shard must be from 0 to 2, because there are 3 shards; the first is 0"),
        ("0/0", "", "there must be 1 to 100 shards"),
        ("0/101", "", "there must be 1 to 100 shards"),
        ("1", "", "invalid shard '1'; write e.g. 0/3"),
        ("-1/3", "", "invalid shard '-1/3'"),
        ("0/3/4", "", "invalid shard"),
        ("\u0661/3", "", "invalid shard"),
        ("0" * 5000 + "/3", "", "invalid shard"),
        ("auto/3", "laptop", "the host's name 'laptop' does not end with a number"),
        ("auto/3", "rk-exporter-7f9c", "does not end with a number"),
        ("auto/3", "", "does not end with a number"),
        ("auto/3", "rk-3", "the number at the end of the host's name 'rk-3' must be from 0 to 2"),
        ("auto/3", "rk-" + "9" * 5000, "does not end with a number"),
    ],
)
def test_invalid(text: str, host_name: str, message: str) -> None:
    """A mistake is named together with the remedy."""
    with pytest.raises(ValueError, match=r"shard|host") as caught:
        parse_shard(text, host_name=host_name)
    assert message in str(caught.value)


def test_apps(tmp_path: Path) -> None:
    """Three shards read all apps of the file, each app once, with a third of the budget each."""
    configs = [loaded(tmp_path, f"{index}/3") for index in range(3)]
    names = [app.app.name for config in configs for app in config.apps]
    assert sorted(names) == sorted(app.app.name for app in loaded(tmp_path, None).apps)
    assert all(config.apps for config in configs)
    assert {200} == {app.budget for config in configs for app in config.apps}


def test_small_budget(tmp_path: Path) -> None:
    """A budget of which each shard gets less than a call is a mistake of the configuration."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "0/3", f"api: {{budget: 2}}\n{FILE}")
    message = "--shard: a budget of 2 calls is too small for 3 shards; raise it"
    assert message == str(caught.value)


def test_mistakes_of_other_shards(tmp_path: Path) -> None:
    """Each shard checks the whole file, so that all accept it or none."""
    text = FILE + "  - {app_id: app-20, budget: 0, meetings: {discover: true}}\n"
    for index in range(3):
        with pytest.raises(ConfigError, match="budget"):
            loaded(tmp_path, f"{index}/3", text)


def test_no_app(tmp_path: Path) -> None:
    """A shard may have no app, because a later configuration may give it one."""
    text = "account_id: account\napp_id: app-0\nmeetings: {discover: true}\n"
    assert [1, 0, 0] == [len(loaded(tmp_path, f"{index}/3", text).apps) for index in range(3)]
