"""Each dashboard rule finds the faults that it is for, and nothing else."""

import copy

from typing import Any

import pytest

from tests.support.monitoring.board import Json
from tests.support.monitoring.dashboard_lint import RULES, findings
from tests.support.monitoring.promql import Labels


TARGET = frozenset({"job", "instance"})
COST = "app:rk_recorded_cost:increase1d"
KNOWN: dict[str, Labels] = {
    "build_info": TARGET,
    "calls_total": TARGET | {"app", "code"},
    "recordings": TARGET | {"app", "status"},
    "ALERTS": frozenset({"alertname", "severity", "job", "rk_app"}),
    "up": TARGET,
    "process_cpu": TARGET,
    "rk_exporter_build_info": TARGET,
    "rk_meeting_info": TARGET | {"meeting_id", "meeting_name"},
    "rk_meeting_up": TARGET | {"meeting_id"},
    "job:recordings:sum": TARGET,
    COST: frozenset({"job", "rk_app"}),
}
CHOSEN = 'job=~"$job", instance=~"$instance"'
ALERTS = 'ALERTS{alertname=~"RealtimeKit.+", job=~"$job", rk_app=~"$app|"}'
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
REMOVED = object()
RED = {"id": "color", "value": {"mode": "fixed", "fixedColor": "red"}}


def variable(name: str, query: str) -> Json:
    return {
        "type": "query",
        "name": name,
        "label": name.title(),
        "query": query,
        "datasource": DATASOURCE,
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".+",
    }


def panel(panel_id: int, kind: str, expr: str, at: tuple[int, int], **more: Any) -> Json:
    target = {"refId": "A", "expr": expr, "datasource": DATASOURCE, **more}
    return {
        "id": panel_id,
        "type": kind,
        "title": f"A {kind}",
        "description": "What it shows.",
        "datasource": DATASOURCE,
        "gridPos": {"x": at[0], "y": at[1], "w": 12, "h": 8},
        "targets": [target],
        "fieldConfig": {"defaults": {"unit": "short"}, "overrides": []},
    }


def with_state(text: str, colour: str | None) -> Json:
    """Return a value mapping."""
    return {"type": "value", "options": {"1": {"text": text, "color": colour, "index": 0}}}


def override(*properties: Json, name: str = "RECORDING") -> list[Json]:
    """Return an override of one field's properties."""
    return [{"matcher": {"id": "byName", "options": name}, "properties": [*properties]}]


def column_link(column: str) -> Json:
    """Return a link that passes on the value of a column."""
    url = f'/d/rk-other?var-app=${{__data.fields["{column}"]:percentencode}}&${{__url_time_range}}'
    return {"id": "links", "value": [{"url": url}]}


