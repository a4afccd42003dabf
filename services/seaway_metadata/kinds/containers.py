"""Containers: records whose spec and name a user's command makes, and whose status is the word of their node. Pure."""

from collections.abc import Collection
from typing import Final

import orjson

from seaway_contracts.catalogue import (
    ADDRESSES_BUCKET,
    CONTAINER_CREATE,
    CONTAINER_DESTROY,
    CONTAINER_RENAME,
    CONTAINER_STATUS,
    CONTAINER_UPDATE,
    CONTAINERS_BUCKET,
    EVENTS,
    NAMES_BUCKET,
)
from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerRecord, ContainerSpec, EndpointSpec, State
from seaway_contracts.docker_errors import container_name_conflict, no_such_container
from seaway_contracts.errors import Code, Reason, SeawayError, conflict
from seaway_contracts.ids import is_container_id, is_network_id
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.records import PAGE_HEAD
from seaway_docker.errors import InvalidParameter
from seaway_docker.names import container_name
from seaway_docker.ports import is_ip_address
from seaway_metadata.kinds.projection import apply, apply_inventory
from seaway_metadata.store.kind import Applied, Claim, ClaimHolder, ClaimSpace, ReportedKind
from seaway_metadata.store.view import View

_SPEC_CHANGES: Final = (CONTAINER_CREATE, CONTAINER_RENAME, CONTAINER_UPDATE, CONTAINER_STATUS)
"""Events that may carry a changed spec: `status` after a connect or a disconnect, for which Docker has none."""
_RUNNING: Final = frozenset({State.RUNNING, State.PAUSED, State.RESTARTING})


class NameHolder(ClaimHolder):
    """The container that holds a name."""


def record_json(record: ContainerRecord, spec_json: bytes) -> bytes:
    """A record as JSON, from a spec that is encoded once in its life."""
    node = orjson.dumps(record.node)
    status = record.status.model_dump_json(exclude_defaults=True).encode()
    return b'{"node":%b,"spec_seq":%d,"status":%b,"spec":%b}' % (node, record.spec_seq, status, spec_json)


def spec_json(spec: ContainerSpec) -> bytes:
    """A spec as JSON."""
    return spec.model_dump_json(exclude_defaults=True).encode()


def runs(record: ContainerRecord) -> bool:
    """Whether a container is in the listing of those that run."""
    return record.status.state in _RUNNING


def _may_be_called(name: str, identifier: str) -> bool:
    if not is_container_id(identifier):
        return False
    try:
        return container_name(name) == name and len(name) <= NAMES.most_bytes
    except InvalidParameter:
        return False


NAMES: Final = ClaimSpace(NAMES_BUCKET, NameHolder, container_name_conflict, _may_be_called)
"""The names of containers."""


class AddressHolder(ClaimHolder):
    """The container that holds an address, or the build that leases it."""


def _address_taken(word: str, holder: str) -> SeawayError:
    return SeawayError(Code.FORBIDDEN, "Address already in use", Reason.ADDRESS_TAKEN, {"claim": word})


def _may_have_address(word: str, identifier: str) -> bool:
    network, _, address = word.partition("/")
    return is_container_id(identifier) and is_network_id(network) and is_ip_address(address)


ADDRESSES: Final = ClaimSpace(ADDRESSES_BUCKET, AddressHolder, _address_taken, _may_have_address)
"""The addresses of containers in networks of users, as `<network id>/<address>`."""


def address_claim(network: str, address: str) -> Claim:
    """The claim to an address of the network of that id."""
    return ADDRESSES.claim(f"{network}/{address}")


def spec_claims(spec: ContainerSpec) -> tuple[Claim, ...]:
    """What a container with this spec claims: its name and its addresses."""
    return (NAMES.claim(spec.name), *address_claims(spec))


def address_claims(spec: ContainerSpec) -> tuple[Claim, ...]:
    """The addresses that a container with this spec claims."""
    return tuple(claim for endpoint in spec.network.endpoints for claim in endpoint_claims(endpoint))


def endpoint_claims(endpoint: EndpointSpec) -> tuple[Claim, ...]:
    """The addresses that one endpoint claims."""
    addresses = (endpoint.claimed_ipv4, endpoint.claimed_ipv6)
    return tuple(address_claim(endpoint.network_id, address) for address in addresses if address)


