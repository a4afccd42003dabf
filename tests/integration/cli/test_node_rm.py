"""`seaway node rm`: a node's records go with it, and its name may be given to another one."""

import asyncio
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import docker
import pytest
from docker.errors import NotFound
from tests.integration.cli.bus_users import bus_of, eventually, foreign, hearing, nats_url

from seaway_bus.bus import Bus
from seaway_bus.event_sender import event_to_store
from seaway_bus.outbox_table import OutboxMessage
from seaway_cli import demo_image
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.ids import RESERVED_NODES
from seaway_contracts.lifecycle import PublicContainerEvent, StoreEvents
from seaway_contracts.nodes import NodeEvent
from seaway_contracts.records import ListContainers, RegisterContainer
from seaway_testing.builders import beat, container_event, container_id, spec, status
from seaway_testing.waiting import GUARD_S, until, wait

if TYPE_CHECKING:
    from conftest import TinySuite

pytestmark = pytest.mark.root
COMMANDS = Path(sys.executable).parent


# --- with metadata alone, and an agent that is played


async def play_agent(agent: Bus, node: str, epoch: str = "1") -> None:
    """Beat, and tell and store that container 1 was made there."""
    await agent.publish(catalogue.BEAT, beat(node, epoch=epoch), node=node)
    envelope, body = container_event("create", status(seq=1), node=node, event_id=secrets.token_hex(12))
    channel = catalogue.CONTAINER_CREATE
    subject = channel.told_subject(node, envelope.subject_id)
    message = OutboxMessage(subject, envelope.headers(), channel.encode(body))
    await agent.transport.publish(subject, message.body, message.headers)
    events = StoreEvents(events=(event_to_store(envelope.subject_id, message),))
    assert (await agent.call(catalogue.STORE_EVENTS, events, node=node)).refused == {}


async def nodes_of(api: Bus) -> list[str]:
    return [record.node for record in (await api.call(catalogue.LIST_NODES, Empty())).nodes]


async def containers_of(api: Bus) -> list[str]:
    return [record.id for record in (await api.call(catalogue.LIST_CONTAINERS, ListContainers())).containers]


async def shown(api: Bus, *, nodes: list[str], containers: list[str]) -> None:
    """Wait until metadata knows exactly these."""

    async def found() -> tuple[list[str], list[str]]:
        return await nodes_of(api), await containers_of(api)

    await eventually(found, lambda there: there == (nodes, containers))


async def register(api: Bus, seed: int, node: str, name: str) -> None:
    await api.call(catalogue.REGISTER, RegisterContainer(spec=spec(seed, name=name), node=node))


async def with_a_container(suite: "TinySuite", api: Bus) -> None:
    """Node n2 is there, and holds container 1 by the name `box`."""
    added = suite.seaway("node", "add", "n2")
    assert added.returncode == 0, added.stderr
    await register(api, 1, "n2", "box")
    async with bus_of(suite, "agent.n2") as agent:
        await play_agent(agent, "n2")
        await shown(api, nodes=["n2"], containers=[container_id(1)])


