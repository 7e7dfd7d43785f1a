"""What PromQL reads, and the labels that identify things in it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol


IDS_OF_MEETING = "rk_app, meeting_id"
IDS_OF_RECORDING = f"{IDS_OF_MEETING}, recording_id"


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
        return f"{self.exporter}, rk_app"

    @property
    def recording_in_exporter(self) -> str:
        """Return the labels of a recording as one exporter sees it."""
        return f"{self.exporter}, {IDS_OF_RECORDING}"
