"""R11: everything killed at once, under load: what was acknowledged is so afterwards."""

import os
import signal
import time
from pathlib import Path

import pytest
from chaos_rig import stream
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.journal import Journal, Writers, lost
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite, struck
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(900)]
_AT_ONCE = 8


def test_r11_everything_killed_at_once(suite: ChaosSuite, client: Client, figures: Figures, tmp_path: Path) -> None:
    rounds, chance = scaled(12, 2), dice("r11")
    since = time.time()
    journal = Journal(tmp_path / "journal")
    acknowledged = 0
    for _ in range(rounds):
        with Writers(suite.api, journal, _AT_ONCE) as writers:
            wanted = chance.randrange(scaled(200, 40), scaled(400, 80))
            eventually(lambda writers=writers, wanted=wanted: writers.acknowledged >= wanted, "a load", 60)  # type: ignore[misc]
            assert writers.failures == []
            _kill_all(suite)
            eventually(lambda writers=writers: len(writers.failures) >= _AT_ONCE, "the clients to notice", 70)  # type: ignore[misc]
        assert writers.wrong == []
        acknowledged += writers.acknowledged
        suite.start_again()
        suite.whole()
        fates = journal.fates()
        try:
            eventually(lambda fates=fates: not lost(client, fates, since), "the journal to be true", 15)  # type: ignore[misc]
        except TimeoutError:
            assert lost(client, fates, since) == []
    journal.close()
    events = stream.check(suite, since, fates)
    figures.show(
        "R11",
        f"{rounds} times kill -9 of all processes at once under {_AT_ONCE} writers: {acknowledged} acknowledged "
        f"requests about {len(fates)} containers and their {events} events: 0 lost, 0 doubled",
    )


def _kill_all(suite: ChaosSuite) -> None:
    pids = [*suite.processes().values(), suite.supervisor_pid]
    os.kill(suite.supervisor_pid, signal.SIGSTOP)  # it starts nobody again, and its end, the last one, tells nobody
    for pid in pids:
        assert struck(pid)
    assert len(pids) == 7
