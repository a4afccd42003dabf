"""The real runtime: conmon as the shim, and crun, runc or runsc below it."""

import asyncio
import contextlib
import logging
import signal as signals
import time
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Final

from seaway_agent.core.instructions import Exit
from seaway_agent.kernel import cgroups, procs
from seaway_agent.kernel.cgroup_limits import changed_limits, former_limits
from seaway_agent.kernel.cgroup_text import CgroupLayout
from seaway_agent.layout import Layout
from seaway_agent.runtime import shim
from seaway_agent.runtime.container_cgroups import ContainerCgroups
from seaway_agent.runtime.exec_fifo import EXEC_FIFO, open_exec_fifo
from seaway_agent.runtime.filter_check import FilterCheck
from seaway_agent.runtime.launch import ProcessDefaults, RunBuilder, exit_files, shim_plan
from seaway_agent.runtime.run import ContainerRun, RunPlan
from seaway_agent.runtime.run_watch import RunWatch
from seaway_agent.runtime.runtimes import Runtimes, filters_late
from seaway_agent.runtime.shim_starter import ShimStarter
from seaway_agent.runtime.teardown import tear_down
from seaway_agent.streams.console import Console
from seaway_contracts.containers import ContainerSpec, Resources
from seaway_contracts.errors import SeawayError, internal

log = logging.getLogger(__name__)
_SHIM_ENDS_S: Final = 5.0
_FREEZE_TRIES: Final = 8
_FREEZE_S: Final = 0.1
_THAWED_S: Final = 0.01


class ConmonRuntime:
    """`port.Runtime` on this machine's kernel. A container's spec may change, but for its id and runtime."""

    def __init__(
        self,
        spec: ContainerSpec,
        layout: Layout,
        runtimes: Runtimes,
        cgroups: ContainerCgroups,
        shims: ShimStarter,
        workers: Executor,
        defaults: ProcessDefaults,
    ) -> None:
        self.run: ContainerRun | None = None
        self._spec = spec
        self._layout = layout
        self._runtimes = runtimes
        self._cgroups = cgroups
        self._shims = shims
        self._workers = workers
        self._defaults = defaults
        self._watch: RunWatch | None = None

    def warm(self) -> None:
        """See the port."""
        self._shims.warm()

    async def create(self, plan: RunPlan) -> ContainerRun:
        """See the port."""
        self._spec = plan.spec
        try:
            self._cgroups.reserve(self._path)
            builder = RunBuilder(plan, self._layout, self._runtimes, self._cgroups, self._shims, self._defaults)
            run = await builder.create()
        except Exception:  # not on cancellation, which means that the agent ends: the next agent undoes the launch
            await self._undo()
            raise
        self.adopt(run)
        return run

    async def start(self) -> None:
        """See the port."""
        plan, run = shim_plan(self._layout, self._runtimes, self._shims.conmon, self._spec), self.run
        name, pidfd = self._runtimes.find(self._spec.runtime)[0], run.pidfd if run is not None else -1
        check = None
        if run is not None and run.filtered:
            late = filters_late(name, no_new_privileges=self._spec.security.no_new_privileges)
            check = FilterCheck(run.pid, pidfd, name, late=late)
            check.before_start()
        if not await open_exec_fifo(name, plan.runtime_root / self._spec.id / EXEC_FIFO, pidfd):
            await self._shims.start_container(plan)
        if check is not None:
            await check.after_start()

    def adopt(self, run: ContainerRun) -> None:
        """See the port."""
        self.run = run
        self._watch = RunWatch(self._spec.id, run, exit_files(self._layout, self._spec.id))

    def watch(self, ended: Callable[[Exit], None]) -> None:
        """See the port."""
        if self._watch is not None:
            self._watch.begin(ended)

    def check(self) -> None:
        """See the port."""
        if self._watch is not None:
            self._watch.check()

    def signal(self, number: int) -> None:
        """See the port."""
        if self.run is not None and self.run.pidfd >= 0:
            procs.send_signal(self.run.pidfd, number)

    async def freeze(self) -> None:
        """See the port."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._workers, _freeze, self._cgroups.host, self._path)

    async def limit(self, changes: Resources) -> None:
        """See the port."""
        loop, host = asyncio.get_running_loop(), self._cgroups.host
        await loop.run_in_executor(self._workers, _limit, host, self._path, changes, self._spec.resources)

    def thaw(self) -> None:
        """See the port."""
        with contextlib.suppress(OSError):
            cgroups.thaw(self._cgroups.host, self._path)

    def connect_console(self, console: Console) -> None:
        """See the port."""
        console.connect(self._layout.bundle(self._spec.id))

    def resize(self, height: int, width: int) -> None:
        """See the port."""
        shim.resize_terminal(self._layout.bundle(self._spec.id), height, width)

    async def clean_up(self) -> None:
        """See the port."""
        watch = self._watch
        if watch is not None and not watch.reported:
            await self._end(watch)
        self.run = self._watch = None
        left = [await self._tear_down()]
        self._shims.remove_crun_directory(self._path)
        if watch is not None:
            left.append(await _end_shim(watch))
        if any(left):
            what = "; ".join(filter(None, left))
            raise internal(f"something of the run of container {self._spec.id[:12]} is left: {what}")

    def close(self) -> None:
        """See the port."""
        if self._watch is not None:
            self._watch.close()
        self.run = self._watch = None

    @property
    def _path(self) -> str:
        """The container's cgroup path."""
        return self._cgroups.path(self._spec)

    async def _undo(self) -> None:
        """Clean up after a failed launch; only log an error, as the caller needs the launch's own."""
        try:
            await self.clean_up()
        except SeawayError as error:
            log.error("%s", error.message)

    async def _end(self, watch: RunWatch) -> None:
        """Kill a run whose exit has not been reported."""
        self.signal(signals.SIGKILL)
        self.thaw()
        await watch.shim_gone(_SHIM_ENDS_S)

    async def _tear_down(self) -> str:
        """Remove the run's files and cgroups; returns the error's text. The runtime's program may be missing by now."""
        spec, loop = self._spec, asyncio.get_running_loop()
        runtime = spec.runtime or self._runtimes.default
        try:
            await loop.run_in_executor(
                self._workers, tear_down, self._layout, self._cgroups, self._path, spec.id, runtime
            )
        except OSError as error:
            return str(error)
        return ""


async def _end_shim(watch: RunWatch) -> str:
    """Wait for conmon, which ends right after it wrote the exit file; kill it if it hangs. Returns what went wrong."""
    gone = await watch.shim_gone(_SHIM_ENDS_S)
    if not gone:
        watch.kill_shim()
        gone = await watch.shim_gone(_SHIM_ENDS_S)
    watch.close()
    return "" if gone else "its shim (conmon) hangs"


def _limit(host: CgroupLayout, path: str, changes: Resources, old: Resources) -> None:
    try:
        cgroups.update_limits(host, path, changed_limits(changes))
    except OSError:
        with contextlib.suppress(OSError):
            cgroups.update_limits(host, path, former_limits(changes, old))
        raise


def _freeze(host: CgroupLayout, path: str) -> None:
    """Freeze a cgroup, with retries.

    cgroup v1 never reaches FROZEN if it meets a process with threads in execve (runc's init is one): thaw it for a
    moment and retry, as runc does.
    """
    for _ in range(_FREEZE_TRIES):
        try:
            return cgroups.freeze(host, path, seconds=_FREEZE_S)
        except TimeoutError:
            time.sleep(_THAWED_S)
    return cgroups.freeze(host, path)
