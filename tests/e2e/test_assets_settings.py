"""What `rk-exporter assets` changes in the files, and in which forms it writes them."""

import json
import re
import subprocess

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from click.testing import Result

from tests.support.deploy.kubernetes import problems
from tests.support.monitoring.series import all_series, read_rules
from tests.support.processes import invoke
from tests.support.programs import in_one_version, required_program


RULES = "rules/rk-exporter.rules.yml"
SERVICE_LEVEL_RULES = "rules/rk-exporter-service-levels.rules.yml"
GRAFANA = "https://grafana.example.org/monitoring"
# kubectl keeps the whole resource in an annotation, which Kubernetes limits.
LARGEST_RESOURCE_BYTES = 262_144


def assets(folder: Path, *options: str) -> Result:
    return invoke("assets", str(folder), *options, environment={})


def written(folder: Path, *options: str) -> dict[str, str]:
    """Write the files and return the text of each by its path in the folder."""
    result = assets(folder, *options)
    assert result.exit_code == 0, result.output
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rules_in(text: str) -> list[dict[str, Any]]:
    return [rule for group in yaml.safe_load(text)["groups"] for rule in group["rules"]]


def run(program: str, *arguments: str | Path) -> None:
    done = subprocess.run([program, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def changed_lines(before: str, after: str) -> list[tuple[str, str]]:
    pairs = zip(before.splitlines(), after.splitlines(), strict=True)
    return [(old.strip(), new.strip()) for old, new in pairs if old != new]


@pytest.fixture(scope="module")
def usual(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return written(tmp_path_factory.mktemp("usual"))


class TestSet:
    def test_only_what_is_set(self, tmp_path: Path, usual: dict[str, str]) -> None:
        """A threshold and a severity change in their places, and nothing else does."""
        options = ("recording_paused_seconds=10m", "RealtimeKitRecordingErrored.severity=critical")
        files = written(tmp_path, *(word for option in options for word in ("--set", option)))
        assert changed_lines(usual[RULES], files[RULES]) == [
            ('expr: "1800"', 'expr: "600"'),
            ('severity: "warning"', 'severity: "critical"'),
        ]
        changed = {rule.get("alert", rule.get("record")): rule for rule in rules_in(files[RULES])}
        assert changed["rk:recording_paused_seconds:threshold"]["expr"] == "600"
        assert changed["RealtimeKitRecordingErrored"]["labels"]["severity"] == "critical"
        others = {name for name in files if files[name] != usual[name]} - {RULES}
        assert all(name.startswith("dashboards/") for name in others)

    @in_one_version
    def test_alerts_that_are_off(
        self, tmp_path: Path, usual: dict[str, str], promtool: str
    ) -> None:
        """An alert with the severity `off` is left out."""
        option = "RealtimeKitExporterDown.severity.warning=off"
        files = written(tmp_path, "--set", option, "--set", "RealtimeKitDataStale.severity=off")
        all_rules, kept = rules_in(usual[RULES]), rules_in(files[RULES])
        left_out = [rule for rule in all_rules if rule not in kept]
        assert {rule["alert"] for rule in left_out} == {
            "RealtimeKitExporterDown",
            "RealtimeKitDataStale",
        }
        assert len(kept) == len(all_rules) - len(left_out)
        severities = {
            rule["labels"]["severity"]
            for rule in kept
            if rule.get("alert") == "RealtimeKitExporterDown"
        }
        assert severities == {"critical"}
        run(promtool, "check", "rules", tmp_path / RULES)

    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("recording_pausd_seconds=5m", "did you mean recording_paused_seconds"),
            ("recordings_errored_ratio=20", "20 is too large; at most 1"),
            ("RealtimeKitDataStale.severity=page", "expected critical or warning or info or off"),
        ],
    )
    def test_refused(self, tmp_path: Path, option: str, message: str) -> None:
        """An unknown key or a value that cannot be is an error, and nothing is written."""
        result = assets(tmp_path / "out", "--set", option)
        assert result.exit_code == 2
        assert "'--set'" in result.output
        assert message in " ".join(result.output.split())
        assert not (tmp_path / "out").exists()

    def test_list(self, usual: dict[str, str]) -> None:
        """--list-settings lists each threshold and each alert with its default."""
        result = invoke("assets", "--list-settings", environment={})
        assert result.exit_code == 0
        rows = [line.split(maxsplit=2) for line in result.stdout.splitlines()]
        defaults = {key: default for key, default, _ in rows}
        for rule in rules_in(usual[RULES]):
            if rule.get("record", "").endswith(":threshold"):
                assert defaults[rule["record"].split(":")[1]] == rule["expr"]
            if "alert" in rule:
                severity = rule["labels"]["severity"]
                key = f"{rule['alert']}.severity"
                assert defaults.get(key, defaults.get(f"{key}.{severity}")) == severity


class TestLinks:
    @pytest.mark.parametrize("url", [GRAFANA, f"{GRAFANA}/"])
    def test_dashboards(self, tmp_path: Path, usual: dict[str, str], url: str) -> None:
        """With the URL of Grafana, alerts have absolute links, otherwise paths."""
        files = written(tmp_path, "--grafana-url", url)
        pairs = zip(rules_in(usual[RULES]), rules_in(files[RULES]), strict=True)
        links = [
            (before["annotations"]["dashboard_url"], after["annotations"]["dashboard_url"])
            for before, after in pairs
            if "dashboard_url" in before.get("annotations", {})
        ]
        assert links
        assert all(path.startswith("/d/rk-") for path, _ in links)
        assert all(absolute == f"{GRAFANA}{path}" for path, absolute in links)

    @in_one_version
    def test_cases(self, tmp_path: Path, promtool: str) -> None:
        """The test cases of notifications expect the same links."""
        options = ("--grafana-url", GRAFANA, "--runbook-url", "https://wiki.example.org/r")
        written(tmp_path, *options, "--cluster-label", "k8s_cluster")
        for name in ("notifications", "target-labels", "several-exporters"):
            run(promtool, "test", "rules", tmp_path / f"rules/tests/{name}.yml")

    @pytest.mark.parametrize("url", ["", "grafana", "ftp://x", "https://x/?a=b", "https://x/#y"])
    def test_invalid(self, tmp_path: Path, url: str) -> None:
        """A URL to which no path can be appended is an error."""
        result = assets(tmp_path / "out", "--grafana-url", url)
        assert result.exit_code == 2
        assert "'--grafana-url'" in result.output
        assert not (tmp_path / "out").exists()


class TestSeveralJobs:
    PATTERN = "rk-exporter-(eu|us)|video.+"

    @in_one_version
    def test_files(self, tmp_path: Path, promtool: str) -> None:
        """With a regular expression all files match these jobs, and the programs accept them."""
        files = written(tmp_path, "--job", self.PATTERN)
        promql = "".join(str(rule["expr"]) for rule in rules_in(files[RULES]))
        assert f'job=~"{self.PATTERN}"' in promql
        assert 'job="' not in promql
        example = yaml.safe_load(files["examples/prometheus.yml"])
        (job,) = (job["job_name"] for job in example["scrape_configs"])
        assert re.fullmatch(self.PATTERN, job)
        # A case is about one job.
        assert not [name for name in files if name.startswith("rules/tests/")]
        run(promtool, "check", "rules", tmp_path / RULES)
        run(promtool, "check", "config", tmp_path / "examples/prometheus.yml")
        run(
            required_program("amtool", package="prometheus-alertmanager"),
            *("check-config", tmp_path / "examples/alertmanager.yml"),
        )

    @in_one_version
    @pytest.mark.parametrize("job", ["rk-exporter-us", "video/x"])
    def test_alerts(self, tmp_path: Path, usual: dict[str, str], promtool: str, job: str) -> None:
        """The alerts work for each of the jobs."""
        written(tmp_path, "--job", self.PATTERN)
        (tmp_path / "rules/tests").mkdir()
        for name in ("RealtimeKitExporterDown", "RealtimeKitRecordingStuckInvoked"):
            cases = usual[f"rules/tests/{name}.yml"].replace('job="rk-exporter"', f'job="{job}"')
            file = tmp_path / f"rules/tests/{name}.yml"
            file.write_text(cases)
            run(promtool, "test", "rules", file)

    def test_muting(self, tmp_path: Path) -> None:
        """If all jobs are absent, the alerts about each of them are muted."""
        files = written(tmp_path, "--job", self.PATTERN)
        rules = yaml.safe_load(files["examples/alertmanager.yml"])["inhibit_rules"]
        (of_absent,) = (
            rule for rule in rules if "RealtimeKitExporterAbsent" in rule["source_matchers"][0]
        )
        assert f'job =~ "{self.PATTERN}"' in of_absent["target_matchers"]
        assert "equal" not in of_absent


class TestClusterLabel:
    @in_one_version
    def test_everywhere(self, tmp_path: Path, promtool: str) -> None:
        """Another name of the label replaces it in rules, dashboards and routes."""
        files = written(tmp_path, "--cluster-label", "k8s_cluster")
        for name, text in files.items():
            if name.endswith(".json") or name == RULES:
                labels = re.findall(r"(?<![$\w])cluster(?=, env|=~|\))", text)
                assert not labels, name
                assert "k8s_cluster" in text, name
        routes = yaml.safe_load(files["examples/alertmanager.yml"])
        assert "k8s_cluster" in routes["route"]["group_by"]
        assert "cluster" not in routes["route"]["group_by"]
        run(promtool, "check", "rules", tmp_path / RULES)

    @pytest.mark.parametrize("name", ["", "a-b", "1a", "job", "meeting_id", "rk_app", "__name__"])
    def test_invalid(self, tmp_path: Path, name: str) -> None:
        """No label name, or one that has another meaning, is an error."""
        result = assets(tmp_path / "out", "--cluster-label", name)
        assert result.exit_code == 2
        assert "'--cluster-label'" in result.output

    def test_taken(self, root: Path, tmp_path: Path) -> None:
        """No other label of our series or alerts can be the cluster's, here or in the chart."""
        known = all_series(tmp_path, read_rules(root)).values()
        schema = json.loads((root / "deploy/helm/rk-exporter/values.schema.json").read_text())
        for name in set[str]().union(*known) - {"cluster"}:
            result = assets(tmp_path / "out", "--cluster-label", name)
            assert result.exit_code == 2, name
            with pytest.raises(jsonschema.ValidationError):
                jsonschema.validate(name, schema["properties"]["clusterLabel"])


class TestForms:
    def test_prometheus_rule(self, tmp_path: Path, usual: dict[str, str]) -> None:
        """The operator's resource has the same rules, and the labels that Prometheus selects."""
        files = written(tmp_path, "--format", "prometheusrule", "--label", "release=kps")
        resources = {
            # The optional one is in another folder, because kubectl applies whole folders.
            "kubernetes/prometheusrule.yml": RULES,
            "kubernetes/service-levels/prometheusrule.yml": SERVICE_LEVEL_RULES,
        }
        assert files.keys() == {*resources, "docs/how-to/runbook.md"}
        names = set()
        for file, rules in resources.items():
            resource = yaml.safe_load(files[file])
            assert resource["spec"] == yaml.safe_load(usual[rules])
            assert resource["metadata"]["labels"]["release"] == "kps"
            assert not list(problems(resource))
            names.add(resource["metadata"]["name"])
        assert len(names) == len(resources)

    def test_config_maps(self, tmp_path: Path, usual: dict[str, str]) -> None:
        """There is a ConfigMap for each dashboard, which the sidecar finds and kubectl accepts."""
        files = written(tmp_path, "--format", "configmaps")
        dashboards = [name for name in usual if name.startswith("dashboards/")]
        assert dashboards
        for name in dashboards:
            text = files[f"kubernetes/dashboard-{Path(name).stem}.yml"]
            resource = yaml.safe_load(text)
            assert resource["metadata"]["labels"]["grafana_dashboard"] == "1"
            assert resource["data"] == {f"rk-exporter-{Path(name).name}": usual[name]}
            assert not list(problems(resource))
            assert len(json.dumps(resource).encode()) < LARGEST_RESOURCE_BYTES

    def test_all(self, tmp_path: Path, usual: dict[str, str]) -> None:
        """Several forms can be written together."""
        forms = ("rules", "prometheusrule", "configmaps", "mixin")
        files = written(tmp_path, *(word for form in forms for word in ("--format", form)))
        assert usual.items() <= files.items()
        folders = {name.partition("/")[0] for name in files}
        assert {"kubernetes", "mixin", "rules", "dashboards", "examples", "docs"} == folders

    @pytest.mark.parametrize("label", ["release", "=x", "a b=c", "a=b c", "a=-"])
    def test_invalid_labels(self, tmp_path: Path, label: str) -> None:
        """What Kubernetes refuses as a label is an error."""
        result = assets(tmp_path / "out", "--format", "configmaps", "--label", label)
        assert result.exit_code == 2
        assert "'--label'" in result.output

    @pytest.mark.parametrize("form", ["rules", "mixin"])
    def test_labels_without_resources(self, tmp_path: Path, form: str) -> None:
        """A label for resources that are not written is an error, because it would be ignored."""
        result = assets(tmp_path / "out", "--format", form, "--label", "release=kps")
        assert result.exit_code == 2
        assert "add --format prometheusrule or --format configmaps" in result.output
        assert not (tmp_path / "out").exists()

    def test_settings_of_the_mixin(self, tmp_path: Path) -> None:
        """The hint about the mixin says where its settings are, because options do not fill it."""
        result = assets(tmp_path, "--format", "mixin", "--job", "video")
        assert "_config" in result.stderr
