"""Removes everything of a node's containers from the host. Only for a suite that is down."""

import contextlib
from pathlib import Path

from seaway_agent.build.build_cgroup import placed_steps
from seaway_agent.dns import connection as resolver
from seaway_agent.execs.supervisor.supervisor import supervisors_below
from seaway_agent.kernel import cgroups, tmpfs
from seaway_agent.kernel.cgroup_parents import CgroupParents
from seaway_agent.kernel.cgroup_text import CgroupLayout, builds_cgroup, cgroups_path, suite_cgroup
from seaway_agent.layout import Layout
from seaway_agent.network import networks
from seaway_agent.runtime.shims import end_with_children, exec_shims_below, shims_below
from seaway_agent.settings import AgentSettings
from seaway_agent.state.database import Store, open_database
from seaway_agent.volumes.directories import unmount_below


def purge(settings: AgentSettings) -> None:
    """Kill the containers of every node below these directories, remove network, cgroups and the tmpfs.

    The caller removes the directories below root. Raises SeawayError for data of a later release, with nothing removed;
    OSError, NetworkError for what can't be removed; sqlite3.Error.
    """
    host = cgroups.host_layout()
    layouts = [Layout.of(settings.root, settings.run, node) for node in sorted(_nodes(settings))]
    suites = {settings.suite} if settings.suite else set()
    suites = suites.union(*map(_suite_of, layouts))
    for layout in layouts:
        execs = (*exec_shims_below(layout.run).values(), *supervisors_below(layout.run))
        for shim in (*execs, *shims_below(layout.run).values()):
            end_with_children(shim)
        resolver.end_all(layout.run)
        _remove_placed(host, layout)
        tmpfs.unmount(str(layout.run))
        if layout.volumes.exists():
            unmount_below(layout.volumes)
    for suite in sorted(suites):
        _kill_and_remove(host, builds_cgroup(suite))
        _remove_cgroups(host, suite)
        networks.teardown(suite)


def _nodes(settings: AgentSettings) -> set[str]:
    found = set()
    for parent in (settings.root / "agent", settings.run / "agent"):
        with contextlib.suppress(FileNotFoundError):
            found |= {path.name for path in parent.iterdir() if path.is_dir()}
    return found


def _suite_of(layout: Layout) -> set[str]:
    if not layout.database.exists():
        return set()
    with contextlib.closing(open_database(layout.database)) as db:
        suite = Store(db).fact("suite")
    return {suite} if suite else set()


def _remove_placed(host: CgroupLayout, layout: Layout) -> None:
    """Remove the cgroups of containers and builds with a `--cgroup-parent`, and what was made above them."""
    if layout.database.exists():
        with contextlib.closing(open_database(layout.database)) as db:
            specs = [stored.spec for stored in Store(db).containers()]
        for spec in specs:
            if spec.resources.cgroup_parent:
                _kill_and_remove(host, cgroups_path(spec.resources.cgroup_parent, spec.id))
    for path in placed_steps(layout.builds / "w"):
        _kill_and_remove(host, path)
    CgroupParents(host, layout.cgroup_parents).clear()


def _remove_cgroups(host: CgroupLayout, suite: str) -> None:
    _kill_and_remove(host, suite_cgroup(suite))
    for directory in host.directories("/seaway"):
        with contextlib.suppress(OSError):
            Path(directory).rmdir()


def _kill_and_remove(host: CgroupLayout, path: str) -> None:
    if any(cgroups.procs(directory) for directory in host.directories(path)):
        cgroups.kill_all(host, path)
    cgroups.remove(host.directories(path))
