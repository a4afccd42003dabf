"""A scrape over runners, on plain files instead of cgroups."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import CollectorRegistry

from seaway_agent.core.phases import Phase
from seaway_agent.dns.port import ResolverError
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.kernel.hostinfo import HostInfo
from seaway_agent.metrics.collector import ContainerCollector
from seaway_agent.metrics.layer_sizes import LayerSizes
from seaway_agent.metrics.node_reader import NodeReader
from seaway_agent.network.errors import NetworkError
from seaway_agent.network.port import InterfaceCounters
from seaway_agent.node.health import Health
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.settings import AgentSettings
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Resources, State
from seaway_kit.settings import load_settings
from seaway_testing import builders
from seaway_testing.descriptors import open_descriptors


@dataclass
class StandInMachine:
    phase: Phase


@dataclass
class StandInRunner:
    """What the collector asks a runner for."""

    spec: ContainerSpec
    status: ContainerStatus
    machine: StandInMachine


@dataclass
class StandInNetwork:
    """Networks whose counters a test sets."""

    found: dict[str, dict[str, InterfaceCounters]] = field(default_factory=dict)
    fails: bool = False

    def ready(self, mode: str) -> int:
        return {"bridge": 8, "none": 4}[mode]

    def present(self) -> tuple[object, ...]:
        return ("bridge",)

    def endpoints(self, container: str) -> tuple[str, ...]:
        return tuple(self.found.get(container, ()))

    async def counters(self) -> dict[str, dict[str, InterfaceCounters]]:
        if self.fails:
            raise NetworkError("the network is not open")
        return dict(self.found)


@dataclass
class StandInResolver:
    """A resolver whose counts a test sets."""

    found: dict[str, int] = field(default_factory=dict)
    fails: bool = False

    async def counts(self) -> dict[str, int]:
        if self.fails:
            raise ResolverError("the process is gone")
        return dict(self.found)


@dataclass
class StandInNode:
    """What the collector asks an inventory for, and what it is given besides."""

    cgroups: ContainerCgroups
    network: StandInNetwork
    node: str = "n1"
    resolver: StandInResolver = field(default_factory=StandInResolver)
    sizes: LayerSizes = field(default_factory=lambda: LayerSizes(Path, list))
    runners: dict[str, StandInRunner] = field(default_factory=dict)

    def add(self, seed: int, phase: Phase = Phase.RUNNING, run: int = 1) -> StandInRunner:
        spec = builders.spec(seed, labels={"team": "blue"})
        state = State.RUNNING if phase is Phase.RUNNING else State.EXITED
        status = builders.status(state, run=run, started_ns=5_000_000_000, pid=os.getpid())
        runner = self.runners[spec.id] = StandInRunner(spec, status, StandInMachine(phase))
        directory = self.directory(spec)
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "cpu.stat").write_text(f"usage_usec {seed}000000\n")
        return runner

    def directory(self, spec: ContainerSpec) -> Path:
        """Where its cgroup's files are."""
        return Path(cast(str, self.cgroups.host.unified) + self.cgroups.path(spec))


def stand_in(tmp_path: Path) -> StandInNode:
    layout = CgroupLayout(CgroupMode.V2, {}, str(tmp_path))
    return StandInNode(ContainerCgroups(layout, "abc", tmp_path / "parents"), StandInNetwork())


@pytest.fixture
def node(tmp_path: Path) -> StandInNode:
    return stand_in(tmp_path)


def collector_for(node: StandInNode, limit: int = 1_000, labels: tuple[str, ...] = ()) -> ContainerCollector:
    info = HostInfo("h", "6", "os", "1", "x86_64", "amd64", 4, 8 << 30, 0, "extfs", CgroupMode.V2, ())
    inventory, network = cast(Any, node), cast(Any, node.network)
    health = Health(pids=1000, free_pids=900, disk=100, free_disk=60)
    reader = NodeReader(inventory, info, network, node.resolver, list, lambda: health)
    return ContainerCollector(inventory, reader, node.cgroups, network, node.sizes, limit=limit, labels=labels)


@pytest.fixture
def collector(node: StandInNode) -> Iterator[ContainerCollector]:
    made = collector_for(node)
    yield made
    made.close()


def scrape(collector: ContainerCollector) -> dict[str, float]:
    """What is shown of the node and its containers."""
    return {name: value for name, value in scrape_all(collector).items() if 'id="/"' not in name}


