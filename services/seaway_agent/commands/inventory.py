"""The node's containers by page, from which metadata rebuilds its records."""

from collections.abc import Mapping
from typing import Final, Protocol

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.state.journal import Journal
from seaway_bus.bus import Bus, Command, Encoded
from seaway_contracts import catalogue, commands
from seaway_contracts.commands import InventoryItem, ListInventory
from seaway_contracts.containers import ContainerSpec, ContainerStatus

_MOST: Final = 200  # in a page, so that its encoding doesn't block the event loop for long
_FRAME: Final = 64 << 10


class LocalContainer(Protocol):
    """A container of this node."""

    @property
    def spec(self) -> ContainerSpec:
        """What was asked for."""

    @property
    def status(self) -> ContainerStatus:
        """Its status now."""


class InventoryCommand:
    """`container.inventory`"""

    def __init__(self, inventory: Inventory, journal: Journal) -> None:
        self._inventory = inventory
        self._journal = journal

    async def serve(self, bus: Bus) -> None:
        """Take the command from the bus."""

        async def inventory(asked: ListInventory, command: Command) -> Encoded[commands.Inventory]:
            inventory = self._inventory
            head = commands.Inventory(
                node=inventory.node,
                epoch=inventory.epoch,
                revision=self._journal.revision,
                lost_memory=inventory.lost_memory,
            )
            runners = inventory.runners
            shown = {one: runners[one] for one in asked.ids if one in runners} if asked.ids else runners
            return Encoded(page(head, shown, asked.after, bus.transport.max_payload - _FRAME))

        await bus.serve(catalogue.INVENTORY, inventory, node=self._inventory.node)


def page(head: commands.Inventory, containers: Mapping[str, LocalContainer], after: str, room: int) -> bytes:
    """The JSON of an Inventory with the containers after that id.

    It has at most `room` bytes, or more with a single container.
    """
    ids = sorted(container for container in containers if container > after)
    parts: list[bytes] = []
    size = 0
    for container in ids[:_MOST]:
        item = InventoryItem(spec=containers[container].spec, status=containers[container].status)
        part = item.model_dump_json(exclude_defaults=True).encode()
        size += len(part) + 1
        if parts and size > room:
            break
        parts.append(part)
    more = len(parts) < len(ids)
    frame = head.model_copy(update={"next": ids[len(parts) - 1] if more else ""})
    return b'{"containers":[%b],%b' % (b",".join(parts), frame.model_dump_json(exclude_defaults=True).encode()[1:])
