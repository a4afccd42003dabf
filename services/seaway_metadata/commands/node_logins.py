"""Publishes that the command line has let a node in: the login itself is made at the NATS server's machine."""

import time

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import NODE_ADD
from seaway_contracts.errors import bad_request
from seaway_contracts.ids import check_node
from seaway_contracts.lifecycle import CLUSTER, Envelope
from seaway_contracts.nodes import AddedNode, NodeEvent


class NodeLogins:
    """Serves `node.announce`: the same command twice is one event."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def announce(self, request: AddedNode, command: Command) -> Empty:
        """Publish the event. Raises SeawayError (BAD_REQUEST) for a name that no node may have."""
        try:
            check_node(request.node)
        except ValueError as error:
            raise bad_request(str(error)) from None
        envelope = Envelope(
            id=f"node-{request.node}-add-{command.id}",
            node=CLUSTER,
            noun=NODE_ADD.noun,
            action=NODE_ADD.action,
            subject_id=request.node,
            time_ns=time.time_ns(),
            cause=command.id,
            actor=command.actor,
        )
        self._outbox.tell(NODE_ADD, envelope, NodeEvent(node=request.node, attributes={"name": request.node}))
        return Empty()
