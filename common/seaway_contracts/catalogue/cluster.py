"""The cluster as a whole."""

from typing import Final

from seaway_contracts import commands as c
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import METADATA, event, query
from seaway_contracts.lifecycle import PruneEvent

CLUSTER_PRUNE: Final = event("cluster", "prune", PruneEvent, "Unused objects were removed.", owner=METADATA, lossy=True)
TELL_PRUNE: Final = query(METADATA, "prune.tell", c.Pruned, Empty, "Publish the event of a prune.")
