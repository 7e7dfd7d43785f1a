"""
The worlds in which dashboards and rules must work, each with a Prometheus of its own.

All worlds contain the same exporter, so they have the same figures. A world adds what can confuse
dashboards and rules. To add a world, describe it in `WORLDS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from types import MappingProxyType

from tests.support.monitoring.target_labels import target_labels
from tests.support.monitoring.views import ODD_APP, ODD_NAME, View, behind, elsewhere, odd


JOB = "rk-exporter"
APP = "telehealth"
INSTANCE = "exporter:9877"
_RESTARTED_AT = 3
"""
The step of the scenario at which an exporter is replaced.

Nothing happens in it. A real exporter shows the old values of its counters first, but this one is
the same in both pods, so that what it counts between their scrapes would be lost.
"""
_POD = {"instance": INSTANCE, "cluster": "eu", "env": "prod", "namespace": "rk"}


@dataclass(frozen=True, slots=True)
class Shown:
    """A target that shows *views* of the exporter, from a step of the scenario to another."""

    labels: Mapping[str, str]
    views: Sequence[View] = ()
    since: int = 0
    until: int | None = None

    def text(self, exposition: str) -> str:
        """Return what the target shows."""
        return reduce(lambda text, view: view(text), self.views, exposition)


@dataclass(frozen=True, slots=True)
class World:
    """
    A Prometheus with some targets.

    *home* selects what the plain world has, by variables of the dashboards. *has_others* adds other
    teams' targets and alerts. *twice* is true if all figures are twice as high without a selection.
    """

    name: str
    shown: Sequence[Shown]
    home: Mapping[str, Sequence[str]] = field(
        default_factory=lambda: MappingProxyType({"job": (JOB,), "app": (APP, "proctoring")})
    )
    has_rules: bool = True
    has_others: bool = False
    twice: bool = False
    plain: Callable[[Mapping[str, str]], Mapping[str, str]] = dict
    """Return the labels that a result has in the plain world."""
    end_of_names: str = ""
    """The end of all meetings' names."""

    def __str__(self) -> str:
        return self.name


_PLAIN = Shown({"instance": INSTANCE})
_BEHIND = Shown({"instance": "other:9877"}, [behind])
_PODS = (
    Shown({**target_labels("before"), **_POD, "instance": "10.0.0.1:9877"}, until=_RESTARTED_AT),
    Shown({**target_labels("after"), **_POD, "instance": "10.0.0.2:9877"}, since=_RESTARTED_AT),
)
_ODD_HOME = {"job": (JOB,), "app": (f"{APP} {ODD_APP}", f"proctoring {ODD_APP}")}


def _with_plain_names(labels: Mapping[str, str]) -> Mapping[str, str]:
    return {
        label: value.replace(f" {ODD_APP}", "").replace(ODD_NAME, "")
        for label, value in labels.items()
    }


PLAIN = World("plain", [_PLAIN])
WORLDS = (
    PLAIN,
    World("other-jobs", [_PLAIN], has_others=True),
    World("no-rules", [_PLAIN], has_rules=False),
    World("two-exporters", [_PLAIN, _BEHIND]),
    World("kubernetes", _PODS),
    World(
        "two-clusters",
        [
            Shown({"instance": INSTANCE, "cluster": "eu"}),
            Shown({"instance": INSTANCE, "cluster": "us"}, [elsewhere]),
        ],
        home={"cluster": ("eu",), "job": (JOB,)},
        twice=True,
    ),
    World(
        "odd-names",
        [Shown({"instance": INSTANCE}, [odd])],
        _ODD_HOME,
        plain=_with_plain_names,
        end_of_names=ODD_NAME,
    ),
    World(
        "everything",
        [
            *(Shown(pod.labels, [odd], pod.since, pod.until) for pod in _PODS),
            Shown({**target_labels("other"), **_POD, "instance": "10.0.0.3:9877"}, [behind, odd]),
        ],
        _ODD_HOME,
        has_others=True,
        plain=_with_plain_names,
        end_of_names=ODD_NAME,
    ),
)
