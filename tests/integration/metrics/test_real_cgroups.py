"""Samples of real cgroups with a real process in them."""

import os
import resource
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_sample import PRESSURE_FILES
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.metrics.container_families import HOST, OWN
from seaway_agent.metrics.exposition import labels_text, render
from seaway_agent.metrics.processes import open_file_limit, open_files
from seaway_agent.metrics.readings import Reading
from seaway_agent.metrics.sampler import Samplers
from seaway_agent.network.port import InterfaceCounters
from seaway_contracts.containers import State
from seaway_testing import builders

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


def run_in(layout: CgroupLayout, path: str, *argv: str, stdin: int | None = None) -> "subprocess.Popen[bytes]":
    """A process that enters a new cgroup before it becomes the program."""
    return subprocess.Popen(argv, preexec_fn=lambda: cgroups.enter(layout, path), stdin=stdin)


def waits_for_its_input(process: "subprocess.Popen[bytes]") -> None:
    """Wait until the program is loaded and reads (system call 0) from descriptor 0."""
    deadline = time.monotonic() + 10
    while not Path(f"/proc/{process.pid}/syscall").read_text().startswith("0 0x0 "):
        assert time.monotonic() < deadline
        time.sleep(0.002)


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


def test_a_process_shows_its_files_and_pressure(layout: CgroupLayout, parent: str) -> None:
    samplers = Samplers(layout, details=True)
    with run_in(layout, f"{parent}/a", "sh", "-c", "read end", stdin=subprocess.PIPE) as process:
        try:
            sample = samplers.sample(("a", 1), f"{parent}/a")
            assert sample.processes == (str(process.pid),)
            waits_for_its_input(process)
            assert open_files(sample.processes) == len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
            assert open_file_limit(process.pid) == resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[0]
            has_pressure = layout.unified is not None and Path(f"{layout.unified}{parent}/a/cpu.pressure").exists()
            assert set(sample.pressure) == (set(PRESSURE_FILES) if has_pressure else set())
        finally:
            process.kill()
    assert open_file_limit(process.pid) is None
    assert open_files((str(process.pid),)) == 0
    samplers.close()


def test_a_scrape_of_a_hundred_containers_takes_milliseconds_of_cpu(layout: CgroupLayout, parent: str) -> None:
    processes = [run_in(layout, f"{parent}/{n}", "sleep", "60") for n in range(100)]
    samplers = Samplers(layout, details=True)
    specs = [builders.spec(n) for n in range(100)]
    labels = [labels_text({"id": f"{parent}/{n}", "image": "busybox", "name": f"box{n}"}) for n in range(100)]

    def scrape() -> str:
        found = []
        for n, process in enumerate(processes):
            sample = samplers.sample((str(n), 1), f"{parent}/{n}")
            files, limit = open_files(sample.processes), open_file_limit(process.pid)
            status = builders.status(State.RUNNING, started_ns=1)
            reading = Reading(specs[n], status, 2, sample, {"eth0": InterfaceCounters()}, {}, files, limit)
            found.append((reading, labels[n]))
        return "".join(render((*HOST, *OWN), found))

    try:
        text = scrape()
        assert text.count("container_threads{") == 100
        best = min(_cpu_seconds(scrape) for _ in range(5))
        assert best < 0.02, f"a scrape took {best * 1e3:.1f} ms of CPU"
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text, capture_output=True, text=True, check=False
        )
        assert {line.partition(" ")[0] for line in checked.stderr.splitlines()} <= {
            "container_memory_failcnt",
            "container_fs_inodes_total",
        }
    finally:
        samplers.close()
        for process in processes:
            process.kill()
            process.wait()


def _cpu_seconds(work: Callable[[], object]) -> float:
    began = time.process_time()
    work()
    return time.process_time() - began
