"""Networks: their events, their records at metadata, commands to the agents whose nodes have them."""

from typing import Final

from seaway_contracts import networks as n
from seaway_contracts.base import Empty
from seaway_contracts.catalogue.declare import AGENT, METADATA, ask, call, event, query
from seaway_contracts.channels import BucketConfig, Repeat
from seaway_contracts.commands import ContainerId, StatusReply

# --- events, in Docker's words

NETWORK_CREATE: Final = event("network", "create", n.NetworkEvent, "The network was created.", owner=METADATA)
NETWORK_CONNECT: Final = event("network", "connect", n.NetworkEvent, "A container joined a network.")
NETWORK_DISCONNECT: Final = event("network", "disconnect", n.NetworkEvent, "A container left a network.")
NETWORK_DESTROY: Final = event("network", "destroy", n.NetworkEvent, "The network was removed.", owner=METADATA)

# --- records

CREATE_NETWORK: Final = query(
    METADATA, "network.create", n.CreateNetwork, n.NetworkReply, "Reserve its name and subnets, and store its record."
)
GET_NETWORK: Final = query(METADATA, "network.get", n.NetworkRef, n.NetworkReply, "Return one network of users.")
LIST_NETWORKS: Final = query(
    METADATA, "network.list", n.ListNetworks, n.NetworkList, "Return a page of all networks of users."
)
REMOVE_NETWORK: Final = call(
    METADATA,
    "network.remove",
    n.NetworkRef,
    n.NetworkReply,
    "Remove a network without active endpoints from its nodes and the records.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)
CONNECT: Final = call(
    METADATA,
    "network.connect",
    n.ConnectContainer,
    StatusReply,
    "Claim addresses for an endpoint, and have the container's node make it.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)
DISCONNECT: Final = call(
    METADATA,
    "network.disconnect",
    n.DisconnectContainer,
    StatusReply,
    "Have the container's node remove an endpoint, and free its addresses.",
    timeout_s=30,
    repeat=Repeat.UNANSWERED,
)
LEASE_ADDRESSES: Final = query(
    METADATA,
    "network.lease",
    n.LeaseAddresses,
    n.LeasedEndpoint,
    "Reserve addresses for a build for half a minute, and bind their network to its node.",
)
RETURN_ADDRESSES: Final = query(METADATA, "network.unlease", n.ReturnAddresses, Empty, "Free what a build has leased.")

CLAIM_ADDRESSES: Final = ask(
    METADATA,
    "network.claim",
    ContainerId,
    n.ClaimedEndpoints,
    "Claim the addresses that a container of the node asked for, and that another one had when it was created.",
)

# --- commands to an agent

CONNECT_HELD: Final = call(
    AGENT,
    "network.connect",
    n.ConnectHeld,
    StatusReply,
    "Add an endpoint to a container of this node.",
    callers=(METADATA,),
    timeout_s=15,
    repeat=Repeat.UNANSWERED,
)
DISCONNECT_HELD: Final = call(
    AGENT,
    "network.disconnect",
    n.DisconnectHeld,
    StatusReply,
    "Remove an endpoint from a container of this node.",
    callers=(METADATA,),
    timeout_s=15,
    repeat=Repeat.UNANSWERED,
)
REMOVE_HELD_NETWORK: Final = call(
    AGENT,
    "network.remove",
    n.RemoveHeldNetwork,
    Empty,
    "Remove a network, unless a container has an active endpoint in it.",
    callers=(METADATA,),
    timeout_s=10,
    repeat=Repeat.UNANSWERED,
)
NETWORK_INVENTORY: Final = call(
    AGENT,
    "network.inventory",
    n.ListHeldNetworks,
    n.NetworkInventory,
    "Return a page of the networks that this node has stored.",
    callers=(METADATA,),
    repeat=Repeat.NEVER,
)

NETWORKS_BUCKET: Final = BucketConfig("seaway_networks", "Network records, by id.")
NETWORK_NAMES_BUCKET: Final = BucketConfig(
    "seaway_network_names", "Reserved network names (in hex) and the id of their holder."
)
SUBNETS_BUCKET: Final = BucketConfig("seaway_subnets", "The subnets of all networks, in one record.")
ADDRESSES_BUCKET: Final = BucketConfig(
    "seaway_addresses", "Claimed addresses (network id and address, in hex) and the container that has each."
)
