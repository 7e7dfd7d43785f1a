"""The project's own rules for dashboards, beside those of grafana/dashboard-linter."""

import re

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations

from promql_parser import MatchOp

from rk_exporter.recordings import Status
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
from tests.support.monitoring.promql import labels_of, selectors, unknown_labels, unknown_series


STATES = tuple(Status)
COLUMNS = 24
# These draw each series in a colour of its own.
_COLOURING = ("timeseries", "bargauge", "barchart", "piechart", "histogram")
_ALL: tuple[object, ...] = ("$__all", ["$__all"], "", [], None)


def unique_ids(board: Board) -> Iterator[Problem]:
    """Find panels that share an id, or have none."""
    for panel_id, count in Counter(panel.get("id") for panel in board.panels).items():
        if count > 1 or not panel_id:
            yield "", f"{count} panels have the id {panel_id}"


def unique_ref_ids(board: Board) -> Iterator[Problem]:
    """Find queries of one panel that share a name, or have none."""
    for panel in board.panels:
        names = Counter(each.get("refId") for each in panel.get("targets") or [])
        for name, count in names.items():
            if count > 1 or not name:
                yield title_of(panel), f"{count} queries have the refId {name}"


def grid_position(board: Board) -> Iterator[Problem]:
    """Find panels that leave the grid, or stand on another."""
    for panels in board.groups:
        for panel in panels:
            at = panel.get("gridPos") or {}
            sound = all(isinstance(at.get(side), int) and at[side] >= 0 for side in "xywh")
            if not sound or not at["w"] * at["h"] or at["x"] + at["w"] > COLUMNS:
                yield title_of(panel), f"does not stand within the grid: {at}"
                return
        for one, other in combinations(panels, 2):
            if _overlap(one["gridPos"], other["gridPos"]):
                yield title_of(one), f"stands on {title_of(other)!r}"


def _overlap(one: Json, other: Json) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in ("xw", "yh")
    )


def identity(board: Board) -> Iterator[Problem]:
    """Find that links and provisioning cannot know it, or that it has the id of some Grafana."""
    uid = str(board.json.get("uid") or "")
    if not re.fullmatch(r"[\w-]{1,40}", uid, re.ASCII):
        yield "", f"the uid is {uid!r}"
    if board.json.get("id") is not None:
        yield "", f"the id is {board.json['id']}: Grafana gives it one"


def title(board: Board) -> Iterator[Problem]:
    """Find that it does not stand beside the others by its title."""
    if not re.fullmatch(r"RealtimeKit / \w.*", str(board.json.get("title", ""))):
        yield "", f"is called {board.json.get('title')!r}"


def one_tag(board: Board) -> Iterator[Problem]:
    """Find that it has not one tag."""
    if (count := len(board.json.get("tags") or [])) != 1:
        yield "", f"has {count} tags"


def links(board: Board) -> Iterator[Problem]:
    """Find links that are missing, lead elsewhere, or forget what is chosen."""
    given = board.json.get("links") or []
    if not given:
        yield "", "has no links"
    for each in given:
        by_tag = each.get("type") == "dashboards" and each.get("tags") == board.json.get("tags")
        if not by_tag and not str(each.get("url", "")).startswith("/d/"):
            yield "", f"the link {each.get('title')!r} leads elsewhere"
        if not each.get("keepTime") or not each.get("includeVars"):
            yield "", f"the link {each.get('title')!r} forgets time or variables"


def no_absolute_urls(board: Board) -> Iterator[Problem]:
    """Find links that leave the Grafana that it is in, or forget its time range."""
    for key, text in strings(board.json):
        if re.search(r"\w://|^//", text):
            yield "", f"{key} is absolute: {text}"
        elif key == "url" and not re.fullmatch(r"/d/.+\$\{__url_time_range\}", text):
            yield "", f"the link {text!r} leads to no dashboard, or forgets the time range"


