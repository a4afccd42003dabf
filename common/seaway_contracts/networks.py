"""Networks: records, requests, events."""

import hashlib
from typing import Final

from pydantic import Field

from seaway_contracts.base import Payload
from seaway_contracts.containers import EndpointSpec


def network_id(name: str) -> str:
    """The id of a network that every node has, the same on each node and after each start."""
    return hashlib.sha256(f"seaway network {name}".encode()).hexdigest()


class Pool(Payload):
    """Addresses of a network, in CIDR notation. `range`: the part that containers get without asking.

    `auxiliary`: addresses that no container gets, by their names. `subnet_asked`: the user gave the subnet.
    `gateway_asked`: the user gave the gateway, or neither it nor the subnet, so that inspect shows it.
    """

    subnet: str
    range: str = ""
    gateway: str = ""
    auxiliary: dict[str, str] = Field(default_factory=dict)
    subnet_asked: bool = True
    gateway_asked: bool = True


class NetworkRecord(Payload):
    """A network of users. `pools` are complete: metadata chose what the user left open. `created_ns`: Unix ns.

    `options` are the driver's. `ipam_options` are only shown; None: the user gave none. `nodes` were told to make it;
    the first is the one to which its containers go, since `bound_ns` (Unix ns). `version` counts the record's changes.
    `bound_for`: the new container, or the build, for which it was bound to that node; empty once another one has come.
    `removed`: it is to be removed from those of `nodes` that were not reached yet; nobody finds it any more.
    """

    id: str
    name: str
    created_ns: int
    driver: str = "bridge"
    pools: tuple[Pool, ...] = ()
    ipv6: bool = False
    internal: bool = False
    attachable: bool = False
    config_only: bool = False
    config_from: str = ""
    ipam_options: dict[str, str] | None = None
    options: dict[str, str] = Field(default_factory=dict)
    labels: dict[str, str] = Field(default_factory=dict)
    nodes: tuple[str, ...] = ()
    bound_ns: int = 0
    bound_for: str = ""
    version: int = 1
    removed: bool = False


class HeldSubnet(Payload):
    """A subnet (CIDR notation) of the network of that id, since a time (Unix ns)."""

    subnet: str
    network: str
    since_ns: int


class Subnets(Payload):
    """The subnets of all networks."""

    held: tuple[HeldSubnet, ...] = ()


# --- metadata


class CreateNetwork(Payload):
    """Make this network; the same id twice makes it once. A pool without subnet is chosen from the default pools.

    Without `pools` one is chosen for IPv4, and with `ipv6` one for IPv6.
    """

    network: NetworkRecord


class NetworkReply(Payload):
    """A network."""

    network: NetworkRecord


class NetworkRef(Payload):
    """A network as a user names it: id, name, or prefix of an id.

    `basis`: the ids of networks that the asker knows to be there (1), or to be removed (`commands.GONE`).
    """

    ref: str
    basis: dict[str, int] = Field(default_factory=dict)


class ListNetworks(Payload):
    """Page through the networks of users: pass the `next` of the page before. `basis` as in NetworkRef."""

    after: str = ""
    basis: dict[str, int] = Field(default_factory=dict)


class NetworkList(Payload):
    """Networks of users, newest first; `next` continues the listing unless it is empty."""

    networks: tuple[NetworkRecord, ...] = ()
    next: str = ""


class ConnectContainer(Payload):
    """Connect a container, by its id, to the network that `endpoint` names."""

    id: str
    endpoint: EndpointSpec


class ClaimedEndpoints(Payload):
    """Endpoints of a container, with the addresses that are its own from now on."""

    endpoints: tuple[EndpointSpec, ...] = ()


class LeaseAddresses(Payload):
    """Reserve addresses in a network, named as by its user, for the build of that id on a node.

    They lapse after half a minute: ask again, with what was leased as `endpoint`, for as long as the build runs.
    """

    network: str
    build: str
    node: str
    endpoint: EndpointSpec | None = None


class LeasedEndpoint(Payload):
    """A network of users, and an endpoint of a build in it with the addresses that it may use for now."""

    network: NetworkRecord
    endpoint: EndpointSpec


class ReturnAddresses(Payload):
    """The build of that id has ended, or never began: others may have the addresses of its endpoint."""

    build: str
    endpoint: EndpointSpec


class DisconnectContainer(Payload):
    """Disconnect a container, by its id, from a network, by its id, name or prefix of an id."""

    id: str
    network: str
    force: bool = False


# --- agent


class ConnectHeld(Payload):
    """Add an endpoint, with its addresses, to a container: at once if it runs, otherwise from its next start on."""

    id: str
    endpoint: EndpointSpec
    network: NetworkRecord


class DisconnectHeld(Payload):
    """Remove a container's endpoint in the network of that id. `network`: its name, which the node may not know."""

    id: str
    network_id: str
    network: str = ""


class RemoveHeldNetwork(Payload):
    """Remove a network. A record of it comes too late unless its version is higher than this one (0: always)."""

    id: str
    version: int = 0


class ListHeldNetworks(Payload):
    """Page through a node's networks: pass the `next` of the page before. `ids`: only these, if there are any."""

    after: str = ""
    ids: tuple[str, ...] = ()


class NetworkInventory(Payload):
    """Networks of users that a node has stored. `epoch` as in its beats; `next` continues unless it is empty.

    `used`: the ids of those in which a container that runs has an endpoint.
    """

    node: str
    epoch: str
    networks: tuple[NetworkRecord, ...] = ()
    used: tuple[str, ...] = ()
    next: str = ""


class NetworkEvent(Payload):
    """A network event's body: Docker's actor attributes (`container`, `name`, `type`)."""

    network_id: str
    attributes: dict[str, str] = Field(default_factory=dict)


DRIVERS: Final = ("bridge", "macvlan")
"""The drivers of users' networks."""
