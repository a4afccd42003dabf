"""Networks of users on a real agent: joined at the start, connected and disconnected while a container runs."""

import asyncio
import contextlib
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from tests.integration.agent.rig import AgentRig

from seaway_agent.network.names import bridge_names
from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.channels import CallChannel
from seaway_contracts.commands import CreateContainer, InventoryItem, StatusReply
from seaway_contracts.containers import ContainerSpec, EndpointSpec, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import (
    ConnectHeld,
    DisconnectHeld,
    ListHeldNetworks,
    NetworkEvent,
    NetworkRecord,
    Pool,
    RemoveHeldNetwork,
    network_id,
)
from seaway_kit.failpoints import Failpoint
from seaway_testing.builders import networking

pytestmark = pytest.mark.root
BRIDGE_ID: Final = network_id("bridge")
ON_BRIDGE: Final = EndpointSpec(network="bridge", network_id=BRIDGE_ID)


def network(digit: str, name: str) -> NetworkRecord:
    pool = Pool(subnet=f"10.21{digit}.0.0/24", gateway=f"10.21{digit}.0.1")
    return NetworkRecord(id=digit * 64, name=name, created_ns=1, pools=(pool,))


BACK, FRONT = network("3", "back"), network("4", "front")


def endpoint(of: NetworkRecord, last: int = 9) -> EndpointSpec:
    address = of.pools[0].subnet.replace("0/24", str(last))
    return EndpointSpec(network=of.name, network_id=of.id, claimed_ipv4=address)


class Box:
    """A container of the rig, with what a user sees of its networks."""

    def __init__(self, rig: AgentRig, spec: ContainerSpec) -> None:
        self.rig = rig
        self.id = spec.id
        self.spec = spec

    @classmethod
    async def made(cls, rig: AgentRig, *endpoints: EndpointSpec, networks: tuple[NetworkRecord, ...] = ()) -> "Box":
        box = cls(rig, rig.spec("sleep", "600", network=networking(endpoints=endpoints, hostname="h")))
        await box.create(networks)
        return box

    @classmethod
    async def running(cls, rig: AgentRig, *endpoints: EndpointSpec, networks: tuple[NetworkRecord, ...] = ()) -> "Box":
        box = await cls.made(rig, *endpoints, networks=networks)
        await rig.start_container(box.id)
        return box

    async def create(self, networks: tuple[NetworkRecord, ...], command: Command | None = None) -> StatusReply:
        self.rig._metadata.register(self.spec, self.rig.node)
        asked = CreateContainer(spec=self.spec, networks=networks)
        return await self.call(catalogue.CREATE, asked, command)

    async def connect(self, of: NetworkRecord, command: Command | None = None) -> StatusReply:
        asked = ConnectHeld(id=self.id, endpoint=endpoint(of), network=of)
        return await self.call(catalogue.CONNECT_HELD, asked, command)

    async def disconnect(self, identifier: str, command: Command | None = None) -> StatusReply:
        return await self.call(catalogue.DISCONNECT_HELD, DisconnectHeld(id=self.id, network_id=identifier), command)

    async def call(self, channel: CallChannel[Any, Any], asked: Any, command: Command | None) -> Any:
        return await self.rig.bus.call(channel, asked, node=self.rig.node, command=command)

    async def item(self) -> InventoryItem:
        return (await self.rig.inventory())[self.id]

    async def networks(self) -> list[str]:
        """Those of its spec, its status, its interfaces and its hosts file, which agree."""
        item = await self.item()
        asked = [one.network for one in item.spec.network.endpoints]
        assert [one.network for one in item.status.endpoints] == asked
        addresses = {one.address for one in item.status.endpoints}
        assert addresses_in(item.status.pid) == addresses
        hosts = Path(f"/proc/{item.status.pid}/root/etc/hosts").read_text()
        assert {line.split()[0] for line in hosts.splitlines() if line.split()[1] == "h"} == addresses
        return asked

    def told(self) -> list[str]:
        """Its network events: the action, the network's name and type."""
        bodies = [(one, NetworkEvent.model_validate_json(one.data)) for one in self.rig.events if self._is_ours(one)]
        return [f"{one.envelope.action} {body.attributes['name']} {body.attributes['type']}" for one, body in bodies]

    def _is_ours(self, event: Any) -> bool:
        return event.envelope.noun == "network" and f'"{self.id}"'.encode() in event.data


def addresses_in(pid: int) -> set[str]:
    """The IPv4 addresses of a process's interfaces."""
    words = ["nsenter", "-t", str(pid), "-n", "ip", "-o", "-4", "addr", "show", "scope", "global"]
    shown = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    return {line.split()[3].partition("/")[0] for line in shown.splitlines()}


@contextlib.contextmanager
def somebody_elses_network(interface: str, address: str) -> Iterator[None]:
    """While the host has this address on an interface of its own."""
    subprocess.run(["ip", "link", "add", interface, "type", "bridge"], check=True)
    try:
        subprocess.run(["ip", "addr", "add", address, "dev", interface], check=True)
        subprocess.run(["ip", "link", "set", interface, "up"], check=True)
        yield
    finally:
        subprocess.run(["ip", "link", "delete", interface], check=True)


