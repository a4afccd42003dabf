"""Where the cgroups of this node's containers are."""

import posixpath
from pathlib import Path

from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_parents import CgroupParents
from seaway_agent.kernel.cgroup_text import CgroupLayout, CgroupMode, cgroups_path, suite_cgroup
from seaway_contracts.containers import ContainerSpec


class ContainerCgroups:
    """`host` is how the hierarchies are mounted; `parents` the file that remembers what `--cgroup-parent` made."""

    def __init__(self, host: CgroupLayout, suite: str, parents: Path) -> None:
        self.host = host
        self.suite = suite_cgroup(suite)
        """Above the containers that were given no other place."""
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
        """A container's place below every hierarchy."""
        return cgroups_path(spec.resources.cgroup_parent or self.suite, spec.id)

    def default_path(self, container: str) -> str:
        """The place of a container that was given no other."""
        return cgroups_path(self.suite, container)

    def reserve(self, path: str) -> None:
        """A container is about to be made there: note what above it isn't there yet. Raises OSError."""
        if self._has_own_parent(path):
            self._parents.reserve(path)

    def release(self, path: str) -> None:
        """Nothing is left there: remove what was made above it and is no longer needed. Raises OSError."""
        if self._has_own_parent(path):
            self._parents.release(path)

    def _has_own_parent(self, path: str) -> bool:
        return posixpath.dirname(path) != self.suite
