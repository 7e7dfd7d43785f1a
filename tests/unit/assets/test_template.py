"""Templates with tokens, and what fills them."""

import json

import pytest
import yaml

from rk_exporter.assets.template import defaults, filled, number_token, token


ALERT = """\
      # Why it exists.
      - alert: {name}
        expr: |
          up == 0
        labels:
          severity: "{severity}"
"""


def test_text() -> None:
    """A token in text gets its value, or its default."""
    template = f"a > {token('x_seconds', '5')} and {token('job', 'rk')}{token('url', '')}!"
    assert filled(template, {}) == "a > 5 and rk!"
    assert filled(template, {"x_seconds": "7.5", "url": "/d"}) == "a > 7.5 and rk/d!"


def test_numbers_in_json() -> None:
    """A token may be a number, although JSON can have it as a string only."""
    template = json.dumps(
        {"value": number_token("x_ratio", "0.2"), "text": token("x_ratio", "0.2")}
    )
    assert json.loads(filled(template, {})) == {"value": 0.2, "text": "0.2"}
    assert json.loads(filled(template, {"x_ratio": "1"})) == {"value": 1, "text": "1"}


def test_defaults() -> None:
    """A template says which keys it has, with their defaults."""
    assert defaults([f'{token("a", "1")} "{number_token("b", "")}"', token("a.c", "=~")]) == {
        "a": "1",
        "b": "",
        "a.c": "=~",
    }


def test_values_are_no_templates() -> None:
    """A value that looks like a token stays as it is."""
    assert filled(token("a", "1"), {"a": "@b=2@"}) == "@b=2@"


def test_promql_has_no_tokens() -> None:
    """The modifier of PromQL and other signs of PromQL and templates stay as they are."""
    text = 'x{a!="@"} @ end() and y @ 1 {{ "b@c" }} = $x'
    assert filled(text, {}) == text


@pytest.mark.parametrize("place", range(3))
def test_alerts_that_are_off(place: int) -> None:
    """An alert with the severity `off` is left out with its comment, and no other rule is."""
    severities = ["off" if number == place else "warning" for number in range(3)]
    alerts = [ALERT.format(name=f"A{n}", severity=text) for n, text in enumerate(severities)]
    text = filled("    rules:\n" + "".join(alerts) + "  - name: next\n", {})
    rules = yaml.safe_load(text.partition("  - name")[0])["rules"]
    assert [f"A{number}" for number in range(3) if number != place] == [r["alert"] for r in rules]
    assert text.count("# Why") == 2
    assert text.endswith("  - name: next\n")
