"""The command `assets`."""

import re

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import click

from rk_exporter.assets.files import (
    RULES,
    SERVICE_LEVEL_RULES,
    shipped,
    templates_of_rules,
    write,
)
from rk_exporter.assets.forms import DEFAULT_CLUSTER_LABEL, TAKEN_LABELS, Choices, Format, adapted
from rk_exporter.assets.job import DEFAULT_JOB, Job, parse_job
from rk_exporter.assets.settings import parse_settings, settings
from rk_exporter.cli.completion import offer_folders
from rk_exporter.cli.options import Command, Parsed
from rk_exporter.cli.output import print_all


_URL = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9._~:/?@!$&()*+,;=%\[\]-]*")
_LABEL_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")
_KUBERNETES_KEY = re.compile(r"([a-z0-9.-]{1,253}/)?[A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?")
_KUBERNETES_VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]{0,61}[A-Za-z0-9])?)?")


def _parse_runbook_url(text: str) -> str:
    """Return the URL of a page that accepts a fragment."""
    if not _URL.fullmatch(text):
        raise ValueError(
            f"invalid URL {text[:80]!r}: it must start with http:// or https:// and have no "
            "fragment, e.g. https://wiki.example.org/runbook"
        )
    return text


def _parse_grafana_url(text: str) -> str:
    """Return the URL to which the path of a dashboard can be appended."""
    if not _URL.fullmatch(text) or "?" in text:
        raise ValueError(
            f"invalid URL {text[:80]!r}: it must start with http:// or https:// and have no "
            "query, e.g. https://grafana.example.org"
        )
    return text.rstrip("/")


def _parse_cluster_label(text: str) -> str:
    """Return a label name that has no other meaning in rules and dashboards."""
    if not _LABEL_NAME.fullmatch(text) or re.fullmatch(TAKEN_LABELS, text):
        raise ValueError(
            f"invalid label name {text[:40]!r}: it must be a label of your targets that says in "
            "which cluster they are, and none that the metrics or alerts have, e.g. k8s_cluster"
        )
    return text


def _parse_label(text: str) -> tuple[str, str]:
    """Return the key and the value of a label of Kubernetes."""
    key, separator, value = text.partition("=")
    if not (separator and _KUBERNETES_KEY.fullmatch(key) and _KUBERNETES_VALUE.fullmatch(value)):
        raise ValueError(
            f"invalid label {text[:80]!r}: write KEY=VALUE, e.g. release=kube-prometheus-stack"
        )
    return key, value


def _parse_folder(text: str) -> Path:
    """Return the path of a folder that somebody has named."""
    if not text.strip():
        raise ValueError("the name of the folder is empty; write . for the current folder")
    return Path(text)


def _list_settings(context: click.Context, parameter: click.Parameter, value: object) -> None:
    """Print the keys for --set."""
    del parameter
    if not value or context.resilient_parsing:
        return
    known = settings(templates_of_rules(shipped())).values()
    key_width = max(len(setting.key) for setting in known)
    default_width = max(len(setting.default) for setting in known)
    for setting in known:
        key, default = setting.key.ljust(key_width), setting.default.ljust(default_width)
        print_all(f"{key}  {default}  {setting.meaning}\n")
    context.exit()