def without_addresses(spec: ContainerSpec) -> ContainerSpec:
    """The spec as it was before addresses were claimed for it."""
    if not address_claims(spec):
        return spec
    nothing = {"claimed_ipv4": "", "claimed_ipv6": ""}
    endpoints = tuple(endpoint.model_copy(update=nothing) for endpoint in spec.network.endpoints)
    return spec.model_copy(update={"network": spec.network.model_copy(update={"endpoints": endpoints})})


class Containers(ReportedKind[ContainerRecord, ContainerEvent, InventoryItem]):
    """A container's key is its id; it claims its name."""

    noun = "container"
    bucket = CONTAINERS_BUCKET
    model = ContainerRecord
    claim_spaces = (NAMES, ADDRESSES)
    page_head = PAGE_HEAD
    event = ContainerEvent
    end = CONTAINER_DESTROY

    def key(self, record: ContainerRecord) -> str:
        return record.id

    def is_key(self, ref: str) -> bool:
        return is_container_id(ref)

    def claim_of(self, ref: str) -> Claim:
        return NAMES.claim(ref.removeprefix("/"))

    def claims(self, record: ContainerRecord) -> tuple[Claim, ...]:
        return spec_claims(record.spec)

    def place(self, record: ContainerRecord) -> int:
        return record.spec.created_ns

    def missing(self, ref: str) -> SeawayError:
        return no_such_container(ref)

    def in_use(self, key: str) -> SeawayError:
        return conflict(f"Conflict. The container id {key} is already in use.")

    def same_request(self, known: ContainerRecord, record: ContainerRecord) -> bool:
        return known.node == record.node and without_addresses(known.spec) == without_addresses(record.spec)

    # --- its halves

    def spec(self, record: ContainerRecord) -> object:
        return record.spec

    def spec_json(self, record: ContainerRecord) -> bytes:
        return spec_json(record.spec)

    def json(self, record: ContainerRecord, spec_json: bytes) -> bytes:
        return record_json(record, spec_json)

    def given_up(self, record: ContainerRecord) -> bool:
        return record.discarded

    def node(self, record: ContainerRecord) -> str:
        return record.node

    def seq(self, record: ContainerRecord) -> int:
        return record.status.seq

    # --- what nodes say

    def apply(
        self,
        record: ContainerRecord,
        envelope: Envelope,
        body: ContainerEvent,
        *,
        whole: bool,
        taken: Collection[Claim],
    ) -> Applied[ContainerRecord]:
        spec, seq = body.spec, body.status.seq
        after = apply(record, body, whole=whole, refused=_is_refused(spec, taken))
        changes_spec = EVENTS.get((envelope.noun, envelope.action)) in _SPEC_CHANGES
        lacks = seq if changes_spec and not whole and after.spec_seq < seq else 0
        complete = spec is None or spec_claims(after.spec) == spec_claims(spec) or after.spec_seq > seq
        return Applied(after, complete, lacks)

    def lacks(self, record: ContainerRecord, seq: int) -> bool:
        return record.spec_seq < seq

    def event_claims(self, key: str, body: ContainerEvent) -> tuple[Claim, ...]:
        return spec_claims(body.spec) if body.spec is not None and body.spec.id == key else ()

    def last_claims(self, body: ContainerEvent) -> tuple[Claim, ...]:
        name = body.attributes.get("name", "")
        return (NAMES.claim(name),) if name else ()

    def item_key(self, item: InventoryItem) -> str:
        return item.spec.id

    def item_claims(self, item: InventoryItem) -> tuple[Claim, ...]:
        return spec_claims(item.spec)

    def from_inventory(
        self, record: ContainerRecord | None, node: str, item: InventoryItem, taken: Collection[Claim]
    ) -> ContainerRecord | None:
        return apply_inventory(record, node, item, refused=_is_refused(item.spec, taken))


def _is_refused(spec: ContainerSpec | None, taken: Collection[Claim]) -> bool:
    """Whether a spec claims what is another's."""
    return bool(taken) and spec is not None and any(claim in taken for claim in spec_claims(spec))


CONTAINERS: Final = Containers()
ContainerView = View[ContainerRecord, ContainerEvent, InventoryItem]
