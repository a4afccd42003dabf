"""R15: networks of users on two nodes, while agents, metadata, the API and resolvers are killed."""

import random
import time
from collections import Counter
from pathlib import Path

import pytest
from chaos_rig.churn import HELD, Churn
from chaos_rig.far_node import FarNode
from chaos_rig.figures import Figures
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite, struck

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_SERVICES = ("agent", "api", "metadata")
_RESOLVER = "/dns/resolver"


def test_r15_networks_of_users(suite: ChaosSuite, tmp_path: Path, figures: Figures) -> None:
    wanted, kills, chance = scaled(1000, 60), scaled(120, 8), dice("r15")
    far = FarNode(suite, tmp_path)
    churn = Churn(suite, wanted, chance)
    try:
        for node in (suite.node, far.name):
            churn.plant(node, HELD + 1)
        churn.begin()
        killed = _kill(suite, churn, kills, chance)
        churn.finish()
        suite.whole()
        churn.check()
    finally:
        churn.stop()
        churn.uproot()
        far.close()
    figures.show(
        "R15",
        f"{churn.done} connects and disconnects on 2 nodes ({churn.full} found the network full), kills: "
        f"{', '.join(f'{name} {count}' for name, count in sorted(killed.items()))}; no address twice or lost",
    )


def _kill(suite: ChaosSuite, churn: Churn, kills: int, chance: random.Random) -> Counter[str]:
    """Kill one after another while the churn goes on."""
    killed: Counter[str] = Counter()
    while churn.goes_on and killed.total() < kills:
        time.sleep(chance.uniform(0.2, 1.5))
        target = chance.choice((*_SERVICES, "resolver"))
        if target == "resolver":
            killed[target] += sum(struck(pid) for pid in _resolvers(suite))
        else:
            killed[target] += suite.strike(target) > 0
    return killed


def _resolvers(suite: ChaosSuite) -> list[int]:
    """The resolver of the suite's own node."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_text()
        except OSError:
            continue
        if _RESOLVER in words and str(suite.run) in words:
            found.append(int(path.parent.name))
    return found
