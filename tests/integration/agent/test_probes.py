"""Probes of health checks, as the agent runs them: their output, their end by force, their events."""

import asyncio
from typing import Final

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_contracts.containers import ContainerStatus
from seaway_contracts.images import Healthcheck

pytestmark = pytest.mark.root
SECOND_NS: Final = 1_000_000_000


async def probed(rig: AgentRig, script: str, times: int = 1) -> tuple[str, ContainerStatus]:
    """Run a container with this probe every 0.1 s until so many are over."""
    check = Healthcheck(test=("CMD-SHELL", script), interval_ns=SECOND_NS // 10, timeout_ns=SECOND_NS // 2, retries=3)
    container = await rig.create(rig.spec("sleep", "1000", healthcheck=check))
    await rig.start_container(container)

    async def over() -> bool:
        health = (await rig.inventory())[container].status.health
        return health is not None and len(health.log) >= times

    await rig.until(over)
    return container, (await rig.inventory())[container].status


async def test_output_and_code_are_those_of_the_command(rig: AgentRig) -> None:
    container, status = await probed(rig, "echo out; echo err >&2; exit 3")
    assert status.health is not None
    probe = status.health.log[0]
    assert (probe.exit_code, sorted(probe.output.split())) == (3, ["err", "out"])
    assert probe.started_ns < probe.ended_ns
    assert rig.told(container)[2:5] == ["exec_create", "exec_start", "exec_die"]


async def test_one_that_takes_too_long_is_killed(rig: AgentRig) -> None:
    container, status = await probed(rig, "echo slow; exec sleep 1000")
    assert status.health is not None
    assert status.health.log[0].exit_code == -1
    assert "Health check exceeded timeout" in status.health.log[0].output
    assert rig.told(container).count("exec_die") >= 1


async def test_the_containers_end_leaves_nothing_of_them(rig: AgentRig) -> None:
    container, _ = await probed(rig, "true", times=2)
    await asyncio.gather(rig.stop(container, timeout_s=0), rig.died(container))
    await rig.until(lambda: not rig.shims() and not list((rig.run / "x").iterdir()))
    told = rig.told(container)
    assert told.count("exec_start") == told.count("exec_die")
