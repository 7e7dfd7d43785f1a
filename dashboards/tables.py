"""Tables: a row for each set of labels, a column for each label or query."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from string import ascii_uppercase

from grafana_foundation_sdk.builders import prometheus, table
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from grafana_foundation_sdk.models import prometheus as prometheus_models

from dashboards.panels import DATASOURCE, About, Size, Steps, described, steps


@dataclass(frozen=True, slots=True)
class Label:
    """A column that shows a label; *link* is where a click on it leads."""

    title: str
    label: str
    width: int | None = None
    link: str | None = None
    link_title: str = ""
    texts: Sequence[models.ValueMapping] = ()


@dataclass(frozen=True, slots=True)
class Value:
    """A column that shows what a query gives."""

    title: str
    promql: str
    unit: str = "short"
    width: int | None = None
    texts: Sequence[models.ValueMapping] = ()
    colours: Steps = field(default_factory=dict)
    decimals: int | None = None


def table_of(  # noqa: PLR0913 # what a table can differ in
    about: About,
    columns: Sequence[Label | Value],
    *,
    size: Size,
    sorted_by: str,
    descending: bool = True,
    hidden_labels: Sequence[str] = (),
    absent: str = "-",
) -> table.Panel:
    """
    Show a table of *columns*.

    Rows of several queries are joined by the labels that all of them have; *hidden_labels* are
    joined by and not shown. *absent* is said in cells, and in tables, that are empty.
    """
    fields = dict(_fields(columns))
    panel = (
        described(table.Panel(), about, size)
        .targets([_asked(each) for each in columns if isinstance(each, Value)])
        .transformations(
            [
                _transformation("merge", {}),
                _transformation("organize", _organized(fields, hidden_labels)),
                _transformation("sortBy", {"sort": [{"field": sorted_by, "desc": descending}]}),
            ]
        )
        .cell_height(common_models.TableCellHeight.SM)
        .filterable(True)
        # Cells without a colour of their own have none.
        .thresholds(steps({}))
        .no_value(absent)
    )
    for column in columns:
        if properties := list(_properties(column)):
            panel.override_by_name(column.title, properties)
    return panel


def _asked(column: Value) -> prometheus.Dataquery:
    asked = prometheus.Dataquery().datasource(DATASOURCE).expr(column.promql)
    return asked.instant().format(prometheus_models.PromQueryFormat.TABLE)


def _fields(columns: Sequence[Label | Value]) -> Iterator[tuple[str, Label | Value]]:
    """Return each column by the name that Grafana gives its field."""
    values = [each for each in columns if isinstance(each, Value)]
    names = {
        each.title: f"Value #{letter}" if len(values) > 1 else "Value"
        for each, letter in zip(values, ascii_uppercase, strict=False)
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


def _transformation(name: str, options: dict[str, object]) -> models.DataTransformerConfig:
    return models.DataTransformerConfig(id_val=name, options=options)


def _properties(column: Label | Value) -> Iterator[models.DynamicConfigValue]:
    if column.width:
        yield _property("custom.width", column.width)
    if column.texts:
        yield _property("custom.align", "left")
        yield _property("mappings", [each.to_json() for each in column.texts])
        yield _property("custom.cellOptions", {"type": "color-background", "mode": "basic"})
    if isinstance(column, Label):
        if column.link:
            yield _property("links", [{"title": column.link_title, "url": column.link}])
        return
    yield _property("unit", column.unit)
    if column.decimals is not None:
        yield _property("decimals", column.decimals)
    if column.colours:
        yield _property("thresholds", steps(column.colours).build().to_json())
        yield _property("custom.cellOptions", {"type": "color-text"})


def _property(name: str, value: object) -> models.DynamicConfigValue:
    return models.DynamicConfigValue(id_val=name, value=value)
