"""The rules that some alerts need, which are evaluated faster than all."""

import re

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import yaml


Rules: TypeAlias = Mapping[str, Any]
_WORD = re.compile(r"[\w:]+")


def rules_about(place: Path, names: Iterable[str], *, with_texts: bool = True) -> Rules:
    """
    Return the rules with some *names*, of alerts or recorded series, and all that they read.

    Without the texts of alerts, which have queries of their own, less must be evaluated.

    *place* is a file of rules, or a folder with several, of which the optional ones come last.
    """
    files = [place] if place.is_file() else sorted(place.glob("*.rules.yml"), key=_length_of_name)
    groups = [group for file in files for group in yaml.safe_load(file.read_text())["groups"]]
    if not with_texts:
        groups = [{**group, "rules": [*map(_without_texts, group["rules"])]} for group in groups]
    rules = [rule for group in groups for rule in group["rules"]]
    wanted = {*names}
    missing = wanted - {_name(rule) for rule in rules}
    assert not missing, f"there are no rules {missing}"
    before: set[str] = set()
    while before != wanted:
        before = {*wanted}
        for rule in rules:
            if _name(rule) in before:
                # Templates ask for recorded series, too.
                texts = (rule["expr"], *rule.get("annotations", {}).values())
                wanted.update(word for text in texts for word in _WORD.findall(str(text)))
    found = [
        {**group, "rules": [rule for rule in group["rules"] if _name(rule) in wanted]}
        for group in groups
    ]
    return {"groups": [group for group in found if group["rules"]]}


def _without_texts(rule: Rules) -> Rules:
    return {key: value for key, value in rule.items() if key != "annotations"}


def _length_of_name(file: Path) -> int:
    return len(file.name)


def _name(rule: Mapping[str, Any]) -> str:
    return str(rule.get("record") or rule["alert"])
