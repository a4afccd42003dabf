"""A runner on the networks' twin: endpoints come and go, its files follow, and what fails changes nothing."""

import asyncio
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from tests.unit.seaway_agent.runner_bench import Bench, remove, start, stop, until_idle

from seaway_agent.container import live_network
from seaway_agent.container.hooks.etc_files import etc_files
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.instructions import PendingDisconnect, Record, Waiter
from seaway_agent.dns.port import ContainerNames, ResolverError
from seaway_agent.network.errors import NetlinkError, NetworkError, PortError
from seaway_agent.network.port import network_spec
from seaway_agent.network.resolvconf import without_comments
from seaway_bus.bus import Command
from seaway_contracts.catalogue import CLAIM_ADDRESSES
from seaway_contracts.commands import ContainerId
from seaway_contracts.containers import EndpointSpec, PortBinding, State
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.networks import ClaimedEndpoints, NetworkRecord, Pool, network_id
from seaway_testing import builders

BRIDGE_ID = network_id("bridge")
BACK = NetworkRecord(id="b" * 64, name="back", created_ns=1, pools=(Pool(subnet="10.1.0.0/24", gateway="10.1.0.1"),))
ASKED = EndpointSpec(network="back", network_id=BACK.id, claimed_ipv4="10.1.0.9")
ON_BRIDGE = EndpointSpec(network="bridge", network_id=BRIDGE_ID)
PUBLISHED = builders.networking(endpoints=(ON_BRIDGE,), ports=(PortBinding(container_port=80, host_port="8080"),))


@dataclass
class Box:
    """A running container with its files."""

    bench: Bench
    runner: ContainerRunner

    @classmethod
    async def running(cls, bench: Bench, **network: Any) -> "Box":
        box = cls(
            bench, await bench.running(network=builders.networking(endpoints=(ON_BRIDGE,), hostname="h", **network))
        )
        box.directory.mkdir(parents=True, exist_ok=True)
        for name, text in etc_files(box.runner.spec, box.runner.status.endpoints).items():
            (box.directory / name).write_text(text)
        return box

    @property
    def directory(self) -> Path:
        return self.bench.layout.bundle(self.runner.spec.id)

    def file(self, name: str = "hosts") -> str:
        return (self.directory / name).read_text()

    def seen(self) -> tuple[Any, ...]:
        """Everything that a failure must leave as it was."""
        runner, bench = self.runner, self.bench
        live = bench.networks.endpoints(runner.spec.id)
        ports = {key: (to, [one.host_port for one in asked]) for key, (to, asked) in bench.published.published.items()}
        return (
            runner.spec,
            runner.status,
            live,
            ports,
            self.file(),
            bench.journal.networks,
            bench.journal.pending_disconnects,
        )

    async def connect(self, command: Command | None = None) -> Any:
        return await self.runner.connect(command or Command.new(), ASKED, BACK)

    async def disconnect(self, identifier: str = BACK.id, name: str = "back", command: Command | None = None) -> Any:
        return await self.runner.disconnect(command or Command.new(), identifier, name)


async def test_a_running_container_is_connected_and_disconnected_at_once(bench: Bench) -> None:
    box = await Box.running(bench)
    inode = (box.directory / "hosts").stat().st_ino
    (box.directory / "hosts").open("a").write("9.9.9.9\tmine\n")
    command = Command.new()
    status = await box.connect(command)
    assert [end.address for end in status.endpoints] == ["172.18.0.2", "10.1.0.9"]
    assert [end.address for end in bench.networks.endpoints(box.runner.spec.id)] == [
        IPv4Address("172.18.0.2"),
        IPv4Address("10.1.0.9"),
    ]
    assert box.file().endswith("172.18.0.2\th\n9.9.9.9\tmine\n10.1.0.9\th\n")
    assert "\nnameserver 127.0.0.11\n" in box.file("resolv.conf")
    assert bench.journal.networks == {BACK.id: BACK}
    assert await box.connect(command) == status, "a repeat"
    left = await box.disconnect()
    assert [end.address for end in left.endpoints] == ["172.18.0.2"]
    assert len(bench.networks.endpoints(box.runner.spec.id)) == 1
    assert box.file().endswith("172.18.0.2\th\n9.9.9.9\tmine\n")
    assert (box.directory / "hosts").stat().st_ino == inode, "it is bind-mounted"
    assert bench.journal.pending_disconnects == {}


