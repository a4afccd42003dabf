"""R18: agent, image service, API and builder killed at random moments of builds. A retry works, and nothing is left."""

import os
import random
import signal
import threading
import time
from pathlib import Path

import pytest
from chaos_rig.building import attempt, left
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.scale import SEED, scaled
from chaos_rig.suite import ChaosSuite
from e2e_rig.waits import eventually

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_WHO = ("agent", "image", "api", "buildah")
_LATEST_S = 1.5
_GONE_S = 40.0
"""Longer than a node waits for a caller that has gone."""


def _kill(suite: ChaosSuite, who: str) -> None:
    if who != "buildah":
        suite.strike(who)
        return
    for pid in _builders(suite):
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue


def _builders(suite: ChaosSuite) -> list[int]:
    """The builder's processes of this suite."""
    place = str(suite.root).encode()
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes()
        except OSError:
            continue
        if words.startswith(b"/usr/bin/buildah\0") and place in words:
            found.append(int(entry.parent.name))
    return found


def _expect_nothing_left(suite: ChaosSuite, who: str) -> None:
    try:
        eventually(lambda: left(suite) == [], "nothing left", _GONE_S)
    except TimeoutError:
        pytest.fail(f"after {who} was killed there is {left(suite)}")


def test_r18_killed_in_builds(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    chance, kills, broken = random.Random(SEED), scaled(100, 8), 0
    for number in range(kills):
        who, tag, script = _WHO[number % len(_WHO)], f"built-{number}:1", f"echo {number}; sleep 0.2"
        said: list[str] = []
        building = threading.Thread(
            target=lambda said=said, script=script, tag=tag: said.append(attempt(suite, script, tag))
        )
        building.start()
        time.sleep(chance.uniform(0, _LATEST_S))
        _kill(suite, who)
        building.join()
        suite.whole()
        broken += said[0] != ""
        eventually(lambda script=script, tag=tag: attempt(suite, script, tag) == "", "a build that is done", 60)
        assert client.steadily("DELETE", f"/images/{tag}?force=1").status == 200
        _expect_nothing_left(suite, who)
    figures.show("R18", f"{kills} kills in builds, of which {broken} broke off: each retry went through, nothing left")
