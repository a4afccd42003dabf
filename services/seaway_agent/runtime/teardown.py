"""Takes a run apart: cgroups, the runtime's state, the bundle. Blocking; runs in a worker thread."""

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
    """Leave nothing of a run: own work instead of the runtime's `delete`, which costs another process.

    `runtimes`: whose state is removed; more than one where it isn't known which of them ran it.
    Raises OSError, the first one, where something can't be removed; all the rest is removed all the same.
    """
    failed = [_remove_cgroups(container_cgroups.host, cgroups_path)]
    failed.append(_tried(partial(container_cgroups.release, cgroups_path)))
    reach(Failpoint.TEARDOWN_CGROUPS)
    files = (layout.exits / container, *(place / f"runsc-{container}.sock" for place in _SOCKETS))
    failed += [_tried(partial(path.unlink, missing_ok=True)) for path in files]
    reach(Failpoint.TEARDOWN_FILES)
    # The bundle goes last: by it the next agent sees that something of the run may be left.
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
    """Processes outlived the container's first one (no pid namespace of its own): they go with it."""
    try:
        cgroups.kill_all(host, cgroups_path)
        cgroups.remove(directories)
    except OSError as error:
        return error
    return None


def remove_tree(directory: Path) -> None:
    """Remove a directory of few plain files quickly; one that isn't so plain, or changes meanwhile, by shutil."""
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