TABLE_OF_STATES = {
    **panel(5, "table", f"sum by (app, status) (recordings{{{CHOSEN}}})", (0, 9)),
    "fieldConfig": {
        "defaults": {"unit": "short"},
        "overrides": override(column_link("App"), name="State"),
    },
    "transformations": [
        {
            "id": "organize",
            "options": {
                "excludeByName": {"Time": True},
                "indexByName": {"app": 0, "status": 1, "Value": 2},
                "renameByName": {"app": "App", "status": "State", "Value": "Recordings"},
            },
        },
        {"id": "sortBy", "options": {"sort": [{"field": "Recordings"}]}},
    ],
}
SOUND: Json = {
    "__inputs": [],
    "__requires": [
        {"type": kind, "id": name}
        for kind, name in (
            ("grafana", "grafana"),
            ("datasource", "prometheus"),
            *(("panel", name) for name in ("bargauge", "stat", "table", "timeseries")),
        )
    ],
    "id": None,
    "uid": "rk-board",
    "title": "RealtimeKit / Board",
    "tags": ["realtimekit"],
    "editable": False,
    "links": [
        {
            "type": "link",
            "url": "/d/rk-other?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"
            "&${app:queryparam}",
            "keepTime": True,
        }
    ],
    "templating": {
        "list": [
            {
                "type": "datasource",
                "name": "datasource",
                "label": "Data source",
                "query": "prometheus",
            },
            variable("job", "label_values(build_info, job)"),
            variable("instance", 'label_values(build_info{job=~"$job"}, instance)'),
            {"type": "custom", "name": "many", "query": "3", "current": {"value": "3"}},
            variable("app", f"label_values(recordings{{{CHOSEN}}}, app)"),
        ]
    },
    "annotations": {
        "list": [
            {
                "name": "Alerts",
                "datasource": DATASOURCE,
                "expr": ALERTS,
                "titleFormat": "{{alertname}}",
                "tagKeys": "severity",
            }
        ]
    },
    "panels": [
        {
            **panel(1, "stat", f"sum(recordings{{{CHOSEN}}})", (0, 0)),
            "links": [{"url": "/d/rk-other?${job:queryparam}&${__url_time_range}"}],
        },
        {
            **panel(
                2,
                "bargauge",
                f"sum by (app) (rate(calls_total{{{CHOSEN}}}[$__rate_interval]))",
                (12, 0),
                legendFormat="{{app}}",
            ),
            "fieldConfig": {"defaults": {}, "overrides": override(RED)},
        },
        {
            "id": 3,
            "type": "row",
            "title": "More",
            "gridPos": {"x": 0, "y": 8, "w": 24, "h": 1},
            "panels": [panel(4, "timeseries", f"topk($many, recordings{{{CHOSEN}}})", (0, 9))],
        },
        TABLE_OF_STATES,
    ],
}
STAT, BARS, ROW, SERIES = "panels 0", "panels 1", "panels 2", "panels 2 panels 0"
TABLE = "panels 3"
ORGANIZE = f"{TABLE} transformations 0 options"
QUERY = f"{SERIES} targets 0 expr"
JOB, INSTANCE = "templating list 1", "templating list 2"
RECORDINGS = f"recordings{{{CHOSEN}}}"
STATES = f"sum by (app, status) ({RECORDINGS})"
BUILD = f"rk_exporter_build_info{{{CHOSEN}}}"
IS_OURS = f"and on (job, instance) {BUILD}"
WAS_OURS = f"and on (job, instance) last_over_time({BUILD}[1w])"
INFO, READ = f"rk_meeting_info{{{CHOSEN}}}", f"rk_meeting_up{{{CHOSEN}}}"
NAME = f"topk by (meeting_id) (1, max by (meeting_id, meeting_name) ({INFO}))"
BY_ID = f'label_replace(group by (meeting_id) ({READ}), "meeting_name", "$1", "meeting_id", "(.+)")'
NAMED = f"{READ} * on (meeting_id) group_left (meeting_name)"


