"""Thresholds in the sources of rules and dashboards."""

import math
import operator

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from dashboards.__main__ import texts
from dashboards.settings import THRESHOLDS
from rk_exporter.assets.template import defaults, filled
from rk_exporter.model.thresholds import DEFAULTS


def test_values() -> None:
    """A threshold sorts and compares as its default."""
    assert THRESHOLDS == DEFAULTS


def test_text() -> None:
    """As text it is a token, whatever the format."""
    limit = THRESHOLDS.recordings_errored_ratio
    for text in (str(limit), f"{limit}", f"{limit:g}", format(limit, ".2f")):
        assert filled(text, {"recordings_errored_ratio": "0.5"}) == "0.5"


@pytest.mark.parametrize(
    "compute",
    [
        lambda limit: operator.truediv(limit, 60),
        lambda limit: operator.mul(2, limit),
        lambda limit: operator.add(limit, 1),
        int,
        round,
    ],
    ids=["divide", "multiply", "add", "int", "round"],
)
def test_python_does_not_compute(compute: Callable[[float], float]) -> None:
    """The result would be that of the default, whatever a user sets."""
    with pytest.raises(TypeError, match="data_age_seconds has no value yet"):
        compute(THRESHOLDS.data_age_seconds)


def test_all_from_one_place(root: Path) -> None:
    """Dashboards and rules take thresholds as tokens only."""
    owner = root / "dashboards/settings.py"
    for path in (root / "dashboards").rglob("*.py"):
        if path != owner:
            assert "import DEFAULTS" not in path.read_text(), f"{path}: use dashboards.settings"


def test_defaults_agree() -> None:
    """A token has the same default in all templates, and templates are full of valid numbers."""
    found = {path: text for path, text in texts().items() if path.startswith("dashboards/mixin/t")}
    every = defaults(found.values())
    for text in found.values():
        assert defaults([text]).items() <= every.items()
    assert all(math.isfinite(float(every[name])) for name in asdict(DEFAULTS))
