"""Writes a container's changes down: status and events in one transaction, then out on the bus."""

import asyncio
import secrets
import sqlite3
import time
from typing import Final

from seaway_agent.core.instructions import Emit, Record
from seaway_agent.store import Store
from seaway_bus.outbox import Outbox
from seaway_contracts.catalogue import CONTAINER_CREATE, NETWORK_CONNECT, NETWORK_DISCONNECT, event_channel
from seaway_contracts.containers import ContainerSpec
from seaway_contracts.errors import Code, SeawayError
from seaway_contracts.lifecycle import ContainerEvent, Envelope, NetworkEvent
from seaway_kit.failpoints import Failpoint, reach

_RECORDED: Final = {
    "create": Failpoint.CREATE_RECORDED,
    "start": Failpoint.START_RECORDED,
    "die": Failpoint.DIE_RECORDED,
    "destroy": Failpoint.REMOVE_RECORDED,
    "exec_create": Failpoint.EXEC_RECORDED,
    "exec_die": Failpoint.EXEC_DIE_RECORDED,
}


class Journal:
    """The one writer of container status and container events on this node."""

    def __init__(self, store: Store, outbox: Outbox, node: str) -> None:
        self._store = store
        self._outbox = outbox
        self._node = node
        self.revision = 0
        """Grows with every change; beats carry it."""

    def write(self, spec: ContainerSpec, record: Record, lowers: tuple[str, ...] = ()) -> None:
        """Store the record's status and events and send the events. Raises SeawayError with nothing written."""
        try:
            self._write(spec, record, lowers)
        except sqlite3.Error as error:
            raise self._unwritten(spec, error) from error
        for event in record.events:
            if event.action in _RECORDED:
                reach(_RECORDED[event.action])
        self.revision += 1
        self._outbox.kick()

    def _write(self, spec: ContainerSpec, record: Record, lowers: tuple[str, ...]) -> None:
        db = self._store.db
        db.execute("BEGIN IMMEDIATE")
        try:
            self._apply(spec, record, lowers)
            self._add_events(spec, record)
            db.execute("COMMIT")
        except BaseException:
            self._outbox.discard()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _unwritten(self, spec: ContainerSpec, error: sqlite3.Error) -> SeawayError:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        advice = "free space on its disk" if full else "see the agent's log"
        text = f"node {self._node} can't write down what happens to container {spec.name}: {error}; {advice}"
        return SeawayError(Code.NO_SPACE if full else Code.INTERNAL, text)

    def sent(self, container: str) -> asyncio.Future[None] | None:
        """When the container's events so far are on their way; None if they already are."""
        return self._outbox.sent(container)

    def _apply(self, spec: ContainerSpec, record: Record, lowers: tuple[str, ...]) -> None:
        actions = {event.action for event in record.events if event.noun == "container"}
        if "create" in actions:
            self._store.add(spec, record.status, lowers)
        elif "destroy" in actions:
            self._store.remove(spec.id)
        else:
            self._store.set_status(spec.id, record.status)

    def _add_events(self, spec: ContainerSpec, record: Record) -> None:
        now = record.time_ns or time.time_ns()
        seq = record.status.seq - sum(1 for event in record.events if event.noun == "container")
        for place, event in enumerate(record.events):
            if event.noun == "container":
                seq += 1
            self._add(spec, record, event, seq, now + place)

    def _add(self, spec: ContainerSpec, record: Record, event: Emit, seq: int, now: int) -> None:
        ask = record.ask
        cause, actor = (ask.command, ask.actor) if ask else ("", "")
        if event.noun == "network" and event.network is not None:
            attributes = {**event.attributes, "container": spec.id}
            channel = NETWORK_CONNECT if event.action == "connect" else NETWORK_DISCONNECT
            network_id = event.network.network_id
            envelope = Envelope(
                secrets.token_hex(12), self._node, "network", event.action, network_id, now, 0, cause, actor
            )
            self._outbox.add(channel, envelope, NetworkEvent(network_id=network_id, attributes=attributes), key=spec.id)
            return
        status = record.status.model_copy(update={"seq": seq})
        body = ContainerEvent(
            status=status,
            attributes={**attributes_of(spec), **event.attributes},
            spec=spec if event.action == CONTAINER_CREATE.action else None,
        )
        envelope = Envelope(
            secrets.token_hex(12), self._node, "container", event.action, spec.id, now, seq, cause, actor
        )
        self._outbox.add(event_channel("container", event.action), envelope, body)


def attributes_of(spec: ContainerSpec) -> dict[str, str]:
    """Docker's actor attributes of a container: its labels, image and name."""
    return {**spec.labels, "image": spec.image.ref, "name": spec.name}
