"""What metadata tells an agent: asked for at the start and after changes, heard meanwhile."""

import asyncio
from collections.abc import Callable

import pytest

from seaway_agent.node.config import ReceivedConfig
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.node_settings import Availability, ClusterSettings, NodeConfig, NodeSettings, ToNodes
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until


async def test_the_configuration_is_asked_for_and_heard(fake_bus: Bus, tasks: Tasks) -> None:
    settings = NodeSettings(node="n1", version=1)
    asked: list[str] = []

    async def config(request: Empty, command: Command) -> NodeConfig:
        asked.append(command.node)
        return NodeConfig(settings=settings, to_nodes=ToNodes(beat_interval_ns=3 * 10**9))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1")
    assert received.settings == NodeSettings(node="n1")
    tasks.eternal("config", received.run())
    await until(lambda: received.settings.version == 1)
    assert (asked, received.beat_interval_s) == (["n1"], 3.0)

    cluster = ClusterSettings(memory_overcommit=2.0)
    await fake_bus.publish(
        TO_NODES, ToNodes(beat_interval_ns=20 * 10**9, cluster=cluster, changed=NodeSettings(node="n2", version=9))
    )
    await until(lambda: received.beat_interval_s == 20.0)
    assert received.cluster == cluster
    assert (asked, received.settings.version) == (["n1"], 1)
    settings = NodeSettings(node="n1", version=3)
    await fake_bus.publish(TO_NODES, ToNodes(changed=NodeSettings(node="n1", version=2)))
    await until(lambda: received.settings.version == 3, what="those that were asked for")
    assert asked == ["n1", "n1"]


async def test_an_answer_from_before_a_change_is_not_applied(fake_bus: Bus, tasks: Tasks) -> None:
    versions, answer = [1, 2], asyncio.Event()

    async def config(request: Empty, command: Command) -> NodeConfig:
        version = versions.pop(0)
        await answer.wait()
        return NodeConfig(settings=NodeSettings(node="n1", version=version))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1")
    tasks.eternal("config", received.run())
    await until(lambda: versions == [2])
    await fake_bus.publish(TO_NODES, ToNodes(changed=NodeSettings(node="n1", availability="drain", version=2)))
    await until(lambda: received.settings.version == 2)
    answer.set()
    await until(lambda: received.settings.availability == "active", what="the second answer")
    assert received.settings.version == 2


def refusal(check: Callable[[], None]) -> SeawayError | None:
    try:
        check()
    except SeawayError as error:
        return error
    return None


@pytest.mark.parametrize("availability", ["pause", "drain"])
def test_a_node_that_is_closed_takes_nothing_new(fake_bus: Bus, availability: Availability) -> None:
    received = ReceivedConfig(fake_bus, "n1")
    assert (refusal(received.check_takes_new), refusal(received.check_starts_new)) == (None, None)
    received.settings = NodeSettings(node="n1", availability=availability)
    error = refusal(received.check_takes_new)
    assert error is not None
    assert (error.code, error.reason, error.facts["node"]) == (Code.CONFLICT, Reason.NO_ROOM, "n1")
    start = refusal(received.check_starts_new)
    assert (start is None) == (availability == "pause")
    assert start is None or start.reason is None, "its container is there: it is not placed again"
