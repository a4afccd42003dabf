from seaway_agent.kernel.cgroup_sample import CgroupSample, sample_v1, sample_v2
from seaway_agent.kernel.cgroup_text import BlockIo


def test_missing_files_give_zeros() -> None:
    assert sample_v1({}) == sample_v2({}) == CgroupSample(memory_stat={})


def test_v1() -> None:
    sample = sample_v1(
        {
            "cpuacct.usage": "5000\n",
            "cpuacct.usage_user": "3000\n",
            "cpuacct.usage_sys": "2000\n",
            "cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 700\n",
            "memory.usage_in_bytes": "1000\n",
            "memory.max_usage_in_bytes": "1500\n",
            "memory.limit_in_bytes": "9223372036854771712\n",
            "memory.stat": "rss 1\ntotal_rss 600\ntotal_cache 390\ntotal_mapped_file 9\ntotal_inactive_file 200\n",
            "memory.failcnt": "4\n",
            "memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
            "pids.current": "7\n",
            "pids.max": "50\n",
            "cgroup.procs": "11\n12\n15\n",
            "blkio.throttle.io_service_bytes_recursive": "8:0 Read 11\n",
            "blkio.throttle.io_serviced_recursive": "8:0 Read 1\n",
        }
    )
    assert (sample.cpu_usage_ns, sample.cpu_user_ns, sample.cpu_system_ns) == (5000, 3000, 2000)
    assert (sample.cpu_periods, sample.cpu_throttled_periods, sample.cpu_throttled_ns) == (10, 3, 700)
    assert (sample.memory_usage, sample.memory_max_usage, sample.memory_limit) == (1000, 1500, None)
    assert (sample.memory_working_set, sample.memory_inactive_file) == (800, 200)
    assert (sample.memory_rss, sample.memory_cache, sample.memory_mapped) == (600, 390, 9)
    assert (sample.memory_failcnt, sample.oom_kills) == (4, 2)
    assert (sample.processes, sample.pids_current, sample.pids_limit) == (3, 7, 50)
    assert sample.block_io == (BlockIo(8, 0, 11, 0, 1, 0),)


def test_v2_counts_in_microseconds() -> None:
    sample = sample_v2(
        {
            "cpu.stat": "usage_usec 5\nuser_usec 3\nsystem_usec 2\nnr_periods 1\nnr_throttled 1\nthrottled_usec 9\n",
            "memory.current": "100\n",
            "memory.max": "max\n",
            "memory.stat": "anon 60\nfile 30\nfile_mapped 5\ninactive_file 120\n",
            "memory.events": "low 0\nhigh 0\nmax 8\noom 1\noom_kill 1\n",
            "pids.max": "max\n",
            "cgroup.procs": "11\n",
            "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4\n",
        }
    )
    assert (sample.cpu_usage_ns, sample.cpu_user_ns, sample.cpu_system_ns) == (5000, 3000, 2000)
    assert sample.cpu_throttled_ns == 9000
    assert sample.memory_working_set == 0, "never below zero, however stale the statistics are"
    assert (sample.memory_rss, sample.memory_failcnt, sample.oom_kills) == (60, 8, 1)
    assert (sample.processes, sample.pids_limit) == (1, None)
    assert sample.block_io == (BlockIo(8, 0, 1, 2, 3, 4),)
