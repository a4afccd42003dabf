"""Commands about a container's streams: attach, detach, logs, resize."""

import contextlib
from collections.abc import AsyncGenerator

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.streams.log_cursor import LogCursor
from seaway_agent.streams.logs import LogSender
from seaway_agent.streams.stdio import all_accepted
from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue
from seaway_contracts.base import Empty
from seaway_contracts.commands import AttachContainer, ContainerId, ReadLogs, ResizeTty
from seaway_contracts.docker_errors import container_not_running
from seaway_contracts.errors import SeawayError, internal
from seaway_kit.tasks import Tasks


class StreamCommands:
    """Each answers once its byte stream is open; the bytes follow."""

    def __init__(self, inventory: Inventory, bus: Bus, tasks: Tasks) -> None:
        self._inventory = inventory
        self._bus = bus
        self._tasks = tasks

    async def serve(self) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await self._bus.serve(catalogue.ATTACH, self._attach, node=node)
        await self._bus.serve(catalogue.DETACH, self._detach, node=node)
        await self._bus.serve(catalogue.LOGS, self._logs, node=node)
        await self._bus.serve(catalogue.RESIZE, self._resize, node=node)

    async def _attach(self, asked: AttachContainer, command: Command) -> Empty:
        runner = self._inventory.runner(asked.id)
        stream = await self._bus.serve_stream(asked.stream, self._tasks).open()
        try:
            runner.attached(command, follows=asked.follow)
            follows = asked.follow and await _still_runs(runner, asked)
        except BaseException:
            await stream.close()
            raise
        if follows:
            runner.console.drain()
        history = _history(runner, asked) if asked.logs else None
        if follows:
            runner.console.attach(
                stream, stdin=asked.stdin, stdout=asked.stdout, stderr=asked.stderr, raw=asked.raw, history=history
            )
        else:
            self._tasks.spawn("attach-history", _send_all(stream, history))
        return Empty()

    async def _detach(self, asked: ContainerId, command: Command) -> Empty:
        self._inventory.runner(asked.id).note(command, "detach")
        return Empty()

    async def _logs(self, asked: ReadLogs, command: Command) -> Empty:
        runner = self._inventory.runner(asked.id)
        if not runner.log.kept:
            raise internal("configured logging driver does not support reading")
        cursor = await _cursor(runner, asked)  # opened first: a removal after the answer doesn't cut the log
        try:
            stream = await self._bus.serve_stream(asked.stream, self._tasks).open()
        except BaseException:
            cursor.close()
            raise
        sender = LogSender(runner.log, cursor, asked, stream, tty=runner.spec.command.tty)
        self._tasks.spawn(f"logs-{asked.id[:12]}", sender.send(self._tasks))
        return Empty()

    async def _resize(self, asked: ResizeTty, command: Command) -> Empty:
        runner = self._inventory.runner(asked.id)
        if not runner.status.pid:
            raise container_not_running(asked.id)
        try:
            runner.resize(command, asked.height, asked.width)
        except OSError as error:
            raise internal(f"the terminal of container {asked.id[:12]} can't be sized: {error.strerror}") from error
        return Empty()


async def _cursor(runner: ContainerRunner, asked: ReadLogs) -> LogCursor:
    try:
        return await runner.log.cursor(asked)
    except OSError as error:
        raise internal(f"the log of container {asked.id[:12]} can't be read: {error.strerror}") from error


async def _still_runs(runner: ContainerRunner, asked: AttachContainer) -> bool:
    """False where the run has ended before its shim accepted us: then all its output is in the log."""
    if not asked.logs or not runner.status.pid:
        return True
    await all_accepted()
    return bool(runner.status.pid)


def _history(runner: ContainerRunner, asked: AttachContainer) -> AsyncGenerator[bytes]:
    """What the container has written until now."""
    raw = asked.raw or runner.spec.command.tty
    return runner.log.history(runner.log.mark(), raw=raw, stdout=asked.stdout, stderr=asked.stderr)


async def _send_all(stream: ByteStream, history: AsyncGenerator[bytes] | None) -> None:
    try:
        if history is not None:
            async with contextlib.aclosing(history):
                async for data in history:
                    await stream.write(data)
        await stream.end()
    except OSError as error:
        with contextlib.suppress(SeawayError):
            await stream.fail(internal(f"the log can't be read: {error.strerror}"))
    except SeawayError:
        return
    finally:
        await stream.close()
