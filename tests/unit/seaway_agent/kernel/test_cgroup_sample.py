from seaway_agent.kernel.cgroup_sample import CgroupSample, Pressure, parse_pressure, sample_v1, sample_v2
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
    assert (sample.processes, sample.pids_current, sample.pids_limit) == (("11", "12", "15"), 7, 50)
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
    assert (sample.processes, sample.pids_limit) == (("11",), None)
    assert sample.block_io == (BlockIo(8, 0, 1, 2, 3, 4),)


def test_details_of_v1_include_the_cgroups_below() -> None:
    stat = (
        "pgfault 3\npgmajfault 1\ntotal_pgfault 30\ntotal_pgmajfault 10\ntotal_swap 5\ntotal_active_file 6\n"
        "total_dirty 7\ntotal_writeback 8\ntotal_workingset_refault_anon 9\ntotal_workingset_refault_file 11\n"
    )
    cpu = "nr_bursts 2\nburst_time 900\n"
    sample = sample_v1({"memory.stat": stat, "memory.kmem.usage_in_bytes": "12\n", "cpu.stat": cpu})
    found = sample.memory_details
    assert (found.own_faults, found.own_major_faults, found.faults, found.major_faults) == (3, 1, 30, 10)
    assert (found.swap, found.active_file, found.dirty, found.writeback, found.kernel) == (5, 6, 7, 8, 12)
    assert (found.refaults_anon, found.refaults_file) == (9, 11)
    assert (found.scanned_pages, found.reclaimed_pages, found.high_events, found.max_events) == (None,) * 4
    assert (sample.cpu_burst_periods, sample.cpu_burst_ns) == (2, 900)


def test_details_of_v2() -> None:
    stat = (
        "kernel 1\nactive_file 2\nfile_dirty 3\nfile_writeback 4\npgfault 5\npgmajfault 6\npgscan 7\npgsteal 8\n"
        "workingset_refault_anon 9\nworkingset_refault_file 10\n"
    )
    events = "low 0\nhigh 11\nmax 12\noom 0\noom_kill 0\n"
    files = {"memory.stat": stat, "memory.events": events, "memory.swap.current": "13\n"}
    sample = sample_v2({**files, "cpu.stat": "nr_bursts 2\nburst_usec 9\n"})
    found = sample.memory_details
    assert (found.kernel, found.active_file, found.dirty, found.writeback, found.swap) == (1, 2, 3, 4, 13)
    assert (found.own_faults, found.own_major_faults, found.faults, found.major_faults) == (5, 6, 5, 6)
    assert (found.scanned_pages, found.reclaimed_pages, found.refaults_anon, found.refaults_file) == (7, 8, 9, 10)
    assert (found.high_events, found.max_events) == (11, 12)
    assert (sample.cpu_burst_periods, sample.cpu_burst_ns) == (2, 9000)


def test_pressure_of_either_version_where_the_kernel_has_it() -> None:
    text = "some avg10=0.00 avg60=1.50 avg300=0.00 total=1200\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=300\n"
    assert parse_pressure(text) == Pressure(1_200_000, 300_000)
    assert parse_pressure("some avg10=0.00 avg60=0.00 avg300=0.00 total=7\n") == Pressure(7000, 0)
    for sample in (sample_v1, sample_v2):
        assert sample({"io.pressure": text, "cpu.pressure": ""}).pressure == {
            "io.pressure": Pressure(1_200_000, 300_000)
        }