async def test_a_node_that_holds_containers_is_not_removed_without_force(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_a_container(suite, api)
        refused = suite.seaway("node", "rm", "n2")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert refused.stderr == "seaway: node n2 holds 1 container: remove them first, or give --force\n"
        assert (await nodes_of(api), await containers_of(api)) == (["n2"], [container_id(1)])
        assert (suite.root / "secrets" / "agent.n2").exists()
        async with bus_of(suite, "agent.n2") as agent:
            await play_agent(agent, "n2", epoch="2")


async def test_with_force_its_records_go_for_good_and_names_are_free(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api, foreign(suite, "cli") as listener:
        await with_a_container(suite, api)
        heard = await hearing(listener, catalogue.ALL_EVENTS)
        removed = suite.seaway("node", "rm", "n2", "--force")
        assert removed.returncode == 0, removed.stderr
        assert removed.stdout.startswith(
            "Node n2 was removed with the records of its containers (1). What runs on its machine"
        )
        assert (await nodes_of(api), await containers_of(api)) == ([], [])
        assert not (suite.root / "secrets" / "agent.n2").exists()
        gone = catalogue.CONTAINER_DESTROY.subject("n2", container_id(1))
        left = catalogue.NODE_REMOVE.subject("n2", "n2")
        await until(lambda: {gone, left} <= {message.subject for message in heard})
        by_subject = {message.subject: message.data for message in heard}
        last = PublicContainerEvent.model_validate_json(by_subject[gone])
        assert (last.attributes["name"], last.attributes["reason"]) == ("box", "its node was removed")
        assert NodeEvent.model_validate_json(by_subject[left]).node == "n2"
        await register(api, 2, "n1", "box")

        os.kill(suite.rows()["metadata"]["pid"], signal.SIGKILL)
        await until(lambda: (row := suite.rows()["metadata"])["restarts"] == 1 and row["state"] == "ready")
        assert (await nodes_of(api), await containers_of(api)) == ([], [])
        again = suite.seaway("node", "rm", "n2", "--force")
        assert (again.returncode, again.stderr) == (1, "seaway: no such node: n2\n")


async def test_a_name_is_free_again(suite: "TinySuite") -> None:
    """The new node has another password, and nothing of the former one."""
    assert suite.up("--node", "n1").returncode == 0
    async with bus_of(suite, "api") as api:
        await with_a_container(suite, api)
        former = (suite.root / "secrets" / "agent.n2").read_text()
        assert suite.seaway("node", "rm", "-f", "n2").returncode == 0
        added = suite.seaway("node", "add", "n2")
        assert added.returncode == 0, added.stderr
        assert (suite.root / "secrets" / "agent.n2").read_text() != former
        async with bus_of(suite, "agent.n2") as agent, asyncio.timeout(GUARD_S):
            while await nodes_of(api) != ["n2"]:
                await agent.publish(catalogue.BEAT, beat("n2", epoch="new"), node="n2")
                await asyncio.sleep(0.1)
        assert await containers_of(api) == []


async def test_a_node_that_has_beaten_and_was_added_is_removed_without_force(suite: "TinySuite") -> None:
    assert suite.up("--node", "n1").returncode == 0
    assert suite.seaway("node", "add", "n2").returncode == 0
    async with bus_of(suite, "api") as api:
        async with bus_of(suite, "agent.n2") as agent:
            await agent.publish(catalogue.BEAT, beat("n2"), node="n2")
            await shown(api, nodes=["n2"], containers=[])
        removed = suite.seaway("node", "rm", "n2")
        assert removed.returncode == 0, removed.stderr
        assert removed.stdout.startswith("Node n2 was removed. What runs on its machine still runs")
        assert await nodes_of(api) == []


def test_names_that_mean_something_else_are_refused(suite: "TinySuite") -> None:
    for words in (("up", "--detach", "--node", "cluster"), ("up", "--detach", "--node", "SEAWAY")):
        refused = suite.seaway(*words)
        assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
        assert f"no node may be called '{words[-1]}'" in refused.stderr
        assert not suite.root.exists() and not suite.run.exists()
    assert suite.up("--node", "n1").returncode == 0
    before = sorted(path.name for path in (suite.root / "secrets").iterdir())
    for name in sorted(RESERVED_NODES):
        refused = suite.seaway("node", "add", name)
        message = f"seaway: no node may be called {name!r}: the name is reserved\n"
        assert (refused.returncode, refused.stdout, refused.stderr) == (2, "", message)
    assert sorted(path.name for path in (suite.root / "secrets").iterdir()) == before
    own = suite.seaway("node", "rm", "n1", "--force")
    assert (own.returncode, "n1 is the node of this machine" in own.stderr) == (1, True)


# --- with all services, and an agent of its own


def seaway(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(COMMANDS / "seaway"), *words], capture_output=True, text=True, timeout=110)


class Whole:
    """A whole suite with node n1, and the agent of node n2 with directories of its own."""

    def __init__(self, base: Path) -> None:
        self.root, self.run = base / "root", base / "run"
        self.base = base
        self.places = ("--root", str(self.root), "--run", str(self.run))
        self.others = ("--root", str(base / "n2" / "root"), "--run", str(base / "n2" / "run"))
        self.agent: subprocess.Popen[bytes] | None = None

    def up(self) -> None:
        started = seaway("up", "--detach", "--node", "n1", *self.places)
        assert started.returncode == 0, started.stderr

    def node(self, *words: str) -> subprocess.CompletedProcess[str]:
        return seaway("node", *words, *self.places)

    def start_agent(self) -> None:
        """Let n2 in and start its agent; returns when it is ready."""
        added = self.node("add", "n2")
        assert added.returncode == 0, added.stderr
        (self.base / "n2").mkdir(exist_ok=True)
        login = ["--nats-user", "agent.n2", "--nats-password-file", str(self.root / "secrets" / "agent.n2")]
        words = [str(COMMANDS / "seaway-agent"), "--node", "n2", "--nats", nats_url(self), *login, *self.others]
        log = self.base / "n2" / "agent.log"
        with log.open("wb") as out:
            self.agent = subprocess.Popen(words, stdout=out, stderr=out)
        wait(lambda: "is ready" in log.read_text(), log.read_text)

    def kill_agent(self) -> None:
        if self.agent is not None:
            self.agent.kill()
            self.agent.wait()
            self.agent = None

    def clean_n2(self) -> None:
        """What is to be done on the machine of a node that was removed."""
        self.kill_agent()
        done = seaway("purge", *self.others)
        assert done.returncode == 0, done.stderr


def runs(pid: int) -> bool:
    """Whether that process is there; a zombie that its adopter has not reaped is not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@pytest.fixture
def whole(tmp_path: Path) -> Iterator[Whole]:
    made = Whole(tmp_path)
    try:
        yield made
    finally:
        made.clean_n2()
        done = seaway("purge", *made.places)
        assert done.returncode == 0, done.stderr


@pytest.mark.timeout(240)
@pytest.mark.parametrize("agent", ["dead", "alive"])
def test_a_node_that_is_removed_is_shown_no_more_and_comes_back_empty(whole: Whole, agent: str) -> None:
    whole.up()
    whole.start_agent()
    client = docker.DockerClient(base_url=f"unix://{whole.run}/docker.sock", timeout=60)
    busybox = demo_image.find_busybox()
    client.images.load(demo_image.archive(busybox.read_bytes(), demo_image.applets(busybox)))

    def place(prefix: str) -> dict[str, Any]:
        """Containers that run, one on each node."""
        found: dict[str, Any] = {}
        while set(found) != {"n1", "n2"}:
            made = client.containers.run("busybox", ["sleep", "1000"], detach=True, network_mode="none")
            found.setdefault(str(made.attrs["Node"]["Name"]), made)
            if made not in found.values():
                made.remove(force=True)
        for node, container in found.items():
            container.rename(f"{prefix}-{node}")
        return found

    here = place("first")
    lost = here["n2"]
    lost.reload()
    pid = lost.attrs["State"]["Pid"]
    assert runs(pid)
    if agent == "dead":
        whole.kill_agent()
    refused = whole.node("rm", "n2")
    assert refused.returncode == 1
    assert "node n2 holds 1 container: remove them first, or give --force" in refused.stderr
    assert {one.id for one in client.containers.list(all=True)} == {here["n1"].id, lost.id}

    removed = whole.node("rm", "--force", "n2")
    assert removed.returncode == 0, removed.stderr
    assert {one.id for one in client.containers.list(all=True)} == {here["n1"].id}
    for name in (lost.id, "first-n2"):
        with pytest.raises(NotFound):
            client.containers.get(name)
    assert runs(pid), "what runs there still runs"
    named = client.containers.create("busybox", ["true"], name="first-n2")
    assert named.attrs["Node"]["Name"] == "n1", "the name is free, and there is no n2 to place it on"
    named.remove()

    whole.clean_n2()
    assert not runs(pid)
    assert {one.id for one in client.containers.list(all=True)} == {here["n1"].id}
    whole.start_agent()
    here["n1"].remove(force=True)
    again = place("second")
    assert {one.id for one in client.containers.list(all=True)} == {one.id for one in again.values()}
    for container in again.values():
        container.remove(force=True)
    assert whole.node("rm", "n2").returncode == 0
    client.close()
