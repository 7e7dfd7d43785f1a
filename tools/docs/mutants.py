"""The changes of the code that no test notices, each with the reason."""

from collections.abc import Iterable
from itertools import groupby

from tools.docs.tables import code, table
from tools.mutants.survivors import Survivor, figures, survivors


_TEMPLATE = """\
`make mutants` [changes the code](../../CONTRIBUTING.md#mutants) in small ways, one at a time, and
runs the tests of its package. This page says how many changes the tests notice, and lists
those that they do not notice. CI tries a part of the changes, and fails if one survives that is not
in the list.

## How many

A change that makes a test run forever counts as noticed. Of most packages only a random part of the
changes was tried. Where more were noticed than at first, tests were written for those that
survived. So the share that was noticed at first is the best guess about all changes of such a
package, and more survive than the list below has. If there are several parts of a package, each was
tried after the tests for those above it were written, so the last one counts. Only the unit tests
of a package count, and for `collector` some of `tests/scenarios`.

{figures}
## Survivors

No test can notice most of these changes, because the program still does the same.

{survivors}"""


def mutants_reference() -> str:
    """Return the figures of the last runs and the list of known survivors."""
    return _TEMPLATE.format(
        figures=table(
            (
                "package",
                "files",
                "changes",
                "tried",
                "noticed",
                "of these too slow",
                "survived",
                "noticed",
                "at first",
            ),
            (
                (
                    code(row.package),
                    row.files,
                    f"{row.mutants:,}",
                    row.tried,
                    f"{row.noticed:,}",
                    f"{row.timeouts:,}",
                    f"{row.survived:,}",
                    f"{row.noticed / row.mutants:.1%}",
                    row.noticed_at_first,
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
