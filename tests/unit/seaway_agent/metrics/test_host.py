"""The whole host as one reading."""

import os
from pathlib import Path

import pytest

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.metrics.host import HostReader, disks, with_memory
from seaway_agent.network.port import InterfaceCounters

NET = """Inter-| Receive | Transmit
 face |bytes packets
    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0
  eth0: 10 1 0 0 0 0 0 0 20 2 0 0 0 0 0 0
 bond0: 30 3 0 0 0 0 0 0 40 4 0 0 0 0 0 0
vabc12: 50 5 0 0 0 0 0 0 60 6 0 0 0 0 0 0
"""


@pytest.mark.parametrize("mode", [CgroupMode.V1, CgroupMode.V2])
def test_root_cgroup_interfaces_and_disks(tmp_path: Path, mode: CgroupMode) -> None:
    for directory in ("proc/net", "proc/self", "sys/class/net/eth0/device", "sys/class/net/bond0/bonding", "cgroup"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "proc/net/dev").write_text(NET)
    (tmp_path / "proc/meminfo").write_text("MemTotal: 1000 kB\nMemFree: 400 kB\n")
    (tmp_path / "proc/self/mountinfo").write_text(f"1 0 8:1 / {tmp_path} rw - ext4 /dev/sda1 rw\n")
    (tmp_path / "cgroup/cpu.stat").write_text("usage_usec 7\n")
    (tmp_path / "cgroup/cpuacct.usage").write_text("7000\n")
    (tmp_path / "cgroup/memory.usage_in_bytes").write_text("600000\n")
    root = str(tmp_path / "cgroup")
    v1 = CgroupLayout(mode, dict.fromkeys(("cpuacct", "memory"), root), None)
    host = HostReader(
        v1 if mode is CgroupMode.V1 else CgroupLayout(mode, {}, root), tmp_path / "proc", tmp_path / "sys"
    )
    assert host.read().disks == ()
    host.refresh()
    found = host.read()
    assert found.sample.cpu_usage_ns == 7000
    assert found.sample.memory_usage == (600_000 if mode is CgroupMode.V1 else 600 * 1024)
    assert found.interfaces == {
        "eth0": InterfaceCounters(10, 1, 0, 0, 20, 2),
        "bond0": InterfaceCounters(30, 3, 0, 0, 40, 4),
    }
    of = os.statvfs(tmp_path)
    assert [(one.device, one.limit) for one in found.disks] == [("/dev/sda1", of.f_blocks * of.f_frsize)]
    host.close()


def test_each_block_device_counts_once_and_nothing_else(tmp_path: Path) -> None:
    lines = (
        f"1 0 8:1 / {tmp_path} rw - ext4 /dev/sda1 rw",
        f"2 1 8:1 /bind {tmp_path} rw - ext4 /dev/sda1 rw",
        f"3 1 0:5 / {tmp_path} rw - tmpfs tmpfs rw",
        "4 1 8:2 / /nowhere/at/all rw - ext4 /dev/sdb1 rw",
    )
    assert [one.device for one in disks("\n".join(lines))] == ["/dev/sda1"]


def test_memory_in_use_of_cgroup2_is_the_host_s() -> None:
    found = with_memory(CgroupSample(memory_inactive_file=1024), "MemTotal: 10 kB\nMemFree: 4 kB\n")
    assert (found.memory_usage, found.memory_working_set) == (6 * 1024, 5 * 1024)
