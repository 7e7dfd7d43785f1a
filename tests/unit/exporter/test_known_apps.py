"""The apps of accounts that are known before their first lists."""

from pathlib import Path

from rk_exporter.config.loader import load
from rk_exporter.config.tokens import TOKEN_VARIABLE
from rk_exporter.exporter.known_apps import known_lists
from rk_exporter.model.account import AccountApps, ListedApp
from rk_exporter.model.meeting import App


UPPER, LOWER = (
    "2A95132C-1573-2412-A221-6FD0A01E0000",
    "2a95132c-1573-2412-a221-6fd0a01e0000",
)
CONFIGURATION = """
accounts:
  - {account_id: acme, apps: {exclude: ".*-test"}}
  - {account_id: listed}
apps:
  - {name: own, account_id: acme, app_id: own, meetings: {discover: true}}
"""


def test_known_lists(tmp_path: Path) -> None:
    """A list decides; before it, an account has its apps that it wants and that are not named."""
    file = tmp_path / "rk.yml"
    file.write_text(CONFIGURATION)
    config = load(file, {}, {TOKEN_VARIABLE: "simulated"})
    apps = [
        App("first", "acme", UPPER),
        App("second", "acme", LOWER),
        App("b", "acme", "b"),
        App("my-test", "acme", "test"),
        App("named", "acme", "own"),
        App("x", "another", "x"),
        App("y", "listed", "y"),
    ]
    listed, removed = AccountApps("listed", (), 1.0), AccountApps("removed", (), 1.0)
    known = AccountApps("acme", (ListedApp(LOWER, "first"), ListedApp("b", "b")), None)
    lists = {"listed": listed, "removed": removed}
    assert {"acme": known, "listed": listed} == known_lists(config, lists, apps)
