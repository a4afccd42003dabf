"""Removes the leftovers of runs that have ended, or whose program has not begun."""

import logging

from seaway_agent.container.hook import RunHooks
from seaway_agent.kernel import procs
from seaway_agent.layout import Layout
from seaway_agent.recovery.leftovers import Leftovers, RunLeftovers
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.runtime.shims import end_with_children
from seaway_agent.runtime.teardown import tear_down
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import SeawayError
from seaway_contracts.ids import is_container_id

log = logging.getLogger(__name__)


class Undo:
    """Undoes leftovers of runs, of known containers and of unknown ones."""

    def __init__(
        self,
        layout: Layout,
        runtimes: Runtimes,
        cgroups: ContainerCgroups,
        hooks: RunHooks,
        uppers: UpperStore,
        leftovers: Leftovers,
    ) -> None:
        self._layout = layout
        self._runtimes = runtimes
        self._cgroups = cgroups
        self._hooks = hooks
        self._uppers = uppers
        self._leftovers = leftovers

    async def run(self, spec: ContainerSpec, found: RunLeftovers) -> None:
        """Undo one container's run, in the same way as a failed launch."""
        end_with_children(found.conmon)
        if found.pidfd >= 0:
            end_with_children(procs.find(found.pid))
        self._tear_down(spec.id, self._cgroups.path(spec), self._leftovers.state(spec)[0])
        await self.hooks(spec.id)

    async def hooks(self, container: str) -> None:
        """Undo what hooks made for a run of which nothing else is left; a killed agent may have come no further."""
        try:
            await self._hooks.undo(container)
        except SeawayError as error:
            log.error("%s", error.message)

    async def sweep(self, known: set[str]) -> None:
        """Remove the leftovers of unknown containers: bundles, shims, state, cgroups, exit files, upper layers."""
        for container in sorted(self._leftovers.containers() - known):
            if is_container_id(container):
                end_with_children(self._leftovers.shims.get(container))
                log.info("removes the leftovers of unknown container %s", container[:12])
                self._tear_down(container, self._leftovers.cgroup_path(container), *self._runtimes.programs)
                await self.hooks(container)
        self._uppers.start(known)

    def _tear_down(self, container: str, cgroup: str, *runtimes: str) -> None:
        try:
            tear_down(self._layout, self._cgroups, cgroup, container, *runtimes)
        except OSError as error:
            log.error("container %s: can't remove all of its run: %s", container[:12], error)
