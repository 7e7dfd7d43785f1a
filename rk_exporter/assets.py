"""What is shipped beside the program: dashboards, rules, configuration examples, the runbook."""

import re

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import yaml


DEFAULT_JOB = "rk-exporter"
RULES = PurePosixPath("rules/rk-exporter.rules.yml")
PROMETHEUS_EXAMPLE = PurePosixPath("examples/prometheus.yml")
ALERTMANAGER_EXAMPLE = PurePosixPath("examples/alertmanager.yml")

_PACKAGE = Path(__file__).parent
# pyproject.toml lets a wheel have them in a folder of the package; a checkout has its own.
_IN_WHEEL = _PACKAGE / "assets"
_CHECKOUT = _PACKAGE.parent

# The folder that is written, the one in the checkout, and what of it.
_FOLDERS = (
    ("dashboards", "dashboards", "*.json"),
    ("rules", "dashboards/rules", "**/*.yml"),
    ("examples", "dashboards/examples", "**/*.yml"),
    ("docs", "docs", "how-to/runbook.md"),
)

_RUNBOOK = "docs/how-to/runbook.md"
# All that follows stands inside of quotes, or alone in a line, in PromQL, YAML and templates.
_JOB_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,127}")
_URL_PATTERN = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?@!$&()*+,;=%\[\]-]*")


class AssetsMissing(Exception):
    """The program was installed without what should be shipped with it."""


class FilesDiffer(Exception):
    """Files that would be overwritten have other content: *paths*."""

    def __init__(self, paths: Sequence[Path]) -> None:
        super().__init__(", ".join(str(each) for each in paths))
        self.paths = tuple(paths)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file: where it lies in the folder that assets are written to, and what it says."""

    path: PurePosixPath
    text: str


def shipped() -> tuple[Asset, ...]:
    """
    Return all assets of the installed version, or of the checkout that it runs from.

    Raises AssetsMissing.
    """
    found = tuple(_found())
    missing = {RULES, PROMETHEUS_EXAMPLE, ALERTMANAGER_EXAMPLE} - {each.path for each in found}
    if missing:
        listed = ", ".join(sorted(str(each) for each in missing))
        raise AssetsMissing(f"this installation lacks {listed}; install the wheel again")
    return found


def _found() -> Iterator[Asset]:
    for written, in_checkout, pattern in _FOLDERS:
        folder = _IN_WHEEL / written if _IN_WHEEL.is_dir() else _CHECKOUT / in_checkout
        for path in sorted(folder.glob(pattern)):
            name = PurePosixPath(written, *path.relative_to(folder).parts)
            yield Asset(name, path.read_text(encoding="utf-8"))


def parse_job(text: str) -> str:
    """Return a job's name that is safe in PromQL and in YAML."""
    if not _JOB_PATTERN.fullmatch(text) or yaml.safe_load(text) != text:
        raise ValueError(
            f"{text[:40]!r} is no job name like {DEFAULT_JOB} or monitoring/{DEFAULT_JOB}: a "
            "letter or _, then letters, digits and any of _ . / -; and nothing like true or null"
        )
    return text


def parse_runbook_url(text: str) -> str:
    """Return the URL of a page, to which the name of a section can be appended."""
    if not _URL_PATTERN.fullmatch(text):
        raise ValueError(
            f"{text[:80]!r} is no URL like https://wiki.example.org/runbook (with http or https, "
            "and without a fragment)"
        )
    return text


def adapted(
    assets: Sequence[Asset], *, job: str = DEFAULT_JOB, runbook_url: str = _RUNBOOK
) -> tuple[Asset, ...]:
    """Return the assets for an exporter that Prometheus knows by another job name."""
    return tuple(replace(each, text=_adapted(each.text, job, runbook_url)) for each in assets)


def _adapted(text: str, job: str, runbook_url: str) -> str:
    for before, after in (
        (f'job="{DEFAULT_JOB}"', f'job="{job}"'),
        (f"var-job={DEFAULT_JOB}", f"var-job={job}"),
        (f"runbook_url: {_RUNBOOK}#", f"runbook_url: {runbook_url}#"),
    ):
        text = text.replace(before, after)
    return re.sub(rf"(?m)\b(job(?:_name)?: ){re.escape(DEFAULT_JOB)}$", rf"\g<1>{job}", text)


def write(assets: Sequence[Asset], folder: Path, *, overwrite: bool = False) -> list[Path]:
    """
    Write the assets below *folder*, and return the paths of those that were not there already.

    Raises FilesDiffer, in which case nothing is written, and OSError.
    """
    wanted = {folder / each.path: each.text.encode() for each in assets}
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
