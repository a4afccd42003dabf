"""What only the node can refuse."""

import os
from pathlib import Path
from typing import Any

import pytest

from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.node.checks import check, check_workdir, discarded, warnings
from seaway_contracts.containers import DeviceLimit, Resources
from seaway_contracts.errors import Code, SeawayError

HOST = CgroupLayout(CgroupMode.V2, {}, "/nowhere")
CPUS = os.cpu_count() or 1
RANGE = f"Range of CPUs is from 0.01 to {CPUS}.00, as there are only {CPUS} CPUs available"


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ({"nano_cpus": -1}, RANGE),
        ({"nano_cpus": (CPUS + 1) * 10**9}, RANGE),
        ({"cpuset_cpus": "4000"}, "Requested CPUs are not available - requested 4000, available: 0"),
        ({"cpu_realtime_runtime": 1}, "Your kernel does not support CPU realtime scheduler"),
        ({"cpuset_mems": "0,999"}, "Requested memory nodes are not available - requested 0,999, available: 0"),
    ],
)
def test_refusals(asked: dict[str, Any], text: str) -> None:
    with pytest.raises(SeawayError) as refused:
        check(Resources(**asked), HOST)
    assert refused.value.message.startswith(text) and refused.value.code is Code.BAD_REQUEST


@pytest.mark.parametrize("asked", [{}, {"nano_cpus": CPUS * 10**9}, {"cpuset_cpus": "0", "cpuset_mems": "0"}])
def test_what_there_is(asked: dict[str, Any]) -> None:
    check(Resources(**asked), HOST)


@pytest.fixture
def lowers(tmp_path: Path) -> tuple[str, str]:
    upper, base = tmp_path / "upper", tmp_path / "base"
    for layer in (upper, base):
        (layer / "etc").mkdir(parents=True)
    for name in ("passwd", "gone"):
        (base / "etc" / name).touch()
    (base / "link").symlink_to("etc/passwd")
    os.mkfifo(base / "fifo")
    (upper / "etc" / "gone").mkdir()
    return str(upper), str(base)


@pytest.mark.parametrize("workdir", ["", "/", "/etc", "/new/one", "/link/x", "/etc/gone"])
def test_a_working_directory_that_can_be(lowers: tuple[str, str], workdir: str) -> None:
    check_workdir(workdir, lowers)


@pytest.mark.parametrize("workdir", ["/fifo/x", "/etc/passwd", "/etc/passwd/x"])
def test_a_working_directory_that_is_no_directory(lowers: tuple[str, str], workdir: str) -> None:
    with pytest.raises(SeawayError) as error:
        check_workdir(workdir, lowers)
    assert (error.value.status, error.value.message) == (500, f"Cannot mkdir: {workdir} is not a directory")


def test_what_is_discarded_is_told() -> None:
    device = DeviceLimit(path="/dev/x", value=10)
    asked = Resources(blkio_weight=10, blkio_weight_device=(device,), memory_swappiness=1, oom_kill_disable=True)
    assert discarded(asked, weights=True, cgroup_v2=False) == ()
    assert [
        text.split("support ")[1].split(" or ")[0] for text in discarded(asked, weights=False, cgroup_v2=False)
    ] == [
        "Block I/O weight",
        "Block I/O weight_device",
    ]
    told = discarded(asked, weights=True, cgroup_v2=True)
    assert told[1] == "Your kernel does not support OomKillDisable. OomKillDisable discarded."
    assert "memory swappiness" in told[0]
    assert discarded(Resources(), weights=False, cgroup_v2=True) == ()


def test_warnings_are_of_what_this_host_discards() -> None:
    asked = Resources(blkio_weight=10, oom_kill_disable=True)
    assert warnings(asked, HOST) == discarded(asked, weights=False, cgroup_v2=True)
    v1 = CgroupLayout(CgroupMode.V1, {}, None)
    assert warnings(asked, v1) == discarded(asked, weights=False, cgroup_v2=False)
