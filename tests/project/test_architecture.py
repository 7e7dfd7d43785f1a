"""The rules for the package's structure that import-linter and ruff cannot check."""

import ast

from collections.abc import Iterator
from pathlib import Path

import pytest

from rk_exporter import __version__


PACKAGE = Path(__file__).parents[2] / "rk_exporter"
BROAD = {"Exception", "BaseException"}


def broad_catches(source: str) -> Iterator[str]:
    """Return what *source* catches or suppresses that is broader than one error."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.ExceptHandler(type=None):
                yield "bare"
            case ast.ExceptHandler(type=ast.expr() as caught):
                yield from names_in(caught)
            case ast.Call(func=ast.Name(id="suppress") | ast.Attribute(attr="suppress")):
                for argument in node.args:
                    yield from names_in(argument)


def names_in(expression: ast.expr) -> Iterator[str]:
    for node in ast.walk(expression):
        name = getattr(node, "id", None) or getattr(node, "attr", None)
        if name in BROAD:
            yield str(name)


@pytest.mark.parametrize(
    "handler",
    [
        "except Exception:",
        "except (ValueError, Exception):",
        "except (Exception,):",
        "except BaseException as error:",
        "except builtins.Exception:",
        "except:",
    ],
)
def test_broad_handlers_are_found(handler: str) -> None:
    """The check sees each way to write a broad `except`."""
    assert list(broad_catches(f"try:\n    pass\n{handler}\n    pass"))


@pytest.mark.parametrize("call", ["suppress(Exception)", "contextlib.suppress(OSError, Exception)"])
def test_broad_suppression_is_found(call: str) -> None:
    """The check sees `suppress` as well."""
    assert list(broad_catches(f"with {call}:\n    pass"))


def test_broad_catches() -> None:
    """Only boundaries of an app, a check, a request and a reload catch all; others pass it on."""
    broad = {
        f"{path.relative_to(PACKAGE)}:{name}"
        for path in PACKAGE.rglob("*.py")
        for name in broad_catches(path.read_text())
    }
    assert {
        "api/connection.py:BaseException",
        "cli/commands.py:Exception",
        "collector/error_boundary.py:Exception",
        "downloads/check_queue.py:Exception",
        "exporter/reloader.py:Exception",
        "runtime/daemon_executor.py:BaseException",
        "web/application.py:Exception",
    } == broad


def test_top_level() -> None:
    """A reader sees the whole package at a glance: 20 entries at most."""
    entries = {
        path.name
        for path in PACKAGE.iterdir()
        if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    assert 20 >= len(entries), sorted(entries)


def test_the_version_is_in_the_changelog(root: Path) -> None:
    """The changelog has an entry for the current version."""
    assert f"\n## {__version__} - " in (root / "CHANGELOG.md").read_text()
