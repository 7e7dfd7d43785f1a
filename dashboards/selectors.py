"""Series as the dashboards' variables choose them."""

_EXPORTER = ('job=~"$job"', 'instance=~"$instance"')
_APP = (*_EXPORTER, 'app=~"$app"')
_MEETING = (*_APP, 'meeting_id=~"$meeting"')

BY_APP = "app"
BY_MEETING = "app, meeting_id"
BY_RECORDING = "app, meeting_id, recording_id"


def of_exporter(metric: str, *matchers: str) -> str:
    """Select a metric of the chosen exporters."""
    return _select(metric, *_EXPORTER, *matchers)


def of_app(metric: str, *matchers: str) -> str:
    """Select a metric that the chosen apps have."""
    return _select(metric, *_APP, *matchers)


def of_meeting(metric: str, *matchers: str) -> str:
    """Select a metric that the chosen meetings have, or their recordings."""
    return _select(metric, *_MEETING, *matchers)


def of_recording(metric: str, *matchers: str) -> str:
    """Select a metric that the chosen recordings have."""
    return of_meeting(metric, 'recording_id=~"$recording"', *matchers)


def once(labels: str, promql: str) -> str:
    """Count what several exporters show once, by *labels*."""
    return f"max by ({labels}) ({promql})"


def named(promql: str) -> str:
    """Give each series of a meeting, or of its recording, the label `name`."""
    names = once(f"{BY_MEETING}, name", of_meeting("rk_meeting_info"))
    return f"({promql})\n* on ({BY_MEETING}) group_left (name)\n{names}"


def or_zero(promql: str) -> str:
    """Say 0 where there is nothing to count, but nothing where no exporter answers."""
    return f"{promql}\nor\n0 * sum({of_app('rk_meetings')})"


def as_time(timestamp: str) -> str:
    """Turn unix seconds into the milliseconds that Grafana shows as a time."""
    return f"1000 * {timestamp}"


def happening(rates: str, label: str) -> str:
    """Leave out what does not happen; where nothing does, say 0 by the name `none`."""
    nothing = f'label_replace(0 * sum({rates}), "{label}", "none", "", "")'
    by_label = f"sum by ({label}) ({rates})"
    return f"{by_label} > 0\nor on ()\n{nothing}"


def _select(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matchers)}}}"
