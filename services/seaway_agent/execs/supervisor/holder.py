"""The supervisor's own process. It imports nothing but the standard library, and knows nothing of Seaway.

The agent makes an exec's pipes, keeps its ends, and orders the supervisor to start the runtime with the others. The
runtime leaves its process to the supervisor, which writes down how it ended, then tells the agent. As long as the agent
lives the supervisor reads no output. After that it reads and drops what comes, so that nobody's pipe is full or broken,
and ends when all execs have ended.
"""

# ruff: noqa: PTH104, PTH108, PTH118

import array
import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import time
from collections.abc import Iterator

from seaway_agent.execs.supervisor.orders import AGENT_FD, MOST, REFUSED, Order

SPAWNED_POINT, BEGUN_POINT = "supervisor.runtime-spawned", "supervisor.program-begun"
REFUSED_POINT, ENDED_POINT = "supervisor.refusal-written", "supervisor.end-written"
"""See `seaway_kit.failpoints`, which can't be imported here."""

_STDIO = 3
_FDS = 5
_IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)
_PIECE = 65536
_OOM_SCORE = "/proc/self/oom_score_adj"
_PR_SET_CHILD_SUBREAPER = 36


class Held:
    """An exec: its order, the descriptors of its program until that has begun, the reading ends of its output."""

    def __init__(self, order: Order, fds: list[int]) -> None:
        self.order = order
        self.stdio, self.outputs = fds[:_STDIO], fds[_STDIO:]

    def begun(self) -> None:
        """What only a start needs is closed."""
        for fd in self.stdio:
            os.close(fd)
        self.stdio = []


