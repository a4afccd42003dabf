"""What metadata tells an agent: asked for at the start and after changes, heard meanwhile."""

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from seaway_agent.node.config import ReceivedConfig
from seaway_agent.state.database import Store, open_database
from seaway_bus.bus import Bus, Command
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_CONFIG, TO_NODES
from seaway_contracts.errors import Code, Reason, SeawayError
from seaway_contracts.node_settings import (
    Availability,
    ClusterSettings,
    NodeConfig,
    NodeSettings,
    Reserved,
    ToNodes,
)
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(open_database(tmp_path / "agent.db")) as db:
        yield Store(db)


async def test_the_configuration_is_asked_for_and_heard(fake_bus: Bus, tasks: Tasks, store: Store) -> None:
    settings = NodeSettings(node="n1", version=1)
    asked: list[str] = []

    async def config(request: Empty, command: Command) -> NodeConfig:
        asked.append(command.node)
        return NodeConfig(settings=settings, to_nodes=ToNodes(beat_interval_ns=3 * 10**9))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1", store)
    assert received.settings == NodeSettings(node="n1")
    tasks.eternal("config", received.run())
    await until(lambda: received.settings.version == 1)
    assert (asked, received.beat_interval_s) == (["n1"], 3.0)

    cluster = ClusterSettings(memory_overcommit=2.0, version=1)
    await fake_bus.publish(
        TO_NODES, ToNodes(beat_interval_ns=20 * 10**9, cluster=cluster, changed=NodeSettings(node="n2", version=9))
    )
    await until(lambda: received.beat_interval_s == 20.0)
    assert received.cluster == cluster
    assert (asked, received.settings.version) == (["n1"], 1)
    settings = NodeSettings(node="n1", version=3)
    await fake_bus.publish(TO_NODES, ToNodes(cluster=cluster, changed=NodeSettings(node="n1", version=2)))
    await until(lambda: received.settings.version == 3, what="those that were asked for")
    assert asked == ["n1", "n1"]


async def test_the_next_agent_begins_with_the_last_configuration(fake_bus: Bus, tasks: Tasks, store: Store) -> None:
    settings = NodeSettings(node="n1", reserved=Reserved(memory=1 << 30), version=3)
    cluster = ClusterSettings(memory_overcommit=0.5, version=2)

    async def config(request: Empty, command: Command) -> NodeConfig:
        return NodeConfig(settings=settings, to_nodes=ToNodes(cluster=cluster, beat_interval_ns=4 * 10**9))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1", store)
    tasks.eternal("config", received.run())
    await until(lambda: received.cluster.version == 2)
    for version, overcommit in ((1, 9.0), (3, 0.25)):
        told = ClusterSettings(memory_overcommit=overcommit, version=version)
        await fake_bus.publish(TO_NODES, ToNodes(cluster=told))
    await until(lambda: received.cluster.version == 3)

    following = ReceivedConfig(fake_bus, "n1", store)
    assert (following.settings, following.cluster.memory_overcommit) == (settings, 0.25)


async def test_settings_that_an_older_copy_of_metadata_sends_are_ignored(
    fake_bus: Bus, tasks: Tasks, store: Store
) -> None:
    cluster = ClusterSettings(memory_overcommit=0.5, version=2)
    known: list[int] = []

    async def config(request: Empty, command: Command) -> NodeConfig:
        known.append(received.cluster.version)
        return NodeConfig(settings=NodeSettings(node="n1"), to_nodes=ToNodes(cluster=cluster))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1", store)
    tasks.eternal("config", received.run())
    await until(lambda: received.cluster == cluster)
    await fake_bus.publish(TO_NODES, ToNodes(cluster=ClusterSettings(), changed=NodeSettings(node="n1")))
    await until(lambda: len(known) == 2)
    assert known == [0, 2]


async def test_settings_that_can_not_be_stored_are_used(fake_bus: Bus, tasks: Tasks, tmp_path: Path) -> None:
    async def config(request: Empty, command: Command) -> NodeConfig:
        return NodeConfig(settings=NodeSettings(node="n1", version=7))

    await fake_bus.serve(NODE_CONFIG, config)
    with closing(open_database(tmp_path / "full.db")) as db:
        db.execute("PRAGMA query_only = 1")
        received = ReceivedConfig(fake_bus, "n1", Store(db))
        with pytest.raises(sqlite3.Error):
            db.execute("DELETE FROM fact")
        tasks.eternal("config", received.run())
        await until(lambda: received.settings.version == 7)


async def test_an_older_answer_brings_its_interval_alone(fake_bus: Bus, tasks: Tasks, store: Store) -> None:
    """One copy of metadata may have heard of a change that another has not."""
    answer = NodeConfig(settings=NodeSettings(node="n1", version=2))

    async def config(request: Empty, command: Command) -> NodeConfig:
        return answer

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1", store)
    tasks.eternal("config", received.run())
    await until(lambda: received.settings.version == 2)
    newer = ClusterSettings(strategy="binpack", version=3)
    await fake_bus.publish(TO_NODES, ToNodes(cluster=newer))
    await until(lambda: received.cluster == newer)
    late = ToNodes(beat_interval_ns=4 * 10**9, cluster=ClusterSettings(version=2))
    await fake_bus.publish(TO_NODES, late)
    await until(lambda: received.beat_interval_s == 4.0)
    assert received.cluster == newer


async def test_an_agent_in_another_cluster_takes_what_that_says(fake_bus: Bus, tasks: Tasks, store: Store) -> None:
    """Its versions begin anew; so do they where NATS has lost its data."""
    before = NodeConfig(
        settings=NodeSettings(node="n1", availability="drain", version=7),
        to_nodes=ToNodes(cluster=ClusterSettings(memory_overcommit=2.0, version=9)),
    )
    store.put_fact("config", before.model_dump_json())

    async def config(request: Empty, command: Command) -> NodeConfig:
        return NodeConfig(settings=NodeSettings(node="n1"))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1", store)
    assert received.cluster.version == 9
    tasks.eternal("config", received.run())
    await until(lambda: received.cluster == ClusterSettings())
    assert received.settings == NodeSettings(node="n1")


async def test_an_answer_from_before_a_change_is_not_applied(fake_bus: Bus, tasks: Tasks, store: Store) -> None:
    versions, answer = [1, 2], asyncio.Event()

    async def config(request: Empty, command: Command) -> NodeConfig:
        version = versions.pop(0)
        await answer.wait()
        return NodeConfig(settings=NodeSettings(node="n1", version=version))

    await fake_bus.serve(NODE_CONFIG, config)
    received = ReceivedConfig(fake_bus, "n1", store)
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
def test_a_node_that_is_closed_takes_nothing_new(fake_bus: Bus, store: Store, availability: Availability) -> None:
    received = ReceivedConfig(fake_bus, "n1", store)
    assert (refusal(received.check_takes_new), refusal(received.check_starts_new)) == (None, None)
    received.settings = NodeSettings(node="n1", availability=availability)
    error = refusal(received.check_takes_new)
    assert error is not None
    assert (error.code, error.reason, error.facts["node"]) == (Code.CONFLICT, Reason.NO_ROOM, "n1")
    start = refusal(received.check_starts_new)
    assert (start is None) == (availability == "pause")
    assert start is None or start.reason is None, "its container is there: it is not placed again"
