"""What PromQL reads, and the labels that identify things in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dashboards.settings import CLUSTER


PLACE = f"{CLUSTER}, env, namespace, job"
# The address alone may be the same in two clusters.
BY_EXPORTER = f"{PLACE}, instance"
BY_APP = "rk_app"
BY_MEETING = f"{BY_APP}, meeting_id"
BY_RECORDING = f"{BY_MEETING}, recording_id"


class Select(Protocol):
    """Selects a metric with further matchers."""

    def __call__(self, metric: str, *matchers: str) -> str:
        """Return the selector."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """
    The series that an expression reads: those of a dashboard's variables, or all.

    *exporter*, *app*, *meeting* and *recording* are the labels that identify one. Two exporters may
    read the same app, meeting or recording. *app_in_place* also has the cluster, the namespace and
    the job, because ids are unique, but names of apps are not.
    """

    of_exporter: Select
    of_app: Select
    of_meeting: Select
    of_recording: Select
    exporter: str
    app: str
    app_in_place: str
    meeting: str
    recording: str
    threshold: Callable[[str], str]

    @property
    def app_in_exporter(self) -> str:
        """Return the labels of an app as one exporter sees it."""
        return f"{self.exporter}, {BY_APP}"

    @property
    def recording_in_exporter(self) -> str:
        """Return the labels of a recording as one exporter sees it."""
        return f"{self.exporter}, {BY_RECORDING}"
