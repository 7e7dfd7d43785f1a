"""
Build Prometheus 3 and Alertmanager for the tests: `make prometheus3`.

Debian has older versions only, and no other registry has the newer programs. The Go modules in
tests/prometheus3 lock their source.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tempfile
import time

from pathlib import Path


ROOT = Path(__file__).parents[1]
# Two modules, because the programs need different versions of the same libraries.
PROMETHEUS, ALERTMANAGER = (
    ROOT / "tests/prometheus3" / name for name in ("prometheus", "alertmanager")
)
_CACHE = ROOT / ".cache/prometheus3"
# Files are the only service discovery that the tests need. The others would double the time.
_TAGS = "remove_all_sd,netgo"


def programs() -> Path:
    """Return the folder of the programs. Other versions have another folder."""
    locked = (
        module / name for module in (PROMETHEUS, ALERTMANAGER) for name in ("go.mod", "go.sum")
    )
    return _CACHE / hashlib.sha256(b"".join(file.read_bytes() for file in locked)).hexdigest()[:16]


def build(go: str) -> None:
    """Build the programs with the command *go*, unless they exist."""
    folder = programs()
    if folder.exists():
        return
    started_at = time.monotonic()
    shutil.rmtree(_CACHE, ignore_errors=True)
    _CACHE.mkdir(parents=True)
    with tempfile.TemporaryDirectory(dir=_CACHE) as temporary:
        built = Path(temporary) / "programs"
        _build_tools(go, PROMETHEUS, built)
        _build_tools(go, _with_pages(go, Path(temporary)), built)
        built.rename(folder)
    names = ", ".join(sorted(path.name for path in folder.iterdir()))
    print(f"built {names} in {time.monotonic() - started_at:.0f} s: {folder.relative_to(ROOT)}")


def _build_tools(go: str, module: Path, built: Path) -> None:
    """Build the tools that go.mod lists."""
    options = ("-trimpath", "-ldflags=-s -w", f"-tags={_TAGS}")
    _run(module, go, "build", *options, "-o", f"{built}/", "tool")


def _with_pages(go: str, temporary: Path) -> Path:
    """
    Return a copy of the module whose Alertmanager has a placeholder for its pages.

    Alertmanager embeds pages that its release builds with Node.js and that its Go module lacks. The
    tests use the API only. Go refuses to overlay files in its cache, so this needs a copy.
    """
    name = "github.com/prometheus/alertmanager"
    downloaded = json.loads(_run(ALERTMANAGER, go, "mod", "download", "-json", name))
    copied, module = temporary / "alertmanager", temporary / "module"
    shutil.copytree(ALERTMANAGER, module)
    shutil.copytree(downloaded["Dir"], copied, copy_function=shutil.copyfile)
    # The folders in Go's cache are read-only.
    for folder in (copied, *copied.rglob("*/")):
        folder.chmod(0o755)
    pages = copied / "ui/app/dist"
    pages.mkdir()
    (pages / "index.html").write_text("This build has no pages.\n")
    _run(module, go, "mod", "edit", f"-replace={name}={copied}")
    return module


def _run(module: Path, *command: str) -> str:
    """Run Go in a module and return its output."""
    return subprocess.run(command, cwd=module, stdout=subprocess.PIPE, text=True, check=True).stdout


if __name__ == "__main__":
    path = shutil.which(sys.argv[1])
    if not path:
        sys.exit(f"{sys.argv[1]} is not installed; Prometheus 3 needs Go 1.26.7 or newer")
    try:
        build(path)
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error}; Prometheus 3 needs Go 1.26.7 or newer")
