"""`seaway node drain --stop`: let nothing new come to a node, and stop what runs there."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from seaway_bus.ask_once import run_once
from seaway_bus.bus import Bus, Command
from seaway_cli.errors import CliError
from seaway_cli.layout import Layout
from seaway_cli.nats_login import operator
from seaway_cli.node_settings import check_name, login_of
from seaway_cli.permissions import API
from seaway_cluster.drain import noticing_its_end, stop_all
from seaway_cluster.moving import ties
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import LIST_NODES, UPDATE_NODE
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import SeawayError
from seaway_contracts.node_settings import UpdateNode
from seaway_kit.tasks import Tasks


@dataclass(frozen=True)
class Container:
    """A container that ran on the node. `error`: why it could not be stopped; `ties`: what keeps it on this node."""

    id: str
    name: str
    error: str
    ties: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """A line for the user."""
        ended = f"not stopped: {self.error}" if self.error else "stopped"
        later = f"stays, as {', '.join(self.ties)}" if self.ties else "would move to another node that fits"
        return f"{self.name}: {ended}; {later}"

    @property
    def document(self) -> dict[str, Any]:
        """The same as JSON."""
        return {
            "id": self.id,
            "name": self.name,
            "stopped": not self.error,
            "error": self.error,
            "would_move": not self.ties,
            "stays_as": list(self.ties),
        }


def summary(node: str, containers: Sequence[Container]) -> str:
    """The last line for the user."""
    stopped = sum(not one.error for one in containers)
    moving = sum(not one.ties for one in containers)
    counts = f"{stopped} of {len(containers)} containers were stopped" if containers else "no container ran there"
    later = f"; {moving} would move, which Seaway doesn't do yet" if moving else ""
    return f"Node {node} is drained: it gets no new containers; {counts}{later}."


def drain(layout: Layout, node: str, note: Callable[[Container], None]) -> None:
    """Set the node to drain, and stop what runs there; `note` is called for each container when it has ended.

    Raises CliError. If interrupted, the node stays drained, and stops that have begun are carried out.
    """
    check_name(node)
    login, actor = login_of(layout, API), operator()

    def stopped(spec: ContainerSpec, error: str) -> None:
        note(Container(spec.id, spec.name, error, ties(spec)))

    async def drain_and_stop(bus: Bus, tasks: Tasks) -> None:
        async with noticing_its_end(bus, tasks, node):
            await _check_up(bus, node)
            await bus.call(UPDATE_NODE, UpdateNode(node=node, availability="drain"), command=Command.new(actor))
            await stop_all(bus, actor, node, stopped)

    try:
        run_once(drain_and_stop, url=login.url, user=login.user, password=login.password, ca=login.ca)
    except SeawayError as error:
        raise CliError(error.message) from None
    except KeyboardInterrupt:
        again = f"`seaway node drain {node} --stop` continues, `seaway node activate {node}` undoes the drain"
        raise CliError(f"interrupted: node {node} stays drained, if it was by then; {again}", exit_code=130) from None


async def _check_up(bus: Bus, node: str) -> None:
    found = {record.node: record for record in (await bus.call(LIST_NODES, Empty())).nodes}
    if node not in found:
        raise CliError(f"no such node: {node}; `seaway node ls` lists them")
    if found[node].state == "down":
        raise CliError(
            f"node {node} is down, so nothing can be stopped there; `seaway node drain {node}` without --stop keeps "
            "new containers away from it"
        )
