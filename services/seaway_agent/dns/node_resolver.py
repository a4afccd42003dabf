"""The agent's side of the resolver: starts its process when it is needed first, and again after it was killed.

The agent knows all that the process does, and tells it everything again after each connecting.
"""

import asyncio
import contextlib
import logging
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from seaway_agent.dns import connection
from seaway_agent.dns.connection import Connection, ResolverGone
from seaway_agent.dns.orders import ATTACH, COUNTS, DETACH, HAND_OVER, SWEEP, names_to_json
from seaway_agent.dns.port import OUTCOMES, ContainerNames, ResolverError
from seaway_agent.kernel import procs
from seaway_agent.kernel.spawn import Spawned
from seaway_agent.network import netns
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_TRIES: Final = 3
_AT_ONCE: Final = 64
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.05, 5.0
_LINGERS_S: Final = 5.0


@dataclass(frozen=True)
class _Attached:
    """A container's sandbox. `netns_fd`: ours, -1 once `pid` has the namespace, whose identity is `inode` (0: any)."""

    names: ContainerNames
    netns_fd: int
    inode: int
    pid: int = 0

    def open_namespace(self) -> int:
        """A descriptor of the namespace, which the caller closes. Raises ResolverError: it has ended."""
        if self.netns_fd >= 0:
            return os.dup(self.netns_fd)
        try:
            fd = os.open(f"/proc/{self.pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        except (FileNotFoundError, ProcessLookupError):
            raise ResolverError(f"process {self.pid} has ended, and its network sandbox with it") from None
        if self.inode in (0, os.fstat(fd).st_ino):
            return fd
        os.close(fd)
        raise ResolverError(f"process {self.pid} is no longer in the sandbox that it was started in")

    def close(self) -> None:
        """Close our descriptor."""
        if self.netns_fd >= 0:
            os.close(self.netns_fd)


class NodeResolver:
    """See the port. `run`: the node's run directory. `output_fd`: where the process logs.

    `netns_fd`: the namespace that plays the host; by default the agent's own. `lingers_s`: how long the
    process outlives its last sandbox, as starting it takes longer than starting a container.
    """

    def __init__(
        self, run: Path, tasks: Tasks, output_fd: int, netns_fd: int | None = None, lingers_s: float = _LINGERS_S
    ) -> None:
        self._run = run
        self._tasks = tasks
        self._output_fd = output_fd
        self._lingers_s = lingers_s
        self._idle: asyncio.TimerHandle | None = None
        self._home = netns.current() if netns_fd is None else os.dup(netns_fd)
        self._attached: dict[str, _Attached] = {}
        self._connection: Connection | None = None
        self._process: Spawned | None = None
        self._connecting = asyncio.Lock()
        self._closed = False
        self._counted = dict.fromkeys(OUTCOMES, 0)
        self._counts: dict[str, int] = {}
        """Questions by outcome: those of former processes, and of the present one."""

    async def attach(self, container: str, sandbox: str, names: ContainerNames) -> None:
        """See the port."""
        netns_fd = os.open(sandbox, os.O_RDONLY | os.O_CLOEXEC)
        await self._attach(container, _Attached(names, netns_fd, os.fstat(netns_fd).st_ino))

    def hand_over(self, container: str, pid: int) -> None:
        """See the port."""
        attached = self._attached.get(container)
        if attached is None:
            return
        self._attached[container] = replace(attached, netns_fd=-1, pid=pid)
        attached.close()
        if self._connection is not None:
            with contextlib.suppress(ResolverGone, ResolverError):  # it gets everything again
                self._connection.send(HAND_OVER, container=container, pid=pid)

    async def adopt(self, container: str, pid: int, names: ContainerNames) -> None:
        """See the port."""
        await self._attach(container, _Attached(names, -1, 0, pid))

    async def update(self, container: str, names: ContainerNames) -> None:
        """See the port."""
        attached = self._attached.get(container)
        if attached is not None:
            self._attached[container] = replace(attached, names=names)
            await self._push(container, with_namespace=False)

    async def detach(self, container: str) -> None:
        """See the port."""
        attached = self._attached.pop(container, None)
        if attached is None:
            return
        attached.close()
        async with self._connecting:  # which may just be telling a new process of this container
            present = self._connection
        if present is not None:
            with contextlib.suppress(ResolverGone):
                await present.call(DETACH, container=container)
        self._linger()

    async def sweep(self) -> None:
        """See the port."""
        if self._connection is not None or self._attached or (self._run / connection.SOCKET).exists():
            for _ in range(_TRIES):
                with contextlib.suppress(ResolverGone):
                    present = await self._connected(start=bool(self._attached))
                    if present is None:
                        return
                    await present.call(SWEEP, known=list(self._attached))
                    self._linger()
                    return

    async def counts(self) -> dict[str, int]:
        """DNS questions so far, by outcome; those that a killed process had counted last may be lost.

        Raises ResolverError.
        """
        if (present := self._connection) is not None:
            with contextlib.suppress(ResolverGone):
                self._counts = (await present.call(COUNTS)).get("counts", {})
        return self._all_counts()

    def _all_counts(self) -> dict[str, int]:
        return {outcome: number + self._counts.get(outcome, 0) for outcome, number in self._counted.items()}

    def close(self) -> None:
        """Leave the process alone: it serves the sandboxes that are handed over until they end. Safe to call twice."""
        if self._closed:
            return
        self._closed = True
        if self._idle is not None:
            self._idle.cancel()
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        for attached in self._attached.values():
            attached.close()
        self._attached.clear()
        if self._process is not None:
            os.close(self._process.pidfd)
            self._process = None
        os.close(self._home)

    # --- sandboxes

    async def _attach(self, container: str, attached: _Attached) -> None:
        if (former := self._attached.get(container)) is not None:
            former.close()
        self._attached[container] = attached
        try:
            await self._push(container, with_namespace=True)
        except asyncio.CancelledError:
            self._tasks.spawn("detach", self.detach(container))
            raise
        except Exception:
            with contextlib.suppress(ResolverError):
                await self.detach(container)
            raise

    async def _push(self, container: str, *, with_namespace: bool) -> None:
        """Send what we know of a container, to another process where this one ends meanwhile."""
        for _ in range(_TRIES):
            with contextlib.suppress(ResolverGone):
                present = await self._connected(start=True)
                assert present is not None
                await self._send(present, container, with_namespace=with_namespace)
                return
        raise ResolverError("the node's resolver is ended again and again; see who does that, and try again")

    async def _send(self, present: Connection, container: str, *, with_namespace: bool) -> None:
        attached = self._attached.get(container)
        if attached is None:  # detached meanwhile
            return
        fd = attached.open_namespace() if with_namespace else -1
        try:
            words = {"container": container, "names": names_to_json(attached.names), "with_namespace": with_namespace}
            await present.call(ATTACH, fd, **words, pid=attached.pid if with_namespace else 0)
        finally:
            if fd >= 0:
                os.close(fd)
        now = self._attached.get(container)
        if now is not None and now.pid != attached.pid:  # handed over while this process was being told
            present.send(HAND_OVER, container=container, pid=now.pid)

    # --- the process

    async def _connected(self, *, start: bool) -> Connection | None:
        """The connection to a process that knows all containers. None: there is none, and `start` is False."""
        async with self._connecting:
            if self._closed:
                raise ResolverError("the agent ends")
            if self._connection is None:
                found = await self._found() or (await self._started() if start else None)
                if found is not None:
                    await self._tell_all(found)
                    self._connection = found
                    self._counted, self._counts = self._all_counts(), {}
            return self._connection

    async def _found(self) -> Connection | None:
        """A connection to the process of an earlier agent, if there is one that understands us."""
        stream = connection.connect(self._run)
        if stream is None:
            return None
        found = Connection(stream, self._gone)
        with contextlib.suppress(ResolverGone):
            if await found.speaks_our_form():
                return found
        found.close()
        await asyncio.to_thread(connection.end_all, self._run)
        return None

    async def _started(self) -> Connection:
        await asyncio.to_thread(connection.end_all, self._run)
        stream, spawned = connection.start(self._run, self._home, self._output_fd)
        await self._reap()
        self._process = spawned
        return Connection(stream, self._gone)

    async def _tell_all(self, found: Connection) -> None:
        containers = list(self._attached)
        for at in range(0, len(containers), _AT_ONCE):
            some = containers[at : at + _AT_ONCE]
            sending = (self._send(found, container, with_namespace=True) for container in some)
            results = await asyncio.gather(*sending, return_exceptions=True)
            for container, result in zip(some, results, strict=True):
                if isinstance(result, ResolverGone):
                    raise result
                if isinstance(result, ResolverError | OSError):
                    log.warning("container %s has no resolver: %s", container[:12], result)

    def _gone(self) -> None:
        """The process has ended. Start another one at once if there is a sandbox to serve."""
        self._connection = None
        self._tasks.spawn("reap", self._reap())
        if self._attached:
            log.warning("the resolver of the node's containers ended; starting another one")
            self._tasks.spawn("resolver", self._restore())

    async def _restore(self) -> None:
        pause = _FIRST_PAUSE_S
        while self._attached and not self._closed:
            try:
                await self._connected(start=True)
                return
            except (ResolverGone, ResolverError, OSError) as error:
                log.warning("can't start the resolver of the node's containers: %s", error)
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _linger(self) -> None:
        """Let the process end some time after its last sandbox."""
        if self._attached or self._closed:
            return
        if self._idle is not None:
            self._idle.cancel()
        loop = asyncio.get_running_loop()
        self._idle = loop.call_later(self._lingers_s, lambda: self._tasks.spawn("idle resolver", self._end_idle()))

    async def _end_idle(self) -> None:
        """The process ends when its agent closes the connection and no sandbox is left."""
        async with self._connecting:
            if self._attached or self._connection is None:
                return
            self._connection.close()
            self._connection = None
            await self._reap()
            (self._run / connection.SOCKET).unlink(missing_ok=True)

    async def _reap(self) -> None:
        """End the process that we started, if it has not ended, and reap it."""
        if self._process is not None:
            process, self._process = self._process, None
            await asyncio.to_thread(_reap, process)


def _reap(process: Spawned) -> None:
    procs.send_signal(process.pidfd, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitid(os.P_PIDFD, process.pidfd, os.WEXITED)
    os.close(process.pidfd)
