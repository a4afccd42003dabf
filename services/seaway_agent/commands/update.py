"""Commands that change what is asked for of a container: rename, update."""

from seaway_agent import nodecheck
from seaway_agent.kernel import cgroups
from seaway_agent.node import Node
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import RenameContainer, StatusReply, UpdateContainer


class UpdateCommands:
    """The new spec is stored with its event, in one transaction; a repeat of the command changes nothing more."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._node.plumbing.node
        await bus.serve(catalogue.RENAME_HELD, self._rename, node=node)
        await bus.serve(catalogue.UPDATE, self._update, node=node)

    async def _rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        return await self._node.first(asked.id, command, lambda cell: cell.rename(command, asked.name))

    async def _update(self, asked: UpdateContainer, command: Command) -> StatusReply:
        plumbing, limits = self._node.plumbing, asked.limits
        nodecheck.check(limits, plumbing.cgroups)
        weights = cgroups.has_weights(plumbing.cgroups)
        warnings = nodecheck.discarded(limits, weights=weights, cgroup_v2=plumbing.cgroup_v2)
        if not weights:
            limits = limits.model_copy(update={"blkio_weight": 0})
        done = await self._node.first(asked.id, command, lambda cell: cell.update(command, limits, asked.restart))
        return done.model_copy(update={"warnings": warnings})
