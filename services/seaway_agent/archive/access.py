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
from seaway_agent.container.runner import ContainerRunner
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

    async def files(self, runner: ContainerRunner, *, writing: bool) -> Files:
        """All that the container sees. Raises SeawayError, OSError."""
        return await self._steadily(runner, lambda: self._files(runner, writing=writing))

    async def rootfs(self, runner: ContainerRunner) -> Files:
        """The root filesystem alone. Raises SeawayError, OSError."""
        return await self._steadily(runner, lambda: self._rootfs(runner))

    async def _steadily(self, runner: ContainerRunner, try_: Callable[[], Awaitable[Files]]) -> Files:
        """A container that starts or ends meanwhile is opened the other way."""
        for _ in range(_TRIES):
            try:
                return await try_()
            except ProcessLookupError:
                continue
        raise internal(f"container {runner.spec.name} starts and ends all the time: stop it and try again")

    async def _files(self, runner: ContainerRunner, *, writing: bool) -> Files:
        if runner.process is not None:
            if writing and self._sandboxed(runner):
                name = runner.spec.name
                raise internal(f"the files of container {name} can't be changed while it runs in runsc: stop it")
            return await self._running(runner, rootfs_only=False)
        if not writing:
            with contextlib.suppress(FileNotFoundError):  # a mount point is missing, and is to be made
                return await self._stopped(runner, writable=False)
        return await self._stopped(runner, writable=True)

    async def _rootfs(self, runner: ContainerRunner) -> Files:
        if runner.process is not None:
            return await self._running(runner, rootfs_only=True)
        layers = self._layers(runner)
        return await self._open(runner, lambda: view.rootfs_of_stopped(layers, self._scratch))

    async def _running(self, runner: ContainerRunner, *, rootfs_only: bool) -> Files:
        places, sandboxed = [Place(mount.target) for mount in runner.spec.mounts], self._sandboxed(runner)

        def open_() -> View:
            pid, pidfd = self._holder(runner)
            try:
                if rootfs_only:
                    return view.rootfs_of_running(pid, pidfd, chrooted=sandboxed)
                return view.view_of_running(pid, pidfd, places, self._scratch, chrooted=sandboxed)
            finally:
                os.close(pidfd)

        return await self._open(runner, open_, running=True)

    def _sandboxed(self, runner: ContainerRunner) -> bool:
        return self._node.runtime(runner.spec.runtime)[0] == RUNSC

    def _holder(self, runner: ContainerRunner) -> tuple[int, int]:
        """A process that has the container's mounts, and a pidfd of it. Raises ProcessLookupError."""
        process, container = runner.process, runner.spec.id
        if process is None:
            raise ProcessLookupError
        if not self._sandboxed(runner):
            return process[0], os.dup(process[1])
        pid = gvisor.gofer(self._node.layout.state_root(RUNSC, container), container)
        return pid, procs.open_pidfd(pid)

    async def _stopped(self, runner: ContainerRunner, *, writable: bool) -> Files:
        layers = self._layers(runner)

        def open_() -> View:
            return view.view_of_stopped(layers, self._places(runner.spec), self._scratch, writable=writable)

        return await self._open(runner, open_, alone=writable)

    async def _open(
        self, runner: ContainerRunner, open_: Callable[[], View], *, alone: bool = False, running: bool = False
    ) -> Files:
        """`open_` runs in a thread once the container's own mounts are settled."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(runner.gate.alone() if alone else runner.gate.beside())
            if (runner.process is not None) != running:
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

    def _layers(self, runner: ContainerRunner) -> Stack:
        upper = self._node.uppers.locate(runner.spec.id)
        return Stack(runner.lowers, str(upper.upper), str(upper.work))

    def _places(self, spec: ContainerSpec) -> Sequence[Place]:
        """Volumes and binds, those first that others may lie in."""
        volumes = [Place(v.target, v.source, v.read_only, v.subpath) for v in self._node.volumes.mounts(spec)]
        binds = [
            Place(mount.target, Path(os.path.realpath(mount.source)), mount.read_only)
            for mount in spec.mounts
            if mount.type == "bind" and Path(mount.source).exists()
        ]
        return sorted((*volumes, *binds), key=lambda place: place.target.rstrip("/").count("/"))
