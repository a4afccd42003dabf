"""What the node holds, by page: from it metadata rebuilds its records."""

from collections.abc import Mapping
from typing import Final, Protocol

from seaway_agent.inventory.inventory import Inventory
from seaway_bus.bus import Bus, Command, Encoded
from seaway_contracts import catalogue, commands
from seaway_contracts.commands import InventoryItem, ListInventory
from seaway_contracts.containers import ContainerSpec, ContainerStatus

_MOST: Final = 200  # in a page, so that its encoding holds nobody up
_FRAME: Final = 64 << 10


class Held(Protocol):
    """A container of this node."""

    @property
    def spec(self) -> ContainerSpec:
        """What it is to be."""

    @property
    def status(self) -> ContainerStatus:
        """Its status now."""


class InventoryCommand:
    """`container.inventory`"""

    def __init__(self, inventory: Inventory) -> None:
        self._inventory = inventory

    async def serve(self, bus: Bus) -> None:
        """Take the command from the bus."""

        async def inventory(asked: ListInventory, command: Command) -> Encoded[commands.Inventory]:
            inventory = self._inventory
            head = commands.Inventory(
                node=inventory.plumbing.node,
                epoch=inventory.epoch,
                revision=inventory.plumbing.journal.revision,
                forgetful=inventory.lost_memory,
            )
            runners = inventory.runners
            held = {one: runners[one] for one in asked.ids if one in runners} if asked.ids else runners
            return Encoded(page(head, held, asked.after, bus.transport.max_payload - _FRAME))

        await bus.serve(catalogue.INVENTORY, inventory, node=self._inventory.plumbing.node)


def page(head: commands.Inventory, held: Mapping[str, Held], after: str, room: int) -> bytes:
    """The JSON of an Inventory of what comes after that id, in at most `room` bytes; a larger one stands alone."""
    ids = sorted(container for container in held if container > after)
    parts: list[bytes] = []
    size = 0
    for container in ids[:_MOST]:
        item = InventoryItem(spec=held[container].spec, status=held[container].status)
        part = item.model_dump_json(exclude_defaults=True).encode()
        size += len(part) + 1
        if parts and size > room:
            break
        parts.append(part)
    more = len(parts) < len(ids)
    frame = head.model_copy(update={"next": ids[len(parts) - 1] if more else ""})
    return b'{"containers":[%b],%b' % (b",".join(parts), frame.model_dump_json(exclude_defaults=True).encode()[1:])
