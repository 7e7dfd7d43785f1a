"""
A simulated day with random faults, whose exposition is compared with the story at every scrape.

The seed of CI is always the same. The random profile of Hypothesis (`make test-random`) takes others,
and MODEL_SEED=7 a certain one.
"""

import os
import random

from pathlib import Path

import pytest

from hypothesis import given, settings
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
MEETINGS = ("m1", "m2", "m3", "m4")
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


async def day(seed: str, folder: Path) -> dict[str, int]:
    """Return how often each app had to be exact in a day with random faults."""
    files = Files(folder, {name: AppFiles([*MEETINGS]) for name in NAMES})
    # The parser and the comparison would take most of the time for a thousand recordings.
    files.more = {"follow": {"max_recordings": "30"}}
    stories = {
        name: story(f"{name} {seed}", MEETINGS, begin=NOW, seconds=DAY_SECONDS, idle_seconds=600.0)
        for name in NAMES
    }
    world = World(files, stories)
    files.write()
    await world.start()
    try:
        watcher = Watcher(world)
        fates = [Fate(world, name, seed) for name in NAMES]
        while world.now < NOW + DAY_SECONDS:
            watcher.check(await world.scrape())
            await world.wait(NOW + (world.now - NOW) // INTERVAL_SECONDS * INTERVAL_SECONDS
                             + INTERVAL_SECONDS - world.now)
            for fate in fates:
                fate.happen()
        assert all(fate.count > 10 for fate in fates)
        return watcher.exact
    finally:
        await world.stop()


def test_day(tmp_path: Path) -> None:
    """At each of 1,440 scrapes, each app shows the truth unless it is in trouble itself."""
    seed = os.environ.get("MODEL_SEED", "0")
    exact = virtual_time.run(day(seed, tmp_path))
    assert all(count > 600 for count in exact.values()), exact
