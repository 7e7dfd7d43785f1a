"""The list of licences of the packages that users get."""

from tools.docs.tables import code, table
from tools.release.licences import runtime_packages


_INTRODUCTION = """\
rk-exporter is licensed under [Apache-2.0](../../LICENSE). On Linux, it is installed with these
packages. The expressions are those of [SPDX](https://spdx.org/licenses/). Each release has a
software bill of materials, `rk-exporter-VERSION.cdx.json`, with the versions that were tested.

Packages with an extra are only installed if you ask for it, e.g. `pip install 'rk-exporter[s3]'`.
The image has all of them.
"""


def licences_reference() -> str:
    """Return the packages with their licences."""
    rows = (
        (code(item.name), item.licence, ", ".join(map(code, item.extras)), item.summary)
        for item in runtime_packages()
    )
    return f"{_INTRODUCTION}\n{table(('package', 'licence', 'extra', 'what it is'), rows)}"
