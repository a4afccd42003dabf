"""Makes the runners of a node's containers from what they share."""

from collections.abc import Callable
from concurrent.futures import Executor

from seaway_agent.container.hook import RunHooks
from seaway_agent.container.live_network import LiveNetwork
from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.machine import Machine
from seaway_agent.core.phases import Phase
from seaway_agent.execs.starter import ExecStarter
from seaway_agent.layout import Layout
from seaway_agent.rootfs.upper import UpperStore
from seaway_agent.runtime.port import Runtime
from seaway_agent.state.journal import Journal
from seaway_agent.streams.container_log import ContainerLog
from seaway_agent.streams.log_watch import LogWatch
from seaway_agent.streams.spill import SpillStore
from seaway_agent.volumes.volumes import Volumes
from seaway_bus.bus import Bus
from seaway_contracts.containers import ContainerSpec, ContainerStatus
from seaway_kit.tasks import Tasks


class ContainerLogs:
    """Makes the log of each container. `compressors` compress rotated files; lines of the driver `nats` go to `bus`."""

    def __init__(
        self, layout: Layout, watch: LogWatch, compressors: Executor, tasks: Tasks, node: str, bus: Bus
    ) -> None:
        self._layout = layout
        self._watch = watch
        self._compressors = compressors
        self._tasks = tasks
        self._node = node
        self._bus = bus

    def make(self, machine: Machine) -> ContainerLog:
        """One container's."""
        container = machine.spec.id
        return ContainerLog(
            lambda: machine.spec,
            lambda: machine.may_write,
            path=self._layout.log(container),
            ctl=self._layout.bundle(container) / "ctl",
            watch=self._watch,
            compressors=self._compressors,
            tasks=self._tasks,
            node=self._node,
            bus=self._bus,
        )


class RunnerFactory:
    """`gone` is called with a runner of which nothing is left."""

    def __init__(
        self,
        *,
        make_runtime: Callable[[ContainerSpec], Runtime],
        hooks: RunHooks,
        network: LiveNetwork,
        journal: Journal,
        uppers: UpperStore,
        volumes: Volumes,
        logs: ContainerLogs,
        exec_starter: ExecStarter,
        spill: SpillStore,
        tasks: Tasks,
        gone: Callable[[ContainerRunner], None],
    ) -> None:
        self._make_runtime = make_runtime
        self._hooks = hooks
        self._network = network
        self._journal = journal
        self._uppers = uppers
        self._volumes = volumes
        self._logs = logs
        self._exec_starter = exec_starter
        self._spill = spill
        self._tasks = tasks
        self._gone = gone

    def make(
        self, spec: ContainerSpec, status: ContainerStatus, lowers: tuple[str, ...], phase: Phase = Phase.IDLE
    ) -> ContainerRunner:
        """A container's runner; `lowers` are its image's layers, topmost first."""
        machine = Machine(spec, status, phase)
        return ContainerRunner(
            machine,
            lowers,
            runtime=self._make_runtime(spec),
            hooks=self._hooks,
            network=self._network,
            journal=self._journal,
            uppers=self._uppers,
            volumes=self._volumes,
            log=self._logs.make(machine),
            exec_starter=self._exec_starter,
            spill=self._spill,
            tasks=self._tasks,
            gone=self._gone,
        )
