"""The containers of this node."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from seaway_agent.cell import Cell
from seaway_agent.core.instructions import Ask, Do
from seaway_agent.core.machine import Machine
from seaway_agent.plumbing import Plumbing
from seaway_agent.rootfs.chain import chain_ids
from seaway_agent.rootfs.layers import LayerStore
from seaway_bus.bus import Command
from seaway_contracts.commands import StatusReply
from seaway_contracts.containers import ContainerRecord, ContainerStatus
from seaway_contracts.errors import conflict, not_found
from seaway_contracts.execs import container_prefix
from seaway_docker.errors import container_not_running, no_such_container, no_such_exec

_RENOUNCED: Final = 4096


class Node:
    """All cells of this node. Every command is carried out once; its repeat gets the same answer.

    `epoch` tells one life of the agent from the next. `forgetful`: this one began with a reboot, before which
    containers may have been made that the database doesn't know.
    """

    def __init__(self, plumbing: Plumbing, layers: LayerStore, epoch: str, *, forgetful: bool = False) -> None:
        self.plumbing = plumbing
        plumbing.pid_of = self._pid_of
        plumbing.peer = self._peer
        self.layers = layers
        self.cells: dict[str, Cell] = {}
        self.epoch = epoch
        self.forgetful = forgetful
        self._by_prefix: dict[str, Cell] = {}
        self._renounced: OrderedDict[str, None] = OrderedDict()

    def cell(self, container: str) -> Cell:
        """The cell of a container, by its whole id. Raises SeawayError (404)."""
        try:
            return self.cells[container]
        except KeyError:
            raise not_found(no_such_container(container)) from None

    def renounce(self, container: str) -> None:
        """A container is to be removed: if it is still being made, it will not come into being."""
        if container not in self.cells:
            self._renounced[container] = None
            if len(self._renounced) > _RENOUNCED:
                self._renounced.popitem(last=False)

    def check_wanted(self, container: str) -> None:
        """Raise SeawayError (409) for a container whose removal came before it was made."""
        if container in self._renounced:
            raise conflict(f"container {container[:12]} was removed while it was being made")

    def exec_cell(self, identifier: str) -> Cell:
        """The cell of the container that an exec belongs to. Raises SeawayError (404)."""
        cell = self._by_prefix.get(container_prefix(identifier))
        if cell is None:
            raise not_found(no_such_exec(identifier))
        return cell

    def running(self, container: str) -> Cell:
        """The cell of a container that has a process. Raises SeawayError (404, 409)."""
        cell = self.cell(container)
        if not cell.status.pid:
            raise conflict(container_not_running(container))
        return cell

    async def once(self, container: str, command: Command, decide: Callable[[Machine, Ask], list[Do]]) -> StatusReply:
        """Put a command to a container's machine, unless it was carried out before. Raises SeawayError."""
        return await self.first(
            container, command, lambda cell: cell.ask(command, lambda ask: decide(cell.machine, ask))
        )

    async def first(
        self, container: str, command: Command, work: Callable[[Cell], Awaitable[ContainerStatus]]
    ) -> StatusReply:
        """The status that the command led to: by `work`, unless it was carried out before, even by an earlier agent.

        Then the container may be gone by now, and the answer goes behind its events, which that agent may not have
        sent. Raises SeawayError.
        """
        done = self.answered(command)
        if done is None:
            return StatusReply(status=await work(self.cell(container)))
        on_their_way = self.plumbing.journal.sent(container)
        if on_their_way is not None:
            await on_their_way
        return StatusReply(status=done)

    def check_room(self, command: Command) -> None:
        """Raise SeawayError (503) where nothing new is begun just now; what was carried out before is answered."""
        if self.answered(command) is None:
            self.plumbing.journal.check_room()

    def answered(self, command: Command) -> ContainerStatus | None:
        """What a command of before was answered; None for a new one."""
        return self.plumbing.journal.outcome(command.id)

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
        self._by_prefix[container_prefix(cell.spec.id)] = cell

    def forget(self, cell: Cell) -> None:
        """Nothing is left of it."""
        self.cells.pop(cell.spec.id, None)
        self._by_prefix.pop(container_prefix(cell.spec.id), None)

    def kept_chains(self) -> set[str]:
        """The chain ids of all layers that containers of this node stand on."""
        return {chain for cell in self.cells.values() for chain in chain_ids(x.diff_id for x in cell.spec.image.layers)}

    def _peer(self, container: str) -> ContainerRecord | None:
        cell = self.cells.get(container)
        return None if cell is None else ContainerRecord(spec=cell.spec, node=self.plumbing.node, status=cell.status)

    def _pid_of(self, container: str) -> int:
        cell = self.cells.get(container)
        return cell.status.pid if cell is not None else 0
