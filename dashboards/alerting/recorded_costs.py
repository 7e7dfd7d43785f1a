"""Recorded series about cost: how much was recorded within a day, and its price."""

from collections.abc import Iterator

from dashboards.alerting.recorded_totals import INTERVAL, Total, per_kind
from dashboards.alerting.rule import Group, Record


SECONDS = Total(
    name="rk_recorded_seconds",
    counts=per_kind("rk_recorded_seconds_total"),
    more="kind",
    meaning="Seconds of uploaded recordings",
)
BYTES = Total(
    name="rk_recorded_bytes",
    counts=per_kind("rk_recorded_bytes_total"),
    more="kind",
    meaning="Bytes of uploaded recordings",
)
KINDS = ("composite", "track")


def groups() -> Iterator[Group]:
    """Yield the group about cost."""
    prices = "\nor\n".join(
        f'label_replace(vector(<{kind}_price_per_minute>), "kind", "{kind}", "", "")'
        for kind in KINDS
    )
    yield Group(
        "rk-exporter-cost",
        (
            *SECONDS.rules(),
            *BYTES.rules(),
            *(
                Record(
                    f"app:{total.name}:increase1d",
                    total.within("1d"),
                    note=f"{total.meaning} within 1d.",
                )
                for total in (SECONDS, BYTES)
            ),
            Record(
                "rk:recorded_minute:price",
                f"{prices}\n",
                note="Price of a recorded minute.",
            ),
            Record(
                "app:rk_recorded_cost:increase1d",
                """\
<price_ratio>
* app:rk_recorded_seconds:increase1d
/ 60
* on (kind) group_left ()
max by (kind) (rk:recorded_minute:price)
and on ()
rk:price_ratio:threshold > 0
""",
                note="Price of what was uploaded within 1d. There is none while price_ratio is 0.",
            ),
        ),
        interval=INTERVAL,
        note="Recorded hours, bytes and cost.",
    )
