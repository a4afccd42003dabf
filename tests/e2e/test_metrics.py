"""Metrics: the real Prometheus scrapes every service, promtool finds nothing to say."""

import re
import subprocess
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e_rig.docker_cli import DockerCli
from e2e_rig.prometheus import Prometheus, fetch, scraping
from e2e_rig.seaway import Seaway
from e2e_rig.waits import eventually

from seaway_agent.kernel.cgroups import host_layout

pytestmark = pytest.mark.seaway_only
KNOWN_LINTS = {
    'container_memory_failcnt counter metrics should have "_total" suffix',
    'container_fs_inodes_total non-counter metrics should not have "_total" suffix',
    "cadvisor_version_info label names should be written in 'snake_case' not 'camelCase'",
    'engine_daemon_events_subscribers_total non-counter metrics should not have "_total" suffix',
}
"""What promtool says of names that are cAdvisor's and dockerd's."""
CONTAINER_METRICS = {
    "container_cpu_usage_seconds_total",
    "container_cpu_cfs_throttled_periods_total",
    "container_cpu_cfs_throttled_seconds_total",
    "container_memory_usage_bytes",
    "container_memory_working_set_bytes",
    "container_network_receive_bytes_total",
    "container_network_transmit_bytes_total",
    "container_processes",
    "container_start_time_seconds",
    "container_oom_events_total",
}


def addresses(engine: Seaway) -> dict[str, str]:
    """The scrape URLs by service."""
    return {row["service"]: row["metrics"] for row in engine.rows() if row["metrics"]}


@pytest.fixture
def prometheus(engine: Seaway, tmp_path: Path) -> Iterator[Prometheus]:
    """The real one, scraping all services every second."""
    targets = {name: urllib.parse.urlsplit(url).netloc for name, url in addresses(engine).items()}
    jobs = [{"job_name": name, "static_configs": [{"targets": [target]}]} for name, target in targets.items()]
    with scraping(tmp_path, *jobs) as running:
        yield running


def test_every_service_has_an_address(engine: Seaway) -> None:
    assert set(addresses(engine)) >= {"api", "metadata", "image", "scheduler", "agent"}


@pytest.mark.parametrize("service", ["api", "metadata", "image", "scheduler", "agent"])
def test_promtool_is_content(engine: Seaway, cli: DockerCli, service: str) -> None:
    cli("run", "-d", "busybox", "sleep", "60")
    text = fetch(addresses(engine)[service])[1]
    done = subprocess.run(["promtool", "check", "metrics"], input=text, capture_output=True, text=True)
    assert set((done.stdout + done.stderr).splitlines()) <= KNOWN_LINTS


def test_prometheus_sees_services_and_containers(prometheus: Prometheus, cli: DockerCli, name: str) -> None:
    limits = ["-m", "64m", "--cpus", "0.5"]
    container = cli("run", "-d", "--name", name, *limits, "busybox", "sh", "-c", "while :; do :; done").out
    eventually(lambda: len(prometheus.ask("up == 1")) == 5, "all targets up", 20)
    query = f'{{__name__=~"container_.*", name="{name}"}}'

    def has_all() -> bool:  # those of the network come up to five seconds later
        return {row["metric"]["__name__"] for row in prometheus.ask(query)} >= CONTAINER_METRICS

    eventually(has_all, "the container's samples", 20)
    (memory,) = prometheus.ask(f'container_memory_usage_bytes{{name="{name}"}}')
    assert 0 < float(memory["value"][1]) < 64 << 20
    assert container in memory["metric"]["id"] and memory["metric"]["image"].startswith("busybox")
    busy = f'container_cpu_usage_seconds_total{{name="{name}"}} > 0.2'
    eventually(lambda: prometheus.ask(busy), "used processor time", 20)
    held_back = f'container_cpu_cfs_throttled_seconds_total{{name="{name}"}} > 0.1'
    eventually(lambda: prometheus.ask(held_back), "time in which it was held back", 20)


def written(engine: Seaway, container: str) -> int:
    """Bytes that a container has written to disks, by the kernel's own files."""
    groups = map(Path, host_layout().directories(f"/{engine.cgroup_parent}/{container}"))
    files = [group / name for group in groups for name in ("blkio.throttle.io_service_bytes_recursive", "io.stat")]
    text = "".join(file.read_text() for file in files if file.exists())
    return sum(map(int, re.findall(r"(?: Write |wbytes=)(\d+)", text)))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[str]:
    """A block device of 16 MiB."""
    (tmp_path / "disk").write_bytes(bytes(16 << 20))
    made = subprocess.run(["losetup", "--find", "--show", tmp_path / "disk"], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(f"no loop device to be had: {made.stderr.strip()}")
    yield made.stdout.strip()
    subprocess.run(["losetup", "--detach", made.stdout.strip()], check=True)


def test_what_goes_to_disks_is_counted(engine: Seaway, cli: DockerCli, name: str, disk: str) -> None:
    """A limit that is never reached: on cgroup v1 newer kernels count for devices that have one only."""
    script = f"dd if=/dev/zero of={disk} bs=1M count=8 conv=fsync; dd if={disk} of=/dev/null bs=1M count=8 iflag=direct"
    options = ["--device", disk, "--device-write-bps", f"{disk}:10gb", "--name", name]
    container = cli("run", "-d", *options, "busybox", "sh", "-c", f"set -e; {script}; echo done; exec sleep 60").out
    eventually(lambda: "done" in cli("logs", name).lines, "eight megabytes on disk", 30)
    expected = written(engine, container)
    if expected < 8 << 20:
        pytest.skip(f"this kernel charges a cgroup with {expected} of 8 MiB that were written in it")

    def counted(metric: str) -> float:
        lines = fetch(addresses(engine)["agent"])[1].splitlines()
        own = [line for line in lines if line.startswith(f"{metric}{{") and f'name="{name}"' in line]
        return sum(float(line.rsplit(" ", 1)[1]) for line in own if f'device="{disk}"' in line)

    eventually(lambda: counted("container_fs_writes_bytes_total") == expected, f"{expected} bytes counted", 20)
    assert counted("container_fs_reads_bytes_total") == 8 << 20
    assert counted("container_fs_writes_total") > 0 < counted("container_fs_reads_total")


def test_requests_are_counted(engine: Seaway, cli: DockerCli) -> None:
    def requests() -> float:
        lines = fetch(addresses(engine)["api"])[1].splitlines()
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if _is_request_count(line))

    before = requests()
    for _ in range(3):
        cli("ps")
    assert requests() >= before + 3


def _is_request_count(line: str) -> bool:
    name = line.partition("{")[0]
    return "request" in name and name.endswith("_total")


def test_health(engine: Seaway) -> None:
    for url in addresses(engine).values():
        for page in ("/healthz", "/readyz"):
            assert fetch(url.replace("/metrics", page))[0] == 200
