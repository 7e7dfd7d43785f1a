"""The files that `rk-exporter assets` writes."""

import re
import shutil
import subprocess
import sys
import tomllib

from pathlib import Path
from urllib.parse import unquote

import pytest
import yaml

from click.testing import Result

from tests.support.processes import invoke
from tests.support.programs import in_one_version


RULES = "rules/rk-exporter.rules.yml"
OTHER_JOB = "monitoring/recordings-1.eu"
RUNBOOK_URL = "https://wiki.example.org/runbooks/rk-exporter?lang=en"
# `job="…"` in PromQL, in YAML and in JSON; `job_name: …`.
DEFAULT_JOB_NAMED = re.compile(r'\bjob(?:_name)?\s*[=:!~]+\s*\\?["\']?rk-exporter(?![\w-])')


def assets(folder: Path, *options: str) -> Result:
    return invoke("assets", str(folder), *options, environment={})


def contents(folder: Path) -> dict[str, str]:
    """Return the text of each file below a folder, by its path in the folder."""
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def in_checkout(root: Path) -> dict[str, Path]:
    """Return the path of each file to write, and the project's path of its original."""
    found = {"docs/how-to/runbook.md": root / "docs/how-to/runbook.md"}
    for path in (root / "dashboards").rglob("*"):
        is_source = path.suffix in {".py", ".pyc"} or {"mixin", "grafana.com"} & {*path.parts}
        if path.is_file() and not is_source:
            name = str(path.relative_to(root / "dashboards"))
            found[f"dashboards/{name}" if path.suffix == ".json" else name] = path
    return found


