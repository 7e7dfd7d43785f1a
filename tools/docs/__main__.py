"""Write the reference pages; `make docs` runs this."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from tools.docs.alerts import alerts_reference
from tools.docs.check_report import check_report_reference, schema_text
from tools.docs.command_line import command_line_reference
from tools.docs.completion import completion_script
from tools.docs.configuration import configuration_reference
from tools.docs.faults import faults_reference
from tools.docs.http import http_reference
from tools.docs.licences import licences_reference
from tools.docs.log_messages import log_messages_reference
from tools.docs.man_page import man_page
from tools.docs.metrics import metrics_reference
from tools.docs.mutants import mutants_reference
from tools.docs.openapi import openapi_description
from tools.docs.options import options_reference
from tools.docs.simulator import simulator_reference
from tools.docs.status_api import status_api_reference, status_api_schema
from tools.docs.web_configuration import web_configuration_reference


ROOT = Path(__file__).parents[2]
PAGES: dict[str, tuple[str, Callable[[], str]]] = {
    "options": ("Options", options_reference),
    "configuration": ("Configuration file", configuration_reference),
    "web-configuration": ("Web configuration file", web_configuration_reference),
    "command-line": ("Command line", command_line_reference),
    "check-report": ("Report of check for scripts", check_report_reference),
    "metrics": ("Metrics", metrics_reference),
    "alerts": ("Alerts and recording rules", alerts_reference),
    "log-messages": ("Log messages", log_messages_reference),
    "faults": ("Faults", faults_reference),
    "http": ("HTTP endpoints", http_reference),
    "mutants": ("Changes that tests notice", mutants_reference),
    "licences": ("Licences of dependencies", licences_reference),
    "status-api": ("Status API", status_api_reference),
    "simulator": ("Simulator", simulator_reference),
}
"""The title and the text of each page, by its name."""
FILES: dict[str, Callable[[], str]] = {
    "docs/reference/check-report.schema.json": schema_text,
    "share/man/man1/rk-exporter.1": man_page,
    "share/bash-completion/completions/rk-exporter": partial(completion_script, "bash"),
    "share/zsh/site-functions/_rk-exporter": partial(completion_script, "zsh"),
    "share/fish/vendor_completions.d/rk-exporter.fish": partial(completion_script, "fish"),
    "docs/reference/status-api.schema.json": status_api_schema,
    "docs/reference/openapi.yaml": openapi_description,
}
"""The text of each other generated file, by its path."""
_NOTICE = "<!-- Generated from the code by `make docs`. Change the code or tools/docs instead. -->"


def path_of(name: str) -> Path:
    """Return the path of a page."""
    return ROOT / f"docs/reference/{name}.md"


def page(name: str) -> str:
    """Return the content of a page."""
    title, text = PAGES[name]
    return f"# {title}\n\n{_NOTICE}\n\n{text()}"


def main() -> None:
    """Write all pages and files."""
    for name in PAGES:
        path_of(name).write_text(page(name), encoding="utf-8")
    for name, text in FILES.items():
        path = ROOT / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(), encoding="utf-8")


if __name__ == "__main__":
    main()
