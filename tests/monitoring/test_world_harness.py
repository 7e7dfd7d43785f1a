"""The worlds differ as they say, and their tests find wrong figures."""

import math

from collections.abc import Sequence

import pytest

from tests.support.monitoring.answers import Answer, Series, merged, options
from tests.support.monitoring.grafana import Question, questions
from tests.support.monitoring.views import ODD_APP, ODD_NAME, behind, elsewhere, odd
from tests.support.monitoring.worlds import PLAIN, WORLDS, World


EXPOSITION = """\
# HELP rk_meeting_live_participants People in the meeting's live session.
rk_meeting_live_participants{meeting_id="m",rk_app="a"} 3.0
rk_meeting_info{meeting_id="m",meeting_name="Ward \\"3\\"",rk_app="a"} 1.0
rk_meeting_record_on_start{meeting_id="m",rk_app="a"} 0.0
rk_recordings{rk_app="a",status="INVOKED"} 4.0
rk_recording_status{meeting_id="m",recording_id="r",rk_app="a",status="UNKNOWN"} 1.0
rk_recording_last_success_timestamp_seconds{meeting_id="m",recording_id="r",rk_app="a"} 1000.0
rk_recording_file_size_bytes{meeting_id="m",recording_id="r",rk_app="a"} 7.0
process_start_time_seconds 500.0
rk_recordings_started_total{rk_app="a"} 5.0
"""


def answer(*series: Series, **question: object) -> Answer:
    """Return the answer to a question in a panel."""
    return Answer(Question("Board, Panel, A", "x", panel="table", source=question), series)


def test_an_exporter_that_is_behind() -> None:
    """It differs in everything but the labels that identify, and counts the same."""
    assert behind(EXPOSITION).splitlines()[1:] == [
        'rk_meeting_live_participants{meeting_id="m",rk_app="a"} 7.0',
        r'rk_meeting_info{meeting_id="m",meeting_name="Ward \"3\" of the other",rk_app="a"} 1.0',
        'rk_meeting_record_on_start{meeting_id="m",rk_app="a"} 1',
        'rk_recordings{rk_app="a",status="RECORDING"} 4.0',
        'rk_recording_status{meeting_id="m",recording_id="r",rk_app="a",status="INVOKED"} 1.0',
        (
            "rk_recording_last_success_timestamp_seconds"
            '{meeting_id="m",recording_id="r",rk_app="a"} 900.0'
        ),
        'rk_recording_file_size_bytes{meeting_id="m",recording_id="r",rk_app="a"} 15.0',
        "process_start_time_seconds 400.0",
        'rk_recordings_started_total{rk_app="a"} 5.0',
    ]


def test_odd_names() -> None:
    """The app and the meeting get names with all characters that mean something elsewhere."""
    text = odd(EXPOSITION)
    assert f'rk_recordings_started_total{{rk_app="a {ODD_APP}"}} 5.0' in text
    assert len(text.splitlines()) == len(EXPOSITION.splitlines())
    assert r'meeting_name="Ward \"3\" \"ward\" \\ it' in text
    assert {*"\"\\\n{}<>$'"} <= {*ODD_NAME}
    assert {*"&#(%+)"} <= {*ODD_APP}


def test_another_cluster() -> None:
    """It has an app with the same name, but other meetings and recordings."""
    text = elsewhere(EXPOSITION)
    assert 'meeting_id="us-m",recording_id="us-r",rk_app="a"' in text
    assert text.count('rk_app="a"') == EXPOSITION.count('rk_app="a"')


