"""R14: services that stand still for a moment, as on a machine that swaps or is moved to another host."""

import contextlib
import os
import signal
import time
from collections import Counter

import pytest
from chaos_rig import stream
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_SERVICES = ("agent", "api", "image", "metadata", "scheduler", "nats")
_LONGEST_S = 3.0


def stand_still(pids: list[int], seconds: float) -> None:
    """Stop these for so long."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(seconds)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_r14_standing_still(suite: ChaosSuite, figures: Figures) -> None:
    """Nobody is told of it: no request is refused, no service started again, and everything has its order."""
    wanted, chance = scaled(300, 12), dice("r14")
    before, stood = suite.processes(), Counter[str]()
    with Load(suite.api, scaled(1000, 60), 8, script="sleep 0.1; exit {code}", lasting=True, reads=True) as load:
        load.goes_on()
        for _ in range(wanted):
            who = _SERVICES if chance.random() < 0.2 else (chance.choice(_SERVICES),)
            stand_still([before[name] for name in who], chance.uniform(0.1, _LONGEST_S))
            stood.update(who)
            load.goes_on(4)
    load.check()
    assert load.refused == 0
    assert suite.processes() == before
    events = stream.check(suite, load.since, [one.container for one in load.outcomes])
    times = ", ".join(f"{name} {stood[name]}" for name in _SERVICES)
    figures.show(
        "R14",
        f"services stood still for up to {_LONGEST_S} s ({times}), {load.done} lives: 0 requests refused, 0 exit codes "
        f"wrong, {events} events, 0 missing, doubled or out of order; longest life {load.longest_s:.1f} s",
    )
