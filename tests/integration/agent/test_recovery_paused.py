"""The agent is killed around a pause."""

import asyncio
import signal
from pathlib import Path

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.archives import CommitContainer
from seaway_contracts.channels import CallChannel
from seaway_contracts.commands import (
    ContainerId,
    StatusReply,
)
from seaway_contracts.containers import (
    ContainerStatus,
    State,
)
from seaway_contracts.images import BlobEndpoint
from seaway_kit.failpoints import Failpoint

pytestmark = pytest.mark.root


def beats(rig: AgentRig, container: str) -> int:
    return len(rig.output(container))


BEATS = ("sh", "-c", "while :; do echo; sleep 0.01; done")


async def goes_on(rig: AgentRig, container: str) -> None:
    heard = beats(rig, container)
    await rig.until(lambda: beats(rig, container) > heard)


async def test_a_pause_that_was_not_written_down_is_undone(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec(*BEATS))
    await rig.start_container(container)
    (armed / Failpoint.PAUSE_FROZEN).touch()
    pausing = asyncio.ensure_future(rig.bus.call(catalogue.PAUSE, ContainerId(id=container), node=rig.node))
    await rig.until(rig.ended)
    pausing.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    await goes_on(rig, container)
    assert (await rig.inventory())[container].status.state is State.RUNNING
    await rig.stop(container, timeout_s=0)
    assert "pause" not in rig.told(container)


@pytest.mark.parametrize("point", [Failpoint.PAUSE_FROZEN, Failpoint.PAUSE_RECORDED])
async def test_a_pause_that_is_asked_for_again_is_had_once(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec("sleep", "600"))
    await rig.start_container(container)
    assert (await asked_of_two_agents(rig, catalogue.PAUSE, container, armed / point)).state is State.PAUSED
    assert rig.told(container) == ["create", "start", "pause"]


async def asked_of_two_agents(
    rig: AgentRig, what: CallChannel[ContainerId, StatusReply], container: str, point: Path
) -> ContainerStatus:
    """What the second agent answers to a command in which the first one has died."""
    command, asked = Command.new(), ContainerId(id=container)
    point.touch()
    first = asyncio.ensure_future(rig.bus.call(what, asked, node=rig.node, command=command))
    await rig.until(rig.ended)
    first.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    return (await rig.bus.call(what, asked, node=rig.node, command=command)).status


async def test_an_unpause_that_was_written_down_is_carried_out(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec(*BEATS))
    await rig.start_container(container)
    await rig.bus.call(catalogue.PAUSE, ContainerId(id=container), node=rig.node)
    status = await asked_of_two_agents(rig, catalogue.UNPAUSE, container, armed / Failpoint.UNPAUSE_RECORDED)
    assert status.state is State.RUNNING
    await goes_on(rig, container)
    assert rig.told(container) == ["create", "start", "pause", "unpause"]


async def test_what_was_paused_for_a_commit_goes_on_when_that_agent_is_dead(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    container = await rig.create(rig.spec(*BEATS))
    await rig.start_container(container)
    (armed / Failpoint.COMMIT_PAUSED).touch()
    asked = CommitContainer(id=container, upload=BlobEndpoint(url="http://127.0.0.1:1", token="none"))
    committing = asyncio.ensure_future(rig.bus.call(catalogue.COMMIT, asked, node=rig.node))
    await rig.until(rig.ended)
    committing.cancel()
    rig.end(signal.SIGKILL)
    await rig.start()
    await goes_on(rig, container)
    await rig.wait_for(container, "unpause")
    assert rig.told(container) == ["create", "start", "pause", "unpause"]
