"""The projection: a record and an event give the record after it. Pure.

A container event holds the status after it, so what is newer by `seq` simply replaces what is older: twice delivered or
out of order ends the same. The spec, which few events carry, has a number of its own for that. Only the order around
the ends of a container's life needs a rule: `destroy` is final, whatever comes after it.

An event from the stream has only the public part of a status. The rest stays as it was, until the node's inventory
brings it.
"""

from typing import Final

from seaway_contracts.commands import InventoryItem
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus
from seaway_contracts.lifecycle import ContainerEvent, PublicStatus

_PUBLIC: Final = tuple(name for name in PublicStatus.model_fields if name != "health")


def apply(record: ContainerRecord, body: ContainerEvent, *, whole: bool, refused: bool = False) -> ContainerRecord:
    """The record after an event of its holder.

    `whole`: the body has the whole status. `refused`: its spec claims what is another's.
    """
    status = body.status if whole else _merged(record.status, body.status)
    return _after(record, None if refused else body.spec, status)


def _merged(before: ContainerStatus, public: ContainerStatus) -> ContainerStatus:
    health = public.health
    if health is not None and before.health is not None:
        health = health.model_copy(update={"log": before.health.log})
    return before.model_copy(update={name: getattr(public, name) for name in _PUBLIC} | {"health": health})


def _after(record: ContainerRecord, spec: ContainerSpec | None, status: ContainerStatus) -> ContainerRecord:
    """The record with the status and the spec (of `rename`, `update`) where they are newer."""
    changes: dict[str, object] = {}
    if status.seq > record.status.seq or (status.seq == record.status.seq and status != record.status):
        changes["status"] = status
    if spec is not None and spec.id == record.id and status.seq > record.spec_seq:
        changes["spec_seq"] = status.seq
        if spec != record.spec:
            changes["spec"] = spec
    return record.model_copy(update=changes) if changes else record


def apply_inventory(
    record: ContainerRecord | None, node: str, item: InventoryItem, *, refused: bool = False
) -> ContainerRecord | None:
    """The record after a node has said what it holds; None for a new one whose spec claims what is another's.

    Another node's record is left alone, as only the holder may speak.
    """
    if record is not None and record.node != node:
        return record
    if record is None:
        if refused:
            return None
        return ContainerRecord(spec=item.spec, node=node, status=item.status, spec_seq=item.status.seq)
    return _after(record, None if refused else item.spec, item.status)
