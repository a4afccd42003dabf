"""The agent's end of the supervisor: starts its process with the first exec, sends orders, receives its reports."""

import array
import asyncio
import contextlib
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from seaway_agent.core.instructions import Exit
from seaway_agent.execs.supervisor import process
from seaway_agent.execs.supervisor.orders import AGENT_FD, MOST
from seaway_agent.kernel import procs
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.procs import Process
from seaway_agent.kernel.spawn import Spawned, spawn
from seaway_contracts.errors import SeawayError, internal
from seaway_kit import failpoints

log = logging.getLogger(__name__)
_PROGRAM: Final = Path(process.__file__).resolve()
_PROGRAMS: Final = (b"/execs/supervisor/process.py", b"/keeper/process.py")
"""The program of its process; the second: as earlier releases started it."""
_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_BEGINS_S: Final = 120.0
_SEEN_S: Final = 10.0
"""An order is void so much before `_BEGINS_S` is over, so that a late exec is still reported in time."""
_SO_SNDBUFFORCE: Final = 32  # linux/asm-generic/socket.h; root may exceed net.core.wmem_max
_ORDERS: Final = 4 << 20
"""Bytes of orders that may wait for the supervisor: more than a thousand orders."""


class SupervisorGone(Exception):
    """The supervisor ended before it received an order."""


class SupervisedExec:
    """An exec that the supervisor runs."""

    def __init__(self) -> None:
        self.begun: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._how: Exit | None = None
        self.orphaned = False
        """Whether the supervisor ended before it reported the end of the exec."""
        self._listener: tuple[Callable[[Exit], None], Callable[[], None]] | None = None

    def listen(self, ended: Callable[[Exit], None], orphaned: Callable[[], None]) -> None:
        """Call `ended` when it ends, or `orphaned` when the supervisor has ended first: one of both, once.

        Maybe from inside this call.
        """
        self._listener = ended, orphaned
        self._notify()

    def close(self) -> None:
        """Stop listening."""
        self._listener = None

    def hear(self, words: Mapping[str, Any]) -> bool:
        """Take a report of the supervisor; True when it is the last one."""
        if "pid" in words:
            self._begin(int(words["pid"]))
            return False
        if "refused" in words:
            self.fail(internal(str(words["refused"])))
            return True
        self._how = Exit(int(words["code"]), int(words["time_ns"]))
        self._notify()
        return True

    def orphan(self) -> None:
        """Note that the supervisor has ended."""
        self.orphaned = True
        self.fail(internal("the supervisor of execs ended; try again"))
        self._notify()

    def fail(self, error: SeawayError) -> None:
        """Make `begun` raise, unless it has begun."""
        if not self.begun.done():
            self.begun.set_exception(error)
            self.begun.exception()  # retrieved, so that asyncio logs nothing where nobody waits for it

    def _begin(self, pid: int) -> None:
        if not self.begun.done():
            self.begun.set_result(pid)

    def _notify(self) -> None:
        if self._listener is None or not (self._how or self.orphaned):
            return
        (ended, orphaned), self._listener = self._listener, None
        if self._how is not None:
            ended(self._how)
        else:
            orphaned()


class ExecSupervisor:
    """Starts the supervisor's process when it is needed first, and again after it was killed.

    `run`: the node's run directory, by which `supervisors_below` finds the process. `output_fd`: where it logs.
    """

    def __init__(self, launcher: Launcher, run: Path, output_fd: int) -> None:
        self._launcher = launcher
        self._run = run
        self._output_fd = output_fd
        self._socket: socket.socket | None = None
        self._pid = 0
        self._supervised: dict[str, SupervisedExec] = {}
        self._starting = asyncio.Lock()

    async def ready(self) -> None:
        """Start the process if it does not run: in the launcher's namespaces, as the runtimes need them."""
        async with self._starting:
            if self._socket is None:
                ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
                try:
                    spawned = await asyncio.wrap_future(self._launcher.call(_spawn, theirs, self._run, self._output_fd))
                except BaseException:
                    ours.close()
                    raise
                finally:
                    theirs.close()
                self._connect(ours, spawned)

    def begin(self, identifier: str, order: bytes, fds: Sequence[int]) -> SupervisedExec:
        """Order an exec. `order`: an `Order` as JSON, `MOST` bytes at most. `fds`: the exec's input, its two outputs,
        our ends of these two; the supervisor gets copies.

        Raises SeawayError; SupervisorGone where the supervisor has ended.
        """
        if self._socket is None:
            raise SupervisorGone
        supervised = self._supervised[identifier] = SupervisedExec()
        try:
            self._socket.sendmsg([order], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        except (BrokenPipeError, ConnectionResetError):
            del self._supervised[identifier]
            self._receive()  # to the end, so that `ready` starts the next one
            raise SupervisorGone from None
        except OSError as error:
            del self._supervised[identifier]
            raise internal(f"the supervisor of execs takes no orders: {error.strerror}") from error
        return supervised

    async def begun(self, supervised: SupervisedExec) -> int:
        """The pid of an exec, once its program runs. Raises SeawayError where it can't run, TimeoutError."""
        async with asyncio.timeout(_BEGINS_S):
            return await asyncio.shield(supervised.begun)

    def close(self) -> None:
        """Close the socket: the process ends when its last exec has ended."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
        self._socket = None

    def _connect(self, ours: socket.socket, spawned: Spawned) -> None:
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, _ORDERS)
        self._socket, self._pid = ours, spawned.pid
        asyncio.get_running_loop().add_reader(ours.fileno(), self._receive)
        os.close(spawned.pidfd)

    def _receive(self) -> None:
        """Take all reports that have come. The supervisor closes its socket by its end alone."""
        while self._socket is not None:
            try:
                data = self._socket.recv(MOST)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._gone()
                return
            words = orjson.loads(data)
            supervised = self._supervised.get(words["id"])
            if supervised is not None and supervised.hear(words):
                self._supervised.pop(words["id"], None)

    def _gone(self) -> None:
        log.warning("the supervisor of execs ended; the agent watches those that run")
        self.close()
        orphans, self._supervised = list(self._supervised.values()), {}
        # It may write exit files until it has ended.
        reaped = asyncio.get_running_loop().run_in_executor(None, _reap, self._pid)
        reaped.add_done_callback(lambda _: _orphan(orphans))


def begin_by() -> float:
    """`Order.begin_by` of an order that is sent now."""
    return time.monotonic() + _BEGINS_S - _SEEN_S


def _spawn(theirs: socket.socket, run: Path, output_fd: int) -> Spawned:
    argv = [sys.executable, "-I", "-S", str(_PROGRAM), str(run)]
    fds = {AGENT_FD: theirs.fileno(), 1: output_fd, 2: output_fd}
    env = {"PATH": _PATH, "TZ": "UTC", **failpoints.environment()}
    return spawn(argv, env=env, fds=fds)


def _orphan(supervised: Sequence[SupervisedExec]) -> None:
    for one in supervised:
        one.orphan()


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def supervisors_below(run: Path) -> list[Process]:
    """The supervisors of this agent and of former agents of the node with that run directory."""
    numbers = [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]
    found = [procs.find(int(number)) for number in numbers if _is_supervisor(number, str(run))]
    return [supervisor for supervisor in found if supervisor is not None]


def _is_supervisor(pid: str, run: str) -> bool:
    try:
        words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return len(words) > 4 and words[3].endswith(_PROGRAMS) and words[4] == run.encode()
