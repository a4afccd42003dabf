"""Containers: records whose spec and name a user's command makes, and whose status is the word of their node. Pure."""

from collections.abc import Collection
from typing import Final

import orjson

from seaway_contracts.catalogue import (
    CONTAINER_CREATE,
    CONTAINER_DESTROY,
    CONTAINER_RENAME,
    CONTAINER_UPDATE,
    CONTAINERS_BUCKET,
    EVENTS,
    NAMES_BUCKET,
)
from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerRecord, ContainerSpec, State
from seaway_contracts.docker_errors import container_name_conflict, no_such_container
from seaway_contracts.errors import SeawayError, conflict
from seaway_contracts.ids import is_container_id
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.records import PAGE_HEAD
from seaway_docker.errors import InvalidParameter
from seaway_docker.names import container_name
from seaway_metadata.kinds.projection import apply, apply_inventory
from seaway_metadata.store.kind import Applied, ClaimHolder, ClaimSpace, ReportedKind
from seaway_metadata.store.view import View

_SPEC_CHANGES: Final = (CONTAINER_CREATE, CONTAINER_RENAME, CONTAINER_UPDATE)
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


class Containers(ReportedKind[ContainerRecord, ContainerEvent, InventoryItem]):
    """A container's key is its id; it claims its name."""

    noun = "container"
    bucket = CONTAINERS_BUCKET
    model = ContainerRecord
    claim_space = NAMES
    page_head = PAGE_HEAD
    event = ContainerEvent
    end = CONTAINER_DESTROY

    def key(self, record: ContainerRecord) -> str:
        return record.id

    def is_key(self, ref: str) -> bool:
        return is_container_id(ref)

    def claim_of(self, ref: str) -> str:
        return ref.removeprefix("/")

    def claims(self, record: ContainerRecord) -> tuple[str, ...]:
        return (record.spec.name,)

    def place(self, record: ContainerRecord) -> int:
        return record.spec.created_ns

    def missing(self, ref: str) -> SeawayError:
        return no_such_container(ref)

    def in_use(self, key: str) -> SeawayError:
        return conflict(f"Conflict. The container id {key} is already in use.")

    def same_request(self, known: ContainerRecord, record: ContainerRecord) -> bool:
        return known.spec == record.spec and known.node == record.node

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
        taken: Collection[str],
    ) -> Applied[ContainerRecord]:
        after = apply(record, body, whole=whole, taken=taken)
        spec, seq = body.spec, body.status.seq
        changes_spec = EVENTS.get((envelope.noun, envelope.action)) in _SPEC_CHANGES
        lacks = seq if changes_spec and not whole and after.spec_seq < seq else 0
        complete = spec is None or after.spec.name == spec.name or after.spec_seq > seq
        return Applied(after, complete, lacks)

    def lacks(self, record: ContainerRecord, seq: int) -> bool:
        return record.spec_seq < seq

    def event_claims(self, key: str, body: ContainerEvent) -> tuple[str, ...]:
        return (body.spec.name,) if body.spec is not None and body.spec.id == key else ()

    def last_claims(self, body: ContainerEvent) -> tuple[str, ...]:
        name = body.attributes.get("name", "")
        return (name,) if name else ()

    def item_key(self, item: InventoryItem) -> str:
        return item.spec.id

    def item_claims(self, item: InventoryItem) -> tuple[str, ...]:
        return (item.spec.name,)

    def from_inventory(
        self, record: ContainerRecord | None, node: str, item: InventoryItem, taken: Collection[str]
    ) -> ContainerRecord | None:
        return apply_inventory(record, node, item, taken)


CONTAINERS: Final = Containers()
ContainerView = View[ContainerRecord, ContainerEvent, InventoryItem]
