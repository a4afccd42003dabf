"""Find a node's shims among the host's processes: the only record of them that no crash can truncate."""

import contextlib
import itertools
import os
import signal as signals
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process

_END_S: Final = 5.0


def shims_below(run: Path) -> dict[str, Process]:
    """Container id → its conmon, for every container's conmon below a node's run directory."""
    return {words[b"-c"]: process for process, words in _conmons(run) if b"-e" not in words}


def exec_shims_below(run: Path) -> dict[str, Process]:
    """Exec id → its conmon, for every exec's conmon below a node's run directory."""
    return {words[b"-u"]: process for process, words in _conmons(run) if b"-e" in words}


def _conmons(run: Path) -> Iterator[tuple[Process, dict[bytes, str]]]:
    """Each conmon of this node with its arguments.

    The bundle's path identifies the node: another suite's run directory may end with the path of ours.
    """
    for entry in os.scandir("/proc"):
        words = _words(entry.name) if entry.name.isdigit() else {}
        if words.get(b"-b", "").startswith(f"{run}/") and {b"-c", b"-u"} <= words.keys():
            process = procs.find(int(entry.name))
            if process is not None and _words(entry.name) == words:
                yield process, words


def _words(pid: str) -> dict[bytes, str]:
    """A conmon's arguments, each with the one that follows it; empty for any other process."""
    try:
        words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    except OSError:
        return {}
    if not words[0].endswith(b"conmon"):
        return {}
    return {a: b.decode(errors="replace") for a, b in itertools.pairwise(words)}


def end_with_children(process: Process | None) -> None:
    """Kill a shim and its descendants (the runtime, the container's init) and wait until they are gone."""
    if process is None:
        return
    for victim in (process, *_descendants(process)):
        kill_and_wait(victim)


def _descendants(process: Process) -> list[Process]:
    children = procs.children(process.pid)
    return [*children, *(below for child in children for below in _descendants(child))]


def kill_and_wait(process: Process) -> None:
    """Send SIGKILL, and wait at most five seconds for the end; the parent may reap it later."""
    try:
        pidfd = procs.open_process(process)
        procs.send_signal(pidfd, signals.SIGKILL)
        os.close(pidfd)
        end = time.monotonic() + _END_S
        while procs.alive(*process) and time.monotonic() < end:
            time.sleep(0.002)
    except ProcessLookupError:
        pass
    with contextlib.suppress(ChildProcessError):
        os.waitpid(process.pid, os.WNOHANG)
