"""The command `assets`."""

from collections.abc import Callable
from pathlib import Path

import click

from rk_exporter import assets


class _Parsed(click.ParamType[str]):
    """A text that a parser takes; what it says of others is shown."""

    def __init__(self, name: str, parse: Callable[[str], str]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the text, or fail with what would be right."""
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


@click.command("assets")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option(
    "--job",
    type=_Parsed("name", assets.parse_job),
    default=assets.DEFAULT_JOB,
    show_default=True,
    help="The job_name that Prometheus scrapes the exporter by.",
)
@click.option(
    "--runbook-url",
    type=_Parsed("url", assets.parse_runbook_url),
    help="Where docs/how-to/runbook.md is published; alerts link to it.",
)
@click.option("--overwrite", is_flag=True, help="Overwrite files that have other content.")
def assets_command(folder: Path, *, job: str, runbook_url: str | None, overwrite: bool) -> None:
    """
    Write dashboards, rules, examples and the runbook into DIR.

    They are those of this version: dashboards/ for Grafana, rules/ for Prometheus, examples/ for
    both and Alertmanager, docs/how-to/runbook.md for whoever gets an alert.
    """
    try:
        shipped = assets.shipped()
        links = {} if runbook_url is None else {"runbook_url": runbook_url}
        written = assets.write(
            assets.adapted(shipped, job=job, **links), folder, overwrite=overwrite
        )
    except assets.AssetsMissing as error:
        raise click.ClickException(str(error)) from None
    except assets.FilesDiffer as error:
        listed = "\n".join(f"  {each}" for each in error.paths)
        raise click.ClickException(
            f"nothing is written: these have other content; --overwrite replaces them:\n{listed}"
        ) from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(f"cannot write {error.filename or folder}: {reason}") from None
    for path in written:
        click.echo(path)
    click.echo(_hint(folder, is_changed=bool(written)), err=True)


def _hint(folder: Path, *, is_changed: bool) -> str:
    place = folder.absolute()
    return f"""\
{"" if is_changed else "All is there already."}
Prometheus: name {place / assets.RULES}
  under rule_files in prometheus.yml, and reload it; examples/prometheus.yml is a whole one.
Grafana: import the files in {place / "dashboards"},
  or provision them as in examples/grafana/.
Alertmanager: examples/alertmanager.yml has routes and inhibitions to take over."""
