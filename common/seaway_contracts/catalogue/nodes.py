"""Nodes: beats, records; tokens to join by, and identities."""

from typing import Final

from seaway_contracts import joining as j
from seaway_contracts import node_settings as s
from seaway_contracts import nodes as n
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import (
    AGENT,
    API,
    CLI,
    JOIN,
    METADATA,
    SCHEDULER,
    ask,
    call,
    event,
    message,
    query,
)
from seaway_contracts.channels import ALL_NODES, DO, TELL, BucketConfig, EventChannel, Repeat


def _event(action: str, about: str) -> EventChannel[n.NodeEvent]:
    return event("node", action, n.NodeEvent, about, owner=METADATA)


NODE_JOIN: Final = _event("join", "A node sent its first heartbeat.")
NODE_DOWN: Final = _event("down", "A node stopped sending heartbeats.")
NODE_UP: Final = _event("up", "A node sends heartbeats again.")
NODE_REMOVE: Final = _event("remove", "A node was removed from the cluster, with its containers' records.")
NODE_UPDATE: Final = event("node", "update", s.NodeUpdated, "A node's settings were changed.", owner=METADATA)
NODE_ADD: Final = _event("add", "A login was made for a node's agent, by `seaway node add`.")
NODE_ADMIT: Final = _event("admit", "A machine joined by a token, and its key was stored as the node's.")
NODE_REFUSE: Final = _event(
    "refuse", "A machine was refused: its token is unknown, expired or used, or its name or key is another node's."
)

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

ANNOUNCE_NODE: Final = query(
    METADATA, "node.announce", n.AddedNode, Empty, "Publish that a login was made for a node's agent."
)
UPDATE_NODE: Final = call(
    METADATA,
    "node.update",
    s.UpdateNode,
    s.NodeSettingsReply,
    "Change a node's labels, availability or reserved share.",
    repeat=Repeat.UNANSWERED,
)

ADMIT_NODE: Final = call(
    METADATA,
    "node.admit",
    j.AdmitNode,
    j.AdmittedNode,
    "Exchange a token for an identity of the node's own.",
    callers=(JOIN,),
    timeout_s=10,
    repeat=Repeat.UNANSWERED,
)
LIST_IDENTITIES: Final = query(
    METADATA, "node.identities", Empty, j.IdentityList, "List the nodes that joined by tokens."
)
CHECK_NODE: Final = ask(METADATA, "node.check", Empty, j.NodeCheck, "Return clock and version, for `seaway doctor`.")
TOKEN_CREATE: Final = event(
    "token", "create", j.TokenEvent, "A token was made, by which machines join.", owner=METADATA
)
TOKEN_REMOVE: Final = event("token", "remove", j.TokenEvent, "A token was removed.", owner=METADATA)
CREATE_TOKEN: Final = call(
    METADATA,
    "token.create",
    j.CreateToken,
    j.TokenInfo,
    "Store a token by which machines join.",
    repeat=Repeat.UNANSWERED,
)
LIST_TOKENS: Final = query(METADATA, "token.list", Empty, j.TokenList, "List all tokens, without their secrets.")
REMOVE_TOKEN: Final = call(
    METADATA,
    "token.remove",
    j.TokenRef,
    j.TokenInfo,
    "Remove a token: nobody joins by it after that.",
)

NODES_BUCKET: Final = BucketConfig("seaway_nodes", "Node records, by name.")
TOKENS_BUCKET: Final = BucketConfig("seaway_tokens", "Tokens to join by, by id, with a hash of the secret.")
IDENTITIES_BUCKET: Final = BucketConfig("seaway_identities", "The public keys of nodes that joined by tokens, by node.")
NODE_SETTINGS_BUCKET: Final = BucketConfig("seaway_node_settings", "Settings of nodes, by the node's name.")
