"""The containers of this node."""

from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import Final

from seaway_agent.container.runner import ContainerRunner
from seaway_agent.core.instructions import Instruction, Waiter
from seaway_agent.core.machine import Machine
from seaway_agent.rootfs.names import chain_ids
from seaway_agent.state.journal import Journal
from seaway_bus.bus import Command
from seaway_contracts.commands import StatusReply
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus
from seaway_contracts.docker_errors import container_not_running, no_such_container, no_such_exec
from seaway_contracts.errors import conflict
from seaway_contracts.execs import container_prefix

_REJECTED: Final = 4096


class Inventory:
    """All runners of this node. Every command is carried out once; its repeat gets the same answer.

    `epoch` tells one life of the agent from the next. `lost_memory`: this one began with a reboot, before which
    containers may have been made that the database doesn't know.
    """

    def __init__(self, node: str, journal: Journal, epoch: str, *, lost_memory: bool = False) -> None:
        self.node = node
        self.runners: dict[str, ContainerRunner] = {}
        self.epoch = epoch
        self.lost_memory = lost_memory
        self._journal = journal
        self._by_prefix: dict[str, ContainerRunner] = {}
        self._rejected: OrderedDict[str, None] = OrderedDict()

    def runner(self, container: str) -> ContainerRunner:
        """The runner of a container, by its whole id. Raises SeawayError (404)."""
        try:
            return self.runners[container]
        except KeyError:
            raise no_such_container(container) from None

    def reject_create(self, container: str) -> None:
        """A container is to be removed: if it is still being made, it will not come into being."""
        if container not in self.runners:
            self._rejected[container] = None
            if len(self._rejected) > _REJECTED:
                self._rejected.popitem(last=False)

    def check_wanted(self, container: str) -> None:
        """Raise SeawayError (409) for a container whose removal came before it was made."""
        if container in self._rejected:
            raise conflict(f"container {container[:12]} was removed while it was being made")

    def exec_runner(self, identifier: str) -> ContainerRunner:
        """The runner of the container that an exec belongs to. Raises SeawayError (404)."""
        runner = self._by_prefix.get(container_prefix(identifier))
        if runner is None:
            raise no_such_exec(identifier)
        return runner

    def running(self, container: str) -> ContainerRunner:
        """The runner of a container that has a process. Raises SeawayError (404, 409)."""
        runner = self.runner(container)
        if not runner.status.pid:
            raise container_not_running(container)
        return runner

    async def once(
        self, container: str, command: Command, decide: Callable[[Machine, Waiter], list[Instruction]]
    ) -> StatusReply:
        """Put a command to a container's machine, unless it was carried out before. Raises SeawayError."""
        return await self.first(
            container, command, lambda runner: runner.submit(command, lambda waiter: decide(runner.machine, waiter))
        )

    async def first(
        self, container: str, command: Command, work: Callable[[ContainerRunner], Awaitable[ContainerStatus]]
    ) -> StatusReply:
        """The status that the command led to: by `work`, unless it was carried out before, even by an earlier agent.

        Then the container may be gone by now, and the answer goes behind its events, which that agent may not have
        sent. Raises SeawayError.
        """
        done = self.answered(command)
        if done is None:
            return StatusReply(status=await work(self.runner(container)))
        on_their_way = self._journal.sent(container)
        if on_their_way is not None:
            await on_their_way
        return StatusReply(status=done)

    def check_room(self, command: Command) -> None:
        """Raise SeawayError (503) where nothing new is begun just now; what was carried out before is answered."""
        if self.answered(command) is None:
            self._journal.check_outbox()

    def answered(self, command: Command) -> ContainerStatus | None:
        """What a command of before was answered; None for a new one."""
        return self._journal.outcome(command.id)

    def exit_seen(self, container: str) -> None:
        """An exit file has appeared."""
        runner = self.runners.get(container)
        if runner is not None:
            runner.exit_seen()

    def close(self) -> None:
        """Stop watching; the containers continue."""
        for runner in self.runners.values():
            runner.close()

    def add(self, runner: ContainerRunner) -> None:
        """A runner that recovery or a create has made."""
        self.runners[runner.spec.id] = runner
        self._by_prefix[container_prefix(runner.spec.id)] = runner

    def forget(self, runner: ContainerRunner) -> None:
        """Nothing is left of it."""
        self.runners.pop(runner.spec.id, None)
        self._by_prefix.pop(container_prefix(runner.spec.id), None)

    def kept_chains(self) -> set[str]:
        """The chain ids of all layers that containers of this node stand on."""
        return {
            chain
            for runner in self.runners.values()
            for chain in chain_ids(x.diff_id for x in runner.spec.image.layers)
        }

    def live_ids(self) -> list[str]:
        """The ids of the containers that run."""
        return [container for container, runner in self.runners.items() if runner.status.pid]

    def followers(self, container: str) -> list[ContainerSpec]:
        """The running containers that have a legacy link to this one."""
        running = (runner.spec for runner in self.runners.values() if runner.status.pid)
        return [spec for spec in running if any(link.container == container for link in spec.network.links)]

    def peer(self, container: str) -> ContainerRecord | None:
        """A container's record, for another one that uses something of it; None where it isn't there."""
        runner = self.runners.get(container)
        if runner is None:
            return None
        return ContainerRecord(spec=runner.spec, node=self.node, status=runner.status)
