"""Names in networks of users on a real agent: found by the containers there, also while processes are killed."""

import asyncio
import os
import shutil
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Final

import dns.message
import dns.rcode
import dns.reversename
import pytest
from tests.conformance.dns.worlds import ask
from tests.integration.agent.rig import AgentRig
from tests.integration.agent.test_networks import BACK, FRONT, ON_BRIDGE, endpoint, killed
from tests.namespaces import call_in

from seaway_agent.dns import connection
from seaway_bus.bus import Command
from seaway_contracts import catalogue
from seaway_contracts.commands import CreateContainer, RenameContainer
from seaway_contracts.containers import EndpointSpec
from seaway_contracts.networks import ConnectHeld, DisconnectHeld, NetworkRecord
from seaway_kit.failpoints import Failpoint
from seaway_testing.builders import networking

pytestmark = pytest.mark.root
NOWHERE: Final = ("127.0.0.1",)
"""A nameserver for other names that is not there, in the container itself."""


class Named:
    """A container of the rig, and what its programs find."""

    def __init__(
        self, rig: AgentRig, name: str, *endpoints: EndpointSpec, command: str = "sleep 600", runtime: str = ""
    ) -> None:
        network = networking(endpoints=endpoints, dns=NOWHERE)
        self.rig = rig
        spec = rig.spec("sh", "-c", command, network=network, runtime=runtime)
        self.spec = spec.model_copy(update={"name": name})
        self.id = self.spec.id
        self.pid = 0

    async def create(self, *networks: NetworkRecord) -> None:
        self.rig._metadata.register(self.spec, self.rig.node)
        asked = CreateContainer(spec=self.spec, networks=networks)
        await self.rig.bus.call(catalogue.CREATE, asked, node=self.rig.node)

    async def run(self, *networks: NetworkRecord) -> "Named":
        await self.create(*networks)
        return await self.start()

    async def start(self) -> "Named":
        self.pid = (await self.rig.start_container(self.id)).status.pid
        return self

    async def rename(self, name: str) -> None:
        asked = RenameContainer(id=self.id, name=name)
        await self.rig.bus.call(catalogue.RENAME_HELD, asked, node=self.rig.node)

    async def connect(self, of: NetworkRecord, last: int) -> None:
        asked = ConnectHeld(id=self.id, endpoint=endpoint(of, last), network=of)
        await self.rig.bus.call(catalogue.CONNECT_HELD, asked, node=self.rig.node)

    async def disconnect(self, of: NetworkRecord) -> None:
        asked = DisconnectHeld(id=self.id, network_id=of.id)
        await self.rig.bus.call(catalogue.DISCONNECT_HELD, asked, node=self.rig.node)

    async def finds(self, name: str, kind: str = "A") -> list[str] | None:
        """What the resolver answers to a program of the container; None where it doesn't know the name."""
        response = await self.inside(partial(ask, dns.message.make_query(f"{name}.", kind)))
        if response.rcode() != dns.rcode.NOERROR:
            return None
        return [item.to_text() for rrset in response.answer for item in rrset]

    async def name_of(self, address: str) -> list[str] | None:
        return await self.finds(dns.reversename.from_address(address).to_text(omit_final_dot=True), "PTR")

    async def until_it_finds(self, name: str, wanted: list[str] | None) -> None:
        async def found() -> bool:
            return await self.finds(name) == wanted

        await self.rig.until(found)

    async def inside(self, work: Callable[[], Any]) -> Any:
        fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY)
        try:
            return await asyncio.to_thread(call_in, fd, work)
        finally:
            os.close(fd)

    def path(self, name: str) -> Path:
        return Path(f"/proc/{self.pid}/root/etc/{name}")

    def file(self, name: str) -> str:
        return self.path(name).read_text()


def in_back(last: int, *aliases: str) -> EndpointSpec:
    return endpoint(BACK, last).model_copy(update={"aliases": aliases})


async def two(rig: AgentRig) -> tuple[Named, Named]:
    """Two running containers, `web` and `db`, in one network."""
    web = await Named(rig, "web", in_back(2, "site", "all")).run(BACK)
    db = await Named(rig, "db", in_back(3, "store", "all")).run(BACK)
    return web, db


def resolver_of(rig: AgentRig) -> int:
    (found,) = connection.resolvers_below(rig.run)
    return found.pid


