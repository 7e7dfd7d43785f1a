"""The project's own rules for dashboards, in addition to those of grafana/dashboard-linter."""

import re

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from promql_parser import MatchOp

from rk_exporter.model.recording import Status
from tests.support.monitoring.board import (
    VARIABLE,
    Board,
    Json,
    Problem,
    Target,
    overrides,
    strings,
    title_of,
    uid_of,
)
from tests.support.monitoring.promql import (
    ambiguous_matches,
    labels_of,
    selectors,
    unknown_labels,
    unknown_series,
)


STATES = tuple(Status)
COLUMNS = 24
# Panel types that draw each series in its own colour.
_COLOURING = ("timeseries", "bargauge", "barchart", "piechart", "histogram")
_OF_EXPORTERS = ("datasource", "cluster", "job", "instance", "app")
_ALL: tuple[object, ...] = ("$__all", ["$__all"], "", [], None)


def unique_ids(board: Board) -> Iterator[Problem]:
    """Find duplicate and missing panel ids."""
    for panel_id, count in Counter(panel.get("id") for panel in board.panels).items():
        if count > 1 or not panel_id:
            yield "", f"{count} panels have the id {panel_id}"


def unique_ref_ids(board: Board) -> Iterator[Problem]:
    """Find duplicate and missing refIds within a panel."""
    for panel in board.panels:
        names = Counter(target.get("refId") for target in panel.get("targets") or [])
        for name, count in names.items():
            if count > 1 or not name:
                yield title_of(panel), f"{count} queries have the refId {name}"


def grid_position(board: Board) -> Iterator[Problem]:
    """Find panels outside the grid, and panels that overlap."""
    for panels in board.groups:
        for panel in panels:
            at = panel.get("gridPos") or {}
            sound = all(isinstance(at.get(side), int) and at[side] >= 0 for side in "xywh")
            if not sound or not at["w"] * at["h"] or at["x"] + at["w"] > COLUMNS:
                yield title_of(panel), f"is outside the grid: {at}"
                return
        for one, other in combinations(panels, 2):
            if _overlap(one["gridPos"], other["gridPos"]):
                yield title_of(one), f"overlaps {title_of(other)!r}"


def _overlap(one: Json, other: Json) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in ("xw", "yh")
    )


def identity(board: Board) -> Iterator[Problem]:
    """Find a missing or long uid, which breaks links and provisioning, and the id of a Grafana."""
    uid = str(board.json.get("uid") or "")
    if not re.fullmatch(r"[\w-]{1,40}", uid, re.ASCII):
        yield "", f"the uid is {uid!r}"
    if board.json.get("id") is not None:
        yield "", f"the id is {board.json['id']}, but Grafana assigns ids"


def title(board: Board) -> Iterator[Problem]:
    """Find a title without the common prefix."""
    if not re.fullmatch(r"RealtimeKit / \w.*", str(board.json.get("title", ""))):
        yield "", f"the title is {board.json.get('title')!r}"


def one_tag(board: Board) -> Iterator[Problem]:
    """Find dashboards without exactly one tag."""
    if (count := len(board.json.get("tags") or [])) != 1:
        yield "", f"has {count} tags"


def links(board: Board) -> Iterator[Problem]:
    """Find missing links, links to other sites, and links that drop time or variables."""
    given = board.json.get("links") or []
    if not given:
        yield "", "has no links"
    for link in given:
        place = f"the link {link.get('title')!r}"
        url = str(link.get("url", ""))
        if not url.startswith("/d/"):
            yield "", f"{place} leads to another site"
        if link.get("includeVars"):
            yield "", f"{place} passes on all variables, also those that the target must not get"
        kept = {*re.findall(r"\$\{(\w+):queryparam\}", url)}
        exporters = {variable["name"] for variable in board.variables} & {*_OF_EXPORTERS}
        if not link.get("keepTime") or exporters - kept:
            yield "", f"{place} drops time or variables"


def no_absolute_urls(board: Board) -> Iterator[Problem]:
    """Find absolute links, and links of panels that drop the time range."""
    for key, text in strings(board.json):
        if re.search(r"\w://|^//", text):
            yield "", f"{key} is absolute: {text}"
    for key, text in strings(board.json.get("panels", [])):
        if key == "url" and not re.fullmatch(r"/d/.+\$\{__url_time_range\}", text):
            yield "", f"the link {text!r} does not lead to a dashboard, or drops the time range"


