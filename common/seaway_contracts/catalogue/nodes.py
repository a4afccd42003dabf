"""Nodes: beats, records."""

from typing import Final

from seaway_contracts import node_settings as s
from seaway_contracts import nodes as n
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, API, CLI, METADATA, SCHEDULER, ask, call, event, message
from seaway_contracts.channels import ALL_NODES, DO, TELL, BucketConfig, EventChannel, Repeat


def _event(action: str, about: str) -> EventChannel[n.NodeEvent]:
    return event("node", action, n.NodeEvent, about, owner=METADATA)


NODE_JOIN: Final = _event("join", "A node sent its first heartbeat.")
NODE_DOWN: Final = _event("down", "A node stopped sending heartbeats.")
NODE_UP: Final = _event("up", "A node sends heartbeats again.")
NODE_REMOVE: Final = _event("remove", "A node was removed from the cluster, with its containers' records.")
NODE_UPDATE: Final = event("node", "update", s.NodeUpdated, "A node's settings were changed.", owner=METADATA)

BEAT: Final = message(
    "beat",
    f"{TELL}.beat",
    n.Beat,
    "Heartbeat with capacity and inventory revision.",
    owner=AGENT,
    hearers=(API, METADATA, SCHEDULER, CLI),
)
NODE_FACTS: Final = call(
    AGENT,
    "node.facts",
    Empty,
    n.KnownFacts,
    "Return what seldom changes about this node, and is not in each of its beats.",
    callers=(METADATA, SCHEDULER),
    repeat=Repeat.NEVER,
)
TO_NODES: Final = message(
    "nodes.told",
    DO.format(node=ALL_NODES) + ".node.told",
    s.ToNodes,
    "What all agents must know has changed: the interval of beats, the cluster's settings, or one node's.",
    owner=METADATA,
    hearers=(AGENT,),
)
NODE_CONFIG: Final = ask(
    METADATA, "node.config", Empty, s.NodeConfig, "Return the settings that the agent of this node must know."
)
LIST_NODES: Final = call(
    METADATA,
    "node.list",
    Empty,
    n.NodeList,
    "List all nodes.",
    callers=(API, SCHEDULER, CLI),
    repeat=Repeat.NEVER,
)
REMOVE_NODE: Final = call(
    METADATA,
    "node.remove",
    n.RemoveNode,
    n.RemovedNode,
    "Remove a node's records and those of its containers.",
    timeout_s=60,
    repeat=Repeat.UNANSWERED,
)

UPDATE_NODE: Final = call(
    METADATA,
    "node.update",
    s.UpdateNode,
    s.NodeSettingsReply,
    "Change a node's labels, availability or reserved share.",
    repeat=Repeat.UNANSWERED,
)

NODES_BUCKET: Final = BucketConfig("seaway_nodes", "Node records, by name.")
NODE_SETTINGS_BUCKET: Final = BucketConfig("seaway_node_settings", "Settings of nodes, by the node's name.")
