"""`seaway node` against a suite's metadata, with an agent that is played."""

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.cli.bus_users import bus_of, eventually, foreign, hearing

from seaway_bus.bus import Bus
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.node_settings import NodeUpdated
from seaway_contracts.nodes import NodeFacts
from seaway_testing.builders import beat
from seaway_testing.waiting import until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root


async def with_node(suite: "TinySuite", api: Bus) -> None:
    """Node n2 has joined."""
    added = suite.seaway("node", "add", "n2")
    assert added.returncode == 0, added.stderr
    async with bus_of(suite, "agent.n2") as agent:
        await agent.publish(
            catalogue.BEAT, beat("n2", interval_ns=60 * 10**9, facts=NodeFacts(labels={"zone": "a"})), node="n2"
        )

        async def nodes() -> list[str]:
            return [record.node for record in (await api.call(catalogue.LIST_NODES, Empty())).nodes]

        await eventually(nodes, lambda found: found == ["n2"])


async def node(suite: "TinySuite", *words: str) -> Any:
    done = await asyncio.to_thread(suite.seaway, "node", *words, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


async def test_settings_are_changed_and_shown(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api, foreign(suite, "cli") as listener:
        await with_node(suite, api)
        heard = await hearing(listener, catalogue.ALL_EVENTS)
        for words, availability in ((("pause",), "pause"), (("activate",), "active"), (("drain",), "drain")):
            assert (await node(suite, *words, "n2"))["availability"] == availability
        assert (await node(suite, "label", "n2", "disk=ssd", "rack=4"))["labels"] == {"disk": "ssd", "rack": "4"}
        assert (await node(suite, "label", "n2", "rack-"))["labels"] == {"disk": "ssd"}
        reserved = (await node(suite, "reserve", "n2", "--memory", "1g", "--cpus", "0.5"))["reserved"]
        assert reserved == {"memory": 1 << 30, "nano_cpus": 500_000_000}
        (listed,) = await node(suite, "ls")
        assert listed["kept_free"] == reserved
        assert (listed["node"], listed["state"], listed["availability"]) == ("n2", "up", "drain")
        assert listed["labels"] == {"zone": "a", "disk": "ssd"}
        (inspected,) = await node(suite, "inspect", "n2")
        assert inspected["capacity"]["nano_cpus"] == 4 * 10**9
        subject = catalogue.NODE_UPDATE.subject("n2", "n2")
        await until(lambda: [message.subject for message in heard].count(subject) == 6)
        bodies = [NodeUpdated.model_validate_json(one.data) for one in heard if one.subject == subject]
        assert [body.settings.version for body in bodies] == [1, 2, 3, 4, 5, 6]
        assert (await node(suite, "rm", "n2")) == {"node": "n2", "containers": 0}
        assert await node(suite, "ls") == []


async def test_the_clusters_settings(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    done = await asyncio.to_thread(
        suite.seaway, "cluster", "update", "--strategy", "binpack", "--memory-overcommit", "1.5"
    )
    assert done.returncode == 0, done.stderr
    shown = await asyncio.to_thread(suite.seaway, "cluster", "inspect", "--json")
    assert json.loads(shown.stdout) == {
        "strategy": "binpack",
        "cpu_overcommit": 1.0,
        "memory_overcommit": 1.5,
        "version": 1,
    }
    refused = await asyncio.to_thread(suite.seaway, "cluster", "update", "--cpu-overcommit", "0")
    assert (refused.returncode, refused.stderr) == (
        1,
        "seaway: 0.0 is no overcommit of CPU: use a number above 0, at most 100\n",
    )
    refused = await asyncio.to_thread(suite.seaway, "cluster", "update", "--strategy", "foo")
    assert (refused.returncode, refused.stderr) == (
        2,
        "seaway: 'foo' is no strategy: use spread, binpack or random\n",
    )


async def test_what_is_refused(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_node(suite, api)
        for words, code, sentence in (
            (("pause", "n3"), 1, "no such node: n3"),
            (("inspect", "n2", "n3"), 1, "no such node: n3"),
            (("pause", "all"), 2, "no node may be called 'all': the name is reserved"),
            (("label", "n2", "zone-"), 1, "label 'zone' is given by the agent of node n2"),
            (("reserve", "n2", "--memory", "9g"), 1, "node n2 has less memory than is to be reserved"),
            (("label", "n2", "a b=c"), 1, "'a b' is no label of a node"),
            (("label", "n2", "=x"), 1, "'' is no label of a node"),
            (("label", "n2", "größe=x"), 1, "'größe' is no label of a node"),
            (("label", "n2", f"{'k' * 10_000}=x"), 1, f"'{'k' * 256}…' is no label of a node"),
            (("reserve", "n2", "--memory=-1"), 2, "'-1' is no size"),
        ):
            refused = await asyncio.to_thread(suite.seaway, "node", *words)
            assert (refused.returncode, refused.stdout) == (code, "")
            assert refused.stderr.startswith(f"seaway: {sentence}")
        (listed,) = await node(suite, "ls")
        assert (listed["labels"], listed["availability"]) == ({"zone": "a"}, "active")
        assert listed["kept_free"] == {"memory": 0, "nano_cpus": 0}
        assert (await node(suite, "label", "n2", "size=größer"))["labels"] == {"size": "größer"}