# A place in the dashboard, the value that replaces the present one, and the rules that find it.
FAULTS: list[tuple[str, Any, str]] = [
    (
        "templating list 0 name",
        "prometheus",
        "template-datasource-rule panel-datasource-rule known-variables",
    ),
    ("templating list 0 label", "Data Source", "template-datasource-rule"),
    ("templating list 0 type", "custom", "template-datasource-rule panel-datasource-rule"),
    (f"{JOB} name", "jobs", "template-job-rule variables-in-turn known-variables"),
    (f"{JOB} label", "job", "template-job-rule"),
    (f"{JOB} multi", False, "template-job-rule"),
    (f"{JOB} allValue", ".*", "template-job-rule"),
    (f"{JOB} datasource", {"uid": "prometheus"}, "template-job-rule datasource-everywhere"),
    (f"{JOB} type", "custom", "template-job-rule"),
    (f"{INSTANCE} name", "instances", "template-instance-rule variables-in-turn known-variables"),
    (f"{INSTANCE} multi", REMOVED, "template-instance-rule"),
    (f"{INSTANCE} allValue", REMOVED, "template-instance-rule"),
    (f"{JOB} query", "build_info", "template-label-promql-rule every-query-parses"),
    (f"{JOB} query", "values(build_info)", "template-label-promql-rule every-query-parses"),
    (f"{JOB} query", {"query": "metrics(a b)"}, "template-label-promql-rule every-query-parses"),
    (f"{INSTANCE} refresh", 1, "template-on-time-change-reload-rule"),
    (f"{INSTANCE} refresh", REMOVED, "template-on-time-change-reload-rule"),
    (f"{SERIES} datasource", {"uid": "x"}, "panel-datasource-rule datasource-everywhere"),
    (f"{SERIES} datasource", REMOVED, "panel-datasource-rule datasource-everywhere"),
    (f"{STAT} title", "", "panel-title-description-rule explained"),
    (f"{STAT} description", REMOVED, "panel-title-description-rule explained"),
    (f"{STAT} fieldConfig defaults unit", REMOVED, "panel-units-rule"),
    (f"{STAT} fieldConfig defaults unit", "suffix:calls", "panel-units-rule"),
    (f"{STAT} fieldConfig overrides", override({"id": "unit", "value": "x"}), "panel-units-rule"),
    (f"{STAT} targets", REMOVED, "panel-no-targets-rule"),
    (QUERY, "sum(", "target-promql-rule every-query-parses"),
    (QUERY, "", "target-promql-rule every-query-parses"),
    (QUERY, f"rate(calls_total{{{CHOSEN}}}[5m])", "target-rate-interval-rule"),
    (QUERY, 'recordings{instance=~"$instance"}', "target-job-rule"),
    (QUERY, 'recordings{job="$job", instance=~"$instance"}', "target-job-rule"),
    (QUERY, 'recordings{job=~"${job}", instance=~"$instance"}', "target-job-rule"),
    (QUERY, 'recordings{job=~"$job"}', "target-instance-rule"),
    (QUERY, f'{RECORDINGS} / recordings{{job=~"$job"}}', "target-instance-rule"),
    (QUERY, f"{RECORDINGS} - on (app) {RECORDINGS}", "unambiguous"),
    (f"{BARS} targets 0 expr", 'sum by (app) (recordings{job=~"$job"})', "target-instance-rule"),
    (QUERY, f"calls_total{{{CHOSEN}}}", "target-counter-agg-rule"),
    (QUERY, f"deriv(calls_total{{{CHOSEN}}}[5m])", "target-counter-agg-rule"),
    ("editable", True, "uneditable-dashboard"),
    (f"{STAT} id", 4, "unique-ids"),
    (f"{STAT} id", REMOVED, "unique-ids"),
    (f"{STAT} targets", [*SOUND["panels"][0]["targets"]] * 2, "unique-ref-ids"),
    (f"{STAT} targets 0 refId", "", "unique-ref-ids"),
    (f"{BARS} gridPos x", 13, "grid-position"),
    (f"{BARS} gridPos x", 11, "grid-position"),
    (f"{BARS} gridPos y", -1, "grid-position"),
    (f"{BARS} gridPos w", 0, "grid-position"),
    (f"{BARS} gridPos", REMOVED, "grid-position"),
    (f"{ROW} gridPos y", 7, "grid-position"),
    ("uid", None, "identity"),
    ("uid", "x" * 41, "identity"),
    ("uid", "a b", "identity"),
    ("id", 7, "identity"),
    ("title", "Board", "title"),
    ("title", "RealtimeKit / ", "title"),
    ("tags", [], "one-tag"),
    ("tags", ["realtimekit", "more"], "one-tag"),
    ("links", [], "links"),
    ("links 0 url", "/dashboards", "links"),
    ("links 0 url", "/d/rk-other?${datasource:queryparam}&${job:queryparam}", "links"),
    ("links 0 keepTime", False, "links"),
    ("links 0 includeVars", True, "links"),
    (f"{STAT} links 0 url", "https://example.org/?${__url_time_range}", "no-absolute-urls"),
    (f"{STAT} description", "See http://example.org.", "no-absolute-urls"),
    (f"{STAT} links 0 url", "//example.org", "no-absolute-urls"),
    (f"{STAT} links 0 url", "/dashboards?${__url_time_range}", "no-absolute-urls"),
    (f"{STAT} links 0 url", "/d/rk-other", "no-absolute-urls"),
    ("__inputs", [{"name": "DS_PROMETHEUS"}], "importable"),
    ("__requires", REMOVED, "importable"),
    ("__requires 2 id", "table", "importable"),
    (f"{JOB} current", {"text": "mine", "value": ["mine"]}, "no-site"),
    (f"{JOB} options", [{"value": "mine"}], "no-site"),
    ("templating list 0 current", {"value": "abcdef"}, "no-site"),
    (f"{BARS} title", "", "explained"),
    (f"{BARS} description", "", "explained"),
    (f"{ROW} title", "", "explained"),
    (f"{BARS} datasource", {"uid": "x"}, "datasource-everywhere"),
    (f"{BARS} targets 0 datasource", REMOVED, "datasource-everywhere"),
    ("annotations list 0 datasource", {"uid": "-- Grafana --"}, "datasource-everywhere"),
    (f"{BARS} targets 0 expr", "sum(", "every-query-parses"),
    ("annotations list 0 expr", "ALERTS{", "every-query-parses"),
    (f"{INSTANCE} query", "label_values(build_info, instance)", "variables-in-turn"),
    (f"{STAT} title", "In $room", "known-variables"),
    (f"{STAT} links 0 url", "/d/x?var-job=$job&${__url_time_range}", "encoded-links"),
    (f"{STAT} links 0 url", "/d/x?var-job=${job}&${__url_time_range}", "encoded-links"),
    (f"{STAT} links 0 url", "/d/x?${room:queryparam}&${__url_time_range}", "known-variables"),
    (QUERY, f'recordings{{{CHOSEN}, app=~"$room"}}', "known-variables"),
    (QUERY, f"{RECORDINGS} + rec{{{CHOSEN}}}", "known-series"),
    (f"{JOB} query", "label_values(info, job)", "known-series"),
    ("annotations list 0 expr", "ALERT", "known-series"),
    (QUERY, f'recordings{{{CHOSEN}, code="200"}}', "known-labels"),
    (QUERY, f"sum by (code) ({RECORDINGS})", "known-labels"),
    (f"{SERIES} targets 0 legendFormat", "{{code}}", "known-labels"),
    (f"{BARS} targets 0 legendFormat", "{{code}}", "known-labels"),
    (f"{JOB} query", "label_values(build_info, jobs)", "known-labels"),
    ("annotations list 0 titleFormat", "{{app}}", "known-labels"),
    ("annotations list 0 textFormat", "{{app}}", "known-labels"),
    ("annotations list 0 tagKeys", "severity,app", "known-labels"),
    (f"{ORGANIZE} renameByName app", "Apps", "table-columns"),
    (f"{ORGANIZE} renameByName code", "Code", "table-columns"),
    (f"{ORGANIZE} indexByName code", 3, "table-columns"),
    (f"{ORGANIZE} excludeByName code", True, "table-columns"),
    (f"{ORGANIZE} excludeByName app", True, "table-columns"),
    (f"{ORGANIZE} excludeByName", {}, "table-columns"),
    (f"{TABLE} transformations 1 options sort 0 field", "Value", "table-columns"),
    (f"{TABLE} fieldConfig overrides", override(RED, name="status"), "table-columns"),
    (f"{TABLE} fieldConfig overrides", override(column_link("app"), name="App"), "table-columns"),
    (f"{TABLE} targets 0 expr", f"sum by (app) ({RECORDINGS})", "table-columns"),
    (f"{TABLE} targets 0 expr", f"sum by (app, status, job) ({RECORDINGS})", "table-columns"),
    (QUERY, f"job:recordings:sum{{{CHOSEN}}}", "no-recorded-series"),
    (QUERY, f"process_cpu{{{CHOSEN}}}", "our-targets"),
    (QUERY, f"process_cpu{{{CHOSEN}}} and on (job, instance) up{{{CHOSEN}}}", "our-targets"),
    (QUERY, f"process_cpu{{{CHOSEN}}} and {BUILD}", "our-targets"),
    (QUERY, f"{BUILD} and on (job, instance) process_cpu{{{CHOSEN}}}", "our-targets"),
    (QUERY, f"up{{{CHOSEN}}}", "our-targets"),
    (QUERY, f"min(up{{{CHOSEN}}} {IS_OURS})", "our-targets"),
    (QUERY, 'ALERTS{alertname=~"RealtimeKit.+", job=~"$job"}', "our-alerts"),
    (QUERY, 'ALERTS{alertname=~"RealtimeKit.+", rk_app=~"$app|"}', "our-alerts"),
    (QUERY, 'ALERTS{alertname=~"RK.+", job=~"$job", rk_app=~"$app|"}', "our-alerts"),
    ("annotations list 0 expr", 'ALERTS{alertname=~"RealtimeKit.+"}', "our-alerts"),
    (QUERY, f"sum by (meeting_name) ({INFO})", "safe-names"),
    (QUERY, f"topk(3, {NAMED} {NAME})", "safe-names"),
    (QUERY, READ, "limited-lists"),
    (QUERY, f"topk by (job) (3, {READ})", "limited-lists"),
    (f"{TABLE} targets 0 expr", f"topk(3, {STATES}) and topk(2, {STATES})", "same-rows"),
    (f"{STAT} fieldConfig defaults mappings", [with_state("RECORDING", "blue")], "state-colours"),
    (f"{STAT} fieldConfig defaults mappings", [with_state("RECORDING", None)], "state-colours"),
    (
        f"{STAT} fieldConfig overrides",
        override({"id": "mappings", "value": [with_state("RECORDING", "blue")]}),
        "state-colours",
    ),
    (
        f"{STAT} fieldConfig defaults mappings",
        [{"type": "range", "options": {"result": {"text": "RECORDING", "color": "blue"}}}],
        "state-colours",
    ),
    (
        f"{STAT} fieldConfig defaults mappings",
        [{"type": "value", "options": {"RECORDING": {"text": "runs", "color": "blue"}}}],
        "state-colours",
    ),
    (f"{BARS} targets 0 legendFormat", "PAUSED", "state-colours"),
    (f"{SERIES} targets 0 legendFormat", "{{status}}", "state-colours"),
]
PASSING: list[tuple[str, Any]] = [
    ("templating list 0 label", "Prometheus data source"),
    (f"{JOB} query", {"query": "label_values(build_info, job)", "refId": "x"}),
    (f"{JOB} query", "label_values(job)"),
    (f"{JOB} query", "metrics(build_info)"),
    (f"{JOB} current", {"text": "All", "value": "$__all"}),
    (f"{SERIES} datasource", "${datasource}"),
    (f"{STAT} fieldConfig defaults", {"mappings": []}),
    (f"{STAT} fieldConfig defaults", {"mappings": [with_state("RECORDING", "red")]}),
    (f"{STAT} fieldConfig", {"overrides": override({"id": "unit", "value": "s"})}),
    (f"{STAT} fieldConfig", {"overrides": override({"id": "mappings", "value": []})}),
    (f"{STAT} options", {"reduceOptions": {"fields": "/.*/"}}),
    (f"{STAT} targets", []),
    (f"{STAT} targets 0", {"refId": "A", "panelId": 4, "datasource": DATASOURCE}),
    (QUERY, f"count({ALERTS})"),
    (QUERY, f"process_cpu{{{CHOSEN}}} {IS_OURS}"),
    (QUERY, f"rate(process_cpu{{{CHOSEN}}}[$__rate_interval]) {IS_OURS}"),
    (QUERY, f"min(up{{{CHOSEN}}} {WAS_OURS})"),
    (QUERY, f"{BUILD} unless on (job, instance) up{{{CHOSEN}}}"),
    (QUERY, f"sum(max by (meeting_id) ({INFO}))"),
    (QUERY, f"topk(3, {NAMED} ({NAME} or on (meeting_id) {BY_ID}))"),
    (QUERY, f"topk(3, {READ})"),
    (f"{TABLE} targets 0 expr", f"topk(3, {STATES}) and topk(3, {STATES})"),
    (QUERY, f"count({READ})"),
    (f"{STAT} targets 0 expr", READ),
    (QUERY, f"increase(calls_total{{{CHOSEN}}}[$__range])"),
    (QUERY, f"increase(calls_total{{{CHOSEN}}}[1h])"),
    (QUERY, f"irate(calls_total{{{CHOSEN}}}[$__rate_interval])"),
    (QUERY, f"avg_over_time({RECORDINGS}[1h])"),
    (QUERY, f"{RECORDINGS} > $__range_s"),
    ("__inputs", REMOVED),
    ("id", REMOVED),
    ("editable", REMOVED),
    (f"{STAT} targets 0 legendFormat", "{{__name__}}"),
    (f"{ORGANIZE} excludeByName app", False),
    # A collapsed row has its own grid.
    (f"{SERIES} gridPos y", 0),
    ("templating list 3 current", {"value": "5"}),
]