async def test_a_resolv_conf_that_the_container_has_changed_is_its_own(bench: Bench) -> None:
    box = await Box.running(bench)
    (box.directory / "resolv.conf").write_text("nameserver 9.9.9.9\n")
    await box.connect()
    assert box.file("resolv.conf") == "nameserver 9.9.9.9\n"


async def test_a_resolv_conf_of_an_earlier_version_is_not_the_container_s_own(bench: Bench) -> None:
    box = await Box.running(bench)
    (box.directory / "resolv.conf").write_text(without_comments(box.file("resolv.conf")))
    await box.connect()
    assert "\nnameserver 127.0.0.11\n" in box.file("resolv.conf")


async def test_a_file_that_is_no_text_is_changed_all_the_same(bench: Bench) -> None:
    box = await Box.running(bench)
    hosts = box.directory / "hosts"
    hosts.write_bytes(b"\xff\tmine\r\n")
    (box.directory / "resolv.conf").write_bytes(b"\xff\n")
    await box.connect()
    assert hosts.read_bytes() == b"\xff\tmine\r\n172.18.0.2\th\n10.1.0.9\th\n"
    assert (box.directory / "resolv.conf").read_bytes() == b"\xff\n"
    await box.disconnect()
    assert hosts.read_bytes() == b"\xff\tmine\r\n172.18.0.2\th\n"


async def test_too_large_a_file_is_left_alone(bench: Bench) -> None:
    box = await Box.running(bench)
    for name in ("hosts", "resolv.conf"):
        (box.directory / name).write_text("x" * (2 << 20))
    await box.connect()
    assert len(box.runner.status.endpoints) == 2
    assert {box.file(name) for name in ("hosts", "resolv.conf")} == {"x" * (2 << 20)}


