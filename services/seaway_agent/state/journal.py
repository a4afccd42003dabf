"""Stores a container's changes: status and events in one transaction, then sends the events on the bus."""

import asyncio
import secrets
import sqlite3
import time
from collections.abc import Sequence
from typing import Final

from seaway_agent.core.instructions import Answer, Emit, PendingDisconnect, PendingStop, Record
from seaway_agent.state.database import REMOVED_NETWORKS, REMOVED_VOLUMES, Store
from seaway_bus.outbox import Outbox
from seaway_contracts.base import Payload
from seaway_contracts.catalogue import CONTAINER_CREATE, CONTAINER_STATUS, EVENTS, VOLUME_CREATE
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint
from seaway_contracts.errors import Code, SeawayError, internal, unavailable
from seaway_contracts.execs import ExecInfo
from seaway_contracts.lifecycle import MOST_BYTES, ContainerEvent, Envelope, volume_subject
from seaway_contracts.networks import NetworkEvent, NetworkRecord
from seaway_contracts.volumes import VolumeEvent
from seaway_docker.networks import DRIVERS
from seaway_kit.failpoints import Failpoint, reach

_RECORDED: Final = {
    "create": Failpoint.CREATE_RECORDED,
    "start": Failpoint.START_RECORDED,
    "restart": Failpoint.RESTART_RECORDED,
    "pause": Failpoint.PAUSE_RECORDED,
    "unpause": Failpoint.UNPAUSE_RECORDED,
    "kill": Failpoint.KILL_RECORDED,
    "rename": Failpoint.RENAME_RECORDED,
    "update": Failpoint.UPDATE_RECORDED,
    "die": Failpoint.DIE_RECORDED,
    "destroy": Failpoint.REMOVE_RECORDED,
    "exec_create": Failpoint.EXEC_RECORDED,
    "exec_start": Failpoint.EXEC_BEGUN,
    "exec_die": Failpoint.EXEC_DIE_RECORDED,
}

_SPARE: Final = 8 << 10
"""How much larger than `create` other events of a container may be, by addresses or a longer name. Bytes."""