def changed(place: str, value: Any) -> Json:
    """Return the correct dashboard with another value at a place."""
    dashboard = copy.deepcopy(SOUND)
    *path, last = (int(key) if key.isdigit() else key for key in place.split())
    holder: Any = dashboard
    for key in path:
        holder = holder[key]
    if value is REMOVED:
        del holder[last]
    else:
        holder[last] = value
    return dashboard


OF_APPS = f'{COST}{{job=~"$job", rk_app=~"$app"}}'
# A dashboard, a query, what a panel shows without data, and the rules that find a problem.
OF_OPTIONAL_RULES = [
    ("rk-service-level", OF_APPS, "Load the rules.", ""),
    ("rk-service-level", OF_APPS, "none", "says-what-is-missing"),
    ("rk-overview", OF_APPS, "Load the rules.", "no-recorded-series"),
    ("rk-service-level", COST, "Load the rules.", "no-recorded-series"),
    ("rk-service-level", f"job:recordings:sum{{{CHOSEN}}}", "no rules", "no-recorded-series"),
]


def found_in(dashboard: Json) -> set[str]:
    """Return the rules that find a problem."""
    return {finding.rule for finding in findings(dashboard, KNOWN)}


def test_a_correct_dashboard() -> None:
    """The rules find nothing in a correct dashboard."""
    assert [] == findings(SOUND, KNOWN)