async def stored(rig: AgentRig) -> list[str]:
    found = await rig.bus.call(catalogue.NETWORK_INVENTORY, ListHeldNetworks(), node=rig.node)
    return [one.name for one in found.networks]


async def remove(rig: AgentRig, of: NetworkRecord) -> None:
    asked = RemoveHeldNetwork(id=of.id, version=of.version)
    await rig.bus.call(catalogue.REMOVE_HELD_NETWORK, asked, node=rig.node)


def has_bridge(rig: AgentRig, of: NetworkRecord) -> bool:
    return bridge_names(rig.suite, of.id)[0] in {name for _, name in socket.if_nameindex()}


async def test_a_container_joins_leaves_and_joins_again(rig: AgentRig) -> None:
    box = await Box.running(rig, ON_BRIDGE, endpoint(BACK), networks=(BACK,))
    assert await box.networks() == ["bridge", "back"]
    await box.connect(FRONT)
    assert await box.networks() == ["bridge", "back", "front"]
    with pytest.raises(SeawayError, match=f"endpoint with name {box.spec.name} already exists in network front"):
        await box.connect(FRONT)
    await box.disconnect(BACK.id)
    await box.disconnect(BRIDGE_ID)
    assert await box.networks() == ["front"]
    with pytest.raises(SeawayError, match=f"container {box.id} is not connected to network back"):
        await box.disconnect(BACK.id)
    assert await stored(rig) == ["back", "front"]
    await rig.stop(box.id, 0)
    await box.connect(BACK)
    await rig.start_container(box.id)
    assert await box.networks() == ["front", "back"]
    assert box.told() == [
        *("connect bridge bridge", "connect back bridge", "connect front bridge"),
        *("disconnect back bridge", "disconnect bridge bridge"),
        *("disconnect front bridge", "connect front bridge", "connect back bridge"),
    ]


async def test_a_removed_network_is_gone_and_one_in_use_stays(rig: AgentRig) -> None:
    box = await Box.running(rig, endpoint(BACK), networks=(BACK,))
    with pytest.raises(SeawayError, match=f"network back id {BACK.id} has active endpoints") as refused:
        await remove(rig, BACK)
    assert refused.value.code is Code.CONFLICT
    assert await box.networks() == ["back"]
    await rig.stop(box.id, 0)
    await remove(rig, BACK)
    await remove(rig, BACK)
    assert (await stored(rig), has_bridge(rig, BACK)) == ([], False)
    with pytest.raises(SeawayError, match="network back not found") as refused:
        await rig.start_container(box.id)
    assert refused.value.status == 404


async def test_what_comes_after_a_removal_does_not_bring_the_network_back(rig: AgentRig) -> None:
    running = await Box.running(rig, ON_BRIDGE)
    await remove(rig, BACK)
    for _ in range(2):
        late = await Box.made(rig, endpoint(BACK), networks=(BACK,))
        for refused in (rig.start_container(late.id), running.connect(BACK)):
            with pytest.raises(SeawayError, match="network back not found") as caught:
                await refused
            assert caught.value.status == 404
        assert (await stored(rig), has_bridge(rig, BACK)) == ([], False)
        rig.end(signal.SIGKILL)
        await rig.start()
    kept = BACK.model_copy(update={"version": BACK.version + 1})  # its removal was taken back
    await running.connect(kept)
    assert await running.networks() == ["bridge", "back"]
    await rig.stop(running.id, 0)
    await rig.start_container(late.id)
    assert await late.networks() == ["back"]


async def test_the_next_agent_makes_networks_again_before_it_adopts(rig: AgentRig) -> None:
    box = await Box.running(rig, ON_BRIDGE, endpoint(BACK), networks=(BACK,))
    rig.end(signal.SIGKILL)
    await rig.start()
    assert await box.networks() == ["bridge", "back"]
    await box.disconnect(BACK.id)
    assert await box.networks() == ["bridge"]


async def test_a_network_without_a_record_is_swept(rig: AgentRig) -> None:
    box = await Box.running(rig, endpoint(BACK), networks=(BACK,))
    await rig.remove(box.id, force=True)
    assert has_bridge(rig, BACK)
    rig.end(signal.SIGTERM)
    with contextlib.closing(sqlite3.connect(rig.root / "agent" / rig.node / "agent.db")) as db, db:
        db.execute("DELETE FROM network")
    await rig.start()
    assert not has_bridge(rig, BACK)


async def test_a_network_that_cannot_be_made_again_does_not_keep_others_from_their_containers(rig: AgentRig) -> None:
    box = await Box.running(rig, ON_BRIDGE, networks=(BACK,))
    lost = await Box.made(rig, endpoint(BACK))
    rig.end(signal.SIGKILL)
    with somebody_elses_network(f"x{rig.node}", "10.213.0.5/16"):
        await rig.start()
        assert await box.networks() == ["bridge"]
        assert "network back (333333333333) can't be made again" in (rig.base / "agent.log").read_text()
        with pytest.raises(SeawayError, match="network back can't be made on this node: subnet"):
            await rig.start_container(lost.id)
    await rig.start_container(lost.id)
    assert await lost.networks() == ["back"]