def encoded_links(board: Board) -> Iterator[Problem]:
    """Find links in which the value of a variable may contain characters that end the value."""
    for key, text in strings(board.json):
        if key == "url":
            rest = re.sub(r"\$\{(__url_time_range|[^}]+:(queryparam|percentencode))\}", "", text)
            if "$" in rest:
                yield "", f"the link {text!r} has a variable that is not encoded"


def importable(board: Board) -> Iterator[Problem]:
    """Find inputs, which file provisioning rejects, and wrong requirements."""
    if board.json.get("__inputs"):
        yield "", "has __inputs, which file provisioning rejects"
    required = {
        (requirement["type"], requirement["id"]) for requirement in board.json.get("__requires", [])
    }
    used = {("panel", str(panel["type"])) for panel in board.panels if panel["type"] != "row"}
    used |= {("grafana", "grafana"), ("datasource", "prometheus")}
    for kind, name in sorted(used ^ required):
        problem = "missing in" if (kind, name) in used else "needless in"
        yield "", f"{kind} {name} is {problem} __requires"


def no_site(board: Board) -> Iterator[Problem]:
    """Find variables with values of one site."""
    for variable in board.variables:
        if variable.get("type") in {"query", "datasource"}:
            current = (variable.get("current") or {}).get("value")
            if current not in (*_ALL, "default") or variable.get("options"):
                yield (
                    f"${variable['name']}",
                    f"still has the value {current!r} of {variable.get('options') or []}",
                )


def explained(board: Board) -> Iterator[Problem]:
    """Find panels without a title or description, and rows without a title."""
    for panel in board.panels:
        lacking = {"title"} if panel["type"] == "row" else {"title", "description"}
        for field in sorted(lacking):
            if not panel.get(field):
                yield title_of(panel), f"panel {panel.get('id')} has no {field}"


def datasource_everywhere(board: Board) -> Iterator[Problem]:
    """Find queries that do not use the selected data source."""
    holders = [(title_of(panel), panel) for panel in board.panels if panel["type"] != "row"]
    holders += [(target.query.place, target.json) for target in board.targets]
    holders += [(annotation["name"], annotation) for annotation in board.annotations]
    holders += [(f"${variable['name']}", variable) for variable in board.variables_of("query")]
    for place, holder in holders:
        if uid_of(holder) != "${datasource}":
            yield place, f"uses the data source {uid_of(holder)!r}"


def every_query_parses(board: Board) -> Iterator[Problem]:
    """Find queries that are not PromQL, including those that the linter ignores."""
    for query in board.queries:
        if query.error:
            yield query.place, f"{query.promql!r}: {query.error}"


def variables_in_turn(board: Board) -> Iterator[Problem]:
    """Find variables that ignore the selection of the variables before them."""
    before: dict[str, str] = {}
    for variable in board.variables_of("query"):
        query = board.query_of_variable(variable)
        for selector in selectors(query.expression) if query.expression else ():
            labels = board.known.get(selector.name, frozenset())
            for name, label in before.items():
                # A series of an exporter has no app.
                applies = not (label and labels) or label in labels
                chosen = any((m.op, m.value) == (MatchOp.Re, f"${name}") for m in selector.matchers)
                if applies and not chosen:
                    yield query.place, f"does not filter by ${name}"
        before[variable["name"]] = query.shown.strip("{}")


def known_variables(board: Board) -> Iterator[Problem]:
    """Find uses of variables that do not exist."""
    names = {variable["name"] for variable in board.variables}
    # Expressions of transformations may contain $1.
    for holder in (*board.panels, *board.annotations, *board.variables):
        own = {key: value for key, value in holder.items() if key != "panels"}
        used = {m[m.lastindex or 0] for _, text in strings(own) for m in VARIABLE.finditer(text)}
        for name in sorted(used - names):
            if not name.startswith("__"):
                yield str(own.get("title") or own.get("name")), f"there is no variable {name}"


def known_series(board: Board) -> Iterator[Problem]:
    """Find series that the exporter does not expose and the rules do not record."""
    for query in board.queries:
        if query.expression:
            for name in sorted(unknown_series(query.expression, board.known)):
                yield query.place, f"there is no series {name}"


def known_labels(board: Board) -> Iterator[Problem]:
    """Find labels that the series do not have, and labels that the query drops."""
    for query in board.queries:
        if query.expression and not unknown_series(query.expression, board.known):
            for fault in unknown_labels(query.expression, board.known):
                yield query.place, fault
            left = labels_of(query.expression, board.known)
            for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", query.shown):
                if label not in left and not label.startswith("__"):
                    yield query.place, f"shows {label}, which its series do not have"


