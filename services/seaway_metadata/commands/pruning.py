"""Tells the cluster that a prune was carried out, which is no single node's event."""

import time

from seaway_bus.bus import Command
from seaway_bus.outbox import Outbox
from seaway_contracts.base import Empty
from seaway_contracts.catalogue import CLUSTER_PRUNE
from seaway_contracts.commands import Pruned
from seaway_contracts.lifecycle import CLUSTER, Envelope, PruneEvent


class Pruning:
    """`prune.tell`: the same command twice is one event."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox

    async def tell(self, pruned: Pruned, command: Command) -> Empty:
        """Publish it, behind all that was removed."""
        envelope = Envelope(
            id=f"prune-{command.id}",
            node=CLUSTER,
            noun=CLUSTER_PRUNE.noun,
            action=CLUSTER_PRUNE.action,
            subject_id=CLUSTER,
            time_ns=time.time_ns(),
            cause=command.id,
            actor=command.actor,
        )
        attributes = {"reclaimed": str(pruned.reclaimed)}
        self._outbox.tell(CLUSTER_PRUNE, envelope, PruneEvent(kind=pruned.kind, attributes=attributes))
        return Empty()
