"""The command `assets`."""

from pathlib import Path

import click

from rk_exporter import assets
from rk_exporter.cli.completion import offer_folders
from rk_exporter.cli.options import Command, Parsed


@click.command("assets", cls=Command)
@click.argument(
    "folder", metavar="DIR", type=click.Path(path_type=Path), shell_complete=offer_folders
)
@click.option(
    "--job",
    type=Parsed("name", assets.parse_job),
    default=assets.DEFAULT_JOB,
    help="Prometheus job_name of the exporter.",
)
@click.option(
    "--runbook-url",
    type=Parsed("url", assets.parse_runbook_url),
    help="URL of your copy of docs/how-to/runbook.md; alerts link to it.",
)
@click.option("--overwrite", is_flag=True, help="Overwrite files that have other content.")
def assets_command(folder: Path, *, job: str, runbook_url: str | None, overwrite: bool) -> None:
    """
    Write dashboards, rules, examples and the runbook to DIR.

    They belong to this version: dashboards/ for Grafana, rules/ for Prometheus, examples/ for both
    and for Alertmanager, and docs/how-to/runbook.md for people on call.
    """
    try:
        texts = {
            path: assets.adapted(text, job=job, runbook_url=runbook_url)
            for path, text in assets.shipped().items()
        }
        written = assets.write(texts, folder, overwrite=overwrite)
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(f"cannot write {error.filename or folder}: {reason}") from None
    for path in written:
        click.echo(path)
    click.echo(_hint(folder, is_changed=bool(written)), err=True)


def _hint(folder: Path, *, is_changed: bool) -> str:
    root = folder.absolute()
    return f"""\
{"" if is_changed else "All files are up to date."}
Prometheus: add {root / assets.RULES}
  to rule_files in prometheus.yml and reload it; examples/prometheus.yml is a complete example.
Grafana: import the files in {root / "dashboards"},
  or provision them as in examples/grafana/.
Alertmanager: copy the routes and inhibitions from examples/alertmanager.yml."""
