"""The files that come with the program: dashboards, rules, example configurations, the runbook."""

import re

from collections.abc import Mapping
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


class AssetsError(Exception):
    """Assets are missing from the installation, or would overwrite files with other content."""


def shipped() -> dict[PurePosixPath, str]:
    """
    Return the text of each asset of the installed version or of the checkout, by its path.

    Raises AssetsError.
    """
    texts = {}
    for written, in_checkout, pattern in _FOLDERS:
        folder = _IN_WHEEL / written if _IN_WHEEL.is_dir() else _CHECKOUT / in_checkout
        for path in sorted(folder.glob(pattern)):
            name = PurePosixPath(written, *path.relative_to(folder).parts)
            texts[name] = path.read_text(encoding="utf-8")
    missing = {RULES, PROMETHEUS_EXAMPLE, ALERTMANAGER_EXAMPLE} - texts.keys()
    if missing:
        names = ", ".join(sorted(map(str, missing)))
        raise AssetsError(f"files are missing from this installation: {names}; reinstall it")
    return texts


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


def adapted(text: str, *, job: str, runbook_url: str | None) -> str:
    """Return an asset's text with another job name and perhaps another address of the runbook."""
    text = (
        text.replace(f'job="{DEFAULT_JOB}"', f'job="{job}"')
        .replace(f"var-job={DEFAULT_JOB}", f"var-job={quote_plus(job)}")
        .replace(f"runbook_url: {_RUNBOOK}#", f"runbook_url: {runbook_url or _RUNBOOK}#")
    )
    return re.sub(rf"(?m)\b(job(?:_name)?: ){re.escape(DEFAULT_JOB)}$", rf"\g<1>{job}", text)


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
