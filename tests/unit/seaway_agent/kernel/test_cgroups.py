"""Files and directories like those of cgroups, without the kernel's; the kernel itself is in tests/integration."""

from pathlib import Path

import pytest

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_limits import Limits
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_testing.descriptors import open_descriptors


@pytest.fixture
def v2(tmp_path: Path) -> CgroupLayout:
    (tmp_path / "s/c").mkdir(parents=True)
    return CgroupLayout(CgroupMode.V2, {}, str(tmp_path))


def test_sampler_reads_again_and_closes_its_files(v2: CgroupLayout, tmp_path: Path) -> None:
    (tmp_path / "s/c/memory.current").write_text("100\n")
    before = open_descriptors()
    with cgroups.Sampler(v2, "/s/c") as sampler:
        assert sampler.sample().memory_usage == 100
        (tmp_path / "s/c/memory.current").write_text("250\n")
        assert sampler.sample().memory_usage == 250
        assert open_descriptors() > before
    sampler.close()
    assert open_descriptors() == before


def test_sampler_of_nothing_gives_zeros(v2: CgroupLayout) -> None:
    with cgroups.Sampler(v2, "/s/absent") as sampler:
        assert sampler.sample().cpu_usage_ns == 0


def test_remove_takes_children_first_and_does_not_mind_what_is_gone(tmp_path: Path) -> None:
    (tmp_path / "a/b/c").mkdir(parents=True)
    (tmp_path / "a/d").mkdir()
    cgroups.remove([str(tmp_path / "a"), str(tmp_path / "absent")])
    assert list(tmp_path.iterdir()) == []


def test_procs_includes_those_below(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    (tmp_path / "cgroup.procs").write_text("1\n2\n")
    (tmp_path / "below/cgroup.procs").write_text("3\n")
    assert cgroups.procs(str(tmp_path)) == [1, 2, 3]
    assert cgroups.procs(str(tmp_path / "absent")) == []


def test_update_limits_writes_v2_files(v2: CgroupLayout, tmp_path: Path) -> None:
    (tmp_path / "s/c/cpu.max").write_text("max 100000\n")
    (tmp_path / "s/c/memory.max").write_text("4096\n")
    cgroups.update_limits(v2, "/s/c", Limits(memory_swap=8192, cpu_quota_us=5000))
    assert (tmp_path / "s/c/cpu.max").read_text() == "5000 100000"
    assert (tmp_path / "s/c/memory.swap.max").read_text() == "4096"


def test_a_controller_that_the_host_lacks_is_named() -> None:
    layout = CgroupLayout(CgroupMode.V1, {}, None)
    with pytest.raises(OSError, match="no pids controller"):
        cgroups.update_limits(layout, "/s/c", Limits(pids=5))


def test_oom_kills_v2(v2: CgroupLayout, tmp_path: Path) -> None:
    assert cgroups.oom_kills(v2, "/s/c") == 0
    (tmp_path / "s/c/memory.events").write_text("oom 1\noom_kill 3\n")
    assert cgroups.oom_kills(v2, "/s/c") == 3


def test_a_refused_write_names_file_and_value(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"cannot write '5'.*absent/pids.max"):
        cgroups.write_text(str(tmp_path / "absent/pids.max"), "5")


def test_the_weight_goes_where_the_kernel_has_one(v2: CgroupLayout, tmp_path: Path) -> None:
    assert cgroups.weight_file(v2, "/box") is None
    (tmp_path / "box").mkdir()
    cgroups.update_limits(v2, "/box", Limits(blkio_weight=20))
    assert list((tmp_path / "box").iterdir()) == []
    (tmp_path / "box" / "io.bfq.weight").write_text("100")
    assert cgroups.weight_file(v2, "/box") == ("io", "io.bfq.weight")
    cgroups.update_limits(v2, "/box", Limits(blkio_weight=20))
    assert (tmp_path / "box" / "io.bfq.weight").read_text() == "20"


def test_weights_of_v2_are_the_schedulers(v2: CgroupLayout, tmp_path: Path) -> None:
    (tmp_path / "box").mkdir()
    assert not cgroups.has_weights(v2)
    (tmp_path / "box" / "io.bfq.weight").touch()
    assert cgroups.has_weights(v2)
    (tmp_path / "box" / "io.bfq.weight").unlink()
    (tmp_path / "io.cost.qos").touch()
    assert cgroups.has_weights(v2)


def test_weights_and_real_time_of_v1_are_files_of_their_controllers(tmp_path: Path) -> None:
    v1 = CgroupLayout(CgroupMode.V1, {"blkio": str(tmp_path), "cpu": str(tmp_path)}, None)
    assert not cgroups.has_weights(v1) and not cgroups.has_realtime(v1)
    (tmp_path / "blkio.bfq.weight").touch()
    (tmp_path / "cpu.rt_period_us").touch()
    assert cgroups.has_weights(v1) and cgroups.has_realtime(v1)


def test_no_real_time_on_v2(v2: CgroupLayout, tmp_path: Path) -> None:
    (tmp_path / "cpu.rt_period_us").touch()
    assert not cgroups.has_realtime(v2)
