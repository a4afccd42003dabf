"""Commands about execs: create, start, resize, detach, inspect."""

from seaway_agent.inventory.inventory import Inventory
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import StatusReply
from seaway_contracts.execs import CreateExec, ExecId, ExecInfo, ExecStarted, ResizeExec, StartExec
from seaway_kit.tasks import Tasks


class ExecCommands:
    """Each goes to the runner of the exec's container; the exec's id begins with that of its container."""

    def __init__(self, inventory: Inventory, bus: Bus, attach_lock: AttachLock, tasks: Tasks) -> None:
        self._inventory = inventory
        self._bus = bus
        self._attach_lock = attach_lock
        self._tasks = tasks

    async def serve(self) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await self._bus.serve(catalogue.CREATE_EXEC, self._create, node=node)
        await self._bus.serve(catalogue.START_EXEC, self._start, node=node)
        await self._bus.serve(catalogue.RESIZE_EXEC, self._resize, node=node)
        await self._bus.serve(catalogue.DETACH_EXEC, self._detach, node=node)
        await self._bus.serve(catalogue.INSPECT_EXEC, self._inspect, node=node)

    async def _create(self, asked: CreateExec, command: Command) -> StatusReply:
        runner = self._inventory.runner(asked.container)
        self._inventory.check_room(command)
        self._attach_lock.warm()  # as most are started at once
        return StatusReply(status=await runner.execs.create(command, asked.spec))

    async def _start(self, asked: StartExec, command: Command) -> ExecStarted:
        """Answers at once for an attached exec, whose outcome comes over its stream; else when it has started."""
        execs = self._inventory.exec_runner(asked.id).execs
        execs.info(asked.id)
        if not asked.stream:
            await execs.detached(command, asked)
            return ExecStarted()
        stream = await self._bus.serve_stream(asked.stream, self._tasks).open()
        try:
            return execs.attach(command, asked, stream)
        except BaseException:
            await stream.close()
            raise

    async def _resize(self, asked: ResizeExec, command: Command) -> Empty:
        await self._inventory.exec_runner(asked.id).execs.resize(asked.id, asked.height, asked.width)
        return Empty()

    async def _detach(self, asked: ExecId, command: Command) -> Empty:
        self._inventory.exec_runner(asked.id).execs.left(command, asked.id)
        return Empty()

    async def _inspect(self, asked: ExecId, command: Command) -> ExecInfo:
        return self._inventory.exec_runner(asked.id).execs.info(asked.id)
