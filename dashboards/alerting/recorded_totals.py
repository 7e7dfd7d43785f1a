"""
Recorded series: what all exporters of an app have counted, through restarts and failovers.

Prometheus compares what each exporter counts with what it counted at the last evaluation, and adds
the difference to a total that never resets. So the growth within any window, also one of weeks, is
the difference of two samples.
"""

import textwrap

from collections.abc import Iterator
from dataclasses import dataclass

from dashboards.alerting.everything import EVERYTHING
from dashboards.alerting.rule import Record
from dashboards.totals import leader, of_one_exporter


INTERVAL = "1m"
"""How often the totals are recorded."""
LEADER = Record(
    "instance:rk_up:leader",
    f"({leader(EVERYTHING)}) ^ 0\n",
    note="1 for the exporter of each app that counts: it works, and started first.",
)
# A Prometheus that was down for longer starts from 0 again.
_REMEMBERED = "1d"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """
    A total of each app.

    *name* is the middle part of its series. *counts* is what each exporter has counted, by the
    label names in *more*. *meaning* is a noun.
    """

    name: str
    counts: str
    more: str
    meaning: str

    @property
    def series(self) -> str:
        """The name of the total."""
        return f"app:{self.name}:total"

    @property
    def labels(self) -> str:
        """The labels that identify a total."""
        return f"<app>, {self.more}"

    def rules(self) -> Iterator[Record]:
        """Yield the rules for it, in the order in which they must be evaluated."""
        yield Record(
            f"instance:{self.name}:count",
            f"{self.counts}\n",
            note=f"{self.meaning}, as each exporter counts them.",
        )
        yield Record(
            f"instance:{self.name}:new",
            self._growth(),
            note=f"{self.meaning} that each exporter has counted since they were added to the "
            "total.",
        )
        yield Record(
            f"app:{self.name}:new",
            f"{self._new()}\n",
            note=f"{self.meaning} since the last evaluation, as one exporter saw them.",
        )
        yield Record(self.series, self._total(), note=f"{self.meaning} since Prometheus counts.")
        yield Record(
            f"instance:{self.name}:counted",
            self._counted(),
            note="What is in the total already. It waits while the exporter that counts is down, "
            "so that another one can count what happened in the meantime.",
        )

    def within(self, window: str) -> str:
        """Return by how much the total grew within a window."""
        on, total = f"on ({self.labels})", self.series
        before = f"last_over_time({total}[{_REMEMBERED}] offset {window})"
        # A total that did not exist yet was 0, and one that is smaller started again.
        return f"""\
(
  {total}
  - {on}
  ({before} or {on} 0 * {total})
)
>= 0
or {on}
{total}
"""

    def _growth(self) -> str:
        on, count = f"on (<exporter app>, {self.more})", f"instance:{self.name}:count"
        # A new exporter shows its first values twice before it counts further. They are looked for
        # since the last evaluation; each step of the window costs as much as the counts themselves.
        # An exporter that no step has seen yet is new as well.
        return f"""\
(
  {count}
  - {on}
  (
    last_over_time(instance:{self.name}:counted[{_REMEMBERED}])
    or {on}
    min_over_time((
{textwrap.indent(self.counts, "      ")}
    )[90s:15s])
    or {on}
    {count}
  )
)
>= 0
or {on}
{count}
"""

    def _new(self) -> str:
        return of_one_exporter(
            EVERYTHING,
            f"instance:{self.name}:new",
            INTERVAL,
            leader="instance:rk_up:leader",
            more=self.more,
        )

    def _total(self) -> str:
        on, new = f"on ({self.labels})", f"app:{self.name}:new"
        before = f"last_over_time({self.series}[{_REMEMBERED}])"
        # An app that nobody reads any more keeps its total, until nothing of it is in any window.
        return f"""\
{new} + {on} ({before} or {on} 0 * {new})
or {on}
(
  {before}
  unless {on}
  ({before} == {on} last_over_time({self.series}[{_REMEMBERED}] offset 28d))
)
"""

    def _counted(self) -> str:
        return f"""\
instance:{self.name}:count
unless on (<exporter app>)
(
  last_over_time(rk_up[<known>])
  and on (<exporter>)
  up
  unless on (<exporter app>)
  instance:rk_up:leader
  and on (<app>)
  (instance:rk_up:leader and on (<exporter>) up == 0)
)
"""


def per_kind(metric: str) -> str:
    """Return what each exporter has counted of a metric, by the kind of the recordings."""
    return f"max by (<exporter app>, kind) (last_over_time({metric}[<known>]))"