@click.command("assets", cls=Command)
@click.argument(
    "folder", metavar="DIR", type=Parsed("dir", _parse_folder), shell_complete=offer_folders
)
@click.option(
    "--job",
    type=Parsed("name", parse_job),
    default=DEFAULT_JOB,
    help="Prometheus job_name of the exporter, or a regular expression for several jobs.",
)
@click.option(
    "--cluster-label",
    type=Parsed("name", _parse_cluster_label),
    default=DEFAULT_CLUSTER_LABEL,
    help="Label that says in which cluster a target is.",
)
@click.option(
    "--grafana-url",
    type=Parsed("url", _parse_grafana_url),
    help="URL of your Grafana; alerts link to its dashboards.",
)
@click.option(
    "--runbook-url",
    type=Parsed("url", _parse_runbook_url),
    help="URL of your copy of docs/how-to/runbook.md; alerts link to it.",
)
@click.option(
    "--set",
    "changes",
    metavar="KEY=VALUE",
    multiple=True,
    help="Change a threshold or a severity, e.g. recording_paused_seconds=10m (repeatable).",
)
@click.option(
    "--list-settings",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_settings,
    help="List what --set changes, with defaults, and exit.",
)
@click.option(
    "--format",
    "formats",
    type=click.Choice([form.value for form in Format]),
    multiple=True,
    default=[Format.RULES.value],
    help="Files for Prometheus and Grafana (rules), for the Prometheus Operator (prometheusrule), "
    "for Grafana's sidecar in Kubernetes (configmaps), or for Jsonnet (mixin) (repeatable).",
)
@click.option(
    "--label",
    "labels",
    type=Parsed("key=value", _parse_label),
    multiple=True,
    help="Label of the resources of Kubernetes, e.g. release=kube-prometheus-stack (repeatable).",
)
@click.option("--overwrite", is_flag=True, help="Overwrite files that have other content.")
def assets_command(
    folder: Path,
    *,
    formats: Sequence[str],
    overwrite: bool,
    **options: Any,  # noqa: ANN401 # of _choices(), which checks them
) -> None:
    """
    Write dashboards, rules, examples and the runbook to DIR.

    They belong to this version: dashboards/ for Grafana, rules/ for Prometheus, examples/ for both
    and for Alertmanager, and docs/how-to/runbook.md for people on call.
    """
    if options["labels"] and not {Format.PROMETHEUSRULE, Format.CONFIGMAPS}.intersection(formats):
        raise click.BadParameter(
            "there are no resources of Kubernetes; add --format prometheusrule or --format "
            "configmaps",
            param_hint="'--label'",
        )
    texts = shipped()
    try:
        files = adapted(texts, _choices(texts, **options), formats)
        written = write(files, folder, overwrite=overwrite)
    except OSError as error:
        reason = error.strerror or str(error)
        raise click.ClickException(f"cannot write {error.filename or folder}: {reason}") from None
    for path in written:
        print_all(b"%b\n" % bytes(path))
    click.echo(_hint(folder, formats, is_changed=bool(written)), err=True)


def _choices(
    texts: Mapping[PurePosixPath, str],
    *,
    job: Job,
    changes: Sequence[str],
    labels: Sequence[tuple[str, str]],
    **texts_given: str | None,
) -> Choices:
    known = settings(templates_of_rules(texts))
    try:
        chosen = parse_settings(changes, known)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="'--set'") from None
    given = {name: text for name, text in texts_given.items() if text is not None}
    return Choices(job=job, settings=chosen, labels=dict(labels), **given)


def _hint(folder: Path, formats: Sequence[str], *, is_changed: bool) -> str:
    root = folder.absolute()
    hints = {
        Format.RULES: f"""\
Prometheus: add {root / RULES}
  to rule_files in prometheus.yml and reload it; examples/prometheus.yml is a complete example.
  For service levels and cost, also add {SERVICE_LEVEL_RULES.name}.
Grafana: import the files in {root / "dashboards"},
  or provision them as in examples/grafana/.
Alertmanager: copy the routes and inhibitions from examples/alertmanager.yml.""",
        Format.PROMETHEUSRULE: f"""\
Prometheus Operator: kubectl apply --namespace NAMESPACE -f {root}/kubernetes/prometheusrule.yml""",
        Format.CONFIGMAPS: f"""\
Grafana's sidecar: kubectl apply --namespace NAMESPACE -f {root}/kubernetes""",
        Format.MIXIN: f"""\
Jsonnet: import {root}/mixin/mixin.libsonnet,
  and change settings in its _config, because options do not change the mixin.""",
    }
    status = "" if is_changed else "All files are up to date."
    return "\n".join([status, *(hints[form] for form in Format if form in formats)])
