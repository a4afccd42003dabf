"""An agent's end of a real supervisor, with a script in the runtime's place."""

import array
import json
import os
import select
import signal
import socket
import sys
import time
from pathlib import Path
from typing import Any

from seaway_agent.execs.supervisor import orders, process
from seaway_agent.kernel.spawn import spawn
from seaway_kit.failpoints import VARIABLE, Failpoint
from seaway_testing.waiting import GUARD_S

# As `crun exec --detach` does it: the process is left to whoever is there to take it, its pid is written down first.
# No shell: that would reap a child that has ended.
RUNTIME = """
import os, sys
pid_file, script = sys.argv[1:]
if script == "refused":
    sys.exit("no such thing")
pid = os.posix_spawn("/bin/sh", ["sh", "-c", script], os.environ, setsigdef=(13,))
with open(pid_file, "w") as file:
    file.write(str(pid))
"""
LIMIT_S = GUARD_S


class Agent:
    """Our end, and what it has been told."""

    def __init__(self, place: Path, environment: dict[str, str] | None = None) -> None:
        self.place = place
        self.runtime = place / "runtime"
        self.runtime.write_text(f"#!{sys.executable} -IS\n{RUNTIME}")
        self.runtime.chmod(0o755)
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(LIMIT_S)
        argv = [sys.executable, "-I", "-S", process.__file__, str(place)]
        fds = {orders.AGENT_FD: theirs.fileno(), 1: 1, 2: 2}
        self.supervisor = spawn(argv, env={"PATH": os.environ["PATH"], **(environment or {})}, fds=fds)
        theirs.close()

    @classmethod
    def armed(cls, base: Path, *points: Failpoint) -> "Agent":
        """One whose supervisor is killed at the first of these points that it reaches."""
        (directory := base / "points").mkdir()
        for point in points:
            (directory / point).touch()
        (place := base / "place").mkdir()
        return cls(place, {VARIABLE: str(directory)})

    def order(
        self,
        name: str,
        script: str,
        stdin: int | None = None,
        *,
        oom_score: int = 0,
        within_s: float = LIMIT_S,
    ) -> tuple[int, int]:
        """Have a script run by the runtime; our ends of its outputs."""
        (directory := self.place / name).mkdir()
        taken = os.open(os.devnull, os.O_RDONLY) if stdin is None else stdin
        out, theirs_out = os.pipe()
        err, theirs_err = os.pipe()
        pid_file = str(directory / "pidfile")
        words = {
            "id": name,
            "argv": [str(self.runtime), pid_file, script],
            "directory": str(directory),
            "pid_file": pid_file,
            "exit_file": str(directory / "exit"),
            "begin_by": time.monotonic() + within_s,
            "oom_score": oom_score,
        }
        fds = array.array("i", (taken, theirs_out, theirs_err, out, err))
        self.socket.sendmsg([json.dumps(words).encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        for fd in (taken, theirs_out, theirs_err):
            os.close(fd)
        return out, err

    def told(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.socket.recv(orders.MOST))
        return found

    def written(self, name: str) -> str:
        return (self.place / name / "exit").read_text()

    def goes(self) -> None:
        self.socket.close()

    def ended(self) -> int:
        """The supervisor's exit code, once it has ended."""
        assert select.select([self.supervisor.pidfd], [], [], LIMIT_S)[0]
        found = os.waitid(os.P_PIDFD, self.supervisor.pidfd, os.WEXITED | os.WNOWAIT)
        assert found is not None
        return found.si_status

    def close(self) -> None:
        self.goes()
        signal.pidfd_send_signal(self.supervisor.pidfd, signal.SIGKILL)
        os.waitid(os.P_PIDFD, self.supervisor.pidfd, os.WEXITED)
        os.close(self.supervisor.pidfd)


def read_all(fd: int) -> bytes:
    with os.fdopen(fd, "rb") as file:
        return file.read()
