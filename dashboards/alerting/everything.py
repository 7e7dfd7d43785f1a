"""The scope of expressions in rules: all exporters, with the short names of labels."""

from dashboards.scope import Scope


def _all(metric: str, *matchers: str) -> str:
    return f"{metric}{{{', '.join(matchers)}}}" if matchers else metric


EVERYTHING = Scope(
    of_exporter=_all,
    of_app=_all,
    of_meeting=_all,
    of_recording=_all,
    exporter="<exporter>",
    app="<app>",
    app_in_place="<app>",
    meeting="<meeting>",
    recording="<recording>",
    threshold="<{}>".format,
)
