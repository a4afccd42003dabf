"""Finds what a former agent's runs left: processes, shims, files of conmon and of the runtimes."""

import contextlib
import json
import logging
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seaway_agent.core.instructions import Exit
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.layout import Layout
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.exec_fifo import EXEC_FIFO, stop_if_init
from seaway_agent.runtime.launch import exit_files
from seaway_agent.runtime.run import RUN_FILE, RunRecord
from seaway_agent.runtime.runtimes import Runtimes
from seaway_agent.runtime.shims import shims_below
from seaway_contracts.containers import ContainerSpec

log = logging.getLogger(__name__)


@dataclass
class RunLeftovers:
    """What is left of a container's run: the descriptors of its process and shim (-1: ended), and its run note.

    `pid` is set also where the process has ended. `started`: the program has begun. `ended`: conmon's exit file.
    """

    has_bundle: bool = False
    pid: int = 0
    pidfd: int = -1
    conmon: Process | None = None
    conmon_fd: int = -1
    started: bool = False
    note: RunRecord = field(default_factory=RunRecord)
    ended: Exit | None = None

    @property
    def is_live(self) -> bool:
        """Whether its end is still to come: the process runs, or its shim is about to write the exit file."""
        return self.ended is None and (self.pidfd >= 0 or self.conmon_fd >= 0)

    def close(self) -> None:
        """Close the descriptors."""
        for fd in (self.pidfd, self.conmon_fd):
            if fd >= 0:
                os.close(fd)
        self.pidfd = self.conmon_fd = -1


class Leftovers:
    """Lists the host's shims once, at construction, and reads the files of each run."""

    def __init__(self, layout: Layout, runtimes: Runtimes, cgroups: ContainerCgroups, same_boot: bool) -> None:
        self.shims = shims_below(layout.run)
        self._layout = layout
        self._runtimes = runtimes
        self._cgroups = cgroups
        self._same_boot = same_boot

    def of(self, spec: ContainerSpec) -> RunLeftovers:
        """The leftovers of the container's run. The caller closes them."""
        container = spec.id
        bundle = self._layout.bundle(container)
        if not self._same_boot:
            return RunLeftovers()
        if not bundle.exists():
            return RunLeftovers(ended=self.exit(container))
        name, state = self.state(spec)
        process, conmon = _first_process(state, container), self.shims.get(container)
        pid = process.pid if process is not None else 0
        found = RunLeftovers(True, pid, pidfd_of(process), conmon, pidfd_of(conmon))
        # Read after the look at the shim: one that has ended has written its file.
        found.ended = self.exit(container)
        found.started = state.exists() and not self._is_gated(name, state, found)
        found.note = _record(bundle / RUN_FILE)
        return found

    def exit(self, container: str) -> Exit | None:
        """How the container's run ended, by conmon's exit file; None without one."""
        return exit_files(self._layout, container).read()

    def state(self, spec: ContainerSpec) -> tuple[str, Path]:
        """The name of the container's runtime, and the runtime's state directory of the container."""
        name, _ = self._runtimes.find(spec.runtime)
        return name, self._layout.runtime_root(name) / spec.id

    def containers(self) -> set[str]:
        """The names of all containers, and of other entries, of which something may be left."""
        layout = self._layout
        places = [
            str(path) for path in (layout.bundles, layout.exits, *map(layout.runtime_root, self._runtimes.programs))
        ]
        found = set(self.shims)
        for directory in (*places, *self._cgroups.host.directories(self._cgroups.suite)):
            with contextlib.suppress(FileNotFoundError):
                found |= {entry.name for entry in os.scandir(directory)}
        return found

    def cgroup_path(self, container: str) -> str:
        """The cgroup path of an unknown container's run, from its `config.json`."""
        config = _json(self._layout.bundle(container) / "config.json").get("linux") or {}
        return str(config.get("cgroupsPath") or self._cgroups.default_path(container))

    def _is_gated(self, runtime: str, state: Path, found: RunLeftovers) -> bool:
        """Whether the program waits at `exec.fifo`.

        runc's init opens the fifo itself, and runs the program before anybody can remove the fifo.
        """
        if not (state / EXEC_FIFO).exists():
            return False
        if runtime != "runc":
            return True
        if found.pidfd >= 0:
            return stop_if_init(found.pid)
        return found.conmon_fd < 0 and found.ended is None


def _first_process(state: Path, container: str) -> Process | None:
    """The container's first process, from crun's `status`, runc's `state.json` or gVisor's state file.

    gVisor's has no start time: its pid counts while that process is the container's sandbox.
    """
    crun = _json(state / "status")
    if crun:
        return Process(int(crun.get("pid", 0)), int(crun.get("process-start-time", 0)))
    runc = _json(state / "state.json")
    if runc:
        return Process(int(runc.get("init_process_pid", 0)), int(runc.get("init_process_start", 0)))
    gvisor = next((_json(path) for path in state.glob("*.state")), {})
    pid = int((gvisor.get("sandbox") or {}).get("pid", 0)) if gvisor.get("status") == "running" else 0
    process = procs.find(pid) if pid else None
    return process if _is_sandbox(pid, container) else None


def _is_sandbox(pid: int, container: str) -> bool:
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        return words[0].startswith(b"runsc-sandbox") and container.encode() in words
    return False


def pidfd_of(process: Process | None) -> int:
    """A pidfd of exactly that process; -1 where it has ended."""
    if process is None or not process.pid:
        return -1
    try:
        return procs.open_process(process)
    except ProcessLookupError:
        return -1


def _json(path: Path) -> dict[str, Any]:
    try:
        body = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return body if isinstance(body, dict) else {}


def _record(file: Path) -> RunRecord:
    """What the former agent wrote of the run; empty where that can't be read."""
    try:
        return RunRecord.load(_json(file))
    except (TypeError, ValueError) as error:
        log.error("%s can't be read: %s", file, error)
        return RunRecord()
