"""The cluster as a whole."""

from typing import Final

from seaway_contracts import commands as c
from seaway_contracts import node_settings as s
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import METADATA, event, query
from seaway_contracts.channels import BucketConfig
from seaway_contracts.lifecycle import PruneEvent

CLUSTER_PRUNE: Final = event("cluster", "prune", PruneEvent, "Unused objects were removed.", owner=METADATA, lossy=True)
TELL_PRUNE: Final = query(METADATA, "prune.tell", c.Pruned, Empty, "Publish the event of a prune.")

CLUSTER_UPDATE: Final = event(
    "cluster", "update", s.ClusterUpdated, "The cluster's settings were changed.", owner=METADATA
)
UPDATE_CLUSTER: Final = query(
    METADATA,
    "cluster.update",
    s.UpdateCluster,
    s.ClusterSettingsReply,
    "Change the strategy of placement, or how much may be reserved.",
)
CLUSTER_BUCKET: Final = BucketConfig("seaway_cluster", "The cluster's settings, in one record.")