@pytest.mark.parametrize("world", WORLDS, ids=str)
def test_a_world(world: World) -> None:
    """Each world has the plain exporter, with other labels or names, and a selection for it."""
    steps = range(20)
    for step in steps:
        shown = [
            target
            for target in world.shown
            if target.since <= step and (target.until is None or step < target.until)
        ]
        assert any(behind not in target.views for target in shown), step
    assert {"job"} <= world.home.keys() <= {"cluster", "job", "instance", "app"}
    if odd in world.shown[0].views:
        names = {"rk_app": f"a {ODD_APP}", "meeting_name": f"b{ODD_NAME}", "meeting_id": "c"}
        assert {"rk_app": "a", "meeting_name": "b", "meeting_id": "c"} == world.plain(names)


def test_the_plain_world() -> None:
    """All worlds are compared with one that has nothing but an exporter and the rules."""
    assert WORLDS[0] is PLAIN
    assert PLAIN.has_rules
    assert not PLAIN.has_others
    assert [()] == [target.views for target in PLAIN.shown]


@pytest.mark.parametrize(
    ("answers", "rows"),
    [
        # Labels that not all queries have do not separate rows.
        (
            [
                answer(
                    Series({"id": "1", "name": "one"}, 5), Series({"id": "2", "name": "two"}, 6)
                ),
                answer(Series({"id": "1"}, 7)),
            ],
            [
                {"id": "1", "name": "one", "Value #0": 5, "Value #1": 7},
                {"id": "2", "name": "two", "Value #0": 6},
            ],
        ),
        # Two names, or two pods, are two rows.
        (
            [answer(Series({"id": "1", "name": "a"}, 5), Series({"id": "1", "name": "b"}, 5))],
            [{"id": "1", "name": "a", "Value #0": 5}, {"id": "1", "name": "b", "Value #0": 5}],
        ),
        # A label with two values that both queries have.
        (
            [answer(Series({"id": "1", "x": "a"}, 5)), answer(Series({"id": "1", "x": "b"}, 6))],
            [{"id": "1", "x": "a", "Value #0": 5}, {"id": "1", "x": "b", "Value #1": 6}],
        ),
        # An empty answer takes no part.
        ([answer(Series({"id": "1"}, 5)), answer()], [{"id": "1", "Value #0": 5}]),
        ([answer()], []),
    ],
)
def test_rows(answers: Sequence[Answer], rows: Sequence[object]) -> None:
    """Rows are merged as Grafana merges them."""
    assert rows == merged(answers)


def test_options() -> None:
    """Grafana applies the pattern of a variable to series that it writes without escaping."""
    regex = '/id="(?<value>[^"]*)",name="(?<text>.*)"\\} \\S+ \\S+$/'
    series = [Series({"name": 'a "b"', "id": "1"}, 1), Series({"id": "2", "name": "two\nlines"}, 1)]
    assert [('a "b"', "1")] == options(answer(*series, regex=regex))
    labels = Answer(
        Question("Board, $app", "x", label="rk_app"), [Series({"rk_app": "a"}, math.nan)]
    )
    assert [("a", "a")] == options(labels)


def test_selected_values() -> None:
    """Values are escaped as Grafana escapes them, twice in patterns and once otherwise."""

    def variable(name: str, *, multi: bool) -> dict[str, object]:
        query = f"label_values(x, {name})"
        return {"name": name, "type": "query", "query": query, "includeAll": multi, "multi": multi}

    dashboard = {
        "title": "Board",
        "templating": {"list": [variable("app", multi=True), variable("one", multi=False)]},
        "annotations": {"list": []},
        "panels": [{"title": "P", "targets": [{"refId": "A", "expr": 'x{a=~"$app", b="${one}"}'}]}],
    }

    def expression(**selected: Sequence[str]) -> str:
        *_, question = questions(dashboard, {"one": 'a"\\b'}, selected=selected)
        return question.promql

    assert r'x{a=~".+", b="a\"\\b"}' == expression()
    assert r'x{a=~"a\\+ \\(b\\)", b="a\"\\b"}' == expression(app=["a+ (b)"])
    assert r'x{a=~"(a\\.b|c\\\\d)", b="a\"\\b"}' == expression(app=["a.b", "c\\d"])
