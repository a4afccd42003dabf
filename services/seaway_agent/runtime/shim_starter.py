"""Start conmon in the launcher's thread, whose mount namespace runtimes need, and read its report."""

import asyncio
import os
from concurrent.futures import Executor
from typing import Final

from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.kernel.procs import find
from seaway_agent.kernel.spawn import Spawned, spawn
from seaway_agent.runtime import shim
from seaway_agent.runtime.bundle import BundlePlan, make_and_start, unmount
from seaway_agent.runtime.conmon import ShimPlan
from seaway_agent.runtime.failures import runtime_failure
from seaway_agent.runtime.shims import end_with_children
from seaway_kit.failpoints import Failpoint, reach

_MOST_OUTPUT: Final = 4096


class ShimStarter:
    """Starts shims. `conmon`: the program; `output_fd`: its output; `workers`: threads that kill a hanging shim."""

    def __init__(
        self, conmon: str, launcher: Launcher, attach_lock: AttachLock, output_fd: int, workers: Executor
    ) -> None:
        self.conmon = conmon
        self._launcher = launcher
        self._attach_lock = attach_lock
        self._output_fd = output_fd
        self._workers = workers

    def warm(self) -> None:
        """Prepare the kernel for a shim that starts soon (see `AttachLock`)."""
        self._attach_lock.warm()

    async def start(self, plan: BundlePlan) -> tuple[Spawned, int]:
        """Make the bundle, start its shim; returns the shim and the pid of init, which waits for the start.

        Raises SeawayError (with Docker's text if the runtime refused), OSError; leaves at most plain files.
        """
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            try:
                spawning = self._launcher.call(make_and_start, plan, writer, self._output_fd)
                spawned = await asyncio.shield(asyncio.wrap_future(spawning))
                reach(Failpoint.START_SPAWNED)
            finally:
                os.close(writer)
            try:
                report = await shim.read_report(reader)
            except BaseException:
                await self._end(spawned)
                raise
        finally:
            os.close(reader)
            self._launcher.call(unmount, plan)
        if report.pid <= 0:
            await shim.wait_and_reap(spawned.pidfd)
            raise runtime_failure(report.message, plan.parts.apparmor)
        return spawned, report.pid

    async def start_container(self, plan: ShimPlan) -> None:
        """Start the container by the runtime's own `start`. Raises SeawayError, OSError."""
        argv = [plan.runtime, "--root", str(plan.runtime_root), *plan.runtime_args, "start", plan.container]
        with open(plan.bundle / "start", "w+b") as output:
            fds = {1: output.fileno(), 2: output.fileno()}
            child = await asyncio.wrap_future(self._launcher.call(spawn, argv, env=plan.env(), fds=fds))
            code = await shim.wait_and_reap(child.pidfd)
            if code != 0:
                output.seek(0)
                text = output.read(_MOST_OUTPUT).decode(errors="replace").strip()
                raise runtime_failure(text or f"{plan.runtime} ended with {code}")

    def remove_crun_directory(self, cgroups_path: str) -> None:
        """Remove the directory that crun made in the launcher's namespace for a container."""
        self._launcher.remove_crun_directory(cgroups_path)

    async def _end(self, spawned: Spawned) -> None:
        """Kill a shim that failed to report, with its children."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(self._workers, end_with_children, find(spawned.pid))
        os.close(spawned.pidfd)