async def test_a_file_that_cannot_be_written_fails_no_command(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    box = await Box.running(bench)
    (box.directory / "hosts").unlink()
    monkeypatch.setattr(live_network, "resolv_conf", lambda *_: 1 / 0)
    await box.connect()
    assert len(box.runner.status.endpoints) == 2


async def test_a_stopped_container_joins_at_its_next_start(bench: Bench) -> None:
    runner = await bench.make(network=builders.networking(endpoints=(ON_BRIDGE,)))
    status = await runner.connect(Command.new(), ASKED, BACK)
    assert (status.endpoints, len(runner.spec.network.endpoints)) == ((), 2)
    assert bench.networks.calls == ["make"]
    await runner.disconnect(Command.new(), BACK.id, "back")
    assert runner.spec.network.endpoints == (ON_BRIDGE,)


@pytest.mark.parametrize("method", ["make", "connect"])
async def test_a_connect_that_fails_changes_nothing(bench: Bench, method: str) -> None:
    box = await Box.running(bench)
    before = box.seen()
    bench.networks.failures[method] = NetworkError("no more")
    with pytest.raises(SeawayError, match="no more") as refused:
        await box.connect()
    assert refused.value.code is Code.INTERNAL
    assert box.seen() == before
    await box.connect()


async def test_a_disconnect_that_fails_changes_nothing(bench: Bench) -> None:
    box = await Box.running(bench)
    await box.connect()
    before = box.seen()
    bench.networks.failures["disconnect"] = NetlinkError(16, "busy")
    with pytest.raises(SeawayError, match="can't be disconnected from network back: busy"):
        await box.disconnect()
    assert box.seen() == before


async def test_connecting_twice_is_forbidden_and_leaves_the_first(bench: Bench) -> None:
    box = await Box.running(bench)
    await box.connect()
    before = box.seen()
    with pytest.raises(SeawayError, match="endpoint with name box1 already exists in network back") as refused:
        await box.connect()
    assert (refused.value.status, box.seen()) == (403, before)


async def test_the_same_command_at_once_is_one(bench: Bench) -> None:
    box = await Box.running(bench)
    command = Command.new()
    first, second = await asyncio.gather(box.connect(command), box.connect(command))
    assert first == second
    first, second = await asyncio.gather(box.disconnect(command=Command("d")), box.disconnect(command=Command("d")))
    assert first == second


async def test_a_network_that_was_removed_is_not_made_for_a_connect(bench: Bench) -> None:
    box = await Box.running(bench)
    bench.journal.remove_network(BACK.id, BACK.version)
    before = box.seen()
    with pytest.raises(SeawayError, match="network back not found") as refused:
        await box.connect()
    assert (refused.value.status, box.seen(), bench.networks.calls.count("make")) == (404, before, 1)


# --- names


def names_in(box: Box, network: str = BACK.id) -> tuple[str, ...]:
    """The names by which the resolver finds the container in a network; empty where it is not there."""
    attached = box.bench.resolver.attached.get(box.runner.spec.id)
    ends = attached.endpoints if attached is not None else ()
    return next((end.names for end in ends if end.network == network), ())


async def test_names_come_and_go_with_endpoints(bench: Bench) -> None:
    box = await Box.running(bench)
    assert bench.resolver.attached == {}, "the default network has no names"
    await box.connect()
    spec = box.runner.spec
    assert names_in(box) == ("box1", spec.id[:12], "h")
    assert bench.resolver.process.find(spec.id, "box1.back") == [IPv4Address("10.1.0.9").packed]
    assert bench.resolver.process.pids[spec.id] == box.runner.status.pid
    await box.disconnect()
    assert names_in(box) == ()
    assert bench.resolver.process.find(spec.id, "box1.back") is None
    assert spec.id in bench.resolver.attached, "its resolv.conf names the resolver still"


async def test_an_internal_network_is_known_as_such_with_the_connect(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await Box.running(bench)
    await box.disconnect(BRIDGE_ID, "bridge")
    adopt, forwarding = bench.resolver.adopt, []

    async def adopting(container: str, pid: int, names: ContainerNames) -> None:
        forwarding.append(names.forwards)
        await adopt(container, pid, names)

    monkeypatch.setattr(bench.resolver, "adopt", adopting)
    await box.runner.connect(Command.new(), ASKED, BACK.model_copy(update={"internal": True}))
    assert forwarding == [False]


async def test_a_rename_is_followed(bench: Bench) -> None:
    box = await Box.running(bench)
    await box.runner.rename(Command.new(), "before")
    await box.connect()
    await box.runner.rename(Command.new(), "after")
    assert names_in(box) == ("after", box.runner.spec.id[:12], "h")


async def test_a_container_that_starts_in_a_network_has_names_until_it_ends(bench: Bench) -> None:
    await bench.networks.make(network_spec(BACK))
    bench.journal.networks[BACK.id] = BACK
    runner = await bench.running(network=builders.networking(endpoints=(ASKED,), hostname="h"))
    assert bench.resolver.process.pids == {runner.spec.id: runner.status.pid}
    bench.runtime.end(0)
    await until_idle(runner)
    assert (bench.resolver.attached, bench.resolver.process.views) == ({}, {})


async def test_a_resolver_that_fails_undoes_the_connect(bench: Bench) -> None:
    box = await Box.running(bench)
    before = box.seen()
    bench.resolver.failures["adopt"] = ResolverError("no resolver")
    with pytest.raises(SeawayError, match="can't be named in network back: no resolver"):
        await box.connect()
    assert box.seen() == before
    await box.connect()
    assert names_in(box)


async def test_a_disconnect_and_a_rename_do_not_fail_with_the_resolver(bench: Bench) -> None:
    box = await Box.running(bench)
    await box.connect()
    bench.resolver.failures["adopt"] = ResolverError("no resolver")
    await box.runner.rename(Command.new(), "after")
    assert box.runner.spec.name == "after"
    bench.resolver.failures["update"] = ResolverError("no resolver")
    await box.disconnect()
    assert [end.network for end in box.runner.status.endpoints] == ["bridge"]


# --- what happens meanwhile


async def test_a_container_that_ends_while_it_is_connected_has_it_for_its_next_run(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = await Box.running(bench)

    async def ends(*_: object) -> None:
        bench.runtime.end(0)
        await until_idle(box.runner)
        raise NetworkError("no sandbox")

    monkeypatch.setattr(bench.networks, "connect", ends)
    status = await box.connect()
    assert (status.endpoints, len(box.runner.spec.network.endpoints)) == ((), 2)


async def test_a_removal_meanwhile_wins(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    box = await Box.running(bench)
    plug, removing = bench.networks.connect, []

    async def removed(*args: Any) -> Any:
        removing.append(remove(box.runner, force=True))
        await asyncio.sleep(0)
        return await plug(*args)

    monkeypatch.setattr(bench.networks, "connect", removed)
    with pytest.raises(SeawayError, match="is marked for removal"):
        await box.connect()
    await removing[0]
    assert bench.networks.endpoints(box.runner.spec.id) == ()


# --- published ports


async def test_ports_move_to_the_endpoint_with_the_default_route(bench: Bench) -> None:
    box = await Box.running(bench, ports=PUBLISHED.ports)
    box.bench.published.published.clear()
    await box.connect()
    await box.disconnect(BRIDGE_ID, "bridge")
    (where,) = (to for to, _ in bench.published.published.values())
    assert (where, len(box.runner.status.ports)) == (IPv4Address("10.1.0.9"), 1)
    await box.disconnect()
    assert (bench.published.published, box.runner.status.ports) == ({}, ())
    await box.connect()
    assert len(box.runner.status.ports) == 1


async def test_ports_that_cannot_be_published_undo_the_connect(bench: Bench) -> None:
    box = await Box.running(bench, ports=PUBLISHED.ports)
    await box.disconnect(BRIDGE_ID, "bridge")
    before = box.seen()
    bench.published.refuses.append(PortError("port is already allocated"))
    with pytest.raises(SeawayError, match="port is already allocated"):
        await box.connect()
    assert box.seen() == before


# --- what an earlier agent began


async def test_a_disconnect_of_an_earlier_agent_is_finished(bench: Bench) -> None:
    box = await Box.running(bench)
    await box.connect()
    bench.journal.set_pending_disconnect(box.runner.spec, PendingDisconnect(BACK.id, Waiter("c7", "me")))
    box.runner.finish_disconnect(bench.journal.pending_disconnects[box.runner.spec.id], "back")
    assert [end.network for end in box.runner.status.endpoints] == ["bridge"]
    assert "10.1.0.9" not in box.file()
    assert bench.journal.pending_disconnects == {}
    assert bench.journal.outcome("c7") == box.runner.status


WANTING = EndpointSpec(network="back", network_id=BACK.id, ipv4_address="10.1.0.9")


async def wanting(bench: Bench) -> ContainerRunner:
    """A container that was created while another one had the address that it asks for."""
    runner = await bench.make(network=builders.networking(endpoints=(WANTING,)))
    bench.journal.write(runner.spec, Record(runner.status, (), networks=(BACK,)))
    return runner


async def test_an_address_that_was_taken_is_claimed_at_the_start(bench: Bench) -> None:
    claims: list[str] = []

    async def claim(request: ContainerId, command: Command) -> ClaimedEndpoints:
        claims.append(request.id)
        return ClaimedEndpoints(endpoints=(WANTING.model_copy(update={"claimed_ipv4": "10.1.0.9"}),))

    await bench.bus.serve(CLAIM_ADDRESSES, claim)
    runner = await wanting(bench)
    status = await start(runner)
    assert [end.address for end in status.endpoints] == ["10.1.0.9"]
    assert bench.journal.actions == ["create", "status", "start"]
    await stop(runner, 0)
    await until_idle(runner)
    await start(runner)
    assert claims == [runner.spec.id], "it is the container's from then on"


async def test_a_start_fails_while_another_container_has_the_address(bench: Bench) -> None:
    async def refuse(request: ContainerId, command: Command) -> ClaimedEndpoints:
        raise SeawayError(Code.FORBIDDEN, "Address already in use")

    await bench.bus.serve(CLAIM_ADDRESSES, refuse)
    runner = await wanting(bench)
    with pytest.raises(SeawayError, match="Address already in use") as caught:
        await start(runner)
    assert caught.value.status == 403
    assert (runner.status.state, runner.status.error) == (State.CREATED, "Address already in use")
    assert bench.networks.endpoints(runner.spec.id) == ()
