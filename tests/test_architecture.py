"""The structure of the package, held by its own tests."""

import ast

from pathlib import Path

import pytest

from rk_exporter import __version__


PACKAGE = Path(__file__).parent.parent / "rk_exporter"

# Each module may import those in the lines above its own; what shares a line, not each other.
LAYERS = (
    ("rk_exporter", "simulator", "ratelimit", "gate", "hold", "payload_fields", "assets"),
    ("recordings", "budget", "options", "credentials", "documents", "logs", "running", "guarded"),
    ("api_errors", "planning", "tally", "upstream_clock"),
    ("snapshot", "lives", "mode_chooser", "envelopes"),
    ("metric_tables", "exposition", "report", "throttle", "option_errors", "merge", "register"),
    ("metric_families", "payload_shapes", "option_values", "errands"),
    ("recording_metrics", "recording_items"),
    ("metrics", "payloads"),
    ("connection", "meeting_files", "history"),
    ("api", "meetings", "state_file"),
    ("paging", "call_metrics", "given_options"),
    ("listing", "review", "discovery", "app_config"),
    ("meeting_reader", "config"),
    ("app_scraper",),
    ("scrape", "web", "server"),
    ("exporter", "cli_options"),
    ("demo_programs", "cli_assets"),
    ("demo_stack",),
    ("demo",),
    ("cli_simulator",),
    ("cli",),
    ("__main__",),
)
RANKS = {name: rank for rank, names in enumerate(LAYERS) for name in names}


def imported_by(path: Path) -> set[str]:
    """Return our own modules that the file imports, by their first name below the package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "rk_exporter":
                names = {alias.name for alias in node.names}
                found |= {name if name in RANKS else "rk_exporter" for name in names}
            elif node.module.startswith("rk_exporter."):
                found.add(node.module.split(".")[1])
    return found


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_imports_run_one_way(path: Path) -> None:
    """A module imports only modules of lower layers: data below, the command line on top."""
    own = RANKS["rk_exporter" if path.stem == "__init__" else path.stem]
    above = {name for name in imported_by(path) if RANKS[name] >= own}
    assert not above


def test_the_simulator_knows_nothing_of_the_exporter() -> None:
    """The simulated API imports nothing of ours: it cannot share our misunderstandings."""
    for path in (PACKAGE / "simulator").glob("*.py"):
        assert imported_by(path) <= {"simulator"}, path.name


def test_one_module_knows_httpx() -> None:
    """All use of httpx stands in one module, so that another library could take its place."""
    users = [
        path.name
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import) and any(alias.name == "httpx" for alias in node.names)
    ]
    assert ["connection.py"] == users


def test_nothing_prints_or_catches_everything() -> None:
    """There is one broad `except`, where a request ends, and no print."""
    broad = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.ExceptHandler(type=None):
                    broad.append(f"{path.name}:bare")
                case ast.ExceptHandler(type=ast.Name(id="Exception" | "BaseException" as name)):
                    broad.append(f"{path.name}:{name}")
                case ast.Call(func=ast.Name(id="print")):
                    broad.append(f"{path.name}:print")
    # The connection gives way to whatever it is and raises it again.
    assert ["connection.py:BaseException", "web.py:Exception"] == sorted(broad)


def test_the_version_is_in_the_changelog(root: Path) -> None:
    """What is released is described."""
    assert f"\n## {__version__} - " in (root / "CHANGELOG.md").read_text()
