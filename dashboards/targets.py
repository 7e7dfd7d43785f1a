"""PromQL about the exporters' own targets and processes."""

from dashboards.scope import Scope


_TARGET_KNOWN = "7d"


def our_targets(scope: Scope, promql: str) -> str:
    """Keep the series of targets that have metrics of ours, or had some within a week."""
    build = f"last_over_time({scope.of_exporter('rk_exporter_build_info')}[{_TARGET_KNOWN}])"
    return f"({promql} and on ({scope.exporter}) {build})"


def our_processes(scope: Scope, promql: str) -> str:
    """Keep the series of targets that have metrics of ours now."""
    build = scope.of_exporter("rk_exporter_build_info")
    return f"({promql} and on ({scope.exporter}) {build})"


def started_at(scope: Scope, read: str = "{}") -> str:
    """
    Return when each exporter started, or loaded its configuration if its system reports no start.

    *read* is how series are read, e.g. `last_over_time({}[15m])`.
    """
    started = read.format(scope.of_exporter("process_start_time_seconds"))
    build = read.format(scope.of_exporter("rk_exporter_build_info"))
    loaded = read.format(scope.of_exporter("rk_config_last_reload_success_timestamp_seconds"))
    merged, on = f"max by ({scope.exporter})", f"on ({scope.exporter})"
    return f"({merged} ({started} and {on} {build})\nor {on}\n{merged} ({loaded}))"
