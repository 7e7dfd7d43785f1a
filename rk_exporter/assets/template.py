"""
Templates of rules and dashboards, in which tokens mark what users may set.

A token has a key and a default: `@recording_paused_seconds=1800@`. Anything can fill a template
that can replace text; the Helm chart and the mixin do it without Python.
"""

import re

from collections.abc import Iterable, Mapping


OFF = "off"
"""The severity of alerts that are left out."""
_TOKEN = re.compile(r"@([A-Za-z_.]+)=([^@]*)@")
# JSON has no place for a token outside of quotes.
_NUMBER = re.compile(r'"@#([A-Za-z_.]+=[^@]*@)"')
_ALERT_THAT_IS_OFF = re.compile(
    rf'(?m)(?:^ {{6}}#.*\n)*^ {{6}}- alert: .*\n(?:^ {{8}}.*\n)*?^ {{10}}severity: "{OFF}"\n'
    r"(?:^ {8}.*\n)*"
)


def token(key: str, default: str) -> str:
    """Return the mark of a place in text."""
    return f"@{key}={default}@"


def number_token(key: str, default: str) -> str:
    """Return the mark of a number in JSON, as the content of a string."""
    return f"@#{key}={default}@"


def defaults(templates: Iterable[str]) -> dict[str, str]:
    """Return the default of each key, in the order in which the templates have them."""
    return dict(found for text in templates for found in _TOKEN.findall(_NUMBER.sub(r"@\1", text)))


def filled(template: str, values: Mapping[str, str]) -> str:
    """Return the text with *values* in the places of their keys, and defaults in the others."""
    text = _NUMBER.sub(r"@\1", template)
    text = _TOKEN.sub(lambda found: values.get(found[1], found[2]), text)
    return _ALERT_THAT_IS_OFF.sub("", text)
