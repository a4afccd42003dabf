"""Commands that change what is asked for of a container: rename, update."""

from typing import Final

from seaway_agent.kernel import cgroups
from seaway_agent.node import Node
from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue
from seaway_contracts.commands import RenameContainer, StatusReply, UpdateContainer
from seaway_contracts.errors import bad_request
from seaway_docker.cpusets import parse_cpuset

_NO_WEIGHT: Final = "Your kernel does not support Block I/O weight or the cgroup is not mounted. Weight discarded."


class UpdateCommands:
    """The new spec is stored with its event, in one transaction; a repeat of the command changes nothing more."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def serve(self, bus: Bus) -> None:
        """Take the commands from the bus."""
        node = self._node.plumbing.node
        await bus.serve(catalogue.RENAME_HELD, self._rename, node=node)
        await bus.serve(catalogue.UPDATE, self._update, node=node)

    async def _rename(self, asked: RenameContainer, command: Command) -> StatusReply:
        return await self._node.first(asked.id, command, lambda cell: cell.rename(command, asked.name))

    async def _update(self, asked: UpdateContainer, command: Command) -> StatusReply:
        plumbing = self._node.plumbing
        limits, warnings = asked.limits, tuple[str, ...]()
        if limits.cpuset_cpus:
            _check_cpus(limits.cpuset_cpus, cgroups.available_cpus(plumbing.cgroups))
        if limits.blkio_weight and cgroups.weight_file(plumbing.cgroups, "") is None:
            limits, warnings = limits.model_copy(update={"blkio_weight": 0}), (_NO_WEIGHT,)
        done = await self._node.first(asked.id, command, lambda cell: cell.update(command, limits, asked.restart))
        return done.model_copy(update={"warnings": warnings})


def _check_cpus(asked: str, available: str) -> None:
    """Raise SeawayError (400) for CPUs that the node lacks; `available` is empty where nobody knows."""
    if available and not parse_cpuset(asked) <= parse_cpuset(available):
        raise bad_request(f"Requested CPUs are not available - requested {asked}, available: {available}")
