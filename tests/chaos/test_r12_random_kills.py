"""R12: services killed by chance, at any moment and at any durable step, under load."""

import random
import time
from collections import Counter

import pytest
from chaos_rig import stream
from chaos_rig.chores import Chores
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.registry import Registry

from seaway_kit.failpoints import Failpoint

pytestmark = [pytest.mark.root, pytest.mark.timeout(14400)]
_SERVICES = ("agent", "api", "image", "metadata", "scheduler", "nats")
_PASSED_S = 3.0
_IN_FLIGHT = 16


class Killer:
    """Counts a kill only where a process was there and died of it, while lives were in hand."""

    def __init__(self, suite: ChaosSuite, load: Load, chance: random.Random) -> None:
        self._suite, self._load, self._chance = suite, load, chance
        self.kills: Counter[str] = Counter()
        self.missed: Counter[str] = Counter()

    def strike(self) -> None:
        """Kill somebody now, or whoever passes some step next."""
        time.sleep(self._chance.uniform(0.05, 0.6))
        assert self._load.in_hand > 0, "no load any more"
        if self._chance.random() < 0.5:
            point = self._chance.choice(list(Failpoint))
            self._count(point, self._suite.passed(point, _PASSED_S))
        else:
            service = self._chance.choice(_SERVICES)
            self._count(service, self._suite.strike(service) > 0)

    def _count(self, target: str, died: bool) -> None:
        (self.kills if died else self.missed)[target] += 1


def test_r12_random_kills(suite: ChaosSuite, registry: Registry, figures: Figures) -> None:
    wanted, count = scaled(1000, 25), scaled(2000, 120)
    script = "sleep 0.2; exit {code}"
    with (
        Load(suite.api, count, _IN_FLIGHT, script=script, patience_s=120, lasting=True) as load,
        Chores(suite, registry) as chores,
    ):
        load.goes_on()
        killer = Killer(suite, load, dice("r12"))
        while killer.kills.total() < wanted:
            killer.strike()
    suite.disarm()
    suite.whole()
    load.check()
    assert killer.kills.total() == wanted and load.done >= count
    events = stream.check(suite, load.since, [one.container for one in load.outcomes])
    points = {target for target in killer.kills if target not in _SERVICES}
    figures.show(
        "R12",
        f"{wanted} kills ({sum(killer.kills[name] for name in _SERVICES)} at any moment, the others at {len(points)} "
        f"steps), {load.done} lives and {chores.rounds} rounds of other commands: 0 exit codes wrong, {events} events, "
        f"0 missing, doubled or out of order; longest life {load.longest_s:.1f} s",
    )
