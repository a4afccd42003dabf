"""R12: services killed by chance, at any moment and at any durable step, under load."""

import random
import time
from collections import Counter
from collections.abc import Iterable

import pytest
from chaos_rig import stream
from chaos_rig.chores import Chores
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import FULL, dice, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.registry import Registry

from seaway_kit.failpoints import Failpoint

pytestmark = [pytest.mark.root, pytest.mark.timeout(14400)]
_SERVICES = ("agent", "api", "image", "metadata", "scheduler", "nats")
_PASSED_S = 10.0
_IN_FLIGHT = 16


class Deck:
    """All of these, in an order of chance, before any of them comes again."""

    def __init__(self, cards: Iterable[str], chance: random.Random) -> None:
        self._cards, self._chance = sorted(cards), chance
        self._left: list[str] = []

    def draw(self) -> str:
        """The next one."""
        if not self._left:
            self._left = self._chance.sample(self._cards, len(self._cards))
        return self._left.pop()


class Killer:
    """Counts a kill only where a process was there and died of it, while lives were in hand."""

    def __init__(self, suite: ChaosSuite, load: Load, chores: Chores, chance: random.Random) -> None:
        self._suite, self._load, self._chores, self._chance = suite, load, chores, chance
        self._points, self._services = Deck(Failpoint, chance), Deck(_SERVICES, chance)
        self.kills: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()

    def strike(self) -> None:
        """Kill somebody now, or whoever passes some step next."""
        time.sleep(self._chance.uniform(0.05, 0.6))
        assert self._load.in_hand > 0, "no load any more"
        if self._chance.random() < 0.5:
            point = Failpoint(self._points.draw())
            with self._chores.passing(point):
                self._count(point, self._suite.passed(point, _PASSED_S))
        else:
            service = self._services.draw()
            self._count(service, self._suite.strike(service) > 0)

    def _count(self, target: str, died: bool) -> None:
        (self.kills if died else self.missed)[target] += 1

    def never(self) -> set[str]:
        """Those who were not killed, and steps at which nobody was."""
        return {*_SERVICES, *Failpoint} - self.kills.keys()

    def counts(self) -> str:
        """How often each was hit that was."""
        hit = [target for target in (*_SERVICES, *Failpoint) if self.kills[target]]
        return ", ".join(f"{target} {self.kills[target]}" for target in hit)


def test_r12_random_kills(suite: ChaosSuite, registry: Registry, figures: Figures) -> None:
    wanted, count = scaled(1000, 25), scaled(2000, 120)
    script = "sleep 0.2; exit {code}"
    with (
        Load(suite.api, count, _IN_FLIGHT, script=script, patience_s=120, lasting=True) as load,
        Chores(suite, registry) as chores,
    ):
        load.goes_on()
        killer = Killer(suite, load, chores, dice("r12"))
        while killer.kills.total() < wanted:
            killer.strike()
    suite.disarm()
    suite.whole()
    load.check()
    assert killer.kills.total() == wanted and load.done >= count
    events = stream.check(suite, load.since, [one.container for one in load.outcomes])
    assert not FULL or killer.never() == set(), (killer.never(), killer.missed)
    steps = [point for point in Failpoint if killer.kills[point]]
    at_once = sum(killer.kills[name] for name in _SERVICES)
    figures.show(
        "R12",
        f"{wanted} kills ({at_once} at any moment, the others at {len(steps)} of {len(Failpoint)} steps), {load.done} "
        f"lives and {chores.rounds} rounds of other commands: 0 exit codes wrong, {events} events, 0 missing, doubled "
        f"or out of order; longest life {load.longest_s:.1f} s",
    )
    figures.show("R12", f"kills by whom and where: {killer.counts()}")
