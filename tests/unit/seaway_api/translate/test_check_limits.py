"""Limits, with the sentences that dockerd 26.1 gave for the same bodies."""

from typing import Any

import pytest

from seaway_api.translate.check_limits import check_resources
from seaway_docker.errors import InvalidParameter
from seaway_docker.go_json import read_body
from seaway_docker.model_host import HostConfig

MIB = 1 << 20


@pytest.mark.parametrize(
    ("limits", "text"),
    [
        ({"Memory": 1}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": -5}, "Minimum memory limit allowed is 6MB"),
        ({"Memory": 10 * MIB, "MemorySwap": 5 * MIB}, "Minimum memoryswap limit should be larger than memory limit"),
        ({"MemorySwap": 10 * MIB}, "You should always set the Memory limit when using Memoryswap limit, see usage"),
        ({"MemorySwappiness": 101}, "Invalid value: 101, valid memory swappiness range is 0-100"),
        ({"MemorySwappiness": -2}, "Invalid value: -2, valid memory swappiness range is 0-100"),
        ({"MemoryReservation": MIB}, "Minimum memory reservation allowed is 6MB"),
        ({"Memory": 64 * MIB, "MemoryReservation": 128 * MIB}, "Minimum memory limit can not be less than memory"),
        ({"NanoCpus": 1, "CpuPeriod": 100000}, "Conflicting options: Nano CPUs and CPU Period cannot both be set"),
        ({"NanoCpus": 1, "CpuQuota": 100000}, "Conflicting options: Nano CPUs and CPU Quota cannot both be set"),
        ({"CpuPeriod": 10}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        ({"CpuPeriod": 10**7}, "CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)"),
        ({"CpuQuota": 10}, "CPU cfs quota can not be less than 1ms (i.e. 1000)"),
        ({"CpuShares": -1}, "shares: invalid argument"),
        ({"CpuShares": 1}, "the minimum allowed cpu-shares is 2"),
        ({"CpuShares": 262_145}, "the maximum allowed cpu-shares is 262144"),
        ({"CpuRealtimePeriod": 1000, "CpuRealtimeRuntime": 2000},
         "cpu real-time runtime cannot be higher than cpu real-time period"),
        ({"CpusetCpus": "a"}, "Invalid value a for cpuset cpus: invalid format: a"),
        ({"CpusetCpus": "3-1"}, "Invalid value 3-1 for cpuset cpus: invalid format: 3-1"),
        ({"CpusetMems": "x"}, "Invalid value x for cpuset mems: invalid format: x"),
        ({"CpusetCpus": "0-99999999"},
         "Invalid value 0-99999999 for cpuset cpus: value of out range, maximum is 8192"),
        ({"BlkioWeight": 5}, "Range of blkio weight is from 10 to 1000"),
        ({"IOMaximumIOps": 1}, "Invalid QoS settings: linux does not support configuration of maximum IOPs"),
        ({"IOMaximumBandwidth": 1}, "Invalid QoS settings: linux does not support configuration of maximum bandwidth"),
        ({"Ulimits": [{"Name": "nofile", "Soft": 30, "Hard": 20}]}, "ulimit soft limit must be less than or equal"),
    ],
)  # fmt: skip
def test_what_is_refused(limits: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidParameter) as refused:
        check_resources(read_body(HostConfig, limits))
    assert text in str(refused.value)


@pytest.mark.parametrize(
    "limits",
    [
        {},
        {"Memory": 64 * MIB, "MemorySwap": -1},
        {"MemorySwappiness": -1},
        {"MemorySwappiness": 50},
        {"CpuQuota": -1},
        {"CpuShares": 2},
        {"CpuShares": 262_144},
        {"PidsLimit": -7},
        {"BlkioWeight": 500, "BlkioDeviceReadBps": [{"Path": "/dev/x", "Rate": 1}]},
        {"CpusetCpus": "0-1,3", "CpusetMems": "0"},
        {"Ulimits": [{"Name": "core", "Soft": -1, "Hard": -1}]},
    ],
)
def test_what_is_taken(limits: dict[str, Any]) -> None:
    check_resources(read_body(HostConfig, limits))
