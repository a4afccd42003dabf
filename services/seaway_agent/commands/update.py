"""Commands that change what is asked for of a container: rename, update."""

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import cgroups
from seaway_agent.node import checks as nodecheck
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import RenameContainer, StatusReply, UpdateContainer


class UpdateCommands:
    """The new spec is stored with its event, in one transaction; a repeat of the command changes nothing more."""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._inventory.plumbing.node
        await bus.serve(catalogue.RENAME_HELD, self._rename, node=node)
        await bus.serve(catalogue.UPDATE, self._update, node=node)

    async def _rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        return await self._inventory.first(asked.id, command, lambda runner: runner.rename(command, asked.name))

    async def _update(self, asked: UpdateContainer, command: Command) -> StatusReply:
        plumbing, limits = self._inventory.plumbing, asked.limits
        nodecheck.check(limits, plumbing.cgroups)
        weights = cgroups.has_weights(plumbing.cgroups)
        warnings = nodecheck.discarded(limits, weights=weights, cgroup_v2=plumbing.cgroup_v2)
        if not weights:
            limits = limits.model_copy(update={"blkio_weight": 0})
        done = await self._inventory.first(
            asked.id, command, lambda runner: runner.update(command, limits, asked.restart)
        )
        return done.model_copy(update={"warnings": warnings})
