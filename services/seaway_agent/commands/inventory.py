"""What the node holds, by page: from it metadata rebuilds its records."""

from typing import Final

from seaway_agent.node import Node
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory

_PAGE: Final = 200


class InventoryCommand:
    """`container.inventory`"""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def serve(self, bus: Bus) -> None:
        """Take the command from the bus."""
        await bus.serve(catalogue.INVENTORY, self._inventory, node=self._node.plumbing.node)

    async def _inventory(self, asked: ListInventory, command: Command) -> Inventory:
        node, cells = self._node, self._node.cells
        ids = sorted(container for container in cells if container > asked.after)
        page = ids[:_PAGE]
        items = tuple(InventoryItem(spec=cells[i].spec, status=cells[i].status) for i in page)
        return Inventory(
            node=node.plumbing.node,
            epoch=node.epoch,
            revision=node.plumbing.journal.revision,
            containers=items,
            next=page[-1] if len(ids) > len(page) else "",
        )
