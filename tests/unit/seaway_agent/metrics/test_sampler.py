"""Names of block devices; real cgroups are read in the integration tests."""

from pathlib import Path

from seaway_agent.kernel.cgroup_sample import CgroupSample
from seaway_agent.kernel.cgroup_text import BlockIo
from seaway_agent.metrics.sampler import BlockDevices


def test_a_device_is_looked_up_once_by_its_number(tmp_path: Path) -> None:
    (tmp_path / "8:0").mkdir()
    (tmp_path / "8:0/uevent").write_text("MAJOR=8\nMINOR=0\nDEVNAME=sda\nDEVTYPE=disk\n")
    (tmp_path / "9:1").mkdir()
    (tmp_path / "9:1/uevent").write_text("MAJOR=9\n")
    devices = BlockDevices(tmp_path)
    sample = CgroupSample(block_io=(BlockIo(8, 0), BlockIo(9, 1), BlockIo(253, 4)))
    devices.learn(sample)
    assert devices.names == {"8:0": "/dev/sda", "9:1": "9:1", "253:4": "253:4"}
    (tmp_path / "8:0/uevent").unlink()
    devices.learn(sample)
    assert devices.names["8:0"] == "/dev/sda"
