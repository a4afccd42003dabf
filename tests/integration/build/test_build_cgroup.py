"""The cgroups of builds whose clients place their steps: nothing of them is left, by this agent or by the next one."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.build.build_cgroup import BuildCgroups, placed_steps
from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_parents import CgroupParents

pytestmark = pytest.mark.root
BUILD = "b" * 64
TOP = f"/seaway-test-{os.getpid()}"


def made(file: Path) -> BuildCgroups:
    host = cgroups.host_layout()
    parents = CgroupParents(host, file)
    return BuildCgroups(host, f"{TOP}.builds", parents.reserve, parents.release)


def there(path: str) -> bool:
    return any(Path(directory).is_dir() for directory in cgroups.host_layout().directories(path))


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    for path in (TOP, f"{TOP}.builds"):
        cgroups.remove(cgroups.host_layout().directories(path))


@pytest.fixture
def step() -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(["sleep", "1000"])
    yield process
    process.kill()
    process.wait()


@pytest.mark.parametrize("dies", [False, True])
def test_placed_steps_leave_nothing(tmp_path: Path, step: "subprocess.Popen[bytes]", *, dies: bool) -> None:
    """`dies`: the agent, so that the next one finds them by the build's directory."""
    builds, directory = made(tmp_path / "parents"), tmp_path / "w" / BUILD
    directory.mkdir(parents=True)
    cgroup = builds.of(BUILD, 64 << 20, f"..{TOP}/inner")
    assert cgroup.steps == f"{TOP}/inner/{BUILD}"
    builds.place(directory, cgroup)
    cgroup.make()
    cgroups.make(builds.host, f"{cgroup.steps}/step")
    cgroups.move(builds.host, f"{cgroup.steps}/step", step.pid)
    if dies:
        assert placed_steps(tmp_path / "w") == [cgroup.steps]
        made(tmp_path / "parents").sweep(tmp_path / "w")
    else:
        builds.remove(cgroup)
    assert step.wait(10) == -9
    assert not there(TOP) and not there(f"{TOP}.builds/{BUILD}")
    assert not (tmp_path / "parents").exists()


def test_steps_are_their_build_s_without_a_parent(tmp_path: Path) -> None:
    builds = made(tmp_path / "parents")
    cgroup = builds.of(BUILD, 64 << 20)
    builds.place(tmp_path, cgroup)
    assert cgroup.steps == cgroup.path == f"{TOP}.builds/{BUILD}"
    assert not [*tmp_path.iterdir()]


def test_what_a_directory_says_of_another_build_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / BUILD).mkdir()
    (tmp_path / BUILD / "cgroup").write_text(f"{TOP}/x/{'c' * 64}")
    assert placed_steps(tmp_path) == []


def test_one_that_can_not_be_removed_does_not_keep_the_others(tmp_path: Path) -> None:
    for build, parent in (("a" * 64, "x" * 300), (BUILD, f"{TOP}/y")):
        (tmp_path / build).mkdir()
        (tmp_path / build / "cgroup").write_text(f"/{parent.lstrip('/')}/{build}")
        if build == BUILD:
            cgroups.make(cgroups.host_layout(), f"{parent}/{build}")
    assert there(f"{TOP}/y/{BUILD}")
    made(tmp_path / "parents").sweep(tmp_path)
    assert not there(f"{TOP}/y/{BUILD}")