def importable(board: Board) -> Iterator[Problem]:
    """Find what file provisioning does not take, and what import is not told to need."""
    if board.json.get("__inputs"):
        yield "", "__inputs are asked for, which file provisioning cannot answer"
    required = {(each["type"], each["id"]) for each in board.json.get("__requires", [])}
    used = {("panel", str(panel["type"])) for panel in board.panels if panel["type"] != "row"}
    used |= {("grafana", "grafana"), ("datasource", "prometheus")}
    for kind, name in sorted(used ^ required):
        yield "", f"{kind} {name} is {'not ' if (kind, name) in used else 'needlessly '}required"


def no_site(board: Board) -> Iterator[Problem]:
    """Find variables that come with the values of somebody's site."""
    for each in board.variables:
        if each.get("type") in {"query", "datasource"}:
            current = (each.get("current") or {}).get("value")
            if current not in (*_ALL, "default") or each.get("options"):
                yield f"${each['name']}", f"was left at {current!r} of {each.get('options') or []}"


def explained(board: Board) -> Iterator[Problem]:
    """Find panels of any type without title or description, and rows without title."""
    for panel in board.panels:
        lacking = {"title"} if panel["type"] == "row" else {"title", "description"}
        for field in sorted(lacking):
            if not panel.get(field):
                yield title_of(panel), f"panel {panel.get('id')} has no {field}"


def datasource_everywhere(board: Board) -> Iterator[Problem]:
    """Find what asks another data source than the one that is chosen."""
    holders = [(title_of(panel), panel) for panel in board.panels if panel["type"] != "row"]
    holders += [(each.query.place, each.json) for each in board.targets]
    holders += [(each["name"], each) for each in board.annotations]
    holders += [(f"${each['name']}", each) for each in board.variables_of("query")]
    for place, holder in holders:
        if uid_of(holder) != "${datasource}":
            yield place, f"asks the data source {uid_of(holder)!r}"


def every_query_parses(board: Board) -> Iterator[Problem]:
    """Find queries that are no PromQL, also those at which the linter does not look."""
    for each in board.queries:
        if each.error:
            yield each.place, f"{each.promql!r}: {each.error}"


def variables_in_turn(board: Board) -> Iterator[Problem]:
    """Find variables with values that those before them have ruled out."""
    before: list[str] = []
    for variable in board.variables_of("query"):
        query = board.query_of_variable(variable)
        for each in selectors(query.expression) if query.expression else ():
            for name in before:
                if not any((m.op, m.value) == (MatchOp.Re, f"${name}") for m in each.matchers):
                    yield query.place, f"does not ask for what ${name} leaves"
        before.append(variable["name"])


def known_variables(board: Board) -> Iterator[Problem]:
    """Find uses of variables that neither the dashboard nor Grafana has."""
    names = {each["name"] for each in board.variables}
    # An expression of a transformation may have $1 and the like.
    for holder in (*board.panels, *board.annotations, *board.variables):
        own = {key: value for key, value in holder.items() if key != "panels"}
        used = {m[m.lastindex or 0] for _, text in strings(own) for m in VARIABLE.finditer(text)}
        for name in sorted(used - names):
            if not name.startswith("__"):
                yield str(own.get("title") or own.get("name")), f"there is no variable {name}"


def known_series(board: Board) -> Iterator[Problem]:
    """Find series that are neither exposed nor recorded."""
    for each in board.queries:
        if each.expression:
            for name in sorted(unknown_series(each.expression, board.known)):
                yield each.place, f"there is no series {name}"


def known_labels(board: Board) -> Iterator[Problem]:
    """Find labels that the series asked for have not, or that the query does not leave to show."""
    for each in board.queries:
        if each.expression and not unknown_series(each.expression, board.known):
            for fault in unknown_labels(each.expression, board.known):
                yield each.place, fault
            left = labels_of(each.expression, board.known)
            for label in re.findall(r"\{\{\s*(\w+)\s*\}\}", each.shown):
                if label not in left and not label.startswith("__"):
                    yield each.place, f"shows {label}, which its series have not"


