"""The world of the tests of rate limiters."""

import pytest

from tests.support.limited_apps import World


@pytest.fixture
def world() -> World:
    return World()
