"""What a heartbeat says is free, and the facts that it carries."""

from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network

import pytest
from tests.unit.seaway_agent.runner_bench import Bench

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.cgroup_text import CgroupMode
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.network.options import MTU
from seaway_agent.network.port import NetworkSpec
from seaway_agent.node import beats
from seaway_agent.node.beats import Heartbeat, facts_of, free_of
from seaway_agent.node.config import ReceivedConfig
from seaway_agent.node.health import Health
from seaway_agent.runtime.runtimes import Runtimes
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import BEAT, NODE_FACTS
from seaway_contracts.nodes import MOST_DEVICE_NAMES, Beat, BridgeFacts, Capacity, NodeFacts
from seaway_contracts.version import VERSION
from seaway_kit.tasks import Tasks
from seaway_testing.waiting import until

GIB = 1 << 30
CORE = 1_000_000_000
RUNTIMES = Runtimes({"crun": "/usr/bin/crun"}, "crun")


def test_free_is_what_has_not_been_promised() -> None:
    taken = (Capacity(nano_cpus=CORE, memory=GIB), Capacity(nano_cpus=CORE // 2, memory=0))
    whole = Capacity(nano_cpus=4 * CORE, memory=8 * GIB)
    assert free_of(whole, iter(taken)) == Capacity(nano_cpus=2_500_000_000, memory=7 * GIB)


def test_a_node_that_promised_too_much_has_nothing_free() -> None:
    taken = [Capacity(nano_cpus=3 * CORE, memory=GIB)] * 2
    assert free_of(Capacity(nano_cpus=4 * CORE, memory=8 * GIB), taken) == Capacity(nano_cpus=0, memory=6 * GIB)


@pytest.mark.parametrize(("mode", "version"), [(CgroupMode.V1, "1"), (CgroupMode.HYBRID, "1"), (CgroupMode.V2, "2")])
def test_facts(mode: CgroupMode, version: str) -> None:
    info = HostInfo("h", "6.1", "Debian", "13", "x86_64", "amd64", 4, GIB, 0, "extfs", mode, ("name=seccomp",))
    facts = facts_of(
        info, RUNTIMES, "abc", bridge(), ("zone=a", "ssd", "eq=a=b"), "/var/lib/s", "/var/lib/s/v", "boot-1"
    )
    assert facts.cgroup_version == version
    assert facts.labels == {"zone": "a", "ssd": "", "eq": "a=b"}
    assert facts.volumes == "/var/lib/s/v"
    assert (facts.hostname, facts.architecture, facts.boot_id, facts.root) == ("h", "x86_64", "boot-1", "/var/lib/s")
    assert (facts.runtimes, facts.default_runtime) == ({"crun": "/usr/bin/crun"}, "crun")
    assert facts.bridge == BridgeFacts(name="swabc0", subnet="172.19.0.0/16", gateway="172.19.0.1", mtu=1400)
    assert facts.version == VERSION
    assert facts.cdi_directories == ("/etc/cdi", "/var/run/cdi")


def bridge() -> NetworkSpec:
    subnet, gateway = IPv4Network("172.19.0.0/16"), IPv4Address("172.19.0.1")
    return NetworkSpec("1", "bridge", subnet=subnet, gateway=gateway, options={MTU: "1400"})


@dataclass
class Host:
    """What a node reads of its network; OSError if `fails`."""

    found: tuple[str, ...] = ()
    warned: tuple[str, ...] = ()
    fails: bool = False

    async def routes(self) -> tuple[str, ...]:
        if self.fails:
            raise OSError("too many open files")
        return self.found

    async def warnings(self) -> tuple[str, ...]:
        return self.warned


HEALTH = Health(pids=100, free_pids=90, disk=100 * GIB, free_disk=GIB, memory=8 * GIB, free_memory=GIB)


def heartbeat_of(
    bench: Bench,
    *,
    facts: NodeFacts | None = None,
    interval_s: float = 1,
    host: Host | None = None,
    health: Callable[[], Health] = lambda: HEALTH,
    config: ReceivedConfig | None = None,
    node: Inventory | None = None,
    address: str = "192.0.2.7",
) -> Heartbeat:
    info = HostInfo("h", "6.1", "Debian", "13", "x86_64", "amd64", 4, GIB, 0, "extfs", CgroupMode.V2, ())
    return Heartbeat(
        bench.bus,
        node or Inventory("n1", bench.journal, "e1"),
        bench.journal,
        info,
        facts or NodeFacts(),
        interval_s,
        host or Host(),
        config or ReceivedConfig(bench.bus, "n1", bench.store),
        health,
        lambda: address,
    )


async def test_a_beat_has_the_hosts_routes_and_its_address(bench: Bench, tasks: Tasks) -> None:
    heard: list[Beat] = []
    await bench.bus.on_message(BEAT, heard.append)
    for host, expected in ((Host(("10.8.0.0/24",)), ("10.8.0.0/24",)), (Host(fails=True), ())):
        heard.clear()
        await heartbeat_of(bench, host=host).leave()
        await until(lambda: heard)
        assert heard[0].facts.routes == expected
        assert heard[0].facts.address == "192.0.2.7"


async def test_an_outbox_without_room_is_told_as_a_warning(bench: Bench) -> None:
    """`docker info` shows it, for as long as it is so."""
    heartbeat = heartbeat_of(bench, facts=NodeFacts(warnings=("lasting",)))
    outbox = bench.journal._outbox
    bound, outbox.bound = outbox.bound, 0
    lasting, passing = heartbeat.facts().facts.warnings
    assert lasting == "lasting"
    assert "the bus has not taken (--outbox-bytes is 0), so it begins nothing new" in passing
    outbox.bound = bound
    assert heartbeat.facts().facts.warnings == ("lasting",)


async def test_a_warning_of_the_host_is_logged_once_and_told_as_long_as_it_is_so(
    bench: Bench, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beats, "_HOST_EVERY_S", 0)
    host = Host(warned=("packets are dropped",))
    heartbeat = heartbeat_of(bench, facts=NodeFacts(warnings=("lasting",)), host=host)
    for _ in range(2):
        await heartbeat.leave()
        assert heartbeat.facts().facts.warnings == ("lasting", "node n1: packets are dropped")
    assert [record.getMessage() for record in caplog.records] == ["node n1: packets are dropped"]
    host.warned = ()
    await heartbeat.leave()
    assert heartbeat.facts().facts.warnings == ("lasting",)


async def test_who_leaves_says_so_and_nothing_else_after_it(bench: Bench, tasks: Tasks) -> None:
    heard: list[Beat] = []
    await bench.bus.on_message(BEAT, heard.append)
    heartbeat = heartbeat_of(bench, interval_s=0.001)
    tasks.eternal("beat", heartbeat.run())
    await until(lambda: heard)
    assert (heard[0].epoch, heard[0].leaving) == ("e1", False)
    await heartbeat.leave()
    await until(lambda: heard[-1].leaving)
    first = next(place for place, one in enumerate(heard) if one.leaving)
    await until(lambda: len(heard) > first + 2)
    assert all(one.leaving for one in heard[first:])


async def test_facts_are_sent_in_the_first_beats_and_when_they_change(bench: Bench) -> None:
    heartbeat = heartbeat_of(bench, facts=NodeFacts(hostname="h"))
    await heartbeat.serve()
    beats_of = [heartbeat.beat() for _ in range(5)]
    assert [one.has_facts for one in beats_of] == [True, True, True, False, False]
    assert [one.facts.hostname for one in beats_of] == ["h", "h", "h", "", ""]
    assert len({one.facts_id for one in beats_of}) == 1
    asked = await bench.bus.call(NODE_FACTS, Empty(), node="n1")
    assert (asked.id, asked.facts.hostname) == (beats_of[0].facts_id, "h")
    heartbeat._facts = NodeFacts(hostname="other")
    changed = [heartbeat.beat() for _ in range(4)]
    assert [one.facts.hostname for one in changed] == ["other", "other", "other", ""]
    assert changed[0].facts_id != asked.id


async def test_a_beat_says_what_is_free_of_the_host_and_what_runs_out(bench: Bench) -> None:
    said = heartbeat_of(bench).beat()
    assert (said.capacity.pids, said.capacity.disk) == (100, 100 * GIB)
    assert (said.free.pids, said.free.disk, said.pressure) == (90, GIB, ())

    def unreadable() -> Health:
        raise OSError("no /proc")

    assert heartbeat_of(bench, health=unreadable).beat().capacity.disk == 0


async def test_the_next_beat_comes_when_the_last_one_said(bench: Bench) -> None:
    """The interval may change while the host's routes are read."""
    config = ReceivedConfig(bench.bus, "n1", bench.store)
    host = Host()

    async def change() -> tuple[str, ...]:
        config.beat_interval_s = 20.0
        return ()

    host.routes = change  # type: ignore[method-assign]
    heard: list[Beat] = []
    await bench.bus.on_message(BEAT, heard.append)
    assert await heartbeat_of(bench, config=config, host=host)._send() == 20.0
    await until(lambda: heard)
    assert heard[0].interval_ns == 20 * 10**9


async def test_a_beat_waits_as_long_as_metadata_demands(bench: Bench) -> None:
    config = ReceivedConfig(bench.bus, "n1", bench.store)
    heartbeat = heartbeat_of(bench, config=config, interval_s=2)
    assert heartbeat.beat().interval_ns == 2 * 10**9
    config.beat_interval_s = 20.0
    assert heartbeat.beat().interval_ns == 20 * 10**9


def test_devices_are_counted_by_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = {"kind": "nvidia.com/gpu", "devices": [{"name": "0"}, {"name": "1"}, {"name": "all"}]}
    monkeypatch.setattr(beats, "cdi_specs", lambda: [gpus, {"kind": "vendor.com/nic", "devices": [{"name": "x"}]}])
    assert beats.devices() == {"nvidia.com/gpu": 2, "vendor.com/nic": 1}
    names = ("0", "GPU-7f1c", "1", "GPU-9b2e", "all")  # as nvidia-ctk writes it for two strategies of naming
    monkeypatch.setattr(beats, "cdi_specs", lambda: [gpus | {"devices": [{"name": name} for name in names]}, gpus])
    assert beats.devices() == {"nvidia.com/gpu": 2}
    monkeypatch.setattr(beats, "cdi_specs", lambda: [{"kind": "odd", "devices": ["text"]}, {"kind": "x", "devices": 1}])
    assert beats.devices() == {}
    monkeypatch.setattr(beats, "cdi_specs", lambda: [{"kind": "odd", "devices": [{}]}])
    assert beats.devices() == {}


def test_devices_have_names() -> None:
    kinds = {"nvidia.com/gpu": ["1", "0", "all", "0"], "x.y/z": ["a", "b" * 300]}
    assert beats.names(kinds) == ("nvidia.com/gpu=0", "nvidia.com/gpu=1", "nvidia.com/gpu=all", "x.y/z=a")
    assert len(beats.names({"k": [str(number) for number in range(1000)]})) == MOST_DEVICE_NAMES
