"""The documentation says what the code does."""

import json
import re
import subprocess

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click
import jsonschema
import promql_parser
import pytest
import yaml

from rk_exporter.api.pagination import PER_PAGE
from rk_exporter.cli.main import main
from rk_exporter.collector.read_mode import Load
from rk_exporter.config.account_options import ACCOUNT_OPTIONS
from rk_exporter.config.config import GLOBAL_OPTIONS, OPTIONS
from rk_exporter.config.option import Option
from rk_exporter.config.web_config import parse_web_config
from rk_exporter.simulator.webhooks.signing import public_pem
from tests.support.deploy.compose import compose_schema
from tests.support.exporters import (
    announced,
    archived,
    full,
    of_account,
    rate_limited,
    scrape,
    serving_metrics,
    sharded,
    verifying,
    watched,
)
from tests.support.markdown import (
    PAGES,
    ROOT,
    Block,
    all_rows,
    anchors,
    blocks,
    links,
    rows,
    text_of,
)
from tests.support.processes import invoke
from tests.support.programs import Monitoring


OPTIONS_PAGE = "docs/reference/options.md"
METRICS_PAGE = "docs/reference/metrics.md"
CONFIGURATION_PAGE = "docs/reference/configuration.md"
APP = ("--account-id", "account", "--app-id", "app")


def in_all_pages(*languages: str) -> list[Block]:
    return [block for page in PAGES for block in blocks(page, *languages)]


def name_of(block: Block) -> str:
    return f"{block.page}:{block.line}"


YAML_BLOCKS = in_all_pages("yaml")


def test_readme_is_short() -> None:
    """Two screens, so that people in a hurry read all of it."""
    text = text_of("README.md")
    assert len(text.splitlines()) <= 130
    assert len(text.split()) <= 900


def test_options_table() -> None:
    """The table has each option of `serve` with its variable and default, and no other."""
    table = rows(text_of(OPTIONS_PAGE), "## Table")
    written = {tuple(cell.strip("`") for cell in row[:3]) for row in table}
    parameters = [option for option in main.commands["serve"].params if option.envvar]
    assert written == {(option.opts[0], option.envvar, default_of(option)) for option in parameters}
    assert len(table) == len(parameters)


def default_of(parameter: click.Parameter) -> str:
    """Return the default that the help page shows."""
    shown = getattr(parameter, "show_default", None)
    default = shown if isinstance(shown, str) else parameter.default
    return (
        ",".join(default)
        if isinstance(default, list)
        else default
        if isinstance(default, str)
        else ""
    )


def test_every_command_is_documented() -> None:
    """The page of the command line lists all commands, and no others."""
    text = text_of("docs/reference/command-line.md")
    written = {row[0].strip("`") for row in rows(text, "# Command line")}
    assert written == {f"rk-exporter {name}" for name in main.commands}


def test_every_option_is_documented() -> None:
    """Each option of a command is in its help on the page, or in the table of all options."""
    page = text_of("docs/reference/command-line.md")
    common = text_of(OPTIONS_PAGE)
    for name, command in main.commands.items():
        section = page.partition(f"## rk-exporter {name}\n")[2].partition("\n## ")[0]
        for option in command.params:
            if isinstance(option, click.Option):
                assert f"{option.opts[0]} " in section or f"| `{option.opts[0]}` |" in common, name


@pytest.mark.parametrize(
    ("heading", "options"), [("apps", OPTIONS), ("accounts", ACCOUNT_OPTIONS.values())]
)
def test_keys_of_entries(heading: str, options: Iterable[Option]) -> None:
    """The page has each key of an entry in one of two tables: its own, or that of both lists."""
    page = text_of(CONFIGURATION_PAGE)
    own = [row[0] for row in rows(page, f"## Keys of an entry in `{heading}`")]
    inherited = [row[0] for row in rows(page, "## Keys of the file in an entry")]
    keys = [f"`{option.path_in_app}`" for option in options if option.path_in_app]
    assert sorted(keys) == sorted([*own, *inherited])


def metric_rows() -> list[list[str]]:
    """Return the rows of all metrics on their page, without marks."""
    table = all_rows(text_of(METRICS_PAGE).partition("## Labels")[0])
    return [[row[0].strip("`"), *row[1:]] for row in table if row[0].startswith("`rk_")]


def test_metrics_table(tmp_path: Path) -> None:
    """The tables have each metric with its labels, and no other except those of the process."""
    text = watched(full(tmp_path)) + scrape(rate_limited(tmp_path)) + serving_metrics()
    text += scrape(sharded(tmp_path)) + scrape(of_account(tmp_path))
    text += verifying() + announced() + archived()
    actual: dict[str, set[str]] = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name = re.sub(r"_(bucket|count|sum)$", "", re.split(r"[{ ]", line)[0])
            actual.setdefault(name, set()).update(re.findall(r'(\w+)="', line))
    written = {row[0]: {*filter(None, row[2].split(", "))} for row in metric_rows()}
    shown = {
        name: labels - {"le"} for name, labels in actual.items() if not name.startswith("process_")
    }
    assert shown == written


