"""R12: services killed by chance, at any moment and at any durable step, under load."""

import time

import pytest
from chaos_rig.figures import Figures
from chaos_rig.load import Load
from chaos_rig.scale import dice, scaled
from chaos_rig.suite import ChaosSuite

from seaway_kit.failpoints import Failpoint

pytestmark = [pytest.mark.root, pytest.mark.timeout(3600)]
_SERVICES = ("agent", "api", "image", "metadata", "scheduler", "nats")
_PASSED = [point for point in Failpoint if point.partition(".")[0] not in ("pull", "exec")]


def test_r12_random_kills(suite: ChaosSuite, figures: Figures) -> None:
    chance = dice("r12")
    kills, wanted = 0, scaled(1000, 25)
    with Load(suite.api, scaled(2000, 120), 16, script="sleep 0.2; exit {code}", patience_s=120) as load:
        while load.running and kills < wanted:
            time.sleep(chance.uniform(0.05, 0.9))
            if chance.random() < 0.5:
                suite.arm(chance.choice(_PASSED))
            else:
                suite.kill_quietly(chance.choice(_SERVICES))
            kills += 1
        suite.disarm()
    suite.whole()
    load.check()
    figures.show(
        "R12",
        f"{load.count} lives, {kills} kills: 0 exit codes wrong, 0 die events missing, doubled or out of order; "
        f"longest life {load.longest_s:.1f} s",
    )
