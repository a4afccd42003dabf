"""The projection: a record and an event give the record after it. Pure.

A container event holds the whole status after it, so what is newer by `seq` simply replaces what is older: twice
delivered or out of order ends the same. The spec, which few events carry, has a number of its own for that. Only the
order around the ends of a container's life needs a rule: `destroy` is final, whatever comes after it.
"""

from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus
from seaway_contracts.lifecycle import ContainerEvent, Envelope

DESTROY = "destroy"


def apply(record: ContainerRecord | None, envelope: Envelope, body: ContainerEvent) -> ContainerRecord | None:
    """The record after the event; None where there is none (any more).

    The caller remembers which containers were destroyed and asks no more about them. An event from
    another node than the record's changes nothing: only the holder may speak.
    """
    if record is None:
        return _made(envelope, body)
    if envelope.node != record.node:
        return record
    if envelope.action == DESTROY:
        return None
    return _after(record, body.spec, body.status)


def _after(record: ContainerRecord, spec: ContainerSpec | None, status: ContainerStatus) -> ContainerRecord:
    """The record with the status and the spec (of `rename`, `update`) where they are newer."""
    changes: dict[str, object] = {}
    if status.seq > record.status.seq:
        changes["status"] = status
    if spec is not None and spec.id == record.id and status.seq > record.spec_seq:
        changes["spec_seq"] = status.seq
        if spec != record.spec:
            changes["spec"] = spec
    return record.model_copy(update=changes) if changes else record


def _made(envelope: Envelope, body: ContainerEvent) -> ContainerRecord | None:
    if envelope.action == DESTROY or body.spec is None or body.spec.id != envelope.subject_id:
        return None
    return ContainerRecord(spec=body.spec, node=envelope.node, status=body.status, spec_seq=body.status.seq)


def apply_inventory(record: ContainerRecord | None, node: str, item: InventoryItem) -> ContainerRecord:
    """The record after a node has said what it holds: another node's is left alone, as only the holder may speak."""
    if record is not None and record.node != node:
        return record
    if record is None:
        return ContainerRecord(spec=item.spec, node=node, status=item.status, spec_seq=item.status.seq)
    if item.status.seq == record.status.seq and item.spec == record.spec:
        return record
    return _after(record, item.spec, item.status)