def test_main_metrics_exist() -> None:
    """The README's short table lists metrics of the long one."""
    known = {row[0] for row in metric_rows()}
    main_metrics = {row[0].strip("`") for row in rows(text_of("README.md"), "## Metrics")}
    assert len(main_metrics) == 5
    assert main_metrics <= known


def test_how_many_series(tmp_path: Path) -> None:
    """The text says how few and how many series a recording and a meeting have."""
    recordings: Counter[str] = Counter()
    meetings: Counter[str] = Counter()
    for line in watched(full(tmp_path)).splitlines():
        if recording := re.search(r'recording_id="([^"]+)"', line):
            recordings[recording[1]] += 1
        elif meeting := re.search(r'meeting_id="([^"]+)"', line):
            meetings[meeting[1]] += 1
    bounds = [
        f"{min(counts.values())} to {max(counts.values())}" for counts in (recordings, meetings)
    ]
    expected = f"A recording has {bounds[0]} series, a meeting {bounds[1]}."
    assert expected in text_of(METRICS_PAGE)


def test_what_each_interval_affords() -> None:
    """The table of intervals says for how many meetings and recordings the calls suffice."""
    seconds = {"15 s": 15.0, "30 s": 30.0, "1 min": 60.0, "2 min": 120.0}
    budget = next(
        int(row[2].strip("`"))
        for row in rows(text_of(OPTIONS_PAGE), "## Table")
        if row[0] == "`--api.budget`"
    )
    table = rows(text_of("docs/how-to/many-meetings.md"), "# Read many meetings")
    assert list(seconds) == [row[0] for row in table]
    shortest, meetings, recordings = table[0]
    readme = " ".join(text_of("README.md").split())
    assert f"{meetings} every {shortest}" in readme
    assert f"up to {recordings} recordings" in readme
    for interval, meetings, recordings in table:
        affordable = int(meetings.removeprefix("up to ").removesuffix(" meetings"))
        loads = [Load(count, seconds[interval], budget) for count in (affordable, affordable + 1)]
        assert [True, False] == [load.ratio <= 1 for load in loads]
        # Each of the other three statuses takes a call as well.
        pages = budget // loads[0].passes - 3
        assert pages * PER_PAGE == int(recordings.replace(",", ""))


def test_parts_of_the_architecture_exist() -> None:
    """Each package, module and class that the page of the architecture names is in the code."""
    text = text_of("docs/explanation/architecture.md")
    package = ROOT / "rk_exporter"
    source = "\n".join(path.read_text() for path in package.glob("**/*.py"))
    for name in re.findall(r"`([A-Z]\w+)`", text):
        assert re.search(rf"^(class {name}\b|@dataclass.*\nclass {name}\b)", source, re.MULTILINE)
    for name in re.findall(r"`([a-z_]+/[a-z_]+\.py)`", text):
        assert (package / name).is_file(), name
    written = {row[0].strip("`") for row in rows(text, "## Packages")}
    assert written <= {path.name for path in package.iterdir()}
    assert {path.parent.name for path in package.glob("*/__init__.py")} <= written


@pytest.mark.parametrize("page", PAGES)
def test_links_are_valid(page: str) -> None:
    """Each relative link leads to a file of the project, and to a heading if it names one."""
    for target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (ROOT / page).parent / path if path else ROOT / page
        assert found.exists(), target
        if anchor:
            assert anchor in anchors(str(found.resolve().relative_to(ROOT))), target


def test_every_page_is_in_the_index() -> None:
    """Readers find each page from the index of the documentation."""
    listed = {
        (ROOT / "docs" / target.partition("#")[0]).resolve() for target in links("docs/README.md")
    }
    assert {ROOT / page for page in PAGES if page.startswith("docs/")} - listed == {
        ROOT / "docs/README.md"
    }


@pytest.mark.parametrize("block", in_all_pages("promql"), ids=name_of)
def test_queries_are_valid(block: Block) -> None:
    """Each query can be parsed."""
    promql_parser.parse(block.text)


def loads(folder: Path, *options: str) -> str:
    """Return what `check --offline` prints about a valid configuration."""
    environment = {"CLOUDFLARE_API_TOKEN": "simulated", "STAGING_API_TOKEN": "simulated"}
    result = invoke(
        "check",
        "--offline",
        *(option.format(folder=folder) for option in options),
        environment={**environment, "PROCTORING_API_TOKEN": "simulated"},
    )
    assert result.exit_code == 0, result.output
    return result.output


