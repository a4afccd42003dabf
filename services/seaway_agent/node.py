"""The containers of this node, and the commands that come for them over the bus."""

import signal as signals
import time
from collections.abc import Callable
from typing import Final

from seaway_agent import joining, volumes
from seaway_agent.blobs import BlobClient
from seaway_agent.cell import Cell
from seaway_agent.core.instructions import Ask, Do
from seaway_agent.oci import capabilities, devices
from seaway_agent.plumbing import Plumbing
from seaway_agent.rootfs.chain import chain_ids
from seaway_agent.rootfs.layers import LayerStore
from seaway_agent.streams.logs import LogSender, history
from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import (
    AttachContainer,
    ContainerId,
    CreateContainer,
    Inventory,
    InventoryItem,
    KillContainer,
    ListInventory,
    ReadLogs,
    RemoveContainer,
    ResizeTty,
    StatusReply,
    StopContainer,
)
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_contracts.errors import SeawayError, bad_request, conflict, internal, not_found
from seaway_docker.signals import parse_signal

_PAGE: Final = 200
_HISTORY: Final = 16 << 20
_DONE: Final = 1024


class Node:
    """All cells of this node. Every command is carried out once; its repeat gets the same answer."""

    def __init__(self, plumbing: Plumbing, layers: LayerStore, blobs: BlobClient, bus: Bus, epoch: str) -> None:
        self.plumbing = plumbing
        plumbing.pid_of = self._pid_of
        self.layers = layers
        self.cells: dict[str, Cell] = {}
        self.epoch = epoch
        self._blobs = blobs
        self._bus = bus
        self._making: dict[str, str] = {}
        self._done: dict[str, ContainerStatus] = {}

    async def serve(self) -> None:
        """Take commands from the bus."""
        bus, node = self._bus, self.plumbing.node
        await bus.serve(catalogue.CREATE, self._create, node=node)
        await bus.serve(catalogue.START, self._start, node=node)
        await bus.serve(catalogue.STOP, self._stop, node=node)
        await bus.serve(catalogue.RESTART, self._restart, node=node)
        await bus.serve(catalogue.KILL, self._kill, node=node)
        await bus.serve(catalogue.PAUSE, self._pause, node=node)
        await bus.serve(catalogue.UNPAUSE, self._unpause, node=node)
        await bus.serve(catalogue.REMOVE, self._remove, node=node)
        await bus.serve(catalogue.ATTACH, self._attach, node=node)
        await bus.serve(catalogue.LOGS, self._logs, node=node)
        await bus.serve(catalogue.RESIZE, self._resize, node=node)
        await bus.serve(catalogue.INVENTORY, self._inventory, node=node)

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
        """A cell that recovery has made."""
        self.cells[cell.spec.id] = cell

    def forget(self, cell: Cell) -> None:
        """Nothing is left of it."""
        self.cells.pop(cell.spec.id, None)

    # --- commands

    async def _create(self, asked: CreateContainer, command: Command) -> StatusReply:
        spec = asked.spec
        known = self.cells.get(spec.id)
        if known is not None:
            return StatusReply(status=known.status)
        if spec.id in self._making:
            raise conflict(f"container {spec.id[:12]} is being made; wait for the first command's answer")
        self._making[spec.id] = command.id
        try:
            return StatusReply(status=await self._make(spec, command))
        finally:
            del self._making[spec.id]

    async def _make(self, spec: ContainerSpec, command: Command) -> ContainerStatus:
        node = self.plumbing
        self._check(spec)
        # By name from now on: the default may be another after the agent's next start.
        spec = spec.model_copy(update={"runtime": node.runtime(spec.runtime)[0]})
        lowers = tuple(await self.layers.ensure(spec.image.layers, self._blobs.fetch))
        volumes.check_binds(spec)
        node.volumes.make(spec)
        try:
            node.uppers.acquire(spec.id)
            cell = Cell(node, spec, ContainerStatus(log_path=str(node.layout.log(spec.id))), lowers, self.forget)
            self.cells[spec.id] = cell
            return await cell.ask(command, lambda ask: cell.machine.create(ask, time.time_ns()))
        except Exception as error:  # cancelled only when the agent ends: its successor sweeps what was begun
            self.cells.pop(spec.id, None)
            node.uppers.release(spec.id)
            node.volumes.remove_anonymous(spec)
            if isinstance(error, OSError):
                raise internal(f"container {spec.name} can't be made: {error}") from error
            raise

    def _check(self, spec: ContainerSpec) -> None:
        """Refuse what could never start, before anything is made."""
        self.plumbing.runtime(spec.runtime)
        if spec.command.init and not self.plumbing.init_path:
            raise bad_request("--init needs tini or catatonit on the node: install the package tini")
        try:
            capabilities.effective(spec.security.cap_add, spec.security.cap_drop, spec.security.privileged)
            devices.rules(spec, ())
        except ValueError as error:
            raise bad_request(str(error)) from error
        self.plumbing.seccomp.section(spec)
        joining.check(spec)

    async def _start(self, asked: ContainerId, command: Command) -> StatusReply:
        cell = self._cell(asked.id)
        return await self._once(cell, command, lambda ask: cell.machine.start(ask))

    async def _stop(self, asked: StopContainer, command: Command) -> StatusReply:
        cell, signal = self._cell(asked.id), _signal(asked.signal)
        return await self._once(
            cell, command, lambda ask: cell.machine.stop(ask, asked.timeout_s, signal, time.time_ns())
        )

    async def _restart(self, asked: StopContainer, command: Command) -> StatusReply:
        cell, signal = self._cell(asked.id), _signal(asked.signal)
        return await self._once(
            cell, command, lambda ask: cell.machine.restart(ask, asked.timeout_s, signal, time.time_ns())
        )

    async def _kill(self, asked: KillContainer, command: Command) -> StatusReply:
        cell, signal = self._cell(asked.id), _signal(asked.signal) or signals.SIGKILL
        return await self._once(cell, command, lambda ask: cell.machine.kill(ask, signal, time.time_ns()))

    async def _pause(self, asked: ContainerId, command: Command) -> StatusReply:
        return StatusReply(status=await self._cell(asked.id).pause(command))

    async def _unpause(self, asked: ContainerId, command: Command) -> StatusReply:
        cell = self._cell(asked.id)
        return await self._once(cell, command, lambda ask: cell.machine.unpause(ask, time.time_ns()))

    async def _remove(self, asked: RemoveContainer, command: Command) -> StatusReply:
        if asked.id not in self.cells and command.id in self._done:
            return StatusReply(status=self._done[command.id])
        cell = self._cell(asked.id)
        return await self._once(
            cell, command, lambda ask: cell.machine.remove(ask, asked.force, asked.volumes, time.time_ns())
        )

    async def _attach(self, asked: AttachContainer, command: Command) -> Empty:
        cell = self._cell(asked.id)
        stream = ByteStream(self._bus.transport, asked.stream, "serving", self.plumbing.tasks)
        past = b""
        if asked.logs:
            log_file, tty = self.plumbing.layout.log(asked.id), cell.spec.command.tty
            past = history(log_file, tty=tty, stdout=asked.stdout, stderr=asked.stderr, limit=_HISTORY)
        await stream.open()
        if not asked.follow:
            self.plumbing.tasks.spawn("attach-history", _send_all(stream, past))
            return Empty()
        cell.console.join(stream, stdin=asked.stdin, stdout=asked.stdout, stderr=asked.stderr, history=past)
        cell.attached(command)
        return Empty()

    async def _logs(self, asked: ReadLogs, command: Command) -> Empty:
        cell = self._cell(asked.id)
        if cell.spec.log.driver == "none":
            raise internal("configured logging driver does not support reading")
        stream = await ByteStream(self._bus.transport, asked.stream, "serving", self.plumbing.tasks).open()
        path, tty = self.plumbing.layout.log(asked.id), cell.spec.command.tty
        sender = LogSender(path, asked, stream, tty=tty, running=lambda: cell.running)
        self.plumbing.tasks.spawn(f"logs-{asked.id[:12]}", sender.send(self.plumbing.tasks))
        return Empty()

    async def _resize(self, asked: ResizeTty, command: Command) -> Empty:
        cell = self._cell(asked.id)
        if not cell.status.pid:
            raise conflict(f"cannot resize a stopped container: unknown: container {asked.id} is not running")
        try:
            cell.resize(command, asked.height, asked.width)
        except OSError as error:
            raise internal(f"the terminal of container {asked.id[:12]} can't be sized: {error.strerror}") from error
        return Empty()

    async def _inventory(self, asked: ListInventory, command: Command) -> Inventory:
        ids = sorted(container for container in self.cells if container > asked.after)
        page = ids[:_PAGE]
        items = tuple(InventoryItem(spec=self.cells[i].spec, status=self.cells[i].status) for i in page)
        return Inventory(
            node=self.plumbing.node,
            epoch=self.epoch,
            revision=self.plumbing.journal.revision,
            containers=items,
            next=page[-1] if len(ids) > len(page) else "",
        )

    # --- parts

    def _cell(self, container: str) -> Cell:
        try:
            return self.cells[container]
        except KeyError:
            raise not_found(f"No such container: {container}") from None

    async def _once(self, cell: Cell, command: Command, decide: Callable[[Ask], list[Do]]) -> StatusReply:
        """Carry a command out; its repeat, within the last thousand, gets the first answer."""
        done = self._done.get(command.id)
        if done is None:
            done = await cell.ask(command, decide)
            self._done[command.id] = done
            if len(self._done) > _DONE:
                del self._done[next(iter(self._done))]
        return StatusReply(status=done)

    def _pid_of(self, container: str) -> int:
        cell = self.cells.get(container)
        return cell.status.pid if cell is not None else 0

    def kept_chains(self) -> set[str]:
        """The chain ids of all layers that containers of this node stand on."""
        return {chain for cell in self.cells.values() for chain in chain_ids(x.diff_id for x in cell.spec.image.layers)}


def _signal(name: str) -> int | None:
    if not name:
        return None
    try:
        return parse_signal(name)
    except ValueError as error:
        raise bad_request(str(error)) from error


async def _send_all(stream: ByteStream, data: bytes) -> None:
    try:
        await stream.write(data)
        await stream.end()
    except SeawayError:
        return
    finally:
        await stream.close()
