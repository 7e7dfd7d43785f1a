"""Which apps of two configurations are the same."""

import pytest

from hypothesis import given
from hypothesis import strategies as st

from rk_exporter.exporter.apps import same_apps
from rk_exporter.model.meeting import App


A, B = App("a", "account", "1"), App("b", "account", "2")
RENAMED = App("new", "account", "1")
APPS = st.lists(
    st.builds(App, st.sampled_from("abc"), st.sampled_from("xy"), st.sampled_from("12")),
    unique_by=lambda app: app.name,
)


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ([A, B], [B, A], {A: A, B: B}),
        ([A, B], [RENAMED], {RENAMED: A}),
        ([A], [App("a", "account", "3")], {}),
        ([A], [App("a", "other", "1")], {}),
        # One app may have two entries, e.g. with different meetings.
        ([A, RENAMED], [RENAMED, A], {A: A, RENAMED: RENAMED}),
        ([A], [RENAMED, A], {A: A}),
        ([RENAMED, A], [App("c", "account", "1"), A], {App("c", "account", "1"): RENAMED, A: A}),
    ],
)
def test_same_apps(before: list[App], after: list[App], expected: dict[App, App]) -> None:
    """Account and id decide; the name only if there are several such apps."""
    assert expected == same_apps(before, after)


@given(APPS, APPS)
def test_pairs(before: list[App], after: list[App]) -> None:
    """Each app has at most one successor, with the same ids; as many are kept as possible."""
    same = same_apps(before, after)
    assert len({*same.values()}) == len(same)
    assert all((a.account_id, a.app_id) == (b.account_id, b.app_id) for a, b in same.items())
    assert all(same.get(app) == app for app in after if app in before)
    for ids in {(app.account_id, app.app_id) for app in after}:
        counts = [
            sum((app.account_id, app.app_id) == ids for app in apps) for apps in (before, after)
        ]
        assert min(counts) == sum((app.account_id, app.app_id) == ids for app in same)
