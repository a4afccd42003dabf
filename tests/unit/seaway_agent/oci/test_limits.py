"""Limits in OCI's form."""

from typing import Any

import pytest

from seaway_agent.oci.limits import limits, throttled
from seaway_contracts.containers import DeviceLimit, Resources

MIB = 1 << 20
DISK = DeviceLimit(path="/dev/vda", value=100)
FOUND = {"/dev/vda": (254, 0)}


def made(*, weights: bool = True, cgroup_v2: bool = False, **asked: Any) -> dict[str, Any]:
    return limits(Resources(**asked), FOUND, weights=weights, cgroup_v2=cgroup_v2)


@pytest.mark.parametrize(
    ("asked", "section"),
    [
        ({}, {}),
        ({"memory": 64 * MIB}, {"memory": {"limit": 64 * MIB, "swap": 128 * MIB}}),
        ({"memory": 64 * MIB, "memory_swap": -1}, {"memory": {"limit": 64 * MIB, "swap": -1}}),
        ({"memory_swap": -1}, {}),
        ({"memory_reservation": MIB}, {"memory": {"reservation": MIB}}),
        ({"memory_swappiness": 0}, {"memory": {"swappiness": 0}}),
        ({"oom_kill_disable": True}, {"memory": {"disableOOMKiller": True}}),
        ({"nano_cpus": 1_500_000_000}, {"cpu": {"period": 100_000, "quota": 150_000}}),
        ({"cpu_quota": -1, "cpu_shares": 2}, {"cpu": {"quota": -1, "shares": 2}}),
        ({"cpu_realtime_period": 1000, "cpu_realtime_runtime": 900},
         {"cpu": {"realtimePeriod": 1000, "realtimeRuntime": 900}}),
        ({"cpuset_cpus": "0-1", "cpuset_mems": "0"}, {"cpu": {"cpus": "0-1", "mems": "0"}}),
        ({"pids_limit": 7}, {"pids": {"limit": 7}}),
        ({"pids_limit": -1}, {}),
        ({"pids_limit": 0}, {}),
        ({"blkio_weight": 500, "blkio_weight_device": (DISK,)},
         {"blockIO": {"weight": 500, "weightDevice": [{"major": 254, "minor": 0, "weight": 100}]}}),
        ({"blkio_read_bps": (DISK,), "blkio_write_iops": (DISK,)},
         {"blockIO": {"throttleReadBpsDevice": [{"major": 254, "minor": 0, "rate": 100}],
                      "throttleWriteIOPSDevice": [{"major": 254, "minor": 0, "rate": 100}]}}),
    ],
)  # fmt: skip
def test_limits(asked: dict[str, Any], section: dict[str, Any]) -> None:
    assert made(**asked) == section


def test_what_the_kernel_does_not_have_is_left_out() -> None:
    assert made(weights=False, blkio_weight=500, blkio_weight_device=(DISK,)) == {}
    assert made(cgroup_v2=True, memory_swappiness=5, oom_kill_disable=True) == {}


def test_the_devices_to_look_up() -> None:
    other = DeviceLimit(path="/dev/vdb", value=1)
    asked = Resources(blkio_weight_device=(DISK,), blkio_read_bps=(other, DISK), blkio_write_iops=(other,))
    assert throttled(asked) == ("/dev/vda", "/dev/vdb")
