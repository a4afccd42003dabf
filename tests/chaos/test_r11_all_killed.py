"""R11: everything killed at once, under load: what was acknowledged is so afterwards."""

import os
import signal
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.deeds import STEPS, Doers, Traces
from chaos_rig.figures import Figures
from chaos_rig.journal import Journal, Writers, lost
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite, struck
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_AT_ONCE, _LONG_LIVES = 8, 4


def test_r11_everything_killed_at_once(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    rounds, chance = scaled(12, 2), dice("r11")
    since = time.time()
    journal, deeds = Journal(tmp_path / "journal"), Journal(tmp_path / "deeds")
    traces = Traces(suite, client, since)
    acknowledged = 0
    for _ in range(rounds):
        with Writers(suite.api, journal, _AT_ONCE) as writers, Doers(suite, deeds, _LONG_LIVES) as doers:
            wanted = chance.randrange(scaled(200, 40), scaled(400, 80))
            eventually(lambda writers=writers, wanted=wanted: writers.acknowledged >= wanted, "a load", 60)  # type: ignore[misc]
            eventually(lambda doers=doers: doers.lives >= _LONG_LIVES, "long lives", 60)  # type: ignore[misc]
            assert writers.failures == doers.failures == []
            _kill_all(suite)
            _have_noticed(writers, _AT_ONCE)
            _have_noticed(doers, _LONG_LIVES)
        assert writers.wrong == doers.wrong == []
        acknowledged += writers.acknowledged + doers.acknowledged
        suite.start_again()
        suite.whole()
        fates, long_fates = journal.fates(), deeds.fates()
        _come_true(partial(lost, client, fates, since))
        _come_true(partial(traces.missing, long_fates))
    journal.close()
    deeds.close()
    events = stream.check(suite, since, [*fates, *long_fates])
    traces.remove(long_fates)
    done = Counter(step for fate in long_fates.values() for step in fate.done)
    assert {step for step in STEPS if not done[step]} == set()
    figures.show(
        "R11",
        f"{rounds} times kill -9 of all processes at once under {_AT_ONCE + _LONG_LIVES} writers: {acknowledged} "
        f"acknowledged requests about {len(fates) + len(long_fates)} containers and their {events} events: 0 lost, 0 "
        f"doubled. Of long lives: {dict(done)}",
    )


def _have_noticed(writers: Writers, clients: int) -> None:
    eventually(lambda: len(writers.failures) >= clients, "the clients to notice", 70)


def _come_true(untrue: Callable[[], list[str]]) -> None:
    """What the journal says, soon."""
    try:
        eventually(lambda: not untrue(), "the journal to be true", 15)
    except TimeoutError:
        assert untrue() == []


def _kill_all(suite: ChaosSuite) -> None:
    pids = [*suite.processes().values(), suite.supervisor_pid]
    os.kill(suite.supervisor_pid, signal.SIGSTOP)  # it starts nobody again, and its end, the last one, tells nobody
    for pid in pids:
        assert struck(pid)
    assert len(pids) == 7
