"""The files that come with the program: dashboards, rules, example configurations, the runbook."""

import re

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from urllib.parse import quote_plus

import yaml


DEFAULT_JOB = "rk-exporter"
RULES = PurePosixPath("rules/rk-exporter.rules.yml")
PROMETHEUS_EXAMPLE = PurePosixPath("examples/prometheus.yml")
ALERTMANAGER_EXAMPLE = PurePosixPath("examples/alertmanager.yml")
_PACKAGE = Path(__file__).parent
# A wheel has them inside the package (see pyproject.toml), a checkout in its own folders.
_IN_WHEEL = _PACKAGE / "assets"
_CHECKOUT = _PACKAGE.parent

# The folder to write, the folder in the checkout, and the pattern of its files.
_FOLDERS = (
    ("dashboards", "dashboards", "*.json"),
    ("rules", "dashboards/rules", "**/*.yml"),
    ("examples", "dashboards/examples", "**/*.yml"),
    ("docs", "docs", "how-to/runbook.md"),
)

_RUNBOOK = "docs/how-to/runbook.md"
# These values must be safe in quotes and as a whole line, in PromQL, YAML and templates.
_JOB_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,127}")
_URL_PATTERN = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?@!$&()*+,;=%\[\]-]*")


class AssetsMissing(Exception):
    """The installation lacks files that should come with the program."""


class FilesDiffer(Exception):
    """The files at *paths* exist with other content."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(", ".join(map(str, paths)))
        self.paths = tuple(paths)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file with its path in the output folder and its text."""

    path: PurePosixPath
    text: str


def shipped() -> tuple[Asset, ...]:
    """
    Return all assets of the installed version or of the checkout.

    Raises AssetsMissing.
    """
    found = tuple(_found())
    missing = {RULES, PROMETHEUS_EXAMPLE, ALERTMANAGER_EXAMPLE} - {asset.path for asset in found}
    if missing:
        names = ", ".join(sorted(map(str, missing)))
        raise AssetsMissing(f"files are missing from this installation: {names}; reinstall it")
    return found


def _found() -> Iterator[Asset]:
    for written, in_checkout, pattern in _FOLDERS:
        folder = _IN_WHEEL / written if _IN_WHEEL.is_dir() else _CHECKOUT / in_checkout
        for path in sorted(folder.glob(pattern)):
            name = PurePosixPath(written, *path.relative_to(folder).parts)
            yield Asset(name, path.read_text(encoding="utf-8"))


def parse_job(text: str) -> str:
    """Return a job name that is safe in PromQL and in YAML."""
    if not _JOB_PATTERN.fullmatch(text) or yaml.safe_load(text) != text:
        raise ValueError(
            f"invalid job name {text[:40]!r}: it must start with a letter or _, contain only "
            f"letters, digits and _ . / - and not be a YAML word like true, e.g. {DEFAULT_JOB}"
        )
    return text


def parse_runbook_url(text: str) -> str:
    """Return the URL of a page that accepts a fragment."""
    if not _URL_PATTERN.fullmatch(text):
        raise ValueError(
            f"invalid URL {text[:80]!r}: it must start with http:// or https:// and have no "
            "fragment, e.g. https://wiki.example.org/runbook"
        )
    return text


def adapted(
    assets: Sequence[Asset], *, job: str = DEFAULT_JOB, runbook_url: str = _RUNBOOK
) -> tuple[Asset, ...]:
    """Return the assets with another job name and another address of the runbook."""
    return tuple(replace(asset, text=_adapted(asset.text, job, runbook_url)) for asset in assets)


def _adapted(text: str, job: str, runbook_url: str) -> str:
    for before, after in (
        (f'job="{DEFAULT_JOB}"', f'job="{job}"'),
        (f"var-job={DEFAULT_JOB}", f"var-job={quote_plus(job)}"),
        (f"runbook_url: {_RUNBOOK}#", f"runbook_url: {runbook_url}#"),
    ):
        text = text.replace(before, after)
    return re.sub(rf"(?m)\b(job(?:_name)?: ){re.escape(DEFAULT_JOB)}$", rf"\g<1>{job}", text)


def write(assets: Sequence[Asset], folder: Path, *, overwrite: bool = False) -> list[Path]:
    """
    Write the assets into a folder and return the paths that changed.

    Raises FilesDiffer before anything is written, and OSError.
    """
    wanted = {folder / asset.path: asset.text.encode() for asset in assets}
    changing = [path for path, content in wanted.items() if _content(path) != content]
    differing = [path for path in changing if path.exists()]
    if differing and not overwrite:
        raise FilesDiffer(differing)
    for path in changing:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(wanted[path])
    return changing


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
