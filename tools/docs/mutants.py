"""The changes of the code that no test notices, each with the reason."""

from collections.abc import Iterable
from itertools import groupby

from tools.docs.tables import code, table
from tools.mutants.survivors import Survivor, figures, survivors


_TEMPLATE = """\
`make mutants` [changes the code](../../CONTRIBUTING.md#mutants) in small ways, one at a time, and
runs the tests of its package. This page says how many changes the tests notice, and lists
those that they do not notice. CI tries the changes of two files, and fails if one survives that is
not in the list.

## How many

All changes of these packages were tried, each with the unit tests of its package, and for
`collector` with some of `tests/scenarios`. A change that makes a test run forever counts as
noticed. Then tests were written for many changes that had survived; the list below has the others.

{figures}
## Survivors

No test can notice most of these changes, because the program still does the same.

{survivors}"""


def mutants_reference() -> str:
    """Return the figures of the last runs and the list of known survivors."""
    return _TEMPLATE.format(
        figures=table(
            ("package", "changes", "noticed at first", "of these too slow", "noticed", "survive"),
            (
                (
                    code(row.package),
                    f"{row.mutants:,}",
                    f"{row.noticed_at_first:,} ({row.noticed_at_first / row.mutants:.1%})",
                    f"{row.timeouts:,}",
                    f"{row.noticed:,} ({row.noticed / row.mutants:.1%})",
                    f"{row.survived:,}",
                )
                for row in figures()
            ),
        ),
        survivors="\n".join(_sections()),
    )


def _sections() -> Iterable[str]:
    known = sorted(survivors(), key=lambda survivor: survivor.file)
    for file, entries in groupby(known, key=lambda survivor: survivor.file):
        yield f"### {file}\n"
        yield table(("line", "survives", "reason"), map(_row, entries))


def _row(survivor: Survivor) -> tuple[str, str, str]:
    changes = ", ".join(map(code, survivor.changes))
    return code(survivor.line), changes, survivor.reason
