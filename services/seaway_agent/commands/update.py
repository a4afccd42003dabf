"""Commands that change a container's spec: rename, update."""

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel import cgroups
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.node import checks
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import RenameContainer, StatusReply, UpdateContainer


class UpdateCommands:
    """Stores the new spec with its event, in one transaction; a repeat of the command changes nothing.

    `host`: how its cgroup hierarchies are mounted.
    """

    def __init__(self, inventory: Inventory, host: CgroupLayout) -> None:
        self._inventory = inventory
        self._host = host

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await bus.serve(catalogue.RENAME_HELD, self._rename, node=node)
        await bus.serve(catalogue.UPDATE, self._update, node=node)

    async def _rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        return await self._inventory.first(asked.id, command, lambda runner: runner.rename(command, asked.name))

    async def _update(self, asked: UpdateContainer, command: Command) -> StatusReply:
        limits = asked.limits
        checks.check(limits, self._host)
        warnings = checks.warnings(limits, self._host)
        if not cgroups.has_weights(self._host):
            limits = limits.model_copy(update={"blkio_weight": 0})
        done = await self._inventory.first(
            asked.id, command, lambda runner: runner.update(command, limits, asked.restart)
        )
        return done.model_copy(update={"warnings": warnings})