class Journal:
    """The one writer of container status and container events on this node."""

    def __init__(self, store: Store, outbox: Outbox, node: str) -> None:
        self._store = store
        self._outbox = outbox
        self._node = node
        self.pending_stops = store.pending_stops()
        """The pending stops as they are stored, by container."""
        self.networks = store.networks()
        """The networks of users as they are stored, by id."""
        self._removed_networks = store.removed_networks()
        self._removed_volumes = dict.fromkeys(store.removed_volumes())
        self.pending_disconnects = store.pending_disconnects()
        """The disconnects that were begun, as they are stored, by container."""
        self.revision = 0
        """Grows with each change; heartbeats carry it."""

    def write(
        self, spec: ContainerSpec, record: Record, lowers: tuple[str, ...] = (), answers: Sequence[Answer] = ()
    ) -> None:
        """Store the record's status, its events and the answers in one transaction, then send the events.

        Raises SeawayError with nothing written.
        """
        try:
            self._write(spec, record, lowers, answers)
        except sqlite3.Error as error:
            raise self._write_error(spec, error) from error
        self.networks.update({one.id: one for one in record.networks if not self.was_removed(one)})
        if record.ends_disconnect:
            self.pending_disconnects.pop(spec.id, None)
        for event in record.events:
            if event.action in _RECORDED:
                reach(_RECORDED[event.action])
            if event.action == CONTAINER_STATUS.action and event.changes_spec:
                reach(Failpoint.ENDPOINTS_RECORDED)
        self.revision += 1
        self._outbox.kick()

    def _write(self, spec: ContainerSpec, record: Record, lowers: tuple[str, ...], answers: Sequence[Answer]) -> None:
        db = self._store.db
        db.execute("BEGIN IMMEDIATE")
        try:
            self._apply(spec, record, lowers)
            self._add_events(spec, record)
            self._put_pending_stop(spec.id, record.pending_stop)
            for answer in answers:
                self._store.put_outcome(answer.waiter.command, answer.status)
            db.execute("COMMIT")
        except BaseException:
            self._outbox.discard()
            if db.in_transaction:
                db.execute("ROLLBACK")
            raise

    def _put_pending_stop(self, container: str, what: PendingStop | None) -> None:
        if what != self.pending_stops.get(container):
            self._store.put_pending_stop(container, what)
            if what is None:
                del self.pending_stops[container]
            else:
                self.pending_stops[container] = what

    def set_pending_disconnect(self, spec: ContainerSpec, what: PendingDisconnect | None) -> None:
        """Store that a disconnect begins, or with None that it was given up. Raises SeawayError."""
        try:
            self._store.put_pending_disconnect(spec.id, what)
        except sqlite3.Error as error:
            raise self._write_error(spec, error) from error
        if what is None:
            self.pending_disconnects.pop(spec.id, None)
        else:
            self.pending_disconnects[spec.id] = what

    def remove_network(self, identifier: str, version: int) -> None:
        """Delete a network of users. Raises SeawayError.

        A record of it that comes late is not stored, unless its version is higher than this one (0: never).
        """
        try:
            with self._store.transaction():
                self._store.remove_network(identifier, version)
        except sqlite3.Error as error:
            raise internal(f"node {self._node} can't write down that a network was removed: {error}") from error
        self.networks.pop(identifier, None)
        self._removed_networks.pop(identifier, None)
        self._removed_networks[identifier] = version
        if len(self._removed_networks) > REMOVED_NETWORKS:
            del self._removed_networks[next(iter(self._removed_networks))]

    def was_removed(self, network: NetworkRecord) -> bool:
        """Whether a record comes after its network was removed from this node."""
        version = self._removed_networks.get(network.id)
        return version is not None and (version == 0 or network.version <= version)

    def remove_volume(self, identifier: str) -> None:
        """Store that a volume is removed: it is never made again. Raises SeawayError."""
        try:
            with self._store.transaction():
                self._store.remove_volume(identifier)
        except sqlite3.Error as error:
            raise internal(f"node {self._node} can't write down that a volume was removed: {error}") from error
        self._removed_volumes.pop(identifier, None)
        self._removed_volumes[identifier] = None
        if len(self._removed_volumes) > REMOVED_VOLUMES:
            del self._removed_volumes[next(iter(self._removed_volumes))]

    def was_volume_removed(self, identifier: str) -> bool:
        """Whether the volume of this id was removed from this node."""
        return identifier in self._removed_volumes

    def _write_error(self, spec: ContainerSpec, error: sqlite3.Error) -> SeawayError:
        full = getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL
        advice = "free space on its disk" if full else "see the agent's log"
        text = f"node {self._node} can't write down what happens to container {spec.name}: {error}; {advice}"
        return SeawayError(Code.NO_SPACE if full else Code.INTERNAL, text)

    def check_outbox(self) -> None:
        """Raise SeawayError (503) while the outbox is full: nothing new may begin."""
        if self.trouble:
            raise unavailable(f"{self.trouble}; try again when NATS takes them")

    @property
    def trouble(self) -> str:
        """Why nothing new may begin on this node; empty if it may."""
        if not self._outbox.full:
            return ""
        return (
            f"node {self._node} has {self._outbox.size} bytes of events that the bus has not taken "
            f"(--outbox-bytes is {self._outbox.bound}), so it begins nothing new"
        )

    def execs(self) -> dict[str, list[ExecInfo]]:
        """All stored execs, by container."""
        return self._store.execs()

    def outcome(self, command: str) -> ContainerStatus | None:
        """The answer to an earlier command, of this agent or a former one. Raises SeawayError."""
        try:
            return self._store.outcome(command)
        except sqlite3.Error as error:
            raise unavailable(f"the agent of node {self._node} is being started anew; try again") from error

    def has_unstored(self, container: str) -> bool:
        """Whether the container has events that the stream has not stored."""
        return self._outbox.waits(container)

    def sent(self, container: str) -> asyncio.Future[None] | None:
        """A future that is done when the container's events are sent; None if they are."""
        return self._outbox.sent(container)

    def _apply(self, spec: ContainerSpec, record: Record, lowers: tuple[str, ...]) -> None:
        actions = {event.action for event in record.events if event.noun == "container"}
        for network in record.networks:
            if not self.was_removed(network):
                self._store.put_network(network)
        if record.ends_disconnect:
            self._store.put_pending_disconnect(spec.id, None)
        for info in record.execs:
            self._store.put_exec(info)
        for identifier in record.forgotten_execs:
            self._store.delete_exec(identifier)
        if "create" in actions or record.new:
            self._store.add(spec, record.status, lowers)
        elif "destroy" in actions:
            self._store.remove(spec.id)
        else:
            self._store.set_status(spec.id, record.status)
            if any(event.changes_spec for event in record.events):
                self._store.set_spec(spec)

    def _add_events(self, spec: ContainerSpec, record: Record) -> None:
        now = record.time_ns or time.time_ns()
        seq = record.status.seq - sum(1 for event in record.events if event.noun == "container")
        for place, event in enumerate(record.events):
            if event.noun == "container":
                seq += 1
            self._add(spec, record, event, seq, now + place)

    def _add(self, spec: ContainerSpec, record: Record, event: Emit, seq: int, now: int) -> None:
        subject, number, body = self._subject_and_body(spec, record, event, seq)
        cause, actor = (record.waiter.command, record.waiter.actor) if record.waiter else ("", "")
        envelope = Envelope(
            secrets.token_hex(12), self._node, event.noun, event.action, subject, now, number, cause, actor
        )
        self._outbox.add(EVENTS[event.noun, event.action], envelope, body, key=spec.id)
        if event.action == CONTAINER_CREATE.action:
            _check_size(spec, body)

    def _subject_and_body(self, spec: ContainerSpec, record: Record, event: Emit, seq: int) -> tuple[str, int, Payload]:
        """The subject of an event, its sequence number and its body."""
        if event.noun == "network" and event.network is not None:
            return event.network.network_id, 0, self._network_event(spec, record, event.network, event)
        if event.noun == "volume":
            return volume_subject(event.volume), 0, _volume_event(spec, event)
        status = record.status
        body = ContainerEvent(
            status=status if status.seq == seq else status.model_copy(update={"seq": seq}),
            attributes={**attributes_of(spec), **event.attributes},
            spec=spec if event.changes_spec else None,
        )
        return spec.id, seq, body

    def _network_event(self, spec: ContainerSpec, record: Record, endpoint: Endpoint, event: Emit) -> NetworkEvent:
        """The network may be stored with this very record."""
        identifier = endpoint.network_id
        fresh = next((one for one in record.networks if one.id == identifier), None)
        known = fresh or self.networks.get(identifier)
        driver = known.driver if known is not None else DRIVERS.get(endpoint.network, "bridge")
        attributes = {"name": endpoint.network, "type": driver, **event.attributes, "container": spec.id}
        return NetworkEvent(network_id=endpoint.network_id, attributes=attributes)


