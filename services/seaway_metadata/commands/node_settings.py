"""Serves changes of nodes' settings, and publishes them."""

import contextlib
import time
from collections.abc import Awaitable, Callable

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_bus.transport import TransportError
from seaway_contracts.catalogue import NODE_UPDATE
from seaway_contracts.errors import conflict, not_found
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.node_settings import NodeSettings, NodeSettingsReply, NodeUpdated, UpdateNode
from seaway_contracts.nodes import NodeRecord
from seaway_metadata.commands.reachable import reachable
from seaway_metadata.kinds.node_settings import changed, check_share, check_update, differences, reset
from seaway_metadata.store.written import WrittenTable


class NodeSettingsCommands:
    """Serves `node.update`."""

    def __init__(
        self,
        table: WrittenTable[NodeSettings],
        node: Callable[[str], NodeRecord | None],
        outbox: Outbox,
        missing: Callable[[], None],
        told: Callable[[NodeSettings], Awaitable[None]],
    ) -> None:
        """`node` returns a node's record; `missing` is called when the buckets are not there; `told` hands a
        node's settings to its agent, and raises TransportError.
        """
        self._told = told
        self.table = table
        self._node = node
        self._outbox = outbox
        self._missing = missing

    async def update(self, request: UpdateNode, command: Command) -> NodeSettingsReply:
        """Raises SeawayError: NOT_FOUND; BAD_REQUEST; CONFLICT for the removal of a label that the agent gives."""
        check_update(request)
        record = self._node(request.node)
        if record is None:
            raise not_found(f"no such node: {request.node}")
        if request.reserved is not None:
            check_share(request.node, request.reserved, record.beat.capacity)
        with reachable(self._missing):
            before, after = await self.change(record.node, lambda found: _updated(found, request, record, command))
        if after.command == command.id:  # also if an earlier try of the command has made the change
            self._tell(before, after, command)
            with contextlib.suppress(TransportError):  # the agent asks after a reconnection
                await self._told(after)
        return NodeSettingsReply(settings=after)

    async def change(
        self, node: str, changing: Callable[[NodeSettings], NodeSettings]
    ) -> tuple[NodeSettings, NodeSettings]:
        """Change a node's settings; they as they were and as they are now. Raises TransportError."""
        before = self.table.index.get(node) or NodeSettings(node=node)

        def noted(found: NodeSettings) -> NodeSettings:
            nonlocal before
            before = found
            return changing(found)

        while (after := await self.table.change(node, noted)) is None:
            await self.table.register(before)
        return before, after

    async def reset(self, node: str) -> None:
        """The node is being removed: a later one of its name begins without settings. Raises SeawayError."""
        with reachable(self._missing):
            if self.table.index.get(node) is not None or await self.table.is_stored(node):
                await self.change(node, reset)

    def heard(self, node: str, body: object) -> None:
        """A node's settings were changed, or the node was removed. The bucket is read unless they are known here."""
        known = self.table.index.get(node)
        if known is None or not isinstance(body, NodeUpdated) or known.version < body.settings.version:
            self.table.heard(node)

    def _tell(self, before: NodeSettings, after: NodeSettings, command: Command) -> None:
        node = after.node
        envelope = Envelope(
            id=f"node-{node}-update-{after.version}-{after.command}",
            node=node,
            noun=NODE_UPDATE.noun,
            action=NODE_UPDATE.action,
            subject_id=node,
            time_ns=time.time_ns(),
            cause=command.id,
            actor=command.actor,
        )
        attributes = {"name": node, **differences(before, after)}
        self._outbox.tell(NODE_UPDATE, envelope, NodeUpdated(settings=after, attributes=attributes))


def _updated(found: NodeSettings, request: UpdateNode, record: NodeRecord, command: Command) -> NodeSettings:
    for key in request.removed_labels:
        if key not in found.labels and key in record.beat.facts.labels:
            raise conflict(
                f"label {key!r} is given by the agent of node {found.node}: set another value, or start the agent "
                f"without --label {key}"
            )
    return changed(found, request, command.id)