class ExecSupervisor:
    """What runs, and what the runtime is about to run."""

    def __init__(self, agent: socket.socket, woken: int) -> None:
        self._agent: socket.socket | None = agent
        self._woken = woken
        self._poll = select.poll()
        self._poll.register(agent, select.POLLIN)
        self._poll.register(woken, select.POLLIN)
        self._starting: dict[int, Held] = {}
        self._running: dict[int, Held] = {}
        self._unclaimed: dict[int, int] = {}

    def run(self) -> None:
        """Until the agent has gone and nothing is left."""
        while self._agent is not None or self._starting or self._running:
            woken = False
            for fd, _ in self._poll.poll():
                if fd == self._woken:
                    woken = _drop(fd)
                elif self._agent is not None and fd == self._agent.fileno():
                    self._hear(self._agent)
                elif not _drop(fd):
                    self._poll.unregister(fd)
            if woken:  # only now, as it closes descriptors
                self._reap()

    # --- the agent

    def _hear(self, agent: socket.socket) -> None:
        try:
            data, ancillary, _, _ = agent.recvmsg(MOST, socket.CMSG_SPACE(_FDS * 4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # it has gone and has not heard all: told once, before its last orders and the end
            return
        if not data:
            self._left(agent)
            return
        fds = array.array("i")
        for _, _, sent in ancillary:
            fds.frombytes(sent)
        self._start(Order(**json.loads(data)), list(fds))

    def _left(self, agent: socket.socket) -> None:
        self._poll.unregister(agent)
        agent.close()
        self._agent = None
        for held in (*self._starting.values(), *self._running.values()):
            self._listen(held)

    def _listen(self, held: Held) -> None:
        """To its output, in place of the agent."""
        for fd in held.outputs:
            self._poll.register(fd, select.POLLIN)

    def _tell(self, **words: object) -> None:
        """An agent that has gone meanwhile is heard of by its socket."""
        if self._agent is not None:
            with contextlib.suppress(OSError):
                self._agent.send(json.dumps(words).encode())

    # --- processes

    def _start(self, order: Order, fds: list[int]) -> None:
        held = Held(order, fds)
        if len(fds) < _FDS:  # the kernel leaves out what finds no place
            self._refuse(held, "the supervisor of execs has no descriptors left: too many run at once")
            return
        if self._agent is None:
            self._listen(held)
        self._spawn(held)

    def _spawn(self, held: Held) -> None:
        """Start the runtime."""
        order = held.order
        if _is_late(order):
            self._refuse(held, "it could not be begun in time")
            return
        places = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(held.stdio)]
        try:
            with _oom_score(order.oom_score):
                pid = os.posix_spawn(
                    order.argv[0],
                    order.argv,
                    os.environ,
                    file_actions=places,
                    setsid=True,
                    setsigmask=(),
                    setsigdef=_IGNORED_BY_PYTHON,
                )
        except OSError as error:
            self._refuse(held, f"{order.argv[0]}: {error.strerror}")
        else:
            held.begun()
            self._starting[pid] = held
            _reach(SPAWNED_POINT)

    def _reap(self) -> None:
        """An end is written down before its process is gone, so that one of both can always be found."""
        while True:
            try:
                found = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                break
            if found is None:
                break
            code = found.si_status if found.si_code == os.CLD_EXITED else 128 + found.si_status
            self._ended(found.si_pid, code)
        if not self._starting:
            self._unclaimed.clear()

    def _ended(self, pid: int, code: int) -> None:
        if pid in self._starting:
            os.waitpid(pid, 0)
            self._begun(self._starting.pop(pid), code)
            return
        held = self._running.pop(pid, None)
        if held is not None:
            self._write_down(held, code)
        else:
            self._unclaimed[pid] = code
        os.waitpid(pid, 0)

    def _begun(self, held: Held, code: int) -> None:
        """The runtime has ended: its process runs, or has already been here."""
        try:
            pid = int(_read(held.order.pid_file))
        except (OSError, ValueError):
            pid = 0
        if code or pid <= 0:
            self._refuse(held, f"the runtime ended with {code}")
        else:
            self._runs(held, pid)

    def _runs(self, held: Held, pid: int) -> None:
        _reach(BEGUN_POINT)
        self._tell(id=held.order.id, pid=pid)
        if pid in self._unclaimed:
            self._write_down(held, self._unclaimed.pop(pid))
        else:
            self._running[pid] = held

    def _write_down(self, held: Held, code: int) -> None:
        now = time.time_ns()
        with contextlib.suppress(OSError):
            part = f"{held.order.exit_file}.part"
            _write(part, b"%d" % code)
            os.rename(part, held.order.exit_file)
        _reach(ENDED_POINT)
        self._tell(id=held.order.id, code=code, time_ns=now)
        self._close(held)

    def _refuse(self, held: Held, why: str) -> None:
        with contextlib.suppress(OSError), open(os.path.join(held.order.directory, REFUSED), "w"):
            pass
        _reach(REFUSED_POINT)
        self._tell(id=held.order.id, refused=why)
        self._close(held)

    def _close(self, held: Held) -> None:
        held.begun()
        for fd in held.outputs:
            with contextlib.suppress(KeyError):
                self._poll.unregister(fd)
            os.close(fd)
        held.outputs = []


def _is_late(order: Order) -> bool:
    """Whether the agent has stopped waiting for it, and has reported that it failed."""
    return time.monotonic() > order.begin_by


@contextlib.contextmanager
def _oom_score(adjustment: int) -> Iterator[None]:
    """What is started meanwhile is as likely to be ended where memory is short: crun leaves that as it is."""
    before = int(_read(_OOM_SCORE))
    _say_oom_score(adjustment, before)
    try:
        yield
    finally:
        _say_oom_score(before, adjustment)


def _say_oom_score(wanted: int, present: int) -> None:
    if wanted != present:
        with contextlib.suppress(OSError):
            _write(_OOM_SCORE, b"%d" % wanted)


def _read(path: str) -> bytes:
    """A small file. A file object costs as much again, at each exec several times."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.read(fd, _PIECE)
    finally:
        os.close(fd)


def _write(path: str, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)


def _reach(point: str) -> None:
    """For tests: be killed here, if the point is armed."""
    if directory := os.environ.get("SEAWAY_FAILPOINTS"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, point))
            os.kill(os.getpid(), signal.SIGKILL)


def _drop(fd: int) -> bool:
    """Read what is there; False where no more will come."""
    try:
        return bool(os.read(fd, _PIECE))
    except BlockingIOError:
        return True
    except OSError:
        return False


def main() -> None:
    """Serve the agent that has left its socket at AGENT_FD."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(theirs, warn_on_full_buffer=False)
    os.set_inheritable(AGENT_FD, False)
    os.environ.pop("LC_CTYPE", None)  # Python's own doing
    ExecSupervisor(socket.socket(fileno=AGENT_FD), ours).run()