def table_columns(board: Board) -> Iterator[Problem]:
    """Find columns of tables that are named, ordered, sorted by or linked with, but not there."""
    targets = list(board.targets)
    for panel in board.panels:
        made_by = panel.get("transformations") or []
        options = {each["id"]: each.get("options", {}) for each in made_by}
        if "organize" in options:
            organize = options["organize"]
            made = _columns([each for each in targets if each.panel is panel], board)
            excluded = {
                name for name, is_out in organize.get("excludeByName", {}).items() if is_out
            }
            renamed = organize.get("renameByName", {})
            shown = {renamed.get(name, name) for name in made - excluded}
            named = [*excluded, *renamed, *organize.get("indexByName", {})]
            texts = " ".join(text for _, text in strings(panel["fieldConfig"]))
            used = re.findall(r'__data\.fields\["([^"]+)"\]', texts)
            used += [each["field"] for each in options.get("sortBy", {}).get("sort", [])]
            used += [matcher["options"] for matcher, _ in overrides(panel)]
            for name in sorted({*named} - made | {*used} - shown):
                yield title_of(panel), f"there is no column {name}"
            for name in sorted(made - {*named}):
                yield title_of(panel), f"the column {name} is neither named nor left out"


def _columns(targets: Sequence[Target], board: Board) -> set[str]:
    """Return the columns of what queries give, before they are renamed."""
    parsed = [each.query.expression for each in targets if each.query.expression]
    labels = {label for each in parsed for label in labels_of(each, board.known)}
    names = [f"Value #{each.json.get('refId')}" for each in targets]
    return {"Time", *labels, *(names if len(names) > 1 else ["Value"])}


def state_colours(board: Board) -> Iterator[Problem]:
    """Find states without a colour, or with more than one."""
    colours = coloured_states([board])
    for state, places in colours.items():
        if len(places) > 1:
            yield "", f"{state} is {' and '.join(f'{c} in {p}' for c, p in places.items())}"
    for target in board.targets:
        if target.kind in _COLOURING:
            shown = {target.query.shown} & {*STATES}
            shown |= {*STATES} if "{{status}}" in target.query.shown else set()
            for state in sorted(shown - {name for name, _ in _coloured(target.panel)}):
                yield target.query.place, f"{state} is drawn in any colour"


def coloured_states(boards: Sequence[Board]) -> dict[str, dict[str, str]]:
    """Return the colours that each state has, each with a panel that shows it so."""
    found: dict[str, dict[str, str]] = {}
    for board in boards:
        for panel in board.panels:
            for state, colour in _coloured(panel):
                found.setdefault(state, {}).setdefault(colour, title_of(panel))
    return found


def _coloured(panel: Json) -> Iterator[tuple[str, str]]:
    """Give the states to which a panel gives a colour, by mapping or by a series' name."""
    mappings = [*(panel.get("fieldConfig", {}).get("defaults", {}).get("mappings") or [])]
    for matcher, set_to in overrides(panel):
        if set_to["id"] == "mappings":
            mappings += set_to["value"]
        elif set_to["id"] == "color" and matcher.get("options") in STATES:
            yield matcher["options"], str(set_to["value"].get("fixedColor"))
    for mapping in mappings:
        options = mapping["options"]
        # A range, a pattern and a special value have one result, values have one each.
        results = {"": options["result"]} if "result" in options else options
        for value, result in results.items():
            if state := next((each for each in (result.get("text"), value) if each in STATES), ""):
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
    "importable": importable,
    "no-site": no_site,
    "explained": explained,
    "datasource-everywhere": datasource_everywhere,
    "every-query-parses": every_query_parses,
    "variables-in-turn": variables_in_turn,
    "known-variables": known_variables,
    "known-series": known_series,
    "known-labels": known_labels,
    "table-columns": table_columns,
    "state-colours": state_colours,
}
