"""What the keeper goes into in tests: a process in namespaces of its own, on the host's files."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import pytest

from seaway_agent.keeper import calls
from seaway_agent.keeper.orders import Entry

WHERE_ONE_CAN_ENTER: Final = [
    pytest.mark.skipif(os.uname().machine != calls.MACHINE, reason="the machine code is x86-64's"),
    pytest.mark.skipif(os.geteuid() != 0, reason="needs root"),
]
KINDS: Final = {"mnt": 0x00020000, "uts": 0x04000000, "ipc": 0x08000000, "pid": 0x20000000, "net": 0x40000000}
_ALL_CAPS: Final = int(
    next(row for row in Path("/proc/self/status").read_text().splitlines() if row.startswith("CapBnd")).split()[1], 16
)
_ENTRY: Final = Entry(
    namespaces=sum(KINDS.values()),
    cgroups=[],
    seccomp="",
    apparmor="",
    args=["true"],
    env={"PATH": "/usr/bin:/bin", "HOME": "/"},
    cwd="/",
    uid=0,
    gid=0,
    groups=[],
    umask=0o022,
    bounding=_ALL_CAPS,
    permitted=_ALL_CAPS,
    effective=_ALL_CAPS,
    inheritable=0,
    rlimits=[],
    no_new_privileges=False,
)


@dataclass(frozen=True)
class Target:
    """The first process of a new pid namespace."""

    pid: int
    pidfd: int

    def entry(self, *args: str, **changes: Any) -> Entry:
        return replace(_ENTRY, args=list(args), **changes)

    def namespaces(self) -> list[str]:
        return [os.readlink(f"/proc/{self.pid}/ns/{kind}") for kind in KINDS]

    def end(self) -> None:
        """Kill it, and with it all in its pid namespace."""
        signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)


@contextlib.contextmanager
def target() -> Iterator[Target]:
    words = ["unshare", "--mount-proc", "-fmuinp", "--kill-child", "sh", "-c", "echo up; exec sleep 1000"]
    with subprocess.Popen(words, stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None and outer.stdout.readline() == b"up\n"
        pid = int(Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text())
        pidfd = os.pidfd_open(pid)
        try:
            yield Target(pid, pidfd)
        finally:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
