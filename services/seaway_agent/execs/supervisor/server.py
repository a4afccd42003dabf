"""The supervisor's process. It imports the standard library and the forms of its messages, nothing else.

The agent makes an exec's pipes and orders the supervisor to start the runtime with their far ends. The program becomes
the supervisor's child; the supervisor writes its exit file, then reports the end to the agent. While the agent lives
the supervisor reads no output. After that it reads output and drops it, so that no program meets a full or broken pipe,
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


class PendingExec:
    """An exec that has not ended: its order, its program's descriptors until that runs, the reading ends of output."""

    def __init__(self, order: Order, fds: list[int]) -> None:
        self.order = order
        self.stdio, self.outputs = fds[:_STDIO], fds[_STDIO:]

    def begun(self) -> None:
        """Close the program's descriptors."""
        for fd in self.stdio:
            os.close(fd)
        self.stdio = []


class SupervisorServer:
    """Carries out the orders of one agent and reports to it."""

    def __init__(self, agent: socket.socket, woken: int) -> None:
        self._agent: socket.socket | None = agent
        self._woken = woken
        self._poll = select.poll()
        self._poll.register(agent, select.POLLIN)
        self._poll.register(woken, select.POLLIN)
        self._starting: dict[int, PendingExec] = {}
        self._running: dict[int, PendingExec] = {}
        self._unclaimed: dict[int, int] = {}

    def run(self) -> None:
        """Serve until the agent has ended and all execs have."""
        while self._agent is not None or self._starting or self._running:
            woken = False
            for fd, _ in self._poll.poll():
                if fd == self._woken:
                    woken = _drop(fd)
                elif self._agent is not None and fd == self._agent.fileno():
                    self._receive(self._agent)
                elif not _drop(fd):
                    self._poll.unregister(fd)
            if woken:  # only now, as it closes descriptors
                self._reap()

    # --- the agent

    def _receive(self, agent: socket.socket) -> None:
        try:
            data, ancillary, _, _ = agent.recvmsg(MOST, socket.CMSG_SPACE(_FDS * 4), socket.MSG_CMSG_CLOEXEC)
        except ConnectionResetError:  # it ended with reports unread: raised once, before its last orders
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
        for pending in (*self._starting.values(), *self._running.values()):
            self._drain(pending)

    def _drain(self, pending: PendingExec) -> None:
        """Read and drop its output, in place of the agent."""
        for fd in pending.outputs:
            self._poll.register(fd, select.POLLIN)

    def _report(self, **words: object) -> None:
        """Send a report to the agent. Whether that has ended shows at the next read."""
        if self._agent is not None:
            with contextlib.suppress(OSError):
                self._agent.send(json.dumps(words).encode())

    # --- processes

    def _start(self, order: Order, fds: list[int]) -> None:
        pending = PendingExec(order, fds)
        if len(fds) < _FDS:  # the kernel drops those that exceed the limit
            self._refuse(pending, "the supervisor of execs has no descriptors left: too many run at once")
            return
        if self._agent is None:
            self._drain(pending)
        self._spawn(pending)

    def _spawn(self, pending: PendingExec) -> None:
        """Start the runtime."""
        order = pending.order
        if _is_late(order):
            self._refuse(pending, "it could not be begun in time")
            return
        places = [(os.POSIX_SPAWN_DUP2, fd, number) for number, fd in enumerate(pending.stdio)]
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
            self._refuse(pending, f"{order.argv[0]}: {error.strerror}")
        else:
            pending.begun()
            self._starting[pid] = pending
            _reach(SPAWNED_POINT)

    def _reap(self) -> None:
        """Write each end before the process is reaped, so that a next agent always finds one of both."""
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
        pending = self._running.pop(pid, None)
        if pending is not None:
            self._write_down(pending, code)
        else:
            self._unclaimed[pid] = code
        os.waitpid(pid, 0)

    def _begun(self, pending: PendingExec, code: int) -> None:
        """Report that the program runs, or that the runtime refused it. The program may have ended already."""
        try:
            pid = int(_read(pending.order.pid_file))
        except (OSError, ValueError):
            pid = 0
        if code or pid <= 0:
            self._refuse(pending, f"the runtime ended with {code}")
            return
        _reach(BEGUN_POINT)
        self._report(id=pending.order.id, pid=pid)
        if pid in self._unclaimed:
            self._write_down(pending, self._unclaimed.pop(pid))
        else:
            self._running[pid] = pending

    def _write_down(self, pending: PendingExec, code: int) -> None:
        now = time.time_ns()
        with contextlib.suppress(OSError):
            part = f"{pending.order.exit_file}.part"
            _write(part, b"%d" % code)
            os.rename(part, pending.order.exit_file)
        _reach(ENDED_POINT)
        self._report(id=pending.order.id, code=code, time_ns=now)
        self._close(pending)

    def _refuse(self, pending: PendingExec, why: str) -> None:
        with contextlib.suppress(OSError), open(os.path.join(pending.order.directory, REFUSED), "w"):
            pass
        _reach(REFUSED_POINT)
        self._report(id=pending.order.id, refused=why)
        self._close(pending)

    def _close(self, pending: PendingExec) -> None:
        pending.begun()
        for fd in pending.outputs:
            with contextlib.suppress(KeyError):
                self._poll.unregister(fd)
            os.close(fd)
        pending.outputs = []


def _is_late(order: Order) -> bool:
    """Whether the agent no longer waits for it, and has reported its failure."""
    return time.monotonic() > order.begin_by


@contextlib.contextmanager
def _oom_score(adjustment: int) -> Iterator[None]:
    """Set our own OOM score meanwhile: the program inherits it, as crun leaves it unchanged."""
    before = int(_read(_OOM_SCORE))
    _set_oom_score(adjustment, before)
    try:
        yield
    finally:
        _set_oom_score(before, adjustment)


def _set_oom_score(wanted: int, present: int) -> None:
    if wanted != present:
        with contextlib.suppress(OSError):
            _write(_OOM_SCORE, b"%d" % wanted)


def _read(path: str) -> bytes:
    """A small file's content, without a file object, which would double the cost of each exec's reads."""
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
    """For tests: kill ourselves here, if the point is armed."""
    if directory := os.environ.get("SEAWAY_FAILPOINTS"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(directory, point))
            os.kill(os.getpid(), signal.SIGKILL)


def _drop(fd: int) -> bool:
    """Read and drop what has come; False at the end."""
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
    os.environ.pop("LC_CTYPE", None)  # set by Python itself
    SupervisorServer(socket.socket(fileno=AGENT_FD), ours).run()
