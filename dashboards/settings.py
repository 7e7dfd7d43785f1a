"""What users of the rules and dashboards may set, as tokens that `rk-exporter assets` replaces."""

from dataclasses import asdict
from typing import Never, Self

from rk_exporter.assets.forms import DEFAULT_CLUSTER_LABEL, RUNBOOK
from rk_exporter.assets.job import Job
from rk_exporter.assets.template import number_token, token
from rk_exporter.model.thresholds import DEFAULTS, Thresholds, as_text


class Threshold(float):
    """
    A threshold whose text is its token: `f"> {THRESHOLDS.data_age_seconds}"`.

    Text and panels take it as it is. Python cannot compute with it, because its value is chosen
    later; PromQL can.
    """

    key: str

    def __new__(cls, key: str, default: float) -> Self:
        """Return a threshold that sorts and compares as its default."""
        made = super().__new__(cls, default)
        made.key = key
        return made

    def __str__(self) -> str:
        return token(self.key, as_text(float(self)))

    def __format__(self, form: str) -> str:
        return str(self)

    def in_json(self) -> str:
        """Return the mark of this number in JSON."""
        return number_token(self.key, as_text(float(self)))

    def _refuse(self, *_: object) -> Never:
        raise TypeError(f"{self.key} has no value yet; let PromQL or Grafana compute")

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __int__ = __round__ = _refuse


THRESHOLDS = Thresholds(**{key: Threshold(key, value) for key, value in asdict(DEFAULTS).items()})
CLUSTER = token("cluster_label", DEFAULT_CLUSTER_LABEL)
GRAFANA_URL = token("grafana_url", "")
RUNBOOK_URL = token("runbook_url", RUNBOOK)
_JOB = Job()
_ANY_JOB = f'job{token("job_is", _JOB.operator)}"{token("job", _JOB.text)}"'


def of_any_job(promql: str) -> str:
    """Return an expression or a text that names the job with tokens instead."""
    return promql.replace(_JOB.matcher, _ANY_JOB)


def severity_key(alert: str, severity: str, *, is_only: bool) -> str:
    """Return the key of a severity; an alert at several severities has a key for each."""
    return f"{alert}.severity" if is_only else f"{alert}.severity.{severity}"
