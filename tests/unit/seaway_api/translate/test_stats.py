"""A sample in Docker's form, for cgroup v1 and v2."""

import orjson

from seaway_api.translate.stats import Shown, idle_line
from seaway_contracts.stats import DeviceTraffic, InterfaceTraffic, Sample, SampleBatch

T0 = 1_795_489_200_000_000_000
ONE = Sample(
    id="i" * 64,
    name="box1",
    time_ns=T0,
    cpu_usage_ns=30,
    cpu_user_ns=10,
    cpu_system_ns=20,
    cpu_each_ns=(12, 18),
    memory_usage=700,
    memory_max_usage=900,
    memory_limit=1000,
    memory_stat={"cache": 5, "total_inactive_file": 6, "anon": 7, "inactive_file": 8, "swap": 9},
    pids_current=3,
    pids_limit=50,
    devices=(DeviceTraffic(major=8, minor=1, read_bytes=1, write_bytes=2, read_ops=3, write_ops=4),),
    interfaces=(InterfaceTraffic(name="eth0", rx_bytes=11, tx_dropped=12),),
)
HOST = SampleBatch(host_cpu_ns=5000, host_cpus=2, host_memory=4000)


def shown(sample: Sample = ONE, batch: SampleBatch = HOST, before: Shown | None = None) -> dict[str, object]:
    found = orjson.loads(Shown(sample, batch).line(before))
    assert isinstance(found, dict)
    return found


def test_cgroup_v1() -> None:
    found = shown()
    assert found["read"] == "2026-11-24T03:00:00Z"
    assert found["memory_stats"] == {
        "usage": 700,
        "max_usage": 900,
        "stats": {"cache": 5, "total_inactive_file": 6, "inactive_file": 8},
        "limit": 1000,
    }
    assert found["pids_stats"] == {"current": 3, "limit": 50}
    io = found["blkio_stats"]
    assert isinstance(io, dict)
    assert io["io_service_bytes_recursive"] == [
        {"major": 8, "minor": 1, "op": "Read", "value": 1},
        {"major": 8, "minor": 1, "op": "Write", "value": 2},
    ]
    assert [entry["value"] for entry in io["io_serviced_recursive"]] == [3, 4]
    assert io["sectors_recursive"] == []
    assert found["cpu_stats"] == {
        "cpu_usage": {
            "total_usage": 30,
            "percpu_usage": [12, 18],
            "usage_in_kernelmode": 20,
            "usage_in_usermode": 10,
        },
        "system_cpu_usage": 5000,
        "online_cpus": 2,
        "throttling_data": {"periods": 0, "throttled_periods": 0, "throttled_time": 0},
    }


def test_cgroup_v2() -> None:
    found = shown(ONE.model_copy(update={"cpu_each_ns": ()}), HOST.model_copy(update={"cgroup_v2": True}))
    assert found["memory_stats"] == {"usage": 700, "stats": {"anon": 7, "inactive_file": 8}, "limit": 1000}
    io = found["blkio_stats"]
    assert isinstance(io, dict)
    assert [entry["op"] for entry in io["io_service_bytes_recursive"]] == ["read", "write"]
    assert io["io_serviced_recursive"] is None
    assert "percpu_usage" not in str(found["cpu_stats"])


def test_no_limit_is_the_host_s_memory() -> None:
    for limit in (0, 9999):
        memory = shown(ONE.model_copy(update={"memory_limit": limit}))["memory_stats"]
        assert isinstance(memory, dict)
        assert memory["limit"] == 4000


def test_what_is_not_there_is_left_out() -> None:
    found = shown(ONE.model_copy(update={"interfaces": (), "pids_limit": 0}))
    assert "networks" not in found
    assert found["pids_stats"] == {"current": 3}
    networks = shown()["networks"]
    assert isinstance(networks, dict)
    assert (networks["eth0"]["rx_bytes"], networks["eth0"]["tx_dropped"], len(networks["eth0"])) == (11, 12, 8)


def test_rates_are_reckoned_from_the_one_before() -> None:
    before = Shown(ONE, HOST)
    later = ONE.model_copy(update={"time_ns": T0 + 10**9, "cpu_usage_ns": 60})
    found = shown(later, HOST, before)
    assert (found["preread"], found["precpu_stats"]) == (shown()["read"], shown()["cpu_stats"])


def test_idle() -> None:
    found = orjson.loads(idle_line("i" * 64, "box1"))
    assert (found["read"], found["preread"]) == ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z")
    assert (found["memory_stats"], found["pids_stats"], found["name"]) == ({}, {}, "/box1")
    assert set(found["blkio_stats"].values()) == {None}