def check_exporter(block: Block, folder: Path) -> None:
    text = block.text.replace("/run/secrets/cloudflare-api-token", "token")
    (folder / "token").write_text("simulated\n")
    (folder / "meetings.yml").write_text("- weekly\n")
    (folder / "rk.yml").write_text(text.replace("/var/lib/rk-exporter/", ""))
    loads(folder, "--config.file", "{folder}/rk.yml")


def check_options(block: Block, folder: Path) -> None:
    (folder / "rk.yml").write_text(block.text)
    (folder / "webhooks.json").write_text(public_pem(0))
    loads(folder, *APP, "--meeting-id", "weekly", "--config.file", "{folder}/rk.yml")


def check_meetings(block: Block, folder: Path) -> None:
    (folder / "meetings").write_text(block.text)
    loads(folder, *APP, "--meetings.file", "{folder}/meetings")


def check_prometheus(block: Block, folder: Path) -> None:
    for name in ("rk-exporter", "rk-exporter-service-levels"):
        (folder / f"{name}.rules.yml").write_text("groups: []\n")
    (folder / "prometheus.yml").write_text(block.text)
    for name in re.findall(r"(?:ca|cert|key)_file: (\S+)", block.text):
        (folder / name).touch()
    # Prometheus 2 does not know the settings for native histograms.
    is_new = "native_histograms" in block.text
    programs = Monitoring.BUILT if is_new else Monitoring.DEBIAN
    promtool = programs.required("promtool", package="prometheus")
    run_if_installed(promtool, "check", "config", f"{folder}/prometheus.yml")


def check_web_configuration(block: Block, _folder: Path) -> None:
    parse_web_config(Path("web.yml"), block.text.encode())


def check_rules(block: Block, folder: Path) -> None:
    (folder / "rules.yml").write_text(block.text)
    run_if_installed("promtool", "check", "rules", f"{folder}/rules.yml")


def check_route(block: Block, folder: Path) -> None:
    routes = "".join(f"    {line}\n" for line in block.text.splitlines())
    (folder / "alertmanager.yml").write_text(
        f"route:\n  receiver: heartbeat\n  routes:\n{routes}receivers: [{{name: heartbeat}}]\n"
    )
    run_if_installed("amtool", "check-config", f"{folder}/alertmanager.yml")


def check_chart_values(block: Block, _folder: Path) -> None:
    schema = json.loads((ROOT / "deploy/helm/rk-exporter/values.schema.json").read_text())
    jsonschema.validate(yaml.safe_load(block.text), schema)


def check_compose(block: Block, _folder: Path) -> None:
    jsonschema.validate(yaml.safe_load(block.text), compose_schema())


def run_if_installed(*command: str) -> None:
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    assert result.returncode == 0, result.stdout + result.stderr


# The first key of a block, or what its first item starts with, shows what it is for.
CHECKS = {
    "account_id:": check_exporter,
    "apps:": check_exporter,
    "accounts:": check_exporter,
    "downloads:": check_options,
    "- 497f6eca": check_meetings,
    "scrape_configs:": check_prometheus,
    "rule_files:": check_prometheus,
    "alerting:": check_prometheus,
    "tls_server_config:": check_web_configuration,
    "groups:": check_rules,
    "- receiver:": check_route,
    "image:": check_chart_values,
    "serviceMonitor:": check_chart_values,
    "meetings:": check_chart_values,
    "shards:": check_chart_values,
    "services:": check_compose,
    "webhook:": check_options,
}


@pytest.mark.parametrize("block", YAML_BLOCKS, ids=name_of)
def test_yaml_is_valid(block: Block, tmp_path: Path) -> None:
    """The program that a YAML example is for accepts it."""
    (check,) = (check for start, check in CHECKS.items() if block.text.startswith(start))
    check(block, tmp_path)


def test_forms_of_meeting_lists(tmp_path: Path) -> None:
    """The three lists in the reference of the configuration hold the same meetings."""
    path = tmp_path / "meetings"
    listed = []
    for block in blocks(CONFIGURATION_PAGE, "yaml", "json", "text")[-3:]:
        path.write_text(block.text)
        output = loads(tmp_path, *APP, "--meetings.file", "{folder}/meetings")
        listed.append([line.split()[0] for line in output.splitlines()[1:-1]])
    assert listed[0] == listed[1] == listed[2]
    assert len(listed[0]) == 2


def test_options_that_need_a_restart() -> None:
    """The page about reloads names each option that a reload does not change, and no other."""
    table = rows(text_of("docs/how-to/reload.md"), "## What needs a restart")
    named = [path for options, *_ in table for path in re.findall("`([^`]+)`", options)]
    fixed = [option.path for option in GLOBAL_OPTIONS.values() if option.is_fixed]
    assert sorted(fixed) == sorted(named)
