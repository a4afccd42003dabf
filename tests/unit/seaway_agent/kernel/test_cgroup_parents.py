"""What goes with the last container below a cgroup that a user named, and what stays."""

from pathlib import Path

import pytest

from seaway_agent.kernel.cgroup_parents import CgroupParents
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode


@pytest.fixture
def host(tmp_path: Path) -> CgroupLayout:
    for name in ("memory", "cpu"):
        (tmp_path / name).mkdir()
    return CgroupLayout(CgroupMode.V1, {"memory": str(tmp_path / "memory"), "cpu": str(tmp_path / "cpu")}, None)


def make(host: CgroupLayout, path: str) -> None:
    """As a runtime does."""
    for directory in host.directories(path):
        Path(directory).mkdir(parents=True, exist_ok=True)


def end(host: CgroupLayout, parents: CgroupParents, path: str) -> None:
    for directory in host.directories(path):
        Path(directory).rmdir()
    parents.release(path)


def left(tmp_path: Path) -> list[str]:
    return sorted(str(path.relative_to(tmp_path)) for top in ("cpu", "memory") for path in (tmp_path / top).rglob("*"))


def test_what_was_made_goes_and_what_was_there_stays(host: CgroupLayout, tmp_path: Path) -> None:
    (tmp_path / "memory" / "team").mkdir()
    parents = CgroupParents(host, tmp_path / "parents")
    parents.reserve("/team/web/c1")
    make(host, "/team/web/c1")
    end(host, parents, "/team/web/c1")
    assert left(tmp_path) == ["memory/team"]


def test_it_goes_with_the_last_container(host: CgroupLayout, tmp_path: Path) -> None:
    parents = CgroupParents(host, tmp_path / "parents")
    for path in ("/team/c1", "/team/c2"):
        parents.reserve(path)
        make(host, path)
    end(host, parents, "/team/c1")
    assert left(tmp_path) == ["cpu/team", "cpu/team/c2", "memory/team", "memory/team/c2"]
    end(host, parents, "/team/c2")
    assert left(tmp_path) == []


def test_one_that_is_about_to_begin_keeps_it(host: CgroupLayout, tmp_path: Path) -> None:
    parents = CgroupParents(host, tmp_path / "parents")
    parents.reserve("/team/c1")
    make(host, "/team/c1")
    parents.reserve("/team/c2")
    end(host, parents, "/team/c1")
    assert left(tmp_path) == ["cpu/team", "memory/team"]
    parents.release("/team/c2")
    assert left(tmp_path) == []


def test_the_next_agent_knows(host: CgroupLayout, tmp_path: Path) -> None:
    parents = CgroupParents(host, tmp_path / "parents")
    parents.reserve("/team/c1")
    make(host, "/team/c1")
    end(host, CgroupParents(host, tmp_path / "parents"), "/team/c1")
    assert left(tmp_path) == []


def test_a_container_in_the_root_has_none(host: CgroupLayout, tmp_path: Path) -> None:
    parents = CgroupParents(host, tmp_path / "parents")
    parents.reserve("/c1")
    parents.release("/c1")
    assert not (tmp_path / "parents").exists()


def test_all_that_was_made_can_be_cleared(host: CgroupLayout, tmp_path: Path) -> None:
    parents = CgroupParents(host, tmp_path / "parents")
    parents.reserve("/a/b/c1")
    make(host, "/a/b")
    CgroupParents(host, tmp_path / "parents").clear()
    assert left(tmp_path) == []
