"""R6, R8: many lives leave nothing behind; many containers out of memory at once."""

import time
from pathlib import Path

import pytest
from chaos_rig.client import Client
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import FULL, scaled
from chaos_rig.suite import ChaosSuite

pytestmark = [pytest.mark.root, pytest.mark.timeout(1800)]
_GROWTH = 1.05
_HOG = "head -c 400000000 /dev/zero | tail"


def _pss_kb(suite: ChaosSuite) -> dict[str, int]:
    """Proportional set size of each service, in KiB."""
    found = {}
    for name, pid in suite.processes().items():
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
        found[name] = next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return found


def test_r6_nothing_is_left(suite: ChaosSuite, figures: Figures) -> None:
    """The census is taken by the fixture `suite`."""
    with Load(suite.api, scaled(2000, 100), 16, network="bridge") as warm:
        pass
    warm.check()
    before = _pss_kb(suite)
    with Load(suite.api, scaled(8000, 200), 16, network="bridge") as load:
        pass
    load.check()
    after = _pss_kb(suite)
    grown = {name: after[name] / before[name] for name in before if name != "nats"}
    if FULL:
        assert {name: round(ratio, 3) for name, ratio in grown.items() if ratio > _GROWTH} == {}
    figures.show(
        "R6", f"{warm.count + load.count} lives: no leak, services' memory x {max(grown.values()):.3f} at most"
    )


def test_r8_out_of_memory_at_once(suite: ChaosSuite, client: Client, figures: Figures) -> None:
    rounds, at_once = scaled(10, 2), 8
    pids = suite.processes()
    for number in range(rounds):
        made = [client.create(f"r8-{number}-{place}", _HOG, Memory=16 << 20) for place in range(at_once)]
        since = time.time()
        for container in made:
            client.start(container)
        assert [client.wait(container) for container in made] == [137] * at_once
        assert [client.state(container)["OOMKilled"] for container in made] == [True] * at_once
        told = {row["Actor"]["ID"] for row in client.history(since, event="oom")}
        assert set(made) <= told
        for container in made:
            client.remove(container)
    assert suite.processes() == pids
    figures.show("R8", f"{rounds} times {at_once} containers out of memory at once: all flagged, no service hit")