def unambiguous(board: Board) -> Iterator[Problem]:
    """Find vector matching that fails if exporters disagree."""
    for query in board.queries:
        if query.expression and not unknown_series(query.expression, board.known):
            for fault in ambiguous_matches(query.expression, board.known):
                yield query.place, fault


def table_columns(board: Board) -> Iterator[Problem]:
    """Find table columns that are renamed, ordered, sorted by or linked, but do not exist."""
    targets = list(board.targets)
    for panel in board.panels:
        made_by = panel.get("transformations") or []
        options = {
            transformation["id"]: transformation.get("options", {}) for transformation in made_by
        }
        if "organize" in options:
            organize = options["organize"]
            made = _columns([target for target in targets if target.panel is panel], board)
            excluded = {
                name for name, is_out in organize.get("excludeByName", {}).items() if is_out
            }
            renamed = organize.get("renameByName", {})
            shown = {renamed.get(name, name) for name in made - excluded}
            named = [*excluded, *renamed, *organize.get("indexByName", {})]
            texts = " ".join(text for _, text in strings(panel["fieldConfig"]))
            used = re.findall(r'__data\.fields\["([^"]+)"\]', texts)
            used += [sort["field"] for sort in options.get("sortBy", {}).get("sort", [])]
            used += [matcher["options"] for matcher, _ in overrides(panel)]
            for name in sorted({*named} - made | {*used} - shown):
                yield title_of(panel), f"there is no column {name}"
            for name in sorted(made - {*named}):
                yield title_of(panel), f"the column {name} is neither renamed nor excluded"


def _columns(targets: Sequence[Target], board: Board) -> set[str]:
    """Return the columns of query results before they are renamed."""
    parsed = [target.query.expression for target in targets if target.query.expression]
    labels = {label for expression in parsed for label in labels_of(expression, board.known)}
    names = [f"Value #{target.json.get('refId')}" for target in targets]
    return {"Time", *labels, *(names if len(names) > 1 else ["Value"])}


def state_colours(board: Board) -> Iterator[Problem]:
    """Find states without a colour, and states with several."""
    colours = coloured_states([board])
    for state, places in colours.items():
        if len(places) > 1:
            yield "", f"{state} is {' and '.join(f'{c} in {p}' for c, p in places.items())}"
    for target in board.targets:
        if target.kind in _COLOURING:
            shown = {target.query.shown} & {*STATES}
            shown |= {*STATES} if "{{status}}" in target.query.shown else set()
            for state in sorted(shown - {name for name, _ in _coloured(target.panel)}):
                yield target.query.place, f"{state} has no fixed colour"


def coloured_states(boards: Sequence[Board]) -> dict[str, dict[str, str]]:
    """Return the colours of each state, each with a panel that uses it."""
    found: dict[str, dict[str, str]] = {}
    for board in boards:
        for panel in board.panels:
            for state, colour in _coloured(panel):
                found.setdefault(state, {}).setdefault(colour, title_of(panel))
    return found


def _coloured(panel: Json) -> Iterator[tuple[str, str]]:
    """Yield the states that a panel colours by a mapping or by the name of a series."""
    mappings = [*(panel.get("fieldConfig", {}).get("defaults", {}).get("mappings") or [])]
    for matcher, set_to in overrides(panel):
        if set_to["id"] == "mappings":
            mappings += set_to["value"]
        elif set_to["id"] == "color" and matcher.get("options") in STATES:
            yield matcher["options"], str(set_to["value"].get("fixedColor"))
    for mapping in mappings:
        options = mapping["options"]
        # Ranges, patterns and special values have one result. Values have one each.
        results = {"": options["result"]} if "result" in options else options
        for value, result in results.items():
            if state := next((text for text in (result.get("text"), value) if text in STATES), ""):
                yield state, str(result.get("color"))


RULES: Mapping[str, Callable[[Board], Iterator[Problem]]] = {
    "unique-ids": unique_ids,
    "unique-ref-ids": unique_ref_ids,
    "grid-position": grid_position,
    "identity": identity,
    "title": title,
    "one-tag": one_tag,
    "links": links,
    "no-absolute-urls": no_absolute_urls,
    "encoded-links": encoded_links,
    "importable": importable,
    "no-site": no_site,
    "explained": explained,
    "datasource-everywhere": datasource_everywhere,
    "every-query-parses": every_query_parses,
    "variables-in-turn": variables_in_turn,
    "known-variables": known_variables,
    "known-series": known_series,
    "known-labels": known_labels,
    "unambiguous": unambiguous,
    "table-columns": table_columns,
    "state-colours": state_colours,
}
