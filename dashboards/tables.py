"""Tables with a row for each set of labels and a column for each label or query."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from grafana_foundation_sdk.builders import prometheus, table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from dashboards.panels import DATASOURCE, About, Size, Steps, described, steps


_FILLED = {"type": "color-background", "mode": "basic"}
_TEXT = {"type": "color-text"}


@dataclass(frozen=True, slots=True)
class Label:
    """A column that shows a label. A click on it opens the *link*. A hidden one is for links."""

    title: str
    label: str
    width: int | None = None
    link: str | None = None
    link_title: str = ""
    texts: Sequence[models.ValueMapping] = ()
    is_hidden: bool = False


@dataclass(frozen=True, slots=True)
class Value:
    """
    A column that shows the result of a query. A hidden one is for sorting.

    *colours* are those of the text, or of the cell if it *is_filled*: some are too light for text.
    """

    title: str
    promql: str
    unit: str = "short"
    width: int | None = None
    texts: Sequence[models.ValueMapping] = ()
    colours: Steps = field(default_factory=dict)
    decimals: int | None = None
    is_filled: bool = False
    is_hidden: bool = False


def table_of(  # noqa: PLR0913 # each is a property of the table
    about: About,
    columns: Sequence[Label | Value],
    *,
    size: Size,
    sorted_by: str,
    descending: bool = True,
    then_by: str | None = None,
    only_with: str | None = None,
    hidden_labels: Sequence[str] = (),
    empty: str = "-",
) -> table.Panel:
    """
    Show a table of *columns*.

    The rows of several queries are joined by their common labels, including *hidden_labels*, which
    have no column. Rows with the same value of *sorted_by* start with the highest of *then_by*. A
    row without a value of *only_with* is omitted. An empty table shows the sentence *empty*.
    """
    fields = dict(_fields(columns))
    # Grafana sorts by one column at a time, and keeps the order of equal rows.
    sorting = [(then_by, True)] if then_by else []
    sorting.append((sorted_by, descending))
    panel = (
        described(table.Panel(), about, size)
        .targets([_target(column) for column in columns if isinstance(column, Value)])
        .transformations(
            [
                _transformation("merge", {}),
                _transformation("organize", _organized(fields, hidden_labels)),
                *([_with_value(only_with)] if only_with else []),
                *(
                    _transformation("sortBy", {"sort": [{"field": name, "desc": is_descending}]})
                    for name, is_descending in sorting
                ),
            ]
        )
        .cell_height(common_models.TableCellHeight.SM)
        .filterable(True)
        # Without thresholds, cells have no colour.
        .thresholds(steps({}))
        .no_value(empty)
    )
    for column in columns:
        panel.override_by_name(column.title, list(_properties(column)))
    return panel


def _target(column: Value) -> prometheus.Dataquery:
    target = prometheus.Dataquery().datasource(DATASOURCE).expr(column.promql)
    return target.instant().format(prometheus_models.PromQueryFormat.TABLE)


def _fields(columns: Sequence[Label | Value]) -> Iterator[tuple[str, Label | Value]]:
    """Yield each column with Grafana's name of its field."""
    values = [column for column in columns if isinstance(column, Value)]
    names = {
        column.title: f"Value #{letter}" if len(values) > 1 else "Value"
        for column, letter in zip(values, ascii_uppercase, strict=False)
    }
    for column in columns:
        yield column.label if isinstance(column, Label) else names[column.title], column


def _organized(
    fields: Mapping[str, Label | Value], hidden_labels: Sequence[str]
) -> dict[str, object]:
    return {
        "excludeByName": dict.fromkeys(("Time", *hidden_labels), True),
        "indexByName": {name: index for index, name in enumerate(fields)},
        "renameByName": {name: column.title for name, column in fields.items()},
    }


def _with_value(column: str) -> models.DataTransformerConfig:
    has_value: dict[str, object] = {
        "fieldName": column,
        "config": {"id": "isNotNull", "options": {}},
    }
    options: dict[str, object] = {"filters": [has_value], "type": "include", "match": "all"}
    return _transformation("filterByValue", options)


def _transformation(name: str, options: dict[str, object]) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(id_val=name, options=options)


def _properties(column: Label | Value) -> Iterator[models.DynamicConfigValue]:
    # Otherwise each empty cell would show the sentence of an empty table.
    yield _property("noValue", "-")
    if column.is_hidden:
        yield _property("custom.hidden", value=True)
        # Newer versions of Grafana read this instead.
        yield _property("custom.hideFrom", {"viz": True, "legend": False, "tooltip": False})
    if column.width:
        yield _property("custom.width", column.width)
    if column.texts:
        yield _property("custom.align", "left")
        yield _property("mappings", [mapping.to_json() for mapping in column.texts])
        yield _property("custom.cellOptions", _FILLED)
        # Otherwise a cell without a value would have the colour of text as its background.
        yield _property("thresholds", steps({}, "transparent").build().to_json())
    if isinstance(column, Label):
        if column.link:
            yield _property("links", [{"title": column.link_title, "url": column.link}])
        return
    yield _property("unit", column.unit)
    if column.decimals is not None:
        yield _property("decimals", column.decimals)
    if column.colours:
        below = "transparent" if column.is_filled else "text"
        yield _property("thresholds", steps(column.colours, below).build().to_json())
        yield _property("custom.cellOptions", _FILLED if column.is_filled else _TEXT)


def _property(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=name, value=value)
