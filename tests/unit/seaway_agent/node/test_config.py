"""What metadata tells an agent: asked for at the start and after changes, heard meanwhile."""

import pytest

from seaway_agent.node import config as config_module
from seaway_agent.node.config import ReceivedConfig
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import SeawayError
from seaway_contracts.node_settings import ClusterSettings, NodeConfig, NodeSettings, ToNodes
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

    cluster = ClusterSettings(memory_overcommit=2.0, version=1)
    await fake_bus.publish(TO_NODES, ToNodes(beat_interval_ns=20 * 10**9, cluster=cluster, changed="n2"))
    await until(lambda: received.beat_interval_s == 20.0)
    assert received.cluster == cluster
    settings = NodeSettings(node="n1", version=2)
    await fake_bus.publish(TO_NODES, ToNodes(changed="n1"))
    await until(lambda: received.settings.version == 2)
    assert asked == ["n1", "n1"]


async def test_older_settings_replace_no_newer_ones(
    fake_bus: Bus, tasks: Tasks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One copy of metadata may have heard of a change that another has not."""
    answer = NodeConfig(settings=NodeSettings(node="n1", version=2))

    async def config(request: Empty, command: Command) -> NodeConfig:
        return answer

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1")
    with monkeypatch.context() as patch, pytest.raises(SeawayError, match="has just started"):
        patch.setattr(config_module, "_FIRST_S", 0.0)
        await received.received()
    tasks.eternal("config", received.run())
    await received.received()
    newer = ClusterSettings(strategy="binpack", version=3)
    await fake_bus.publish(TO_NODES, ToNodes(cluster=newer))
    await until(lambda: received.cluster == newer)
    answer = NodeConfig(
        settings=NodeSettings(node="n1", version=1),
        to_nodes=ToNodes(beat_interval_ns=4 * 10**9, cluster=ClusterSettings(version=2)),
    )
    await fake_bus.publish(TO_NODES, ToNodes(cluster=newer, changed="n1"))
    await until(lambda: received.beat_interval_s == 4.0)
    assert (received.cluster, received.settings.version) == (newer, 2)