def scrape_all(collector: ContainerCollector) -> dict[str, float]:
    """That, and the whole host."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    containers = collector.text()
    text = generate_latest(registry).decode() + containers
    lines = (x.rpartition(" ") for x in text.splitlines() if not x.startswith("#"))
    return {name: float(value) for name, _, value in lines}


def cpu_of(found: dict[str, float]) -> dict[str, float]:
    named = {name: value for name, value in found.items() if name.startswith("container_cpu_usage_seconds_total")}
    return {name.partition('name="')[2].partition('"')[0]: value for name, value in named.items()}


def test_only_running_containers_are_sampled_and_all_are_counted(
    node: StandInNode, collector: ContainerCollector
) -> None:
    node.add(1)
    node.add(2, phase=Phase.PAUSED)
    node.add(3, phase=Phase.IDLE)
    found = scrape(collector)
    assert cpu_of(found) == {"box1": 1.0, "box2": 2.0}
    assert found['seaway_agent_containers{state="running"}'] == 1
    assert found['seaway_agent_containers{state="exited"}'] == 2
    assert found['seaway_agent_pool_ready{mode="bridge"}'] == 8
    assert found["machine_cpu_cores"] == 4


def test_the_state_is_shown_of_all(node: StandInNode, collector: ContainerCollector) -> None:
    node.add(1)
    node.add(3, phase=Phase.IDLE)
    states = {name for name in scrape(collector) if name.startswith("seaway_container_state")}
    assert {'name="box1",state="running"' in name or 'name="box3",state="exited"' in name for name in states} == {True}
    assert len(states) == 2


def test_labels_of_containers_become_labels_if_they_are_listed(
    node: StandInNode, collector: ContainerCollector
) -> None:
    node.add(1)
    assert not [name for name in scrape(collector) if "team" in name or "blue" in name]
    listing = collector_for(node, labels=("team", "com.example/other"))
    named = [name for name in scrape(listing) if name.startswith(("container_", "seaway_container_"))]
    assert named and all('{container_label_team="blue",id=' in name for name in named)
    listing.close()


def test_the_whole_host_is_shown_beside_its_containers(node: StandInNode, tmp_path: Path) -> None:
    (tmp_path / "cpu.stat").write_text("usage_usec 9000000\n")
    collector = collector_for(node)
    node.add(1)
    found = scrape_all(collector)
    assert found['container_cpu_usage_seconds_total{id="/",cpu="total"}'] == 9
    assert found['container_memory_usage_bytes{id="/"}'] > 0
    assert not [name for name in found if name.startswith("container_spec_") and 'id="/"' in name]
    collector.close()


def test_a_renamed_container_has_its_new_name(node: StandInNode, collector: ContainerCollector) -> None:
    runner = node.add(1)
    assert list(cpu_of(scrape(collector))) == ["box1"]
    runner.spec = runner.spec.model_copy(update={"name": "other"})
    assert list(cpu_of(scrape(collector))) == ["other"]


def test_what_placement_sees_of_the_node(node: StandInNode, collector: ContainerCollector) -> None:
    for seed in (1, 2):
        runner = node.add(seed, phase=Phase.RUNNING if seed == 1 else Phase.IDLE)
        resources = Resources(nano_cpus=500_000_000, memory=2 << 30, memory_reservation=1 << 30, cpu_reservation=10**9)
        runner.spec = runner.spec.model_copy(update={"resources": resources})
    found = scrape(collector)
    kinds = ("capacity", "free", "reserved")
    assert [found[f'seaway_node_cpu_cores{{kind="{kind}"}}'] for kind in kinds] == [4, 3.5, 2]
    assert [found[f'seaway_node_memory_bytes{{kind="{kind}"}}'] for kind in kinds] == [8 << 30, 7 << 30, 2 << 30]
    assert [found[f'seaway_node_disk_bytes{{kind="{kind}"}}'] for kind in kinds[:2]] == [100, 60]


async def test_dns_questions_are_those_of_the_last_refresh(node: StandInNode, collector: ContainerCollector) -> None:
    name = 'seaway_agent_dns_queries_total{outcome="answered"}'
    assert scrape(collector)[name] == 0
    node.resolver.found = {"answered": 3}
    await collector.refresh()
    node.resolver.fails = True
    await collector.refresh()
    assert scrape(collector)[name] == 3


async def test_the_writable_layer_is_measured_apart(node: StandInNode, tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    (upper / "file").write_bytes(bytes(5000))
    node.sizes = LayerSizes(lambda container: upper, list)
    collector = collector_for(node)
    runner = node.add(1)
    assert not [name for name in scrape(collector) if name.startswith("container_fs_usage_bytes")]
    await node.sizes.measure(runner.spec.id)
    assert [v for name, v in scrape(collector).items() if name.startswith("container_fs_usage_bytes")] == [5000]
    node.runners.clear()
    await collector.refresh()
    assert node.sizes.of(runner.spec.id) == ()
    collector.close()


def test_open_files_and_their_limit_are_those_of_its_processes(
    node: StandInNode, collector: ContainerCollector
) -> None:
    runner = node.add(1)
    (node.directory(runner.spec) / "cgroup.procs").write_text(f"{os.getpid()}\n4194303\n")
    found = {name.partition("{")[0]: value for name, value in scrape(collector).items()}
    assert found["container_processes"] == 2
    assert found["container_file_descriptors"] >= 3
    assert found["container_ulimits_soft"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]


def test_more_than_the_limit_are_left_out_and_counted(node: StandInNode) -> None:
    collector = collector_for(node, limit=2)
    for seed in (1, 2, 3):
        node.add(seed)
    assert cpu_of(scrape(collector)) == {"box1": 1.0, "box2": 2.0}
    assert scrape(collector)["seaway_agent_metrics_dropped_total"] == 2
    collector.close()


def test_files_stay_open_between_scrapes_and_go_with_the_container(
    node: StandInNode, collector: ContainerCollector
) -> None:
    before = open_descriptors()
    runner = node.add(1)
    scrape(collector)
    held = open_descriptors()
    scrape(collector)
    assert before < held == open_descriptors()
    runner.machine.phase = Phase.IDLE
    assert cpu_of(scrape(collector)) == {}
    assert open_descriptors() == before


def test_a_new_run_has_a_new_cgroup(node: StandInNode, collector: ContainerCollector) -> None:
    runner = node.add(1)
    scrape(collector)
    directory = node.directory(runner.spec)
    (directory / "cpu.stat").unlink()
    (directory / "cpu.stat").write_text("usage_usec 77000000\n")
    assert cpu_of(scrape(collector)) == {"box1": 1.0}
    runner.status = runner.status.model_copy(update={"run": 2})
    assert cpu_of(scrape(collector)) == {"box1": 77.0}


async def test_network_counters_are_those_of_the_last_refresh(node: StandInNode, collector: ContainerCollector) -> None:
    runner = node.add(1)
    node.network.found = {runner.spec.id: {"eth0": InterfaceCounters(rx_bytes=9)}}
    assert not [name for name in scrape(collector) if name.startswith("container_network_")]
    await collector.refresh()
    received = {n: v for n, v in scrape(collector).items() if n.startswith("container_network_receive_bytes_total")}
    assert list(received.values()) == [9]
    assert 'interface="eth0"' in next(iter(received))


async def test_each_interface_is_counted_and_a_new_run_begins_anew(
    node: StandInNode, collector: ContainerCollector
) -> None:
    runner = node.add(1)
    counters = {"eth0": InterfaceCounters(rx_bytes=9), "eth1": InterfaceCounters(rx_bytes=5)}
    node.network.found = {runner.spec.id: counters}
    await collector.refresh()
    name = "container_network_receive_bytes_total"
    received = {n: value for n, value in scrape(collector).items() if n.startswith(name)}
    assert {n.partition('interface="')[2][:4]: value for n, value in received.items()} == {"eth0": 9, "eth1": 5}
    runner.status = runner.status.model_copy(update={"run": 2})
    assert not [n for n in scrape(collector) if n.startswith(name)]


async def test_a_network_that_can_not_be_asked_leaves_the_last_counters(
    node: StandInNode, collector: ContainerCollector
) -> None:
    runner = node.add(1)
    node.network.found = {runner.spec.id: {"eth0": InterfaceCounters(rx_bytes=9)}}
    await collector.refresh()
    node.network.fails = True
    await collector.refresh()
    assert [v for n, v in scrape(collector).items() if n.startswith("container_network_receive_bytes_total")] == [9]


async def test_a_refresh_lets_go_of_ended_containers_without_any_scrape(
    node: StandInNode, collector: ContainerCollector
) -> None:
    before = open_descriptors()
    node.add(1)
    scrape(collector)
    node.runners.clear()
    await collector.refresh()
    assert open_descriptors() == before


def test_no_descriptors_left_costs_one_container_not_the_scrape(
    node: StandInNode, collector: ContainerCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.add(1)
    node.add(2)
    real = os.open

    def refuse(path: str, flags: int, mode: int = 0o777) -> int:
        if "seaway/abc" in path and path.endswith("cpu.stat") and builders.container_id(1) in path:
            raise OSError(24, "Too many open files")
        return real(path, flags, mode)

    monkeypatch.setattr(os, "open", refuse)
    found = scrape(collector)
    assert cpu_of(found) == {"box2": 2.0}
    assert found["seaway_agent_metrics_dropped_total"] == 1


def test_describe_names_what_collect_yields(node: StandInNode, collector: ContainerCollector) -> None:
    node.add(1)
    assert [f.name for f in collector.describe()] == [f.name for f in collector.collect()]


@pytest.mark.parametrize(
    ("words", "labels"),
    [
        ([], ("com.docker.compose.project", "com.docker.compose.service")),
        (["--metrics-container-labels", "a, b.c", "--metrics-container-labels", "d"], ("a", "b.c", "d")),
        (["--metrics-container-labels", ""], ()),
    ],
)
def test_listed_labels(words: list[str], labels: tuple[str, ...]) -> None:
    settings = load_settings(AgentSettings, words, prog="seaway-agent", env={})
    assert settings.metrics_container_labels == labels
    assert (
        load_settings(
            AgentSettings, [], prog="seaway-agent", env={"SEAWAY_METRICS_CONTAINER_LABELS": ",".join(labels)}
        ).metrics_container_labels
        == labels
    )
