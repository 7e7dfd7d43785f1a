"""Names and regular expressions for the exporter's job."""

import re
import subprocess

from pathlib import Path

import pytest
import yaml

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rk_exporter.assets.job import DEFAULT_JOB, Job, parse_job


NAMES = ["rk-exporter", "monitoring/recordings-1.eu", "_a", "a" * 128]
PATTERNS = ["rk-.+", "rk-exporter|video", "(eu|us)-rk", "rk[.]eu-[0-9]+", "rk.*", "rk-?x", "[^x]+"]


@pytest.mark.parametrize("name", NAMES)
def test_names(name: str) -> None:
    """A name is compared as it is, even if it contains a dot."""
    assert parse_job(name).matcher == f'job="{name}"'
    assert parse_job(name).name == name


@pytest.mark.parametrize("pattern", PATTERNS)
def test_patterns(pattern: str) -> None:
    """Anything else that Prometheus understands is a regular expression."""
    assert parse_job(pattern).matcher == f'job=~"{pattern}"'


@pytest.mark.parametrize(
    "text",
    [
        *(
            "",
            " ",
            "a b",
            'a"b',
            "a'b",
            "a\nb",
            "a: b",
            "a #b",
            "{{x}}",
            "-a",
            "ä",
            "1",
            "true",
            "No",
        ),
        *("null", "a" * 129),
        # No regular expression, or none of RE2.
        *("(", "a)", "[", "*a", "a**", "[z-a]", "(?=a)b", "(?i)a", "a++", "a*+", "[[:alpha:]]"),
        # Backslashes would need other quotes in each place.
        *(r"rk\.eu", r"\d+", "a{2}"),
        # They also match the empty name.
        *(".*", "a|", "a?", "a*"),
        *("a^b", "a|^b"),
    ],
)
def test_refused(text: str) -> None:
    """Text that YAML, PromQL or RE2 would misread is an error."""
    with pytest.raises(ValueError, match="invalid job name"):
        parse_job(text)


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("rk-exporter|video", "rk-exporter"),
        ("rk-.+", "rk-exporter"),
        ("(eu|us)-rk", "us-rk"),
        ("video-(eu|us)", "video-eu"),
        ("video-.+", "video-x"),
        ("video[.]eu", "video.eu"),
        ("video-[ab]+", "video-a"),
        # None is found.
        ("[^a]b{0}", DEFAULT_JOB),
    ],
)
def test_one_name(pattern: str, name: str) -> None:
    """Examples need one name that matches."""
    assert Job(pattern).name == name


@settings(
    max_examples=5, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(texts=st.lists(st.text("ab.-/_|()[]*+?^:0", min_size=1, max_size=12), max_size=300))
def test_prometheus_agrees(texts: list[str], tmp_path: Path, promtool: str) -> None:
    """Prometheus accepts each regular expression that is accepted here."""
    accepted = [*PATTERNS]
    for text in texts:
        try:
            accepted.append(parse_job(text).text)
        except ValueError:
            continue
    rules = [{"record": f"r{n}", "expr": f"up{{{Job(t).matcher}}}"} for n, t in enumerate(accepted)]
    file = tmp_path / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
    checked = subprocess.run(
        [promtool, "check", "rules", file], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stderr
    assert all(re.compile(text) for text in accepted)
