"""Opens the files of a container, whether it runs or not, and blocks conflicting mounts until they are closed."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, TypeVar

from seaway_agent.archive import view
from seaway_agent.archive.gate import RootfsGate
from seaway_agent.archive.view import Place, Stack, View
from seaway_agent.kernel import procs
from seaway_agent.layout import Layout
from seaway_agent.rootfs.threads import wait_until_done
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime import gvisor
from seaway_agent.runtime.runtimes import RUNSC, Runtimes
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import internal

T = TypeVar("T")
_TRIES: Final = 5


class Container(Protocol):
    """What must be known of a container to open its files."""

    @property
    def gate(self) -> RootfsGate:
        """Passed by all who mount its root filesystem."""

    @property
    def lowers(self) -> tuple[str, ...]:
        """The directories of its image's layers, topmost first."""

    @property
    def spec(self) -> ContainerSpec:
        """What it was asked to be."""

    @property
    def process(self) -> tuple[int, int] | None:
        """Number and pidfd of its first process; None while it doesn't run."""


@dataclass
class Files:
    """A container's open files. To be closed."""

    view: View
    running: bool
    _stack: AsyncExitStack

    async def close(self) -> None:
        """Close the files, then leave the container's gate."""
        await self._stack.aclose()


class Access:
    """Opens the files of one node's containers.

    `volumes` gives the places of a container's volumes; `threads` run what blocks.
    """

    def __init__(
        self,
        layout: Layout,
        runtimes: Runtimes,
        uppers: UpperStore,
        volumes: Callable[[ContainerSpec], Sequence[Place]],
        threads: Executor,
    ) -> None:
        self._layout = layout
        self._scratch = layout.scratch
        self._runtimes = runtimes
        self._uppers = uppers
        self._volumes = volumes
        self._threads = threads

    async def files(self, container: Container, *, writing: bool) -> Files:
        """All files that the container sees. Raises SeawayError, OSError."""
        return await self._retry(container, lambda: self._files(container, writing=writing))

    async def rootfs(self, container: Container) -> Files:
        """The root filesystem alone. Raises SeawayError, OSError."""
        return await self._retry(container, lambda: self._rootfs(container))

    async def _retry(self, container: Container, try_: Callable[[], Awaitable[Files]]) -> Files:
        """Open a container that starts or ends meanwhile again, the other way."""
        for _ in range(_TRIES):
            try:
                return await try_()
            except ProcessLookupError:
                continue
        raise internal(f"container {container.spec.name} starts and ends all the time: stop it and try again")

    async def _files(self, container: Container, *, writing: bool) -> Files:
        if container.process is not None:
            if writing and self._sandboxed(container):
                name = container.spec.name
                raise internal(f"the files of container {name} can't be changed while it runs in runsc: stop it")
            return await self._running(container, rootfs_only=False)
        if not writing:
            with contextlib.suppress(FileNotFoundError):  # a mount point is missing; a writable view makes it
                return await self._stopped(container, writable=False)
        return await self._stopped(container, writable=True)

    async def _rootfs(self, container: Container) -> Files:
        if container.process is not None:
            return await self._running(container, rootfs_only=True)
        layers = self._layers(container)
        return await self._open(container, lambda: view.rootfs_of_stopped(layers, self._scratch))

    async def _running(self, container: Container, *, rootfs_only: bool) -> Files:
        places, sandboxed = [Place(mount.target) for mount in container.spec.mounts], self._sandboxed(container)

        def open_() -> View:
            pid, pidfd = self._holder(container)
            try:
                if rootfs_only:
                    return view.rootfs_of_running(pid, pidfd, chrooted=sandboxed)
                return view.view_of_running(pid, pidfd, places, self._scratch, chrooted=sandboxed)
            finally:
                os.close(pidfd)

        return await self._open(container, open_, running=True)

    def _sandboxed(self, container: Container) -> bool:
        return self._runtimes.find(container.spec.runtime)[0] == RUNSC

    def _holder(self, container: Container) -> tuple[int, int]:
        """A process that has the container's mounts, and a pidfd of it. Raises ProcessLookupError."""
        process, identifier = container.process, container.spec.id
        if process is None:
            raise ProcessLookupError
        if not self._sandboxed(container):
            return process[0], os.dup(process[1])
        pid = gvisor.gofer(self._layout.state_root(RUNSC, identifier), identifier)
        return pid, procs.open_pidfd(pid)

    async def _stopped(self, container: Container, *, writable: bool) -> Files:
        layers = self._layers(container)

        def open_() -> View:
            return view.view_of_stopped(layers, self._places(container.spec), self._scratch, writable=writable)

        return await self._open(container, open_, alone=writable)

    async def _open(
        self, container: Container, open_: Callable[[], View], *, alone: bool = False, running: bool = False
    ) -> Files:
        """Run `open_` in a thread, once no start or other mount of the container is under way."""
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(container.gate.alone() if alone else container.gate.beside())
            if (container.process is not None) != running:
                raise ProcessLookupError  # started or ended while this waited
            found = await self._in_thread(open_)
            stack.push_async_callback(self._in_thread, found.close)
            return Files(found, running, stack.pop_all())

    async def _in_thread(self, work: Callable[[], T]) -> T:
        future = asyncio.get_running_loop().run_in_executor(self._threads, work)
        if await wait_until_done(future):
            if not future.cancelled() and future.exception() is None and isinstance(future.result(), View):
                future.result().close()  # type: ignore[attr-defined]
            raise asyncio.CancelledError
        return future.result()

    def _layers(self, container: Container) -> Stack:
        upper = self._uppers.locate(container.spec.id)
        return Stack(container.lowers, str(upper.upper), str(upper.work))

    def _places(self, spec: ContainerSpec) -> Sequence[Place]:
        """Volumes and binds; a place before those below it."""
        binds = [
            Place(mount.target, Path(os.path.realpath(mount.source)), mount.read_only)
            for mount in spec.mounts
            if mount.type == "bind" and Path(mount.source).exists()
        ]
        return sorted((*self._volumes(spec), *binds), key=lambda place: place.target.rstrip("/").count("/"))
