"""`seaway node` against a suite's metadata, with an agent that is played."""

import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.integration.cli.bus_users import bus_of, eventually, foreign, hearing

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory, StatusReply, StopContainer
from seaway_contracts.containers import Command as Program
from seaway_contracts.containers import ContainerSpec, Mount, RestartPolicy, State
from seaway_contracts.errors import conflict
from seaway_contracts.node_settings import NodeUpdated
from seaway_contracts.nodes import NodeFacts
from seaway_testing.builders import beat, spec, status
from seaway_testing.waiting import GUARD_S, until

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root
GUARD_NS = int(GUARD_S * 10**9)
COMMAND = (str(Path(sys.executable).parent / "seaway"),)


async def with_node(suite: "TinySuite", api: Bus) -> None:
    """Node n2 has joined, and stays up without another beat."""
    added = suite.seaway("node", "add", "n2")
    assert added.returncode == 0, added.stderr
    async with bus_of(suite, "agent.n2") as agent:
        facts = NodeFacts(labels={"zone": "a"})
        await agent.publish(catalogue.BEAT, beat("n2", facts=facts, interval_ns=GUARD_NS), node="n2")

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
        assert (await node(suite, "rm", "n2")) == {"node": "n2", "containers": 0, "login_stays": False}
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


@contextlib.asynccontextmanager
async def agent_holding(suite: "TinySuite", specs: Sequence[ContainerSpec]) -> AsyncIterator[list[str]]:
    """Plays the agent of n2, where these containers run; which of them were told to stop, in order."""
    running, stopped = {spec.id: spec for spec in specs}, list[str]()

    async def inventory(request: ListInventory, command: Command) -> Inventory:
        items = tuple(InventoryItem(spec=spec, status=status(State.RUNNING)) for spec in running.values())
        return Inventory(node="n2", epoch="e", revision=1, containers=items)

    async def stop(request: StopContainer, command: Command) -> StatusReply:
        stopped.append(running[request.id].name)
        if "stuck" in running[request.id].name:
            await asyncio.Event().wait()
        if "odd" in running[request.id].name:
            raise conflict("it won't end")
        del running[request.id]
        return StatusReply(status=status(State.EXITED))

    async with bus_of(suite, "agent.n2") as agent:
        await agent.serve(catalogue.INVENTORY, inventory, node="n2")
        await agent.serve(catalogue.STOP, stop, node="n2")
        await agent.transport.flush()
        yield stopped


def box(name: str, stop_timeout: int | None = None, **changes: Any) -> ContainerSpec:
    return spec(name, command=Program(cmd=("sh",), stop_timeout=stop_timeout), **changes)


async def test_a_drain_stops_what_runs_and_says_what_would_move(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_node(suite, api)
        moving = box("web", 3, restart=RestartPolicy(name="always"))
        staying = box("db", 30, mounts=(Mount(type="volume", target="/d", source="data"),))
        async with agent_holding(suite, (moving, staying)) as stopped:
            assert await node(suite, "drain", "n2", "--stop") == {
                "node": "n2",
                "availability": "drain",
                "containers": [
                    {
                        "id": staying.id,
                        "name": "boxdb",
                        "stopped": True,
                        "error": "",
                        "would_move": False,
                        "stays_as": ["it has no restart policy", "volume data is on this node"],
                    },
                    {
                        "id": moving.id,
                        "name": "boxweb",
                        "stopped": True,
                        "error": "",
                        "would_move": True,
                        "stays_as": [],
                    },
                ],
            }
            assert stopped == ["boxdb", "boxweb"]
            again = await asyncio.to_thread(suite.seaway, "node", "drain", "n2", "--stop")
            assert (again.returncode, again.stdout) == (
                0,
                "Node n2 is drained: it gets no new containers; no container ran there.\n",
            )
        async with agent_holding(suite, (moving, box("odd"))):
            partly = await asyncio.to_thread(suite.seaway, "node", "drain", "n2", "--stop")
            assert partly.returncode == 1
            assert sorted(partly.stdout.splitlines()) == [
                "Node n2 is drained: it gets no new containers; 1 of 2 containers were stopped; "
                "1 would move, which Seaway doesn't do yet.",
                "boxodd: not stopped: it won't end; stays, as it has no restart policy",
                "boxweb: stopped; would move to another node that fits",
            ]


async def test_an_interrupted_drain_leaves_the_node_drained(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_node(suite, api)
        async with agent_holding(suite, (box("stuck", -1),)) as stopped:
            words = (*COMMAND, "node", "drain", "n2", "--stop", "--root", str(suite.root), "--run", str(suite.run))
            draining = await asyncio.create_subprocess_exec(*words, stderr=asyncio.subprocess.PIPE)
            await until(lambda: stopped)
            draining.send_signal(signal.SIGINT)
            _, said = await draining.communicate()
            assert draining.returncode == 130
            assert said.startswith(b"seaway: interrupted: node n2 stays drained")
        (listed,) = await node(suite, "ls")
        assert listed["availability"] == "drain"


async def test_a_node_that_is_down_is_not_drained_with_stop(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_node(suite, api)
        async with bus_of(suite, "agent.n2") as agent:
            await agent.publish(catalogue.BEAT, beat("n2", leaving=True, has_facts=False), node="n2")
            await eventually(lambda: node(suite, "ls"), lambda found: found[0]["state"] == "down")
        refused = await asyncio.to_thread(suite.seaway, "node", "drain", "n2", "--stop", "--json")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr.startswith("seaway: node n2 is down, so nothing can be stopped there; ")
        (listed,) = await node(suite, "ls")
        assert listed["availability"] == "active", "it has changed nothing"


async def test_what_is_refused(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_node(suite, api)
        for words, code, sentence in (
            (("pause", "n3"), 1, "no such node: n3"),
            (("drain", "n3", "--stop"), 1, "no such node: n3; `seaway node ls` lists them"),
            (("drain", "all", "--stop"), 2, "no node may be called 'all': the name is reserved"),
            (("inspect", "n2", "n3"), 1, "no such node: n3; `seaway node ls` lists them"),
            (("pause", "all"), 2, "no node may be called 'all': the name is reserved"),
            (("label", "n2", "zone-"), 1, "label 'zone' is given by the agent of node n2"),
            (("reserve", "n2", "--memory", "9g"), 1, "node n2 can't keep 9663676416 bytes free"),
            (("label", "n2", "a b=c"), 1, "'a b' is no label of a node"),
            (("label", "n2", "=x"), 1, "'' is no label of a node"),
            (("label", "n2", "größe=x"), 1, "'größe' is no label of a node"),
            (("label", "n2", f"{'k' * 10_000}=x"), 1, f"'{'k' * 256}…' is no label of a node"),
            (("reserve", "n2", "--memory=-1"), 2, "'-1' is no size"),
            (("reserve", "n2", "--cpus=-1"), 2, "-1.0 is no number of CPUs"),
            (("reserve", "n2", "--cpus=nan"), 2, "nan is no number of CPUs"),
            (("reserve", "n2", "--cpus=5"), 1, "node n2 can't keep 5 or more CPUs free"),
        ):
            refused = await asyncio.to_thread(suite.seaway, "node", *words)
            assert (refused.returncode, refused.stdout) == (code, "")
            assert refused.stderr.startswith(f"seaway: {sentence}")
        (listed,) = await node(suite, "ls")
        assert (listed["labels"], listed["availability"]) == ({"zone": "a"}, "active")
        assert listed["kept_free"] == {"memory": 0, "nano_cpus": 0}
        assert (await node(suite, "label", "n2", "size=größer"))["labels"] == {"size": "größer"}
