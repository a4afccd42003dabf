"""Networks of users: records that metadata alone makes and changes. Pure."""

import re
from typing import Final

from seaway_contracts.catalogue import NETWORK_NAMES_BUCKET, NETWORKS_BUCKET
from seaway_contracts.docker_errors import network_exists, no_such_network
from seaway_contracts.errors import SeawayError
from seaway_contracts.ids import is_network_id
from seaway_contracts.networks import NetworkRecord, network_id
from seaway_docker.networks import DRIVERS as PREDEFINED
from seaway_metadata.store.kind import Claim, ClaimHolder, ClaimSpace, Kind

_BOUND_NS: Final = 60_000_000_000
"""After this time each copy knows the container for which a network was bound to a node, or that it was not made."""
_PREFIX: Final = re.compile(r"[0-9a-f]{1,64}")


class NetworkNameHolder(ClaimHolder):
    """The network that has a name."""


def _taken(name: str, holder: str) -> SeawayError:
    return network_exists(name)


NETWORK_NAMES: Final = ClaimSpace(NETWORK_NAMES_BUCKET, NetworkNameHolder, _taken, lambda name, key: is_network_id(key))


class Networks(Kind[NetworkRecord]):
    """A network's key is its id; it claims its name, until that is freed because the network is removed."""

    noun = "network"
    bucket = NETWORKS_BUCKET
    model = NetworkRecord
    claim_spaces = (NETWORK_NAMES,)
    page_head = b'{"networks":[\n'

    def key(self, record: NetworkRecord) -> str:
        return record.id

    def is_key(self, ref: str) -> bool:
        return is_network_id(ref)

    def claims(self, record: NetworkRecord) -> tuple[Claim, ...]:
        return (NETWORK_NAMES.claim(record.name),) if record.name else ()

    def place(self, record: NetworkRecord) -> int:
        return record.created_ns

    def missing(self, ref: str) -> SeawayError:
        return no_such_network(ref)

    def same_request(self, known: NetworkRecord, record: NetworkRecord) -> bool:
        return (known.name, known.created_ns) == (record.name, record.created_ns)

    def newer(self, one: NetworkRecord, other: NetworkRecord) -> bool:
        return one.version > other.version

    def given_up(self, record: NetworkRecord) -> bool:
        return record.removed


NETWORKS: Final = Networks()


def predefined(ref: str) -> str:
    """The network of every node that this name, id, or prefix of an id means; empty for none."""
    if ref in PREDEFINED:
        return ref
    found = [name for name in PREDEFINED if _PREFIX.fullmatch(ref) and network_id(name).startswith(ref)]
    return found[0] if len(found) == 1 else ""


def bound(network: NetworkRecord, node: str, now_ns: int, *, used: bool, new: str = "") -> NetworkRecord:
    """The network on that node, unless it is on another one: with containers, or for so short a time that one may come.

    `used`: whether this copy knows containers in it. `new`: the id of a container that is to be made; a network that
    was bound for this very container moves with it.
    """
    is_its_own = new != "" and network.bound_for == new
    if home(network) == node:
        if is_its_own or not network.bound_for:
            return network
        return network.model_copy(update={"bound_for": "", "version": network.version + 1})
    if network.nodes and not is_its_own and (used or now_ns - network.bound_ns < _BOUND_NS):
        return network
    nodes = (node, *(one for one in network.nodes if one != node))
    changes = {"nodes": nodes, "bound_ns": now_ns, "bound_for": new, "version": network.version + 1}
    return network.model_copy(update=changes)


def kept_bound(network: NetworkRecord, node: str, now_ns: int) -> NetworkRecord:
    """The network after a build on that node has said that it uses it: it stays there for a while."""
    if network.removed or home(network) != node or now_ns - network.bound_ns < _BOUND_NS // 2:
        return network
    return network.model_copy(update={"bound_ns": now_ns, "version": network.version + 1})


def released(network: NetworkRecord, holder: str) -> NetworkRecord:
    """The network after the container for which it was bound was not made: it goes to the node of the next one.

    So it does after the build for which it was bound.
    """
    if network.bound_for != holder:
        return network
    return network.model_copy(update={"bound_ns": 0, "bound_for": "", "version": network.version + 1})


def home(network: NetworkRecord) -> str:
    """The node to which containers of this network go; empty before the first. Nothing else may assume a single one."""
    return network.nodes[0] if network.nodes else ""
