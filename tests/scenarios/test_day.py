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

from rk_exporter.simulator.webhooks.faults import WebhookFault
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


# How long the webhooks of an app have the same fault.
EVENTS_SECONDS = (600.0, 7200.0)


class Fate:
    """The random troubles of one app of a *world*, and of its webhooks."""

    def __init__(self, world: World, watcher: Watcher, name: str, seed: str) -> None:
        self._world = world
        self._watcher = watcher
        self._name = name
        self._chance = random.Random(f"{seed} {name}")  # noqa: S311 # not a secret
        self._until = world.now + self._chance.uniform(*CALM_SECONDS)
        self._events_until = world.now
        self.count = 0
        self.event_faults = set[WebhookFault]()

    def happen(self) -> None:
        """Let what is due happen to the app and to its webhooks."""
        self._change_events()
        self._happen_to_api()

    def _change_events(self) -> None:
        """Send events from now on, half of the time with a fault."""
        world, chance = self._world, self._chance
        if world.now >= self._events_until:
            self._events_until = world.now + chance.uniform(*EVENTS_SECONDS)
            fault = chance.choice([*WebhookFault]) if chance.random() < 0.5 else WebhookFault.NONE
            self.event_faults.add(fault)
            world.events.set_fault(self._name, fault)

    def _happen_to_api(self) -> None:
        """Let a trouble begin or end, or a token be replaced."""
        world, chance, api = self._world, self._chance, self._world.api.apps[self._name]
        if world.now < self._until:
            return
        files = world.files.apps[self._name]
        if api.troubled or api.user.token != files.token:
            api.end(world.now)
            if api.user.token != files.token:
                files.token = api.user.token
                world.files.write_token(self._name)
                self._watcher.replace_token(api.user)
            self._until = world.now + chance.uniform(*CALM_SECONDS)
            return
        self.count += 1
        self._until = world.now + chance.uniform(*TROUBLE_SECONDS)
        kind = chance.random()
        if kind < 0.1:
            # Somebody replaces the token, and only later writes it into the file.
            api.user.token = f"token-{self.count}"
        elif kind < 0.3:
            api.begin(Troubled(chance.choice(ALONE), chance.choice(MEETINGS)), world.now)
        else:
            api.begin(Troubled(chance.choice([*Trouble])), world.now)


async def day(seed: str, folder: Path) -> Mapping[str, int]:
    """
    Return how often each app had to be exact in a day with random faults.

    The second app finds its meetings itself.
    """
    apps = {
        NAMES[0]: AppFiles([*MEETINGS], token=NAMES[0]),
        NAMES[1]: AppFiles([], token=NAMES[1], finds_meetings=True),
    }
    files = Files(folder, apps, has_webhooks=True)
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
    fates = [Fate(world, watcher, name, seed) for name in NAMES]
    try:
        while world.now < NOW + DAY_SECONDS:
            watcher.check(await world.scrape())
            await world.wait(INTERVAL_SECONDS - (world.now - NOW) % INTERVAL_SECONDS)
            for fate in fates:
                fate.happen()
    finally:
        await world.stop()
    assert all(fate.count > 10 and len(fate.event_faults) > 3 for fate in fates)
    return watcher.exact


# A day is too long to look for a simpler one that fails.
@settings(max_examples=1 if settings().derandomize else 20, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 10**6))
def test_day(seed: int) -> None:
    """At each of 1,440 scrapes, each app shows the truth unless it is in trouble itself."""
    with tempfile.TemporaryDirectory() as folder:
        exact = virtual_time.run(day(str(seed), Path(folder)))
    assert all(count > 600 for count in exact.values()), exact