def _volume_event(spec: ContainerSpec, event: Emit) -> VolumeEvent:
    """With what metadata needs for the record of an anonymous volume."""
    made = [one for one in spec.mounts if one.source == event.volume and one.anonymous] if event.anonymous else []
    return VolumeEvent(
        name=event.volume,
        id=event.volume_id,
        anonymous=event.anonymous,
        labels=made[0].volume_labels if made else {},
        options=made[0].volume_options if made else {},
        attributes=dict(event.attributes),
    )


def _check_size(spec: ContainerSpec, body: Payload) -> None:
    """Raise SeawayError where the labels of a new container or volume make its published events too large."""
    if isinstance(body, ContainerEvent):
        what, size = f"container {spec.name}", len(CONTAINER_CREATE.encode(body.model_copy(update={"spec": None})))
    elif isinstance(body, VolumeEvent):
        what, size = f"volume {body.name}", len(VOLUME_CREATE.encode(body))
    else:
        return
    limit = MOST_BYTES - _SPARE
    if size > limit:
        text = f"the events of {what} would have {size} bytes and may have {limit} at most: make its labels smaller"
        raise SeawayError(Code.TOO_LARGE, text)


def attributes_of(spec: ContainerSpec) -> dict[str, str]:
    """Docker's actor attributes of a container: its labels, image and name."""
    return {**spec.labels, "image": spec.image.ref, "name": spec.name}
