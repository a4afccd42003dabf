"""Recovers the execs of a former agent: adopts those that run, records the ends of the others."""

import logging
import shutil
import time
from collections.abc import Mapping, Sequence

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.execs.inherited import await_end, begun_in, left_in, pid_in, supervised_in
from seaway_agent.execs.launch import ExecRun
from seaway_agent.execs.supervisor.supervisor import supervisors_below
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.layout import Layout
from seaway_agent.recovery.leftovers import pidfd_of
from seaway_agent.runtime.run_watch import UNKNOWN_CODE
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.runtime.shims import end_with_children, exec_shims_below
from seaway_contracts.execs import ExecInfo

log = logging.getLogger(__name__)


class ExecRecovery:
    """Call `restore` before a container is recovered, `adopt` after it, and `sweep` at last.

    `known`: the stored execs by container. `same_boot`: whether the machine has not rebooted since.
    """

    def __init__(self, layout: Layout, known: Mapping[str, Sequence[ExecInfo]], *, same_boot: bool) -> None:
        self._layout = layout
        self._known = known
        self._shims = exec_shims_below(layout.run) if same_boot else {}
        self._supervisors = supervisors_below(layout.run) if same_boot else []
        self._shimless: dict[str, Process] = {}
        self._adopted: set[str] = set()

    def restore(self, runner: ContainerRunner) -> None:
        """Restore a container's execs; record the ends of those that have ended, before the container's own end."""
        infos = self._known.get(runner.spec.id, [])
        runner.machine.execs.restore(infos)
        for info in runner.machine.execs.running():
            if info.spec.id not in self._shims and not self._runs_without_shim(info):
                self._finish(runner, info)

    def adopt(self, runner: ContainerRunner) -> None:
        """Adopt the running execs of a running container."""
        for info in runner.machine.execs.running():
            if info.spec.id in self._shimless:
                self._adopt_shimless(runner, info)
            else:
                self._adopt_with_shim(runner, info)

    def sweep(self) -> None:
        """End the processes and remove the bundles of execs that were not adopted."""
        for identifier, shim in self._shims.items():
            if identifier not in self._adopted:
                log.info("ends the shim of unknown exec %s", identifier)
                end_with_children(shim)
        for path in self._layout.execs.iterdir():
            if path.name not in self._adopted:
                if (process := supervised_in(path, self._supervisors)) is not None:
                    log.info("ends unknown exec %s", path.name)
                    end_with_children(process)
                shutil.rmtree(path, ignore_errors=True)

    def _runs_without_shim(self, info: ExecInfo) -> bool:
        """Whether the exec runs and a former agent's supervisor, which may have ended, started it."""
        bundle = self._layout.exec_bundle(info.spec.id)
        if info.spec.tty or not begun_in(bundle, self._files(info), self._supervisors):
            return False
        process = supervised_in(bundle, self._supervisors) or left_in(bundle, info.container)
        if process is None:
            await_end(bundle, self._files(info), self._supervisors)
            return False
        self._shimless[info.spec.id] = process
        return True

    def _finish(self, runner: ContainerRunner, info: ExecInfo) -> None:
        """Record how an exec ended: by its exit file, unknown, or that its program never ran."""
        identifier = info.spec.id
        how = self._files(info).read()
        if how is not None:
            runner.do(runner.machine.execs.died(identifier, how.code, max(how.time_ns, info.status.started_ns)))
        elif pid_in(self._layout.exec_bundle(identifier)):
            log.warning("exec %s has ended without an exit file", identifier)
            runner.do(runner.machine.execs.died(identifier, UNKNOWN_CODE, time.time_ns()))
        else:
            runner.do(runner.machine.execs.failed(identifier, time.time_ns()))

    def _adopt_with_shim(self, runner: ContainerRunner, info: ExecInfo) -> None:
        identifier = info.spec.id
        conmon = self._shims[identifier]
        conmon_fd = pidfd_of(conmon)
        if conmon_fd < 0:
            self._finish(runner, info)
            return
        pid = pid_in(self._layout.exec_bundle(identifier))
        self._adopted.add(identifier)
        # The pid may have been reused; the exec's process is conmon's child.
        pidfd = pidfd_of(procs.child_of(conmon.pid, pid))
        runner.execs.adopt(info, ExecRun(pid, pidfd, conmon_fd, child=False))

    def _adopt_shimless(self, runner: ContainerRunner, info: ExecInfo) -> None:
        identifier = info.spec.id
        process = self._shimless[identifier]
        pidfd = pidfd_of(process)
        if pidfd < 0:  # ended since; its supervisor is about to write the exit file
            await_end(self._layout.exec_bundle(identifier), self._files(info), self._supervisors)
            self._finish(runner, info)
            return
        self._adopted.add(identifier)
        runner.execs.adopt(info, ExecRun(process.pid, pidfd, -1, child=False, shimless=True))

    def _files(self, info: ExecInfo) -> ExitFiles:
        bundle = self._layout.exec_bundle(info.spec.id)
        return ExitFiles.of(bundle, bundle, bundle, info.container)
