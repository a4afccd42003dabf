"""Finds the shims of a node among the host's processes: the only record of them that no kill can leave half-written."""

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
    """Container id → its conmon, for every conmon of a container that works below a node's run directory."""
    return {words[b"-c"]: process for process, words in _conmons(run) if b"-e" not in words}


def exec_shims_below(run: Path) -> dict[str, Process]:
    """Exec id → its conmon, likewise."""
    return {words[b"-u"]: process for process, words in _conmons(run) if b"-e" in words}


def _conmons(run: Path) -> Iterator[tuple[Process, dict[bytes, str]]]:
    """Each, and its words with the word that follows. Its bundle says whose it is: another suite's run directory may
    end with the path of ours.
    """
    for entry in os.scandir("/proc"):
        words = _words(entry.name) if entry.name.isdigit() else {}
        if words.get(b"-b", "").startswith(f"{run}/") and {b"-c", b"-u"} <= words.keys():
            process = procs.find(int(entry.name))
            if process is not None and _words(entry.name) == words:
                yield process, words


def _words(pid: str) -> dict[bytes, str]:
    """Of a conmon's command line, each word with the one that follows; nothing of any other process."""
    try:
        words = Path("/proc", pid, "cmdline").read_bytes().split(b"\0")
    except OSError:
        return {}
    if not words[0].endswith(b"conmon"):
        return {}
    return {a: b.decode(errors="replace") for a, b in itertools.pairwise(words)}


def end_with_children(process: Process | None) -> None:
    """Kill a shim and all below it (a runtime at work, the container's first process) and wait until they are gone."""
    if process is None:
        return
    for victim in (process, *_descendants(process)):
        kill_and_wait(victim)


def _descendants(process: Process) -> list[Process]:
    children = procs.children(process.pid)
    return [*children, *(below for child in children for below in _descendants(child))]


def kill_and_wait(process: Process) -> None:
    """SIGKILL, then wait at most five seconds for the end; whoever is the parent may reap it later."""
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
