"""The job of the exporters in Prometheus: a name, or a regular expression that matches several."""

import re
import warnings

from dataclasses import dataclass

import yaml


DEFAULT_JOB = "rk-exporter"
# These values must be safe in quotes and as a whole line, in PromQL, YAML and templates.
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]{0,127}")
_OPERATORS = "*+?|()[]^"
# RE2, which Prometheus uses, and Python agree on this part. Without a backslash, no place needs
# another way of quoting.
_PATTERN = re.compile(rf"[A-Za-z0-9_./:{re.escape(_OPERATORS)}-]{{1,256}}")
_ONLY_IN_PYTHON = re.compile(r"\(\?|[*+?]\+|(?<!\[)\^")
_ADVICE = (
    "it must start with a letter or _, contain only letters, digits and _ . / - and not be a YAML "
    f"word like true, e.g. {DEFAULT_JOB}. A regular expression may also contain . * + ? | ( ) and "
    "[ ], with [.] for a dot, and must match the whole name, but no empty one"
)


@dataclass(frozen=True, slots=True)
class Job:
    """A *text* that is safe in PromQL and in YAML; see parse_job()."""

    text: str = DEFAULT_JOB

    @property
    def is_pattern(self) -> bool:
        """Whether the text is a regular expression."""
        return any(operator in self.text for operator in _OPERATORS)

    @property
    def operator(self) -> str:
        """The operator of PromQL between the label and the text."""
        return "=~" if self.is_pattern else "="

    @property
    def matcher(self) -> str:
        """The matcher of PromQL."""
        return f'job{self.operator}"{self.text}"'

    @property
    def name(self) -> str:
        """A name that the job may have; the default if none is found."""
        if not self.is_pattern:
            return self.text
        simple = re.sub(r"\.[*?]|[()]", "", self.text).replace(".+", "x").replace("[.]", ".")
        simple = re.sub(r"\[([^]^])[^]]*\]", r"\1", re.sub(r"[*+?]", "", simple))
        names = (DEFAULT_JOB, *simple.split("|"))
        return next((name for name in names if self._matches(name)), DEFAULT_JOB)

    def _matches(self, name: str) -> bool:
        return bool(_NAME.fullmatch(name) and re.fullmatch(self.text, name))


def parse_job(text: str) -> Job:
    """
    Return the job with this name, or the jobs that match this regular expression.

    As before there were regular expressions, a dot alone makes none.
    """
    job = Job(text)
    is_valid = _is_regular(text) if job.is_pattern else _is_name(text)
    if not is_valid:
        raise ValueError(f"invalid job name {text[:40]!r}: {_ADVICE}")
    return job


def _is_name(text: str) -> bool:
    return bool(_NAME.fullmatch(text)) and yaml.safe_load(text) == text


def _is_regular(text: str) -> bool:
    if not _PATTERN.fullmatch(text) or _ONLY_IN_PYTHON.search(text):
        return False
    try:
        with warnings.catch_warnings():
            # RE2 reads [[:alpha:]] in another way.
            warnings.simplefilter("error", FutureWarning)
            return not re.fullmatch(text, "")
    except (re.error, FutureWarning):
        return False
