"""The panels of the exporter dashboard about its processes, without those of other programs."""

from dashboards.panels import LONG_DURATION, About, Panel, Size, events, history, query
from dashboards.selectors import by_exporter, nonzero, of_app, of_process
from dashboards.totals import counted
from rk_exporter.model.palette import GOOD, SOON


_SIZE = Size(6, 8)


def memory() -> Panel:
    """Show the memory."""
    return history(
        About("Memory", "Resident memory of each exporter.", unit="bytes"),
        [query(by_exporter(of_process("process_resident_memory_bytes")), "{{exporter}}")],
        size=_SIZE,
    )


def cpu() -> Panel:
    """Show the processor time."""
    used = of_process("process_cpu_seconds_total", window="$__rate_interval", function="rate")
    return history(
        About("CPU", "Share of one CPU core that each exporter uses.", unit="percentunit"),
        [query(by_exporter(used), "{{exporter}}")],
        size=_SIZE,
    )


def uptime() -> Panel:
    """Show the time since the last start, in which restarts are easy to see."""
    return history(
        About(
            "Uptime",
            "Time since each exporter started. It begins at 0 again after a restart.",
            unit=LONG_DURATION,
        ),
        [
            query(
                by_exporter(f"time() - {of_process('process_start_time_seconds')}"), "{{exporter}}"
            )
        ],
        size=_SIZE,
    )


def malformed() -> Panel:
    """Show the fields of the API that were ignored."""
    fields = counted(of_app("rk_api_malformed_fields_total"))
    panel = events(
        About(
            "Malformed fields",
            "Fields that the exporter ignored because they were not as the API documents them.",
        ),
        [query(nonzero(fields, "field"), "{{field}}")],
        size=_SIZE,
        shades_of=SOON,
        colours={"none": GOOD},
    )
    return panel.axis_soft_max(1)
