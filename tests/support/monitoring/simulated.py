"""
Ask promtool what expressions return in simulated time.

`promtool test rules` evaluates rules and compares the results of expressions. Here each comparison
fails on purpose, so that promtool prints the result.
"""

import json
import re
import subprocess
import tempfile

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


EVALUATION_SECONDS = 30
"""The interval of the shipped rules."""
_RULE_FILE = "rules.yml"
_EXPECTED = [{"labels": "never", "value": 0}]
_PART = re.compile(r"^    (?=expr: |rule: )", re.MULTILINE)
_NUMBER = re.compile(r"\\n# (\d+)\"")
_SAMPLE = re.compile(r'\{((?:\w+="(?:[^"\\]|\\.)*"(?:, )?)*)\} (\S+?)(?:, |$)')
_LABEL = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*")')


class SimulationError(Exception):
    """A rule or an expression cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One result of an expression, or one series at a time."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True, slots=True)
class Question:
    """An expression and the time at which it is evaluated, in seconds from the beginning."""

    promql: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Case:
    """Series in promtool's notation, with a sample in each slot, and *questions* about them."""

    slot_seconds: int
    series: Mapping[str, str]
    questions: Sequence[Question]


def answers(
    promtool: str,
    rules: Mapping[str, Any] | None,
    cases: Sequence[Case],
    *,
    evaluation_seconds: int = EVALUATION_SECONDS,
) -> list[list[list[Sample]]]:
    """Return the result of each question of each case. *rules* are evaluated from the beginning."""
    count = sum(len(case.questions) for case in cases)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "cases.yml"
        file.write_text(_json(_document(rules, cases, evaluation_seconds)))
        (Path(folder) / _RULE_FILE).write_text(_json(rules or {}))
        done = subprocess.run(
            [promtool, "test", "rules", file.name],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
    found = dict(_answered(done.stdout + done.stderr))
    if found.keys() != set(range(count)):
        message = f"promtool answered {len(found)} of {count} questions:"
        raise SimulationError(f"{message}\n{done.stdout}\n{done.stderr}"[:5000])
    numbers = iter(range(count))
    return [[found[next(numbers)] for _ in case.questions] for case in cases]


def _json(document: Mapping[str, Any]) -> str:
    # YAML refuses JSON's pairs of escapes for one character.
    return json.dumps(document, ensure_ascii=False)


def _document(
    rules: Mapping[str, Any] | None, cases: Sequence[Case], evaluation_seconds: int
) -> Mapping[str, Any]:
    numbers = iter(range(10**9))
    groups = rules["groups"] if rules else []
    return {
        "rule_files": [_RULE_FILE] if rules else [],
        "evaluation_interval": f"{evaluation_seconds}s",
        # A group can read what the groups before it recorded in the same evaluation.
        "group_eval_order": [group["name"] for group in groups],
        "tests": [
            {
                "interval": f"{case.slot_seconds}s",
                "input_series": [
                    {"series": name, "values": values} for name, values in case.series.items()
                ],
                "promql_expr_test": [
                    {
                        # The comment identifies the answer.
                        "expr": f"{question.promql}\n# {next(numbers)}",
                        "eval_time": f"{round(1000 * question.seconds)}ms",
                        "exp_samples": _EXPECTED,
                    }
                    for question in case.questions
                ],
            }
            for case in cases
        ],
    }


def _answered(printed: str) -> Iterator[tuple[int, list[Sample]]]:
    """Yield the number and the samples of each printed answer."""
    for part in _PART.split(printed)[1:]:
        number = _NUMBER.search(part)
        _, is_answer, got = part.partition("\n        got: ")
        if not number or not is_answer:
            raise SimulationError(part.strip())
        yield int(number[1]), list(_samples(got.split("\n")[0]))


def _samples(got: str) -> Iterator[Sample]:
    if got == "nil":
        return
    end = 0
    for match in _SAMPLE.finditer(got):
        labels = {name: json.loads(value) for name, value in _LABEL.findall(match[1])}
        yield Sample(labels, float(match[2].replace("Inf", "inf")))
        end = match.end()
    if end != len(got):
        raise SimulationError(f"promtool printed an unknown form of samples: {got}")
