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

_END_S: Final = 5.0


def shims_below(run: Path) -> dict[str, int]:
    """Container id → pid of its conmon, for every conmon of a container that works below a node's run directory."""
    return {words[b"-c"]: pid for pid, words in _conmons(run) if b"-e" not in words}


def exec_shims_below(run: Path) -> dict[str, int]:
    """Exec id → pid of its conmon, likewise."""
    return {words[b"-u"]: pid for pid, words in _conmons(run) if b"-e" in words}


def _conmons(run: Path) -> Iterator[tuple[int, dict[bytes, str]]]:
    """Pid and words of each, with the word that follows."""
    mark = os.fsencode(f"{run}/")
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                line = Path(entry.path, "cmdline").read_bytes()
                words = line.split(b"\0")
                if words[0].endswith(b"conmon") and mark in line and {b"-c", b"-u"} <= set(words):
                    yield int(entry.name), {a: b.decode(errors="replace") for a, b in itertools.pairwise(words)}


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
