"""The files that come with the program, and how they are written to a folder."""

from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath


RULES = PurePosixPath("rules/rk-exporter.rules.yml")
SERVICE_LEVEL_RULES = PurePosixPath("rules/rk-exporter-service-levels.rules.yml")
"""Optional: objectives, cost, and recordings that nobody stops. It needs the other file."""
PROMETHEUS_EXAMPLE = PurePosixPath("examples/prometheus.yml")
ALERTMANAGER_EXAMPLE = PurePosixPath("examples/alertmanager.yml")
TEMPLATES = PurePosixPath("mixin/templates")
_PACKAGE = Path(__file__).parent
_CHECKOUT = _PACKAGE.parents[1]
# A wheel has them inside the package (see pyproject.toml), a checkout in its own folders.
_IS_WHEEL = (_PACKAGE / "mixin").is_dir()

# The folder in the package, the folder in the checkout, and the pattern of its files.
_FOLDERS = (
    ("mixin", "dashboards/mixin", "**/*.*"),
    ("rules/tests", "dashboards/rules/tests", "*.yml"),
    ("examples", "dashboards/examples", "**/*.yml"),
    ("docs", "docs", "how-to/runbook.md"),
)
_NEEDED = {
    TEMPLATES / RULES,
    TEMPLATES / SERVICE_LEVEL_RULES,
    PROMETHEUS_EXAMPLE,
    ALERTMANAGER_EXAMPLE,
}


class AssetsError(Exception):
    """Assets are missing from the installation, or would overwrite files with other content."""


def shipped() -> dict[PurePosixPath, str]:
    """
    Return the text of each file of the installed version or of the checkout, by its path.

    Raises AssetsError.
    """
    texts = dict(_read())
    if missing := _NEEDED - texts.keys():
        names = ", ".join(sorted(map(str, missing)))
        raise AssetsError(f"files are missing from this installation: {names}; reinstall it")
    return texts


def templates_of_rules(texts: Mapping[PurePosixPath, str]) -> list[str]:
    """Return the templates of all rules among the shipped texts."""
    return [texts[TEMPLATES / path] for path in (RULES, SERVICE_LEVEL_RULES)]


def _read() -> Iterator[tuple[PurePosixPath, str]]:
    for name, in_checkout, pattern in _FOLDERS:
        folder = _PACKAGE / name if _IS_WHEEL else _CHECKOUT / in_checkout
        for path in sorted(folder.glob(pattern)):
            parts = path.relative_to(folder).parts
            yield PurePosixPath(name, *parts), path.read_text(encoding="utf-8")


def write(texts: Mapping[PurePosixPath, str], folder: Path, *, overwrite: bool) -> list[Path]:
    """
    Write each text to its path in a folder and return the paths that changed.

    Raises OSError, and AssetsError before anything is written.
    """
    wanted = {folder / path: text.encode() for path, text in texts.items()}
    changing = [path for path, content in wanted.items() if _content(path) != content]
    differing = "".join(f"\n  {path}" for path in changing if path.exists())
    if differing and not overwrite:
        raise AssetsError(
            f"these files have other content; replace them with --overwrite:{differing}"
        )
    for path in changing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    return changing


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
