"""
A simulated day with random faults, whose exposition is compared with the story at every scrape.

CI always has the same day; `make test-random` tries others.
"""

import random
import tempfile

from collections.abc import Mapping
from pathlib import Path

import pytest

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.support import virtual_time
from tests.support.building import NOW
from tests.support.model.stories import story
from tests.support.model.troubles import ALONE, Trouble, Troubled
from tests.support.model.watcher import Watcher
from tests.support.model.world import AppFiles, Files, World


# Other tests cover the code that runs here: see the Makefile.
pytestmark = pytest.mark.no_cover

NAMES = ("alpha", "beta")
MEETINGS = ("m1", "m2")
DAY_SECONDS = 24 * 3600.0
INTERVAL_SECONDS = 60.0
# What is between two troubles of an app, and how long one lasts.
CALM_SECONDS = (300.0, 3600.0)
TROUBLE_SECONDS = (30.0, 1200.0)


class Fate:
    """The random troubles of one app of a *world*."""

    def __init__(self, world: World, name: str, seed: str) -> None:
        self._world = world
        self._name = name
        self._chance = random.Random(f"{seed} {name}")  # noqa: S311 # not a secret
        self._until = world.now + self._chance.uniform(*CALM_SECONDS)
        self.count = 0

    def happen(self) -> None:
        """Let what is due happen: a trouble begins or ends, or a token is replaced."""
        world, chance, api = self._world, self._chance, self._world.api.apps[self._name]
        if world.now < self._until:
            return
        files = world.files.apps[self._name]
        if api.troubled or api.token != files.token:
            api.end(world.now)
            files.token = api.token
            world.files.write_token(self._name)
            self._until = world.now + chance.uniform(*CALM_SECONDS)
            return
        self.count += 1
        self._until = world.now + chance.uniform(*TROUBLE_SECONDS)
        kind = chance.random()
        if kind < 0.1:
            # Somebody replaces the token, and only later writes it into the file.
            api.token = f"token-{self.count}"
        elif kind < 0.3:
            api.begin(Troubled(chance.choice(ALONE), chance.choice(MEETINGS)), world.now)
        else:
            api.begin(Troubled(chance.choice([*Trouble])), world.now)


async def day(seed: str, folder: Path) -> Mapping[str, int]:
    """Return how often each app had to be exact in a day with random faults."""
    files = Files(folder, {name: AppFiles([*MEETINGS], token=name) for name in NAMES})
    # The parser and the comparison would take most of the time for a thousand recordings.
    files.more = {"follow": {"max_recordings": "10"}}
    stories = {
        name: story(f"{name} {seed}", MEETINGS, begin=NOW, seconds=DAY_SECONDS, idle_seconds=1800.0)
        for name in NAMES
    }
    world = World(files, stories)
    files.write()
    await world.start()
    watcher = Watcher(world)
    fates = [Fate(world, name, seed) for name in NAMES]
    try:
        while world.now < NOW + DAY_SECONDS:
            watcher.check(await world.scrape())
            await world.wait(INTERVAL_SECONDS - (world.now - NOW) % INTERVAL_SECONDS)
            for fate in fates:
                fate.happen()
    finally:
        await world.stop()
    assert all(fate.count > 10 for fate in fates)
    return watcher.exact


# A day is too long to look for a simpler one that fails.
@settings(max_examples=1 if settings().derandomize else 20, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 10**6))
def test_day(seed: int) -> None:
    """At each of 1,440 scrapes, each app shows the truth unless it is in trouble itself."""
    with tempfile.TemporaryDirectory() as folder:
        exact = virtual_time.run(day(str(seed), Path(folder)))
    assert all(count > 600 for count in exact.values()), exact
