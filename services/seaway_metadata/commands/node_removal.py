"""Removes a node from the cluster: its record, and those of the containers that it holds, or said that it holds.

The copy that is asked publishes what is gone. The others hear that, and forget the same.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Final

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import CONTAINER_DESTROY, NODE_REMOVE
from seaway_contracts.containers import ContainerRecord, ContainerStatus
from seaway_contracts.errors import conflict, not_found, unavailable
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.nodes import NodeEvent, RemovedNode, RemoveNode
from seaway_metadata.kinds.containers import ContainerView
from seaway_metadata.kinds.node_watch import NodeWatch
from seaway_metadata.store.records import Records

_REASON: Final = "its node was removed"


async def _had_no_identity(node: str) -> bool:
    return False


class NodeRemoval:
    """Serves `node.remove`."""

    def __init__(
        self,
        view: ContainerView,
        records: Records[ContainerRecord],
        nodes: NodeWatch,
        outbox: Outbox,
        reset: Callable[[str], Awaitable[None]],
        forget: Callable[[str], None] = lambda node: None,
        revoke: Callable[[str], Awaitable[bool]] = _had_no_identity,
    ) -> None:
        """`forget` is called with the node, whose anonymous volumes nobody reports any more; `reset` before anything
        is removed, to remove the node's settings. `revoke` takes its identity back, and returns whether it had one.
        `reset` and `revoke` raise SeawayError.
        """
        self._revoke = revoke
        self._forget = forget
        self._reset = reset
        self._view = view
        self._records = records
        self._nodes = nodes
        self._outbox = outbox

    async def remove(self, request: RemoveNode, command: Command) -> RemovedNode:
        """Raises SeawayError: NOT_FOUND; CONFLICT where the node holds containers, without `force`."""
        node = request.node
        await self._check_registrations(node)
        held = self._view.of_node(node)
        if held and not request.force:
            raise conflict(f"node {node} holds {_counted(len(held))}: remove them first, or give --force")
        had_identity = await self._revoke(node)
        if not held and not had_identity and not self._nodes.known(node):
            raise not_found(f"no such node: {node}")
        await self._reset(node)
        for record in held:
            if record.status.seq:  # else it was registered and never made
                self._outbox.tell(CONTAINER_DESTROY, *_destroyed(record, command))
            self._view.remove(record.id)
        known = self._nodes.record(node)
        self._nodes.remove(node)
        self._forget(node)
        envelope = Envelope(
            id=f"node-{node}-remove-{command.id}",
            node=node,
            noun=NODE_REMOVE.noun,
            action=NODE_REMOVE.action,
            subject_id=node,
            time_ns=time.time_ns(),
            cause=command.id,
            actor=command.actor,
        )
        epoch = known.beat.epoch if known is not None else ""
        self._outbox.tell(NODE_REMOVE, envelope, NodeEvent(node=node, epoch=epoch, attributes={"name": node}))
        return RemovedNode(containers=len(held))

    async def _check_registrations(self, node: str) -> None:
        """Another copy may have taken some of them back. Raises SeawayError."""
        for record in self._view.of_node(node):
            if record.status.seq:
                continue
            try:
                if await self._records.stored(record.id) is None:
                    self._view.unregister(record.id)
            except TransportError as error:
                raise unavailable(f"the records can't be reached just now: {error}; try again") from error

    def heard(self, envelope: Envelope) -> None:
        """A copy has removed the node. What becomes of containers that were made there has events of its own."""
        for record in self._view.of_node(envelope.node):
            if not record.status.seq and record.spec.created_ns <= envelope.time_ns:
                self._view.remove(record.id)
        self._nodes.was_removed(envelope.node, envelope.time_ns)
        if not self._nodes.known(envelope.node):
            self._forget(envelope.node)


def _counted(containers: int) -> str:
    return "1 container" if containers == 1 else f"{containers} containers"


def _destroyed(record: ContainerRecord, command: Command) -> tuple[Envelope, ContainerEvent]:
    """The container's last event. Its id is the same whichever copy publishes it."""
    spec, status = record.spec, record.status
    envelope = Envelope(
        id=f"removed-{record.id}",
        node=record.node,
        noun=CONTAINER_DESTROY.noun,
        action=CONTAINER_DESTROY.action,
        subject_id=record.id,
        time_ns=time.time_ns(),
        seq=status.seq + 1,
        cause=command.id,
        actor=command.actor,
    )
    last = ContainerStatus(state=status.state, seq=status.seq + 1, run=status.run, exit_code=status.exit_code)
    attributes = {**spec.labels, "image": spec.image.ref, "name": spec.name, "reason": _REASON}
    return envelope, ContainerEvent(status=last, attributes=attributes)