async def test_two_containers_find_each_other(rig: AgentRig) -> None:
    web, db = await two(rig)
    for name in ("web", "site", web.id[:12], "web.back", "site.back"):
        assert await db.finds(name) == ["10.213.0.2"], name
    assert await web.finds("db") == ["10.213.0.3"]
    assert sorted(await web.finds("all") or ()) == ["10.213.0.2", "10.213.0.3"]
    assert await db.name_of("10.213.0.2") == ["web.back."]
    assert await db.finds("nobody") is None
    assert "nameserver 127.0.0.11" in web.file("resolv.conf").splitlines()
    assert "ndots:0" in web.file("resolv.conf")


async def test_names_are_there_before_the_program_runs(rig: AgentRig) -> None:
    await Named(rig, "web", in_back(2)).run(BACK)
    asks = Named(rig, "asks", in_back(3), command="busybox nslookup -type=a web; busybox nslookup -type=a asks")
    await asks.create(BACK)
    await rig.start_container(asks.id)
    await rig.died(asks.id)
    assert "10.213.0.2" in rig.output(asks.id)
    assert "10.213.0.3" in rig.output(asks.id)


async def test_a_container_that_has_ended_is_not_found(rig: AgentRig) -> None:
    web, db = await two(rig)
    await rig.stop(web.id, 0)
    assert await db.finds("web") is None
    assert await db.finds("all") == ["10.213.0.3"]
    await web.start()
    assert await db.finds("web") == ["10.213.0.2"]
    os.kill(web.pid, signal.SIGKILL)
    await db.until_it_finds("web", None)


async def test_a_rename_is_followed(rig: AgentRig) -> None:
    web, db = await two(rig)
    await web.rename("www")
    assert await db.finds("www") == ["10.213.0.2"]
    assert await db.finds("web") is None
    assert await db.finds("site") == ["10.213.0.2"]
    assert await db.name_of("10.213.0.2") == ["www.back."]


async def test_names_follow_connects_and_disconnects(rig: AgentRig) -> None:
    front = await Named(rig, "front", endpoint(FRONT, 2)).run(FRONT)
    plain = await Named(rig, "plain", ON_BRIDGE).run()
    assert "127.0.0.11" not in plain.file("resolv.conf")
    await plain.connect(FRONT, 3)
    assert "\nnameserver 127.0.0.11\n" in plain.file("resolv.conf")
    assert await plain.finds("front") == ["10.214.0.2"]
    assert await front.finds("plain") == ["10.214.0.3"]
    await plain.disconnect(FRONT)
    assert await front.finds("plain") is None
    assert await plain.finds("front") is None
    rig.end(signal.SIGKILL)
    await rig.start()
    assert await plain.finds("front") is None, "it has a resolver still"
    await plain.connect(FRONT, 3)
    assert await plain.finds("front") == ["10.214.0.2"]


async def test_what_a_container_writes_into_its_files_does_no_harm(rig: AgentRig) -> None:
    write = "for name in hosts resolv.conf; do printf '\\377\\n' >> /etc/$name; done; sleep 600"
    bytes_ = await Named(rig, "bytes", in_back(2), command=write).run(BACK)
    grow = "busybox truncate -s 4G /etc/hosts; busybox truncate -s 4G /etc/resolv.conf; sleep 600"
    large = await Named(rig, "large", ON_BRIDGE, command=grow).run()
    web = await Named(rig, "web", in_back(3)).run(BACK)
    await rig.until(lambda: bytes_.path("resolv.conf").read_bytes().endswith(b"\xff\n"))
    await rig.until(lambda: large.path("resolv.conf").stat().st_size == 4 << 30)
    await bytes_.connect(FRONT, 2)
    await large.connect(FRONT, 3)
    rig.end(signal.SIGKILL)
    await rig.start()
    line = f"10.214.0.2\t{bytes_.id[:12]}\n".encode()
    assert bytes_.path("hosts").read_bytes().endswith(b"\xff\n" + line)
    assert large.path("hosts").stat().st_size == 4 << 30
    assert await web.finds("bytes") == ["10.213.0.2"]
    assert await bytes_.finds("large") == ["10.214.0.3"]
    joined = Named(rig, "joined")
    joined.spec = joined.spec.model_copy(update={"network": networking(f"container:{bytes_.id}")})
    await joined.create()
    await joined.start()
    assert joined.path("hosts").read_bytes() == bytes_.path("hosts").read_bytes()
    await bytes_.disconnect(FRONT)
    assert bytes_.path("hosts").read_bytes().endswith(b"\xff\n")


