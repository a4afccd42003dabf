"""Starts execs on this node: with a conmon each, or by the supervisor."""

import sys
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from seaway_agent.execs.bundles import ExecBundles
from seaway_agent.execs.launch import ExecLaunch, ExecRun
from seaway_agent.execs.plan import ExecPlan, ExecShim
from seaway_agent.execs.supervised import SupervisedLaunch
from seaway_agent.execs.supervisor.supervisor import ExecSupervisor
from seaway_agent.kernel.attach_lock import AttachLock
from seaway_agent.kernel.launcher import Launcher
from seaway_agent.layout import Layout
from seaway_agent.runtime.apparmor import AppArmor
from seaway_agent.runtime.runtimes import RUNSC, Runtimes, global_flags, sizes_late
from seaway_agent.streams.console import Console
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.execs import ExecSpec

_HOLD_PROGRAM: Final = Path(__file__).with_name("hold_program.py")


class ExecStarter:
    """Plans and starts the execs of all containers of a node.

    `conmon`: its path. `output_fd`: where conmon writes what it logs. `workers`: threads for waits of a moment.
    `grantable`: the capabilities that this node can give to a privileged exec.
    """

    def __init__(
        self,
        *,
        layout: Layout,
        runtimes: Runtimes,
        conmon: str,
        launcher: Launcher,
        attach_lock: AttachLock,
        supervisor: ExecSupervisor,
        apparmor: AppArmor,
        output_fd: int,
        workers: ThreadPoolExecutor,
        grantable: Collection[str],
    ) -> None:
        self._layout = layout
        self._runtimes = runtimes
        self._conmon = conmon
        self._attach_lock = attach_lock
        self._apparmor = apparmor
        bundles = ExecBundles(launcher, grantable)
        self._by_conmon = ExecLaunch(bundles, launcher, workers, output_fd)
        self._by_supervisor = SupervisedLaunch(bundles, launcher, workers, supervisor)

    def plan(self, container: ContainerSpec, pid: int, asked: ExecSpec, *, attached: bool) -> ExecPlan:
        """How an exec is to be run. `pid`: the container's first process. Raises SeawayError for an unknown runtime."""
        name, program = self._runtimes.find(container.runtime)
        shim = ExecShim(
            exec_id=asked.id,
            container=container.id,
            conmon=self._conmon,
            runtime=program,
            runtime_root=self._layout.state_root(name, container.id),
            bundle=self.bundle(asked.id),
            stdin=asked.attach_stdin and attached,
            terminal=asked.tty,
            attached=attached,
            runtime_args=global_flags(name),
            before_runtime=_holding(asked) if sizes_late(name) else (),
        )
        config = self._layout.bundle(container.id) / "config.json"
        supervised = attached and not asked.tty and name != RUNSC
        return ExecPlan(container, pid, asked, shim, config, sandboxed=name == RUNSC, supervised=supervised)

    async def start(self, plan: ExecPlan, console: Console) -> ExecRun:
        """Start an exec with its streams on `console`.

        Raises SeawayError (in Docker's words where the runtime refused), OSError; nothing is left then.
        """
        await self._apparmor.ensure_loaded(self._apparmor.profile_for(plan.container.security))
        self.warm()
        if not plan.supervised:
            return await self._by_conmon.run(plan, console.connect)
        run = await self._by_supervisor.run(plan, console.use)
        self._attach_lock.used()
        return run

    def warm(self) -> None:
        """Prepare for an exec that starts in a moment: see `AttachLock.warm`. Returns at once."""
        self._attach_lock.warm()

    def bundle(self, identifier: str) -> Path:
        """The directory of an exec."""
        return self._layout.exec_bundle(identifier)


def _holding(asked: ExecSpec) -> tuple[str, ...]:
    """What holds the program until its terminal has the size that was asked for, if any was."""
    if not (asked.tty and asked.height and asked.width):
        return ()
    return (sys.executable, "-I", "-S", str(_HOLD_PROGRAM), str(asked.height), str(asked.width))