@pytest.mark.parametrize(("place", "value", "rules"), FAULTS)
def test_faults(place: str, value: Any, rules: str) -> None:
    """Exactly the rules for a fault find it."""
    assert {*rules.split()} == found_in(changed(place, value))


@pytest.mark.parametrize(("place", "value"), PASSING)
def test_allowed_variants(place: str, value: Any) -> None:
    """The rules do not report allowed variants."""
    assert set() == found_in(changed(place, value))


def test_each_rule_is_tested() -> None:
    """For each rule there is a fault that it finds."""
    tested = {rule for *_, rules in FAULTS for rule in rules.split()}
    tested |= {rule for *_, rules in OF_OPTIONAL_RULES for rule in rules.split()}
    assert {*RULES} == tested


@pytest.mark.parametrize(("uid", "promql", "absent", "rules"), OF_OPTIONAL_RULES)
def test_a_dashboard_that_needs_rules(uid: str, promql: str, absent: str, rules: str) -> None:
    """Only one dashboard may read some recorded series, and says so if they are missing."""
    panel_of_series = changed(f"{SERIES} fieldConfig defaults noValue", absent)["panels"][2]
    dashboard = {**changed("panels 2", panel_of_series), "uid": uid}
    dashboard["panels"][2]["panels"][0]["targets"][0]["expr"] = promql
    assert {*rules.split()} == found_in(dashboard)


