"""Commands about a container's files: copy in and out, export, changes, sizes."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final, TypeVar

from seaway_agent.archive import reading, rules, writing
from seaway_agent.archive.access import Access, Files
from seaway_agent.archive.changes import changes
from seaway_agent.archive.extract import Target
from seaway_agent.archive.transfer import fail, receive, send
from seaway_agent.archive.walk import Write
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.inventory.inventory import Inventory
from seaway_agent.rootfs.errors import StorageFull
from seaway_agent.rootfs.layers import FULL, LayerStore
from seaway_agent.rootfs.names import chain_ids
from seaway_agent.rootfs.upper import UpperStore, container_size
from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue
from seaway_contracts.archives import (
    ContainerSize,
    ContainerSizes,
    ExportContainer,
    ListChanges,
    MeasureContainers,
    PathStat,
    ReadPath,
    StatPath,
    WritePath,
)
from seaway_contracts.base import Empty
from seaway_contracts.errors import SeawayError, internal
from seaway_kit.tasks import Tasks

T = TypeVar("T")
_TRANSFERS: Final = 64
_LOOKS: Final = 8


class ArchiveCommands:
    """Reads and writes files in threads; the bytes go over byte streams.

    A client may make its transfer last for long, so what only looks at files has threads of its own.
    """

    def __init__(
        self, inventory: Inventory, bus: Bus, access: Access, uppers: UpperStore, layers: LayerStore, tasks: Tasks
    ) -> None:
        self._inventory = inventory
        self._bus = bus
        self._access = access
        self._uppers = uppers
        self._layers = layers
        self._tasks = tasks
        self._transfers = ThreadPoolExecutor(_TRANSFERS, thread_name_prefix="archive")
        self._looks = ThreadPoolExecutor(_LOOKS, thread_name_prefix="archive-look")

    async def serve(self) -> None:
        """Take the commands from the bus."""
        node = self._inventory.node
        await self._bus.serve(catalogue.PATH_STAT, self._stat, node=node)
        await self._bus.serve(catalogue.PATH_READ, self._read, node=node)
        await self._bus.serve(catalogue.PATH_WRITE, self._write, node=node)
        await self._bus.serve(catalogue.EXPORT, self._export, node=node)
        await self._bus.serve(catalogue.CHANGES, self._changes, node=node)
        await self._bus.serve(catalogue.SIZES, self._sizes, node=node)

    def close(self) -> None:
        """Take no new work; what is under way ends with its task."""
        for threads in (self._transfers, self._looks):
            threads.shutdown(wait=False, cancel_futures=True)

    async def _stat(self, asked: StatPath, command: Command) -> PathStat:
        path = rules.absolute(asked.path)
        files = await self._open(self._inventory.runner(asked.id), asked.path)
        try:
            return await self._looked_up(files, path, asked.path, asked.id)
        finally:
            await files.close()

    async def _read(self, asked: ReadPath, command: Command) -> PathStat:
        runner, path = self._inventory.runner(asked.id), rules.absolute(asked.path)
        async with AsyncExitStack() as stack:
            files = await self._open(runner, asked.path)
            stack.push_async_callback(files.close)
            found = await self._looked_up(files, path, asked.path, asked.id)
            root = files.view.root
            await self._send(stack, asked.stream, lambda write: reading.tar_path(root, path, write), "copy out")
            runner.note(command, catalogue.CONTAINER_ARCHIVE_PATH.action)
            return found

    async def _write(self, asked: WritePath, command: Command) -> Empty:
        runner, path = self._inventory.runner(asked.id), rules.absolute(asked.path)
        async with AsyncExitStack() as stack:
            files = await self._open(runner, asked.path, writing=True)
            stack.push_async_callback(files.close)
            target = await self._in_thread(lambda: _target(files, path, runner, asked))
            stream = await self._stream(asked.stream)
            work = self._receive(stack.pop_all(), stream, runner, target, asked, command)
            self._tasks.spawn(f"copy-in-{asked.id[:12]}", work)
            return Empty()

    async def _receive(
        self,
        stack: AsyncExitStack,
        stream: ByteStream,
        runner: ContainerRunner,
        target: Target,
        asked: WritePath,
        command: Command,
    ) -> None:
        """Answer over the stream when all is written and the files are closed."""
        try:
            async with stack:
                await receive(stream, self._transfers, lambda read: writing.extract(read, target))
            runner.note(command, catalogue.CONTAINER_EXTRACT_TO_DIR.action)
            await stream.end()
        except OSError as error:
            await fail(stream, _io_refusal(error, asked.path, asked.id), "copy in")
        except SeawayError as error:
            await fail(stream, error, "copy in")
        finally:
            await stream.close()

    async def _export(self, asked: ExportContainer, command: Command) -> Empty:
        runner = self._inventory.runner(asked.id)
        async with AsyncExitStack() as stack:
            try:
                files = await self._access.rootfs(runner)
            except OSError as error:
                raise internal(f"container {runner.spec.name} can't be exported: {error}") from error
            stack.push_async_callback(files.close)
            root = files.view.root
            await self._send(stack, asked.stream, lambda write: reading.tar_rootfs(root, write), "export")
            runner.note(command, catalogue.CONTAINER_EXPORT.action)
            return Empty()

    async def _changes(self, asked: ListChanges, command: Command) -> Empty:
        runner = self._inventory.runner(asked.id)
        upper, lowers = self._uppers.locate(asked.id).upper, tuple(map(Path, runner.lowers))

        def lines(write: Write) -> None:
            for change in changes(upper, lowers):
                write(change.model_dump_json().encode() + b"\n")

        async with AsyncExitStack() as stack:
            await self._send(stack, asked.stream, lines, "changes", self._looks)
            return Empty()

    async def _sizes(self, asked: MeasureContainers, command: Command) -> ContainerSizes:
        runners = self._inventory.runners
        images = {
            container: self._layers.size(chain_ids(layer.diff_id for layer in runners[container].spec.image.layers))
            for container in asked.ids
            if container in runners
        }
        return ContainerSizes(sizes=await self._in_thread(lambda: tuple(self._measured(images))))

    def _measured(self, images: dict[str, int]) -> list[ContainerSize]:
        found = []
        for container, image in images.items():
            try:
                size = container_size(self._uppers.locate(container).upper, image)
            except OSError:
                continue  # it was removed meanwhile
            found.append(ContainerSize(id=container, rw=size.size_rw, root_fs=size.size_root_fs))
        return found

    # --- steps

    async def _open(self, runner: ContainerRunner, path: str, *, writing: bool = False) -> Files:
        try:
            return await self._access.files(runner, writing=writing)
        except OSError as error:
            raise internal(f"the files of container {runner.spec.name} can't be reached: {error}") from error

    async def _looked_up(self, files: Files, path: str, given: str, container: str) -> PathStat:
        try:
            return await self._in_thread(lambda: reading.stat_path(files.view.root, path))
        except OSError as error:
            raise reading.refusal(error, "lstat", given, container) from error

    async def _send(
        self,
        stack: AsyncExitStack,
        name: str,
        produce: Callable[[Write], None],
        what: str,
        threads: Executor | None = None,
    ) -> None:
        """Begin to send; the task closes what is open at its end."""
        stream = await self._stream(name)
        kept = stack.pop_all()

        async def work() -> None:
            async with kept:
                await send(stream, threads or self._transfers, produce, what)

        self._tasks.spawn(f"{what.replace(' ', '-')}-{name[:12]}", work())

    async def _stream(self, name: str) -> ByteStream:
        return await self._bus.serve_stream(name, self._tasks).open()

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._looks, work)


def _target(files: Files, path: str, runner: ContainerRunner, asked: WritePath) -> Target:
    try:
        return writing.target_of(
            files.view.root,
            path,
            runner.spec,
            running=files.running,
            keep_kinds=asked.keep_kinds,
            chown=asked.chown,
        )
    except OSError as error:
        raise reading.refusal(error, "lstat", asked.path, asked.id) from error


def _io_refusal(error: OSError, path: str, container: str) -> SeawayError:
    if error.errno in FULL:
        return StorageFull(f"no space left on device, in {path} of container {container[:12]}")
    if isinstance(error, FileNotFoundError):
        return reading.refusal(error, "open", path, container)
    return writing.io_refusal(error, path)
