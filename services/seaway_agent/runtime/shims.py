"""Finds the shims of a node among the host's processes: the only record of them that no kill can leave half-written."""

import contextlib
import os
import signal as signals
import time
from pathlib import Path
from typing import Final

from seaway_agent.kernel import procs

_END_S: Final = 5.0


def shims_below(run: Path) -> dict[str, int]:
    """Container id → pid of its conmon, for every conmon that works below a node's run directory."""
    mark, found = os.fsencode(f"{run}/"), {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                container = _container_of(Path(entry.path, "cmdline").read_bytes(), mark)
                if container:
                    found[container] = int(entry.name)
    return found


def _container_of(line: bytes, mark: bytes) -> str:
    words = line.split(b"\0")
    if not words[0].endswith(b"conmon") or mark not in line or b"-c" not in words:
        return ""
    return words[words.index(b"-c") + 1].decode(errors="replace")


def end_with_children(pid: int) -> None:
    """Kill a shim and all below it (a runtime at work, the container's first process) and wait until they are gone."""
    victims = [pid, *_descendants(pid)]
    for victim in victims:
        kill_and_wait(victim)


def _descendants(pid: int) -> list[int]:
    try:
        text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:
        return []
    children = [int(child) for child in text.split()]
    return [*children, *(below for child in children for below in _descendants(child))]


def kill_and_wait(pid: int) -> None:
    """SIGKILL, then wait at most five seconds for the end; whoever is the parent may reap it later."""
    started = procs.start_time(pid)
    try:
        pidfd = procs.open_pidfd(pid)
    except ProcessLookupError:
        return
    try:
        procs.send_signal(pidfd, signals.SIGKILL)
        end = time.monotonic() + _END_S
        while started is not None and procs.alive(pid, started) and time.monotonic() < end:
            time.sleep(0.002)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
    finally:
        os.close(pidfd)