@pytest.mark.skipif(shutil.which("runsc") is None, reason="needs gVisor")
async def test_a_container_of_gvisor_is_found(rig: AgentRig) -> None:
    db = await Named(rig, "db", in_back(3)).run(BACK)
    await Named(rig, "web", in_back(2), runtime="runsc").run(BACK)
    assert await db.finds("web") == ["10.213.0.2"]


# --- killed


async def test_a_killed_resolver_answers_again(rig: AgentRig) -> None:
    web, db = await two(rig)
    for _ in range(2):
        former = resolver_of(rig)
        os.kill(former, signal.SIGKILL)
        assert await db.finds("web") == ["10.213.0.2"]
        assert await web.finds("db") == ["10.213.0.3"]
        assert resolver_of(rig) != former


async def test_answers_come_while_the_agent_is_dead_and_after(rig: AgentRig) -> None:
    web, db = await two(rig)
    resolver = resolver_of(rig)
    rig.end(signal.SIGKILL)
    assert await db.finds("web") == ["10.213.0.2"]
    os.kill(web.pid, signal.SIGKILL)
    await db.until_it_finds("web", None)
    await rig.start()
    assert await db.finds("web") is None
    assert await db.finds("store") == ["10.213.0.3"]
    await web.start()
    assert await db.finds("web") == ["10.213.0.2"]
    await db.rename("base")
    assert await web.finds("base") == ["10.213.0.3"]
    assert resolver_of(rig) == resolver


async def test_the_next_agent_answers_when_both_were_killed(rig: AgentRig) -> None:
    web, db = await two(rig)
    rig.end(signal.SIGKILL)
    os.kill(resolver_of(rig), signal.SIGKILL)
    await rig.start()
    assert await db.finds("web") == ["10.213.0.2"]
    assert await web.finds("db") == ["10.213.0.3"]


async def test_a_rename_that_the_agent_could_not_finish_is_followed(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    web, db = await two(rig)
    await killed(rig, armed, Failpoint.RENAME_RECORDED, web.rename("www"))
    await rig.start()
    assert await db.finds("www") == ["10.213.0.2"]
    assert await db.finds("web") is None


async def test_a_start_that_the_agent_could_not_finish_leaves_no_names(rig: AgentRig, tmp_path: Path) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    db = await Named(rig, "db", in_back(3)).run(BACK)
    web = Named(rig, "web", in_back(2))
    await web.create(BACK)
    await killed(rig, armed, Failpoint.RESOLVER_ATTACHED, rig.start_container(web.id))
    await db.until_it_finds("web", None)
    await rig.start()
    assert await db.finds("web") is None
    await web.start()
    assert await db.finds("web") == ["10.213.0.2"]


@pytest.mark.parametrize("point", [Failpoint.ENDPOINT_PLUGGED, Failpoint.RESOLVER_ATTACHED])
async def test_a_connect_that_was_not_recorded_leaves_no_names(rig: AgentRig, tmp_path: Path, point: Failpoint) -> None:
    armed = await rig.start_armed(tmp_path / "failpoints")
    front = await Named(rig, "front", endpoint(FRONT, 2)).run(FRONT)
    plain = await Named(rig, "plain", ON_BRIDGE).run()
    command = Command.new()
    asked = ConnectHeld(id=plain.id, endpoint=endpoint(FRONT, 3), network=FRONT)
    connecting = rig.bus.call(catalogue.CONNECT_HELD, asked, node=rig.node, command=command)
    await killed(rig, armed, point, connecting)
    await rig.start()
    assert await front.finds("plain") is None
    await rig.bus.call(catalogue.CONNECT_HELD, asked, node=rig.node, command=command)
    assert await front.finds("plain") == ["10.214.0.3"]


async def test_the_resolver_ends_with_the_last_container(rig: AgentRig) -> None:
    web, db = await two(rig)
    rig.end(signal.SIGKILL)
    for pid in (web.pid, db.pid):
        os.kill(pid, signal.SIGKILL)
    await rig.until(lambda: not connection.resolvers_below(rig.run))
    await rig.start()
    assert not connection.resolvers_below(rig.run)
