"""Paths of the cgroups of this node's containers, and the parents that `--cgroup-parent` needs."""

import posixpath
from pathlib import Path

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_parents import CgroupParents
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode, cgroups_path, suite_cgroup
from seaway_contracts.containers import ContainerSpec


class ContainerCgroups:
    """The containers' cgroups. `host`: the mounted hierarchies. `parents`: the file that records created parents."""

    def __init__(self, host: CgroupLayout, suite: str, parents: Path) -> None:
        self.host = host
        self.suite = suite_cgroup(suite)
        """The parent of containers without `--cgroup-parent`."""
        self._parents = CgroupParents(host, parents)

    @property
    def v2(self) -> bool:
        """Whether the host has only the unified hierarchy."""
        return self.host.mode is CgroupMode.V2

    @property
    def weights(self) -> bool:
        """Whether the kernel has block I/O weights."""
        return cgroups.has_weights(self.host)

    def path(self, spec: ContainerSpec) -> str:
        """A container's cgroup path, the same in every hierarchy."""
        return cgroups_path(spec.resources.cgroup_parent or self.suite, spec.id)

    def default_path(self, container: str) -> str:
        """The cgroup path of a container without `--cgroup-parent`."""
        return cgroups_path(self.suite, container)

    def reserve(self, path: str) -> None:
        """Record which parents of a container's path are missing, before it is created. Raises OSError."""
        if self._has_own_parent(path):
            self._parents.reserve(path)

    def release(self, path: str) -> None:
        """Remove the created parents of a removed container that no other one needs. Raises OSError."""
        if self._has_own_parent(path):
            self._parents.release(path)

    def _has_own_parent(self, path: str) -> bool:
        return posixpath.dirname(path) != self.suite
