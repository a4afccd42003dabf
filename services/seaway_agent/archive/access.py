"""Opens the files of a container, whether it runs or not, and keeps others from mounting them meanwhile."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from seaway_agent.archive import view
from seaway_agent.archive.view import Place, Stack, View
from seaway_agent.cell import Cell
from seaway_agent.kernel import procs
from seaway_agent.plumbing import Plumbing
from seaway_agent.rootfs.threads import ended
from seaway_agent.runtime import gvisor
from seaway_agent.runtime.flags import RUNSC
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import internal

T = TypeVar("T")
_TRIES: Final = 5


@dataclass
class Files:
    """A container's files, open. To be closed."""

    view: View
    running: bool
    _stack: AsyncExitStack

    async def close(self) -> None:
        """Let go of the files, then of the container."""
        await self._stack.aclose()


class Access:
    """The ways to the files of one node's containers."""

    def __init__(self, node: Plumbing) -> None:
        self._node = node
        self._scratch = node.layout.scratch

    async def files(self, cell: Cell, *, writing: bool) -> Files:
        """All that the container sees. Raises SeawayError, OSError."""
        return await self._steadily(cell, lambda: self._files(cell, writing=writing))

    async def rootfs(self, cell: Cell) -> Files:
        """The root filesystem alone. Raises SeawayError, OSError."""
        return await self._steadily(cell, lambda: self._rootfs(cell))

    async def _steadily(self, cell: Cell, try_: Callable[[], Awaitable[Files]]) -> Files:
        """A container that starts or ends meanwhile is opened the other way."""
        for _ in range(_TRIES):
            try:
                return await try_()
            except ProcessLookupError:
                continue
        raise internal(f"container {cell.spec.name} starts and ends all the time: stop it and try again")

    async def _files(self, cell: Cell, *, writing: bool) -> Files:
        if cell.process is not None:
            if writing and self._sandboxed(cell):
                name = cell.spec.name
                raise internal(f"the files of container {name} can't be changed while it runs in runsc: stop it")
            return await self._running(cell, rootfs_only=False)
        if not writing:
            with contextlib.suppress(FileNotFoundError):  # a mount point is missing, and is to be made
                return await self._stopped(cell, writable=False)
        return await self._stopped(cell, writable=True)

    async def _rootfs(self, cell: Cell) -> Files:
        if cell.process is not None:
            return await self._running(cell, rootfs_only=True)
        layers = self._layers(cell)
        return await self._open(cell, lambda: view.rootfs_of_stopped(layers, self._scratch))

    async def _running(self, cell: Cell, *, rootfs_only: bool) -> Files:
        places, sandboxed = [Place(mount.target) for mount in cell.spec.mounts], self._sandboxed(cell)

        def open_() -> View:
            pid, pidfd = self._holder(cell)
            try:
                if rootfs_only:
                    return view.rootfs_of_running(pid, pidfd, chrooted=sandboxed)
                return view.view_of_running(pid, pidfd, places, self._scratch, chrooted=sandboxed)
            finally:
                os.close(pidfd)

        return await self._open(cell, open_, running=True)

    def _sandboxed(self, cell: Cell) -> bool:
        return self._node.runtime(cell.spec.runtime)[0] == RUNSC

    def _holder(self, cell: Cell) -> tuple[int, int]:
        """A process that has the container's mounts, and a pidfd of it. Raises ProcessLookupError."""
        process, container = cell.process, cell.spec.id
        if process is None:
            raise ProcessLookupError
        if not self._sandboxed(cell):
            return process[0], os.dup(process[1])
        pid = gvisor.gofer(self._node.layout.state_root(RUNSC, container), container)
        return pid, procs.open_pidfd(pid)

    async def _stopped(self, cell: Cell, *, writable: bool) -> Files:
        layers = self._layers(cell)

        def open_() -> View:
            return view.view_of_stopped(layers, self._places(cell.spec), self._scratch, writable=writable)

        return await self._open(cell, open_, alone=writable)

    async def _open(
        self, cell: Cell, open_: Callable[[], View], *, alone: bool = False, running: bool = False
    ) -> Files:
        """`open_` runs in a thread once the container's own mounts are settled."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(cell.gate.alone() if alone else cell.gate.beside())
            if (cell.process is not None) != running:
                raise ProcessLookupError  # started or ended while this waited
            found = await self._in_thread(open_)
            stack.push_async_callback(self._in_thread, found.close)
            return Files(found, running, stack.pop_all())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._node.workers, work)
        if await ended(future):
            if not future.cancelled() and future.exception() is None and isinstance(future.result(), View):
                future.result().close()  # type: ignore[attr-defined]
            raise asyncio.CancelledError
        return future.result()

    def _layers(self, cell: Cell) -> Stack:
        upper = self._node.uppers.locate(cell.spec.id)
        return Stack(cell.lowers, str(upper.upper), str(upper.work))

    def _places(self, spec: ContainerSpec) -> Sequence[Place]:
        """Volumes and binds, those first that others may lie in."""
        volumes = [Place(v.target, v.source, v.read_only, v.subpath) for v in self._node.volumes.mounts(spec)]
        binds = [
            Place(mount.target, Path(os.path.realpath(mount.source)), mount.read_only)
            for mount in spec.mounts
            if mount.type == "bind" and Path(mount.source).exists()
        ]
        return sorted((*volumes, *binds), key=lambda place: place.target.rstrip("/").count("/"))
