"""The state machine of one container: inputs in, instructions out, no I/O and no clock.

`phases` has the table of its phases. Commands are queued until the phase that they need; nothing is done twice. What
does not fit the phase breaks the container, and nothing else: see `transitions.break_off`.
"""

from collections.abc import Callable, Iterable
from typing import Concatenate, ParamSpec

from seaway_agent.core import adoption, commands, lifecycle, networks
from seaway_agent.core.execs import ExecTable
from seaway_agent.core.instructions import Emit, Exit, Instruction, Launched, PendingStop, Waiter
from seaway_agent.core.phases import AfterTeardown, Phase, PhaseError
from seaway_agent.core.state import ContainerState
from seaway_agent.core.transitions import break_off
from seaway_contracts.containers import (
    ContainerSpec,
    ContainerStatus,
    Endpoint,
    EndpointSpec,
    Probe,
    PublishedPort,
    Resources,
    RestartPolicy,
)
from seaway_contracts.errors import SeawayError
from seaway_contracts.networks import NetworkRecord
from seaway_contracts.volumes import VolumeRecord

P = ParamSpec("P")


class Machine:
    """One container. Every method takes what happened and returns what to do, in order.

    Times are Unix times in nanoseconds. `execs` has the same kind of methods for the container's execs.
    """

    def __init__(self, spec: ContainerSpec, status: ContainerStatus, phase: Phase = Phase.IDLE) -> None:
        self._state = ContainerState(spec, status, phase)

    def _take(
        self, step: Callable[Concatenate[ContainerState, P], list[Instruction]], *args: P.args, **kwargs: P.kwargs
    ) -> list[Instruction]:
        try:
            return step(self._state, *args, **kwargs)
        except PhaseError as error:
            return break_off(self._state, str(error), [arg for arg in args if isinstance(arg, Waiter)])

    # --- what is

    @property
    def spec(self) -> ContainerSpec:
        """What was asked for."""
        return self._state.spec

    @property
    def status(self) -> ContainerStatus:
        """What is."""
        return self._state.status

    @property
    def phase(self) -> Phase:
        """What the node is doing with it."""
        return self._state.phase

    @property
    def history(self) -> list[str]:
        """Its last changes of phase."""
        return self._state.history

    @property
    def execs(self) -> ExecTable:
        """Its execs."""
        return self._state.execs

    @property
    def runs_again(self) -> bool:
        """Whether another run follows the one that is being torn down."""
        return self.phase is Phase.TEARING_DOWN and self._state.after_teardown is not AfterTeardown.REST

    @property
    def may_write(self) -> bool:
        """Whether its process may still write, or another run follows."""
        live = self.phase in (Phase.LAUNCHING, Phase.RUNNING, Phase.PAUSED, Phase.BACKING_OFF)
        return live or self.runs_again or self.status.pid != 0

    def knows(self, waiter: Waiter) -> bool:
        """Whether that command waits already, given to this agent or to one before it."""
        return waiter in self._state.waiters.all()

    def why_no_pause(self) -> SeawayError | None:
        """Why it can't be frozen now."""
        return commands.why_no_pause(self._state)

    def why_no_exec(self) -> SeawayError | None:
        """Why no program can be run in it now."""
        return self._state.why_no_exec()

    @property
    def live(self) -> bool:
        """Whether it has a process and is in order."""
        return self._state.live

    def why_no_connect(self, network: NetworkRecord) -> SeawayError | None:
        """Why it can't be connected to that network now, in Docker's words."""
        return networks.why_no_connect(self._state, network)

    def why_no_disconnect(self, network_id: str, name: str) -> SeawayError | None:
        """Why it can't be disconnected from that network now, in Docker's words."""
        return networks.why_no_disconnect(self._state, network_id, name)

    # --- commands

    def create(
        self,
        waiter: Waiter,
        now_ns: int,
        volumes: Iterable[VolumeRecord] = (),
        networks: Iterable[NetworkRecord] = (),
    ) -> list[Instruction]:
        """The container has just been made, and these volumes with it; these networks are stored with it."""
        return self._take(commands.create, waiter, now_ns, volumes, networks)

    def start(self, waiter: Waiter) -> list[Instruction]:
        """Run it."""
        return self._take(commands.start, waiter)

    def stop(self, waiter: Waiter, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Instruction]:
        """Signal, wait, kill. Docker's 304 where it doesn't run."""
        return self._take(commands.stop, waiter, timeout_s, signal, now_ns)

    def restart(self, waiter: Waiter, timeout_s: int | None, signal: int | None, now_ns: int) -> list[Instruction]:
        """Stop it where it runs, then run it. A launch under way is new enough; a stop that waits for it is undone."""
        return self._take(commands.restart, waiter, timeout_s, signal, now_ns)

    def kill(self, waiter: Waiter, signal: int, now_ns: int) -> list[Instruction]:
        """Send a signal, now; SIGKILL is answered when the process is gone. It ends the wait for a restart, too."""
        return self._take(commands.kill, waiter, signal, now_ns)

    def pause(self, waiter: Waiter, now_ns: int, *, for_commit: bool = False) -> list[Instruction]:
        """It has been frozen; thawed again if it is being stopped since, as a frozen process takes no signal."""
        return self._take(commands.pause, waiter, now_ns, for_commit)

    def unpause(self, waiter: Waiter, now_ns: int) -> list[Instruction]:
        """Thaw it."""
        return self._take(commands.unpause, waiter, now_ns)

    def rename(self, waiter: Waiter, name: str, now_ns: int) -> list[Instruction]:
        """Give it another name, which is reserved already; the same again changes nothing."""
        return self._take(commands.rename, waiter, name, now_ns)

    def update(self, waiter: Waiter, limits: Resources, policy: RestartPolicy | None, now_ns: int) -> list[Instruction]:
        """Its limits and restart policy from now on. Raises SeawayError (409)."""
        return self._take(commands.update, waiter, limits, policy, now_ns)

    def connect(
        self,
        waiter: Waiter,
        endpoint: EndpointSpec,
        network: NetworkRecord,
        made: Endpoint | None,
        ports: tuple[PublishedPort, ...],
        now_ns: int,
    ) -> list[Instruction]:
        """Add an endpoint to its spec and store the network.

        If it runs, the endpoint has been `made`, and these are its published ports now.
        """
        return self._take(networks.connect, waiter, endpoint, network, made, ports, now_ns)

    def claimed(self, endpoints: Iterable[EndpointSpec], now_ns: int) -> list[Instruction]:
        """These endpoints have got the addresses that they asked for, before a launch."""
        return self._take(networks.claimed, endpoints, now_ns)

    def disconnect(
        self, waiter: Waiter, network_id: str, name: str, ports: tuple[PublishedPort, ...], now_ns: int
    ) -> list[Instruction]:
        """Remove an endpoint from its spec. If it runs, that is gone already, and these are its published ports now."""
        return self._take(networks.disconnect, waiter, network_id, name, ports, now_ns)

    def remove(self, waiter: Waiter, force: bool, volumes: bool, now_ns: int) -> list[Instruction]:
        """Delete it; a running one only by force."""
        return self._take(commands.remove, waiter, force, volumes, now_ns)

    def note(self, waiter: Waiter, now_ns: int, action: str, **attributes: str) -> list[Instruction]:
        """Record an event that changes nothing: a client joined, the terminal has a new size."""
        return [self._state.record(now_ns, waiter, Emit(action, attributes=attributes))]

    # --- what happens

    def launched(self, what: Launched) -> list[Instruction]:
        """It runs."""
        return self._take(lifecycle.launched, what)

    def launch_failed(self, error: SeawayError, code: int, now_ns: int) -> list[Instruction]:
        """It could not be run; what was made for it has been undone. `code` is Docker's 126, 127 or 128."""
        return self._take(lifecycle.launch_failed, error, code, now_ns)

    def exited(self, how: Exit, *, with_node: bool = False) -> list[Instruction]:
        """Its first process ended; `with_node`: as all others did, and the node starts them again in their order."""
        return self._take(lifecycle.exited, how, with_node=with_node)

    def torn_down(self, now_ns: int) -> list[Instruction]:
        """Everything that a run needs has been given back."""
        return self._take(lifecycle.torn_down, now_ns)

    def timer(self, name: str, now_ns: int) -> list[Instruction]:
        """A timer that was set has run out."""
        return self._take(lifecycle.timer, name, now_ns)

    def probed(self, number: int, probe: Probe) -> list[Instruction]:
        """A probe of the health check is over. Only another verdict is an event; the log is stored either way.

        One that fails while the container is being ended may have failed of that, and doesn't count.
        """
        return self._take(lifecycle.probed, number, probe)

    def deleted(self, now_ns: int, volumes: Iterable[VolumeRecord] = ()) -> list[Instruction]:
        """Nothing of it is left on the node, and these volumes are gone with it."""
        return self._take(lifecycle.deleted, now_ns, volumes)

    def delete_failed(self, error: SeawayError, now_ns: int) -> list[Instruction]:
        """Something of it could not be deleted; it can be tried again."""
        return self._take(lifecycle.delete_failed, error, now_ns)

    # --- adoption, by the agent that comes after one that was killed

    def restore_stop(self, what: PendingStop) -> None:
        """Continue what an earlier agent was doing with that run; `adopted`, `exited` or `resume` comes next."""
        adoption.restore_stop(self._state, what)

    def launching(self, run: int, starters: Iterable[Waiter], restarters: Iterable[Waiter]) -> list[Instruction]:
        """An earlier agent launched that run for these commands; `launched` comes next."""
        return self._take(adoption.launching, run, starters, restarters)

    def resume(self, *, with_node: bool = False) -> list[Instruction]:
        """Continue where the last agent was: back off (not where it ended with its node), tear down, delete, run."""
        return self._take(adoption.resume, with_node=with_node)

    def adopted(self, now_ns: int, ran_ns: int) -> list[Instruction]:
        """Its run, which has lasted so long, continues under this agent: so does its health check.

        What the last agent had frozen and not yet recorded as paused, or recorded as running and not yet thawed, runs;
        so does what was paused for a commit, which ended with that agent.
        """
        return self._take(adoption.adopted, now_ns, ran_ns)

    def restored(self, waiter: Waiter, now_ns: int, networks: Iterable[NetworkRecord] = ()) -> list[Instruction]:
        """It was on this node before a reboot that lost its record, and is here again; what ran has ended."""
        return self._take(adoption.restored, waiter, now_ns, networks)

    def start_again(self) -> list[Instruction]:
        """Run it because its restart policy says so after a reboot of the node; nothing where a user was quicker."""
        return self._take(adoption.start_again)