def force_included(root: Path) -> dict[str, str]:
    """Return the target in a wheel of each file outside the package."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    targets: dict[str, str] = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    return targets


def run_copy(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the copy of the package in *folder*."""
    return subprocess.run(
        [sys.executable, "-m", "rk_exporter", *arguments],
        cwd=folder,
        env={},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def package_copy(root: Path, tmp_path: Path) -> Path:
    """Copy the package without its assets."""
    folder = tmp_path / "site-packages"
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(root / "rk_exporter", folder / "rk_exporter", ignore=ignored)
    return folder


class TestWriting:
    def test_all_files(self, root: Path, tmp_path: Path) -> None:
        """Dashboards, rules, examples and runbook are the files of the project."""
        result = assets(tmp_path / "new/folder")
        assert 0 == result.exit_code
        wanted = {name: path.read_text() for name, path in in_checkout(root).items()}
        assert wanted == contents(tmp_path / "new/folder")
        assert RULES in wanted
        assert any(name.endswith(".json") for name in wanted)

    def test_output(self, tmp_path: Path) -> None:
        """Standard output lists the files, and standard error says how to use them."""
        result = assets(tmp_path)
        written = {str(tmp_path / name) for name in contents(tmp_path)}
        assert written == set(result.stdout.splitlines())
        assert f"add {tmp_path / RULES}\n  to rule_files" in result.stderr
        assert "Grafana: import" in result.stderr

    @pytest.mark.parametrize("folder", ["", " "])
    def test_no_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
        """An empty name, e.g. of a variable that is not set, is an error; nothing is written."""
        monkeypatch.chdir(tmp_path)
        result = invoke("assets", folder, environment={})
        assert result.exit_code == 2
        assert "'DIR': the name of the folder is empty" in result.output
        assert not contents(tmp_path)

    def test_wheel(self, root: Path, tmp_path: Path, package_copy: Path) -> None:
        """A wheel, as pyproject.toml defines it, writes the same files."""
        for source, target in force_included(root).items():
            path = package_copy / target
            path.parent.mkdir(parents=True, exist_ok=True)
            copied = shutil.copytree if (root / source).is_dir() else shutil.copy
            copied(root / source, path)
        result = run_copy(package_copy, "assets", str(tmp_path / "out"))
        assert 0 == result.returncode, result.stderr
        wanted = {name: path.read_text() for name, path in in_checkout(root).items()}
        assert wanted == contents(tmp_path / "out")

    def test_installation_without_assets(self, tmp_path: Path, package_copy: Path) -> None:
        """A package without assets is an error, and nothing is written."""
        result = run_copy(package_copy, "assets", str(tmp_path / "out"))
        assert 1 == result.returncode
        assert result.stderr.startswith("Error: files are missing from this installation: ")
        assert RULES in result.stderr
        assert not (tmp_path / "out").exists()


class TestAdapting:
    def test_other_job(self, tmp_path: Path, promtool: str) -> None:
        """Another job name replaces the default everywhere, and Prometheus accepts the files."""
        assert 0 == assets(tmp_path / "usual").exit_code
        assert 0 == assets(tmp_path / "other", "--job", OTHER_JOB).exit_code
        usual, other = contents(tmp_path / "usual"), contents(tmp_path / "other")
        named = {name: len(DEFAULT_JOB_NAMED.findall(text)) for name, text in usual.items()}
        assert named[RULES] > 0
        assert 1 == named["examples/prometheus.yml"]
        for name, text in other.items():
            assert not DEFAULT_JOB_NAMED.search(text), name
            assert named[name] == unquote(text).count(OTHER_JOB), name
        example = yaml.safe_load(other["examples/prometheus.yml"])
        assert [OTHER_JOB] == [job["job_name"] for job in example["scrape_configs"]]
        for kind, file in (("rules", RULES), ("config", "examples/prometheus.yml")):
            checked = subprocess.run(
                [promtool, "check", kind, tmp_path / "other" / file],
                capture_output=True,
                text=True,
                check=False,
            )
            assert 0 == checked.returncode, checked.stderr

    @in_one_version
    def test_rule_cases_of_another_job(self, tmp_path: Path, promtool: str) -> None:
        """The rule cases that users get pass for another job and another runbook as well."""
        assert 0 == assets(tmp_path, "--job", OTHER_JOB, "--runbook-url", RUNBOOK_URL).exit_code
        cases = [
            tmp_path / f"rules/tests/{name}.yml"
            for name in ("notifications", "RealtimeKitExporterDown")
        ]
        tested = subprocess.run(
            [promtool, "test", "rules", *cases], capture_output=True, text=True, check=False
        )
        assert 0 == tested.returncode, tested.stdout + tested.stderr

    @pytest.mark.parametrize(
        "name",
        [
            *("", " ", "a b", 'a"b', "a'b", "a\\b", "a\nb", "a: b", "a #b", "{{x}}", "-a", "ä"),
            *("1", "true", "No", "null", "a" * 129),
        ],
    )
    def test_invalid_jobs(self, tmp_path: Path, name: str) -> None:
        """A name that YAML or PromQL would misread is an error, and nothing is written."""
        result = assets(tmp_path / "out", "--job", name)
        assert 2 == result.exit_code
        assert "'--job'" in result.output
        assert "invalid job name" in " ".join(result.output.split())
        assert not (tmp_path / "out").exists()

    def test_other_runbook(self, tmp_path: Path) -> None:
        """Alerts link to their sections of the published runbook."""
        assert 0 == assets(tmp_path / "usual").exit_code
        assert 0 == assets(tmp_path / "other", "--runbook-url", RUNBOOK_URL).exit_code
        usual, other = (
            [
                rule["annotations"]["runbook_url"]
                for group in yaml.safe_load((tmp_path / folder / RULES).read_text())["groups"]
                for rule in group["rules"]
                if "alert" in rule
            ]
            for folder in ("usual", "other")
        )
        assert usual
        assert [url.replace("docs/how-to/runbook.md", RUNBOOK_URL) for url in usual] == other
        assert all(url.startswith(f"{RUNBOOK_URL}#realtimekit") for url in other)

    @pytest.mark.parametrize(
        "url",
        [
            *(
                "",
                "docs/how-to/runbook.md",
                "ftp://x/y",
                "https://",
                "https://x/y#z",
                "https://x/ y",
            ),
            *("https://x/{{y}}", 'https://x/"y'),
        ],
    )
    def test_invalid_runbooks(self, tmp_path: Path, url: str) -> None:
        """A URL to which no fragment can be appended is an error."""
        result = assets(tmp_path / "out", "--runbook-url", url)
        assert 2 == result.exit_code
        assert "'--runbook-url'" in result.output
        assert "invalid URL" in " ".join(result.output.split())
        assert not (tmp_path / "out").exists()


class TestExistingFiles:
    def test_same_content(self, tmp_path: Path) -> None:
        """Files with the same content are not written again."""
        assets(tmp_path)
        times = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
        result = assets(tmp_path)
        assert (0, "") == (result.exit_code, result.stdout)
        assert "All files are up to date." in result.stderr
        assert times == {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}

    def test_other_content(self, tmp_path: Path) -> None:
        """Files with other content are listed, and nothing is written."""
        own_files = {RULES: "groups: []\n", "examples/prometheus.yml": "global: {}\n"}
        for name, text in own_files.items():
            (tmp_path / name).parent.mkdir()
            (tmp_path / name).write_text(text)
        result = assets(tmp_path)
        assert 1 == result.exit_code
        assert "--overwrite" in result.stderr
        listed = {line.strip() for line in result.stderr.splitlines()[1:]}
        assert {str(tmp_path / name) for name in own_files} == listed
        assert own_files == contents(tmp_path)

    def test_overwriting(self, root: Path, tmp_path: Path) -> None:
        """With --overwrite they are replaced, and only their paths are shown."""
        assets(tmp_path)
        (tmp_path / RULES).write_text("groups: []\n")
        result = assets(tmp_path, "--overwrite")
        assert (0, [str(tmp_path / RULES)]) == (result.exit_code, result.stdout.splitlines())
        assert in_checkout(root)[RULES].read_text() == (tmp_path / RULES).read_text()

    @pytest.mark.parametrize("taken", ["", "rules"])
    def test_file_instead_of_folder(self, tmp_path: Path, taken: str) -> None:
        """A file that cannot be written is an error of one line with the reason."""
        (tmp_path / "out" / taken).parent.mkdir(exist_ok=True)
        (tmp_path / "out" / taken).write_text("a file\n")
        result = assets(tmp_path / "out")
        assert (1, 1) == (result.exit_code, len(result.stderr.splitlines()))
        assert result.stderr.startswith(f"Error: cannot write {tmp_path / 'out' / taken}")
        assert "Not a directory" in result.stderr

    def test_folder_instead_of_file(self, tmp_path: Path) -> None:
        """A folder cannot be overwritten."""
        (tmp_path / RULES).mkdir(parents=True)
        result = assets(tmp_path, "--overwrite")
        assert 1 == result.exit_code
        assert f"Error: cannot write {tmp_path / RULES}: Is a directory\n" == result.stderr
