"""Remove a run: cgroups, the runtime's state, the bundle. Blocks; runs in a worker thread."""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.layout import Layout
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_kit.failpoints import Failpoint, reach

_SOCKETS: Final = (Path("/run"), Path("/tmp"))
"""Where gVisor's runtime puts its socket when the path of its own directory is too long for one."""


def tear_down(
    layout: Layout, container_cgroups: ContainerCgroups, cgroups_path: str, container: str, *runtimes: str
) -> None:
    """Remove all of a run, without the runtime's `delete`, which would cost a process.

    `runtimes`: the runtimes whose state is removed; several if it is unknown which of them ran it.
    Raises the first OSError after removing everything else.
    """
    failed = [_remove_cgroups(container_cgroups.host, cgroups_path)]
    failed.append(_tried(partial(container_cgroups.release, cgroups_path)))
    reach(Failpoint.TEARDOWN_CGROUPS)
    files = (layout.exits / container, *(place / f"runsc-{container}.sock" for place in _SOCKETS))
    failed += [_tried(partial(path.unlink, missing_ok=True)) for path in files]
    reach(Failpoint.TEARDOWN_FILES)
    # The bundle goes last: it tells the next agent that something of the run may be left.
    states = (layout.runtime_root(runtime) / container for runtime in runtimes)
    directories = (*states, layout.persist(container), layout.bundle(container))
    failed += [_tried(partial(remove_tree, path)) for path in directories]
    reach(Failpoint.TEARDOWN_RUN)
    for error in filter(None, failed):
        raise error


def _tried(step: Callable[[], object]) -> OSError | None:
    try:
        step()
    except OSError as error:
        return error
    return None


def _remove_cgroups(host: CgroupLayout, cgroups_path: str) -> OSError | None:
    directories = host.directories(cgroups_path)
    try:
        cgroups.remove(directories)
    except OSError:
        return _kill_and_remove(host, cgroups_path, directories)
    return None


def _kill_and_remove(host: CgroupLayout, cgroups_path: str, directories: tuple[str, ...]) -> OSError | None:
    """Kill processes that outlived the container's first one (without a pid namespace), then remove the cgroups."""
    try:
        cgroups.kill_all(host, cgroups_path)
        cgroups.remove(directories)
    except OSError as error:
        return error
    return None


def remove_tree(directory: Path) -> None:
    """Remove a directory of a few plain files quickly; fall back to shutil for any other."""
    try:
        _remove_plain(directory)
    except OSError:
        if directory.exists():
            shutil.rmtree(directory)


def _remove_plain(directory: Path) -> None:
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)  # noqa: PTH108 - a third of pathlib's cost
    os.rmdir(directory)  # noqa: PTH106
