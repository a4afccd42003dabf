"""The projection: a record and an event give the record after it. Pure.

A container event holds the whole status after it, so what is newer by `seq` simply replaces what is older: twice
delivered or out of order ends the same. Only the order around the ends of a container's life needs a rule:
`destroy` is final, whatever comes after it.
"""

from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerRecord
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
    if body.status.seq <= record.status.seq:
        return record
    return record.model_copy(update={"status": body.status})


def _made(envelope: Envelope, body: ContainerEvent) -> ContainerRecord | None:
    if envelope.action == DESTROY or body.spec is None or body.spec.id != envelope.subject_id:
        return None
    return ContainerRecord(spec=body.spec, node=envelope.node, status=body.status)


def apply_inventory(record: ContainerRecord | None, node: str, item: InventoryItem) -> ContainerRecord:
    """The record after its node has said what it holds."""
    if record is None or record.node != node:
        return ContainerRecord(spec=item.spec, node=node, status=item.status)
    if item.status.seq <= record.status.seq:
        return record
    return record.model_copy(update={"status": item.status})
