"""Takes up the execs that an agent before this one left: adopts what runs, tells of the ends of the others."""

import logging
import shutil
import time

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.execs.inherited import await_end, begun_in, held_in, left_in
from seaway_agent.execs.launch import ExecRun
from seaway_agent.execs.supervisor.supervisor import supervisors_below
from seaway_agent.kernel import procs
from seaway_agent.kernel.procs import Process
from seaway_agent.plumbing import Plumbing
from seaway_agent.recovery.leftovers import pidfd_of
from seaway_agent.runtime.run_watch import UNKNOWN_CODE
from seaway_agent.runtime.shim import ExitFiles
from seaway_agent.runtime.shims import end_with_children, exec_shims_below
from seaway_contracts.execs import ExecInfo

log = logging.getLogger(__name__)


class ExecRecovery:
    """Beside the containers' recovery: `settle` before a container is taken up, `adopt` when it has been, `sweep`."""

    def __init__(self, node: Plumbing, same_boot: bool) -> None:
        self._node = node
        self._known = node.journal.execs()
        self._shims = exec_shims_below(node.layout.run) if same_boot else {}
        self._supervised: set[str] = set()
        self._supervisors = supervisors_below(node.layout.run) if same_boot else []
        self._held: dict[str, Process] = {}

    def settle(self, runner: ContainerRunner) -> None:
        """Restore what was written down; what ended meanwhile is told of, before the container's own end."""
        infos = self._known.get(runner.spec.id, [])
        runner.machine.restore_execs(infos)
        for info in runner.machine.running_execs():
            if info.spec.id not in self._shims and not self._is_held(info):
                self._finish(runner, info)

    def adopt(self, runner: ContainerRunner) -> None:
        """Take over those that run in a container that does."""
        for info in runner.machine.running_execs():
            if info.spec.id in self._held:
                self._adopt_held(runner, info)
            else:
                self._adopt(runner, info)

    def sweep(self) -> None:
        """Remove what belongs to no exec that runs."""
        for identifier, shim in self._shims.items():
            if identifier not in self._supervised:
                log.info("ends the shim of exec %s, which nobody knows", identifier)
                end_with_children(shim)
        for path in self._node.layout.execs.iterdir():
            if path.name not in self._supervised:
                if (process := held_in(path, self._supervisors)) is not None:
                    log.info("ends exec %s, which nobody knows", path.name)
                    end_with_children(process)
                shutil.rmtree(path, ignore_errors=True)

    def _is_held(self, info: ExecInfo) -> bool:
        """Whether a former agent's supervisor holds it, or has left it to us."""
        bundle = self._node.layout.exec_bundle(info.spec.id)
        if info.spec.tty or not begun_in(bundle, self._files(info), self._supervisors):
            return False
        process = held_in(bundle, self._supervisors) or left_in(bundle, info.container)
        if process is None or not procs.alive(*process):
            await_end(bundle, self._files(info), self._supervisors)
            return False
        self._held[info.spec.id] = process
        return True

    def _finish(self, runner: ContainerRunner, info: ExecInfo) -> None:
        """Its shim is gone: it has written the end down, or was killed, or has never been."""
        identifier = info.spec.id
        how = self._files(info).read()
        if how is not None:
            runner.do(runner.machine.exec_died(identifier, how.code, max(how.time_ns, info.status.started_ns)))
        elif self._pid(identifier):
            log.warning("exec %s ended, and nobody wrote down how", identifier)
            runner.do(runner.machine.exec_died(identifier, UNKNOWN_CODE, time.time_ns()))
        else:
            runner.do(runner.machine.exec_failed(identifier, time.time_ns()))

    def _adopt(self, runner: ContainerRunner, info: ExecInfo) -> None:
        identifier = info.spec.id
        conmon = self._shims[identifier]
        conmon_fd = pidfd_of(conmon)
        if conmon_fd < 0:
            self._finish(runner, info)
            return
        pid = self._pid(identifier)
        self._supervised.add(identifier)
        # The number alone may be another process's by now; what conmon has begun is its child.
        pidfd = pidfd_of(procs.child_of(conmon.pid, pid))
        runner.execs.adopt(info, ExecRun(pid, pidfd, conmon_fd, child=False))

    def _adopt_held(self, runner: ContainerRunner, info: ExecInfo) -> None:
        identifier = info.spec.id
        process = self._held[identifier]
        pidfd = pidfd_of(process)
        if pidfd < 0:  # it has ended since, and its supervisor is about to write that down
            await_end(self._node.layout.exec_bundle(identifier), self._files(info), self._supervisors)
            self._finish(runner, info)
            return
        self._supervised.add(identifier)
        runner.execs.adopt(info, ExecRun(process.pid, pidfd, -1, child=False, shimless=True))

    def _files(self, info: ExecInfo) -> ExitFiles:
        bundle = self._node.layout.exec_bundle(info.spec.id)
        return ExitFiles.of(bundle, bundle, bundle, info.container)

    def _pid(self, identifier: str) -> int:
        """From the shim's pid file; 0 where it has none (yet)."""
        try:
            return int((self._node.layout.exec_bundle(identifier) / "pidfile").read_text())
        except (OSError, ValueError):
            return 0