def test_columns_of_two_queries() -> None:
    """If there are two queries, each has a column that is named after its refId."""
    dashboard = copy.deepcopy(SOUND)
    table = dashboard["panels"][3]
    table["targets"].append({**table["targets"][0], "refId": "B"})
    assert {"table-columns"} == found_in(dashboard)
    organize = table["transformations"][0]["options"]
    organize["renameByName"] = {"app": "App", "status": "State", "Value #A": "Recordings"}
    organize["indexByName"] = {"Value #A": 0, "Value #B": 1}
    assert set() == found_in(dashboard)


def test_the_fields_of_a_finding() -> None:
    """A finding names the rule, the dashboard, and the panel or variable."""
    (found,) = findings(changed(f"{STAT} fieldConfig defaults unit", "calls"), KNOWN)
    assert ("panel-units-rule", "RealtimeKit / Board", "A stat") == (
        found.rule,
        found.dashboard,
        found.panel,
    )
    assert "calls" in found.message
    (found,) = findings(changed(f"{JOB} refresh", 1), KNOWN)
    assert "$job" == found.panel


def test_another_data_source() -> None:
    """Queries of other data sources are not checked as PromQL."""
    dashboard = changed("templating list 0 query", "loki")
    dashboard["panels"][0]["targets"][0]["expr"] = "{job="
    assert not {"template-job-rule", "target-promql-rule"} & found_in(dashboard)


def test_no_data_source() -> None:
    """A dashboard without a data source variable is a fault."""
    assert "template-datasource-rule" in found_in(changed("templating", REMOVED))


def test_two_data_sources() -> None:
    """Only a single data source may have a name without its type."""
    dashboard = changed("templating list 3 name", "many")
    dashboard["templating"]["list"].append(
        {"type": "datasource", "name": "loki_datasource", "label": "Loki data source"}
        | {"query": "loki"}
    )
    assert {"template-datasource-rule"} == found_in(dashboard)


@pytest.mark.parametrize(
    ("promql", "of_all", "is_limited"),
    [(f"topk(3, {READ})", "", True), (f"topk(3, {READ})", ".+", False), (READ, "", False)],
)
def test_a_variable_can_limit_a_list(promql: str, of_all: str, *, is_limited: bool) -> None:
    """A list of a variable's meetings is as long as it has values, unless "All" means any value."""
    dashboard = changed(QUERY, READ.replace("}", ', meeting_id=~"$latest"}'))
    latest = {**variable("latest", f"query_result({promql})"), "allValue": of_all}
    dashboard["templating"]["list"].append(latest)
    rules = {finding.rule for finding in findings(dashboard, KNOWN)}
    assert is_limited == ("limited-lists" not in rules)
