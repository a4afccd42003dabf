"""Samples of real cgroups with a real process in them."""

import os
import subprocess
import time
import uuid
from collections.abc import Iterator

import pytest
from prometheus_client.exposition import generate_latest
from prometheus_client.registry import Collector, CollectorRegistry

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.metrics.families import Reading, container_families
from seaway_agent.metrics.sampler import BlockDevices, Samplers
from seaway_contracts.containers import Resources

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="needs root")]


@pytest.fixture
def layout() -> CgroupLayout:
    return cgroups.host_layout()


@pytest.fixture
def parent(layout: CgroupLayout) -> Iterator[str]:
    path = f"/seaway-test-{uuid.uuid4().hex[:12]}"
    yield path
    cgroups.kill_all(layout, path)
    cgroups.remove(layout.directories(path))


def run_in(layout: CgroupLayout, path: str, *argv: str) -> "subprocess.Popen[bytes]":
    """A process that enters a new cgroup before it becomes the program."""
    return subprocess.Popen(argv, preexec_fn=lambda: cgroups.enter(layout, path))


class OneScrape(Collector):
    def __init__(self, readings: list[Reading]) -> None:
        self.readings = readings

    def describe(self) -> list[object]:  # type: ignore[override]
        return []

    def collect(self):  # type: ignore[no-untyped-def]
        return container_families(self.readings)


def test_a_busy_process_shows_in_the_counters_and_a_gone_cgroup_reads_as_zero(
    layout: CgroupLayout, parent: str
) -> None:
    samplers = Samplers(layout)
    process = run_in(
        layout, f"{parent}/a", "sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exec sleep 60"
    )
    try:
        deadline = time.monotonic() + 10
        while (sample := samplers.sample(("a", 1), f"{parent}/a")).cpu_usage_ns == 0 and time.monotonic() < deadline:
            time.sleep(0.002)
        assert sample.cpu_usage_ns > 0
        assert sample.pids_current >= 1
        assert sample.memory_usage > 0
    finally:
        process.kill()
        process.wait()
    cgroups.remove(layout.directories(f"{parent}/a"))
    assert samplers.sample(("a", 1), f"{parent}/a").memory_usage == 0
    samplers.close()


def test_a_scrape_of_fifty_containers_takes_milliseconds(layout: CgroupLayout, parent: str) -> None:
    processes = [run_in(layout, f"{parent}/{n}", "sleep", "60") for n in range(50)]
    samplers, devices = Samplers(layout), BlockDevices()

    def read() -> list[Reading]:
        found = []
        for n in range(50):
            sample = samplers.sample((str(n), 1), f"{parent}/{n}")
            devices.learn(sample)
            found.append(Reading(f"{parent}/{n}", f"box{n}", "busybox", 1, 2, Resources(), sample))
        return found

    try:
        first = read()
        assert all(reading.sample.pids_current == 1 for reading in first)
        best = min(_timed(read) for _ in range(5))
        assert best < 0.02, f"reading took {best * 1e3:.1f} ms"
        registry = CollectorRegistry()
        registry.register(OneScrape(first))
        text = generate_latest(registry)
        checked = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, check=False)
        assert (checked.returncode, checked.stdout) == (0, b"")
    finally:
        samplers.close()
        for process in processes:
            process.kill()
            process.wait()


def _timed(work: object) -> float:
    began = time.perf_counter()
    work()  # type: ignore[operator]
    return time.perf_counter() - began
