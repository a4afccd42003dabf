"""Where the cgroups of containers are, and what stands above them."""

from pathlib import Path

import pytest

from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_contracts.containers import Resources
from seaway_testing import builders

ID = builders.container_id(1)


@pytest.fixture
def cgroups(tmp_path: Path) -> ContainerCgroups:
    (tmp_path / "fs").mkdir()
    return ContainerCgroups(CgroupLayout(CgroupMode.V2, {}, str(tmp_path / "fs")), "abc", tmp_path / "parents")


def test_below_the_suite_unless_it_was_given_a_parent(cgroups: ContainerCgroups) -> None:
    assert cgroups.path(builders.spec(1)) == cgroups.default_path(ID) == f"/seaway/abc/{ID}"
    assert cgroups.path(builders.spec(1, resources=Resources(cgroup_parent="mine"))) == f"/mine/{ID}"


def test_a_parent_that_was_made_goes_with_its_last_container(cgroups: ContainerCgroups, tmp_path: Path) -> None:
    path, parent = f"/mine/{ID}", tmp_path / "fs" / "mine"
    cgroups.reserve(path)
    parent.mkdir()
    cgroups.release(path)
    assert not parent.exists()
    assert not (tmp_path / "parents").exists()


def test_the_suites_own_is_left_alone(cgroups: ContainerCgroups, tmp_path: Path) -> None:
    suite = tmp_path / "fs" / "seaway" / "abc"
    suite.mkdir(parents=True)
    cgroups.reserve(cgroups.default_path(ID))
    cgroups.release(cgroups.default_path(ID))
    assert suite.exists()
    assert not (tmp_path / "parents").exists()
