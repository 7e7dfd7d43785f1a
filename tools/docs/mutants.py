"""How many changes of the code the tests notice."""

from tools.docs.tables import code, table
from tools.mutants.survivors import figures, survivors


_TEMPLATE = """\
`make mutants` [changes the code](../../CONTRIBUTING.md#mutants) in small ways, one at a time, and
runs the tests of its package. CI tries a part of the changes, and fails if one survives that is not
in [`survivors.toml`](../../tools/mutants/survivors.toml). That file has {survivors} changes, each
with the reason. No test can notice most of them, because the program still does the same.

A change that makes a test run forever counts as noticed. Of most packages only a random part of the
changes was tried. Where more were noticed than at first, tests were written for those that
survived. So the share that was noticed at first is the best guess about all changes of such a
package, and more survive than the file has. If there are several parts of a package, each was tried
after the tests for those above it were written, so the last one counts. Only the unit tests of a
package count, and for `collector` some of `tests/scenarios`.

{figures}"""


def mutants_reference() -> str:
    """Return the figures of the last runs."""
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
        survivors=sum(len(survivor.changes) for survivor in survivors()),
    )
