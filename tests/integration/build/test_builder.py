"""The builder's program: bounded in memory, in a cgroup that goes with it."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from seaway_agent.build.build_cgroup import BuildCgroup
from seaway_agent.build.builder import Builder
from seaway_agent.build.step_config import StepRefused, StepRules
from seaway_agent.build.workspace import Workspace
from seaway_agent.kernel import cgroups
from seaway_agent.kernel.launcher import Launcher
from seaway_contracts.builds import BuildRecord

pytestmark = pytest.mark.root
_MEMORY = 64 << 20


@pytest.fixture
def cgroup() -> Iterator[BuildCgroup]:
    made = BuildCgroup(cgroups.host_layout(), f"/seaway-test-{os.getpid()}/build", _MEMORY)
    yield made
    BuildCgroup(made.host, str(Path(made.path).parent), 0).remove()


@contextlib.contextmanager
def _builder(place: Path, cgroup: BuildCgroup) -> Iterator[tuple[Builder, list[BuildRecord]]]:
    workspace, said = Workspace(place / "w" / "one", place / "mounts"), list[BuildRecord]()
    workspace.make()
    launcher = Launcher("test-build")
    launcher.start()
    rules = StepRules(cgroup=cgroup.path, network="", files=str(place), sources=())
    builder = Builder(workspace, launcher, cgroup, rules, lambda _: {}, said.append, lambda: None)
    try:
        with builder:
            yield builder, said
    finally:
        builder.close()
        launcher.close()


def _taking(size: int) -> list[str]:
    return ["/usr/bin/python3", "-c", f"print(len(b'x' * {size}))"]


def test_its_memory_is_bounded(tmp_path: Path, cgroup: BuildCgroup) -> None:
    with _builder(tmp_path, cgroup) as (builder, _):
        assert builder.run(_taking(_MEMORY // 4), {}) == 0 and builder.last_line == str(_MEMORY // 4)
        assert not builder.was_short_of_memory
        assert builder.run(_taking(4 * _MEMORY), {}) != 0
        assert builder.was_short_of_memory
    cgroup.remove()
    assert not any(Path(directory).exists() for directory in cgroup.host.directories(cgroup.path))


def test_git_ends_it(tmp_path: Path, cgroup: BuildCgroup) -> None:
    with _builder(tmp_path, cgroup) as (builder, _), pytest.raises(StepRefused, match="needs BuildKit"):
        builder.run(["/bin/sh", "-c", "echo git >../ctl; read -r _ <../go; echo went on"], {})
    assert builder.last_line == ""
    assert not any(cgroups.procs(directory) for directory in cgroup.host.directories(cgroup.path))
