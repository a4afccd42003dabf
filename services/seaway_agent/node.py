"""The containers of this node."""

from collections.abc import Callable
from typing import Final

from seaway_agent.cell import Cell
from seaway_agent.core.instructions import Ask, Do
from seaway_agent.plumbing import Plumbing
from seaway_agent.rootfs.chain import chain_ids
from seaway_agent.rootfs.layers import LayerStore
from seaway_bus.bus import Command
from seaway_contracts.commands import StatusReply
from seaway_contracts.containers import ContainerStatus
from seaway_contracts.errors import conflict, not_found

_DONE: Final = 1024


class Node:
    """All cells of this node. Every command is carried out once; its repeat gets the same answer.

    `epoch` tells one life of the agent from the next.
    """

    def __init__(self, plumbing: Plumbing, layers: LayerStore, epoch: str) -> None:
        self.plumbing = plumbing
        plumbing.pid_of = self._pid_of
        self.layers = layers
        self.cells: dict[str, Cell] = {}
        self.epoch = epoch
        self._done: dict[str, ContainerStatus] = {}

    def cell(self, container: str) -> Cell:
        """The cell of a container, by its whole id. Raises SeawayError (404)."""
        try:
            return self.cells[container]
        except KeyError:
            raise not_found(f"No such container: {container}") from None

    def running(self, container: str) -> Cell:
        """The cell of a container that has a process. Raises SeawayError (404, 409)."""
        cell = self.cell(container)
        if not cell.status.pid:
            raise conflict(f"container {container} is not running")
        return cell

    async def once(self, cell: Cell, command: Command, decide: Callable[[Ask], list[Do]]) -> StatusReply:
        """Carry a command out; its repeat, within the last thousand, gets the first answer."""
        done = self._done.get(command.id)
        if done is None:
            done = await cell.ask(command, decide)
            self._done[command.id] = done
            if len(self._done) > _DONE:
                del self._done[next(iter(self._done))]
        return StatusReply(status=done)

    def answered(self, command: Command) -> ContainerStatus | None:
        """What a command of before was answered; None for a new one."""
        return self._done.get(command.id)

    def exit_seen(self, container: str) -> None:
        """An exit file has appeared."""
        cell = self.cells.get(container)
        if cell is not None:
            cell.exit_seen()

    def close(self) -> None:
        """Stop watching; the containers go on."""
        for cell in self.cells.values():
            cell.close()

    def add(self, cell: Cell) -> None:
        """A cell that recovery or a create has made."""
        self.cells[cell.spec.id] = cell

    def forget(self, cell: Cell) -> None:
        """Nothing is left of it."""
        self.cells.pop(cell.spec.id, None)

    def kept_chains(self) -> set[str]:
        """The chain ids of all layers that containers of this node stand on."""
        return {chain for cell in self.cells.values() for chain in chain_ids(x.diff_id for x in cell.spec.image.layers)}

    def _pid_of(self, container: str) -> int:
        cell = self.cells.get(container)
        return cell.status.pid if cell is not None else 0
