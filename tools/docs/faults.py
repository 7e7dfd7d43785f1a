"""The page of all faults that are tested, from the list beside their tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import msgspec

from tools.docs.tables import table


LIST = Path(__file__).parents[2] / "tests/faults/faults.yml"
_HEADS = ("fault", "what happens", "what shows it", "tests")
_TEMPLATE = """\
Each row is a fault that a test causes: in the API, in the network, in a client, or in the machine.
Tests in `faults` and `e2e` run the program as users start it, with servers and clients that
misbehave on real sockets; those in `unit` and `scenarios` run its parts. The page
[Reliability](../explanation/reliability.md) explains what the exporter promises.

While one app has a fault, the samples of the others stay exact. "Values stay" means that a meeting
keeps its last values until `scrape.stale_after`, with `rk_meeting_up` 0. After the fault, the next
scrape shows the truth. Metrics are in [their reference](metrics.md), and so are the [lines of the
log](log-messages.md).

{sections}
## What does not hold

These faults have effects that you may not expect.

{limits}"""


@dataclass(frozen=True, slots=True)
class Fault:
    """
    A *fault*, what *happens* then, what it is *shown* by, and its *tests*, by their ids.

    The *numbers* are those of the matrix with which the project began.
    """

    numbers: list[int]
    fault: str
    happens: str
    tests: list[str]
    shown: str = ""


@dataclass(frozen=True, slots=True)
class FaultList:
    """The faults by section, and those whose effects differ from what one expects."""

    sections: dict[str, list[Fault]]
    does_not_hold: list[Fault]

    def __iter__(self) -> Iterator[Fault]:
        for faults in self.sections.values():
            yield from faults
        yield from self.does_not_hold


def fault_list() -> FaultList:
    """Return all faults."""
    return msgspec.yaml.decode(LIST.read_bytes(), type=FaultList)


def faults_reference() -> str:
    """Return a table for each section, and what does not hold."""
    faults = fault_list()
    sections = (
        f"## {title}\n\n{table(_HEADS, map(_row, rows))}" for title, rows in faults.sections.items()
    )
    return _TEMPLATE.format(
        sections="\n".join(sections), limits=table(_HEADS, map(_row, faults.does_not_hold))
    )


def _row(fault: Fault) -> tuple[str, ...]:
    return (
        fault.fault,
        fault.happens,
        fault.shown,
        "; ".join(_links(fault.tests)),
    )


def _links(tests: list[str]) -> Iterator[str]:
    """Return a link to each file, with the names of its tests."""
    for path, of_file in groupby(sorted(tests, key=_file), key=_file):
        shown = path.removeprefix("tests/").removesuffix(".py")
        names = ", ".join(f"`{test.rpartition('::')[2]}`" for test in of_file)
        yield f"[{shown}](../../{path}): {names}"


def _file(test: str) -> str:
    return test.partition("::")[0]
