"""The expressions that dashboards share return what the cases say."""

import shutil
import subprocess

from pathlib import Path

import yaml

from dashboards import expressions
from dashboards.alerting.everything import EVERYTHING
from dashboards.alerting.rule import expanded
from rk_exporter.assets.template import filled
from tests.support.monitoring.series import read_rules, rules_of


CASES = Path(__file__).parent / "shared-expressions.yml"
EXPRESSIONS = {
    "recording:state:code": expressions.state_code(EVERYTHING),
    "recording:trouble:level": expressions.trouble_level(EVERYTHING),
}


def test_shared_expressions(promtool: str, root: Path, tmp_path: Path) -> None:
    """Each recording has one state and one trouble level, its most urgent one."""
    thresholds = [
        rule for rule in rules_of(read_rules(root), "record") if rule["record"].startswith("rk:")
    ]
    recorded = [
        {"record": name, "expr": filled(expanded(promql), {})}
        for name, promql in EXPRESSIONS.items()
    ]
    groups = [
        {"name": "thresholds", "rules": thresholds},
        {"name": "expressions", "rules": recorded},
    ]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": groups}))
    cases = shutil.copy(CASES, tmp_path)
    result = subprocess.run(
        [promtool, "test", "rules", cases],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert not result.returncode, result.stdout + result.stderr