# --- killed after each durable step


async def killed(rig: AgentRig, armed: Path, point: Failpoint, asking: Any) -> None:
    """The agent dies at the failpoint; who asked goes too."""
    (armed / point).touch()
    task = asyncio.ensure_future(asking)
    await rig.until(rig.ended)
    task.cancel()
    rig.end(signal.SIGKILL)


async def test_killed_when_a_container_with_a_network_is_recorded(rig: AgentRig, tmp_path: Path) -> None:
    armed, command = await rig.start_armed(tmp_path / "failpoints"), Command.new()
    box = Box(rig, rig.spec("sleep", "600", network=networking(endpoints=(endpoint(BACK),), hostname="h")))
    await killed(rig, armed, Failpoint.CREATE_RECORDED, box.create((BACK,), command))
    await rig.start()
    assert await stored(rig) == ["back"]
    await box.create((BACK,), command)
    await rig.start_container(box.id)
    assert await box.networks() == ["back"]


async def test_killed_when_a_network_is_made_for_a_start(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    box = await Box.made(rig, endpoint(BACK), networks=(BACK,))
    await killed(rig, armed, Failpoint.NETWORK_MADE, rig.start_container(box.id))
    await rig.start()
    assert (await box.item()).status.state is State.CREATED
    await rig.start_container(box.id)
    assert await box.networks() == ["back"]


@pytest.mark.parametrize("point", [Failpoint.NETWORK_MADE, Failpoint.ENDPOINT_PLUGGED])
async def test_a_connect_that_was_not_recorded_leaves_nothing(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed, command = await rig.start_armed(tmp_path / "failpoints"), Command.new()
    box = await Box.running(rig, ON_BRIDGE)
    await killed(rig, armed, point, box.connect(BACK, command))
    await rig.start()
    assert await box.networks() == ["bridge"]
    assert (await stored(rig), has_bridge(rig, BACK)) == ([], False)
    await box.connect(BACK, command)
    assert await box.networks() == ["bridge", "back"]
    assert box.told() == ["connect bridge bridge", "connect back bridge"]


async def test_a_connect_that_was_recorded_is_whole(rig: AgentRig, tmp_path: Path) -> None:
    armed, command = await rig.start_armed(tmp_path / "failpoints"), Command.new()
    box = await Box.running(rig, ON_BRIDGE)
    await killed(rig, armed, Failpoint.ENDPOINTS_RECORDED, box.connect(BACK, command))
    await rig.start()
    assert await box.networks() == ["bridge", "back"]
    reply = await box.connect(BACK, command)
    assert [one.network for one in reply.status.endpoints] == ["bridge", "back"]
    assert box.told() == ["connect bridge bridge", "connect back bridge"]


@pytest.mark.parametrize(
    "point", [Failpoint.DISCONNECT_BEGUN, Failpoint.ENDPOINT_UNPLUGGED, Failpoint.ENDPOINTS_RECORDED]
)
async def test_a_disconnect_that_was_begun_is_finished(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed, command = await rig.start_armed(tmp_path / "failpoints"), Command.new()
    box = await Box.running(rig, endpoint(BACK), ON_BRIDGE, networks=(BACK,))
    await killed(rig, armed, point, box.disconnect(BACK.id, command))
    await rig.start()
    assert await box.networks() == ["bridge"]
    reply = await box.disconnect(BACK.id, command)
    assert [one.network for one in reply.status.endpoints] == ["bridge"]
    assert box.told() == ["connect back bridge", "connect bridge bridge", "disconnect back bridge"]
    await remove(rig, BACK)
    assert not has_bridge(rig, BACK)


async def test_killed_when_a_network_is_removed_from_the_kernel(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    box = await Box.running(rig, endpoint(BACK), networks=(BACK,))
    await rig.stop(box.id, 0)
    await killed(rig, armed, Failpoint.NETWORK_REMOVED, remove(rig, BACK))
    await rig.start()
    assert (await stored(rig), has_bridge(rig, BACK)) == (["back"], True), "it is whole until it is removed once more"
    await remove(rig, BACK)
    assert (await stored(rig), has_bridge(rig, BACK)) == ([], False)


async def test_killed_when_a_removal_is_recorded(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    box = await Box.made(rig, endpoint(BACK), networks=(BACK,))
    await killed(rig, armed, Failpoint.NETWORK_FORGOTTEN, remove(rig, BACK))
    await rig.start()
    await remove(rig, BACK)
    assert (await stored(rig), has_bridge(rig, BACK)) == ([], False)
    with pytest.raises(SeawayError, match="network back not found"):
        await rig.start_container(box.id)


async def test_killed_when_networks_are_made_again(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    box = await Box.running(rig, endpoint(BACK), ON_BRIDGE, networks=(BACK,))
    rig.end(signal.SIGKILL)
    (armed / Failpoint.NETWORKS_RESTORED).touch()
    rig.spawn()
    await rig.until(rig.ended)
    rig.end(signal.SIGKILL)
    await rig.start()
    assert await box.networks() == ["back", "bridge"]
