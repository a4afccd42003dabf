import pytest
from hypothesis import given
from hypothesis import strategies as st

from seaway_agent.kernel.cgroup_limits import (
    Limits,
    Write,
    changed_limits,
    former_limits,
    weight_of_shares,
    writes_v1,
    writes_v2,
)
from seaway_contracts.containers import Resources

MEMORY, MEMSW = "memory.limit_in_bytes", "memory.memsw.limit_in_bytes"


def files(writes: list[Write]) -> list[str]:
    return [write.file for write in writes]


def test_nothing_asked_nothing_written() -> None:
    assert writes_v1(Limits(), memory_swap_now=None) == []
    assert writes_v2(Limits(), memory_now=None, quota_now=None, period_now=100_000) == []


@given(
    now=st.tuples(st.integers(1, 100), st.integers(1, 100)).map(sorted),
    new=st.tuples(st.integers(1, 100), st.integers(1, 100)).map(sorted),
)
def test_memory_never_exceeds_memory_and_swap_between_two_writes(now: list[int], new: list[int]) -> None:
    values = {MEMORY: now[0], MEMSW: now[1]}
    for write in writes_v1(Limits(memory=new[0], memory_swap=new[1]), memory_swap_now=now[1]):
        values[write.file] = int(write.value)
        assert values[MEMORY] <= values[MEMSW]
    assert values == {MEMORY: new[0], MEMSW: new[1]}


def test_lifting_the_swap_limit_comes_first_and_from_no_limit_it_comes_last() -> None:
    assert files(writes_v1(Limits(memory=9, memory_swap=-1), memory_swap_now=5)) == [MEMSW, MEMORY]
    assert files(writes_v1(Limits(memory=9, memory_swap=10), memory_swap_now=None)) == [MEMORY, MEMSW]


def test_v1_names_and_values() -> None:
    limits = Limits(
        cpu_shares=512, cpu_quota_us=-1, cpu_period_us=50_000, cpuset_cpus="0-1", pids=-1,
        realtime_period_us=1_000_000, realtime_runtime_us=950_000,
    )  # fmt: skip
    assert writes_v1(limits, memory_swap_now=None) == [
        Write("cpu", "cpu.shares", "512"),
        Write("cpu", "cpu.cfs_period_us", "50000"),
        Write("cpu", "cpu.cfs_quota_us", "-1"),
        Write("cpu", "cpu.rt_period_us", "1000000"),
        Write("cpu", "cpu.rt_runtime_us", "950000"),
        Write("cpuset", "cpuset.cpus", "0-1"),
        Write("pids", "pids.max", "max"),
    ]


def test_v2_names_and_values() -> None:
    limits = Limits(memory=100, memory_swap=150, cpu_shares=1024, cpu_quota_us=20_000, cpuset_mems="0", pids=5)
    assert writes_v2(limits, memory_now=None, quota_now=None, period_now=100_000) == [
        Write("memory", "memory.max", "100"),
        Write("memory", "memory.swap.max", "50"),
        Write("cpu", "cpu.weight", "39"),
        Write("cpu", "cpu.max", "20000 100000"),
        Write("cpuset", "cpuset.mems", "0"),
        Write("pids", "pids.max", "5"),
    ]


@pytest.mark.parametrize(
    ("limits", "memory_now", "shown"),
    [
        (Limits(memory_swap=-1), 100, "max"),
        (Limits(memory_swap=150), 100, "50"),
        (Limits(memory_swap=150), None, "max"),
        (Limits(memory=-1, memory_swap=150), 100, "max"),
    ],
)
def test_v2_swap_is_counted_without_memory(limits: Limits, memory_now: int | None, shown: str) -> None:
    assert writes_v2(limits, memory_now=memory_now, quota_now=None, period_now=1)[-1].value == shown


def test_v2_period_alone_keeps_the_quota() -> None:
    written = writes_v2(Limits(cpu_period_us=50_000), memory_now=None, quota_now=10_000, period_now=100_000)
    assert written == [Write("cpu", "cpu.max", "10000 50000")]
    written = writes_v2(Limits(cpu_period_us=50_000), memory_now=None, quota_now=None, period_now=100_000)
    assert written == [Write("cpu", "cpu.max", "max 50000")]


def test_shares_map_onto_the_whole_range_of_weights() -> None:
    assert [weight_of_shares(shares) for shares in (0, 2, 1024, 262_144, 10**9)] == [1, 1, 39, 10_000, 10_000]


def test_an_update_changes_what_it_names() -> None:
    assert changed_limits(Resources()) == Limits()
    asked = Resources(memory=5, memory_swap=-1, cpu_shares=7, nano_cpus=500_000_000, pids_limit=9, blkio_weight=10)
    assert changed_limits(asked) == Limits(
        memory=5, memory_swap=-1, cpu_shares=7, cpu_quota_us=50_000, cpu_period_us=100_000, pids=9, blkio_weight=10
    )
    assert changed_limits(Resources(pids_limit=0)).pids == -1
    assert changed_limits(Resources(pids_limit=-1)).pids == -1


def test_what_takes_an_update_back() -> None:
    asked = Resources(memory=5, cpu_shares=7, cpuset_cpus="0", pids_limit=9)
    assert former_limits(asked, Resources()) == Limits(memory=-1, cpu_shares=1024, pids=-1)
    old = Resources(memory=3, cpu_shares=2, cpuset_cpus="1", pids_limit=4, memory_swap=9)
    assert former_limits(asked, old) == Limits(memory=3, cpu_shares=2, cpuset_cpus="1", pids=4)
    half, one = Resources(nano_cpus=500_000_000), Resources(nano_cpus=1_000_000_000)
    assert former_limits(one, half) == Limits(cpu_quota_us=50_000, cpu_period_us=100_000)
    assert former_limits(one, Resources()) == Limits(cpu_quota_us=-1)
