"""Simulation: an agent that speaks the real protocol over the real bus, and whose containers exist in memory only.

It beats, answers inventories and the commands of a container's life, and tells its events by the project's own outbox.
What an agent does on its host (layers, namespaces, processes) costs nothing here, so a figure measured with it is that
of the services and the bus.
"""

import asyncio
import contextlib
import hashlib
import itertools
import random
import secrets
import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from seaway_agent.commands.inventory import page
from seaway_agent.node.config import ReceivedConfig
from seaway_agent.state.database import SCHEMA, Store
from seaway_agent.state.journal import attributes_of
from seaway_bus.bus import Bus, Command, Encoded
from seaway_bus.database import transaction
from seaway_bus.event_sender import of_node
from seaway_bus.nats_transport import Credentials, NatsTransport
from seaway_bus.outbox import Outbox
from seaway_bus.transport import TransportError
from seaway_contracts import catalogue, commands
from seaway_contracts.base import Empty, Payload
from seaway_contracts.commands import (
    ContainerId,
    CreateContainer,
    CreateRejected,
    KillContainer,
    ListInventory,
    RemoveContainer,
    StatusReply,
    StopContainer,
)
from seaway_contracts.containers import ContainerSpec, ContainerStatus, Endpoint, State
from seaway_contracts.docker_errors import container_not_running, no_such_container
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.networks import ListHeldNetworks, NetworkEvent, NetworkInventory, network_id
from seaway_contracts.nodes import CORE, Beat, Capacity, KnownFacts, NodeFacts, reservation, total, wanted
from seaway_contracts.version import VERSION
from seaway_contracts.volumes import ListHeldVolumes, VolumeInventory
from seaway_kit.tasks import Tasks

BEAT_S: Final = 2.0
"""The interval of an agent's beats, unless metadata demands a longer one."""
_FACTS_SENT: Final = 3
_FRAME: Final = 64 << 10
_CORES, _MEMORY = 16, 64 << 30
_BRIDGE: Final = network_id("bridge")
_OUTCOMES: Final = 1024


@dataclass
class SimulatedContainer:
    """A container that exists here only."""

    spec: ContainerSpec
    status: ContainerStatus


class SimulatedAgent:
    """One node's agent. `open` connects it; it serves until `close`."""

    def __init__(self, node: str) -> None:
        self.node = node
        self.epoch = secrets.token_hex(8)
        self.revision = 1
        self.containers: dict[str, SimulatedContainer] = {}
        self._outcomes: dict[str, ContainerStatus] = {}
        self._pids = itertools.count(1000)
        self._tasks = Tasks(node)
        facts = NodeFacts(
            hostname=node, version=VERSION, kernel_version="simulated", runtimes={"crun": "/usr/bin/crun"}
        )
        self._facts = KnownFacts(id=hashlib.sha256(node.encode()).hexdigest()[:16], facts=facts)
        self._facts_due = _FACTS_SENT

    async def open(self, url: str, user: str, password: str) -> None:
        """Connect, serve, beat. Raises TransportError."""
        transport = await NatsTransport.connect(
            url, name=f"seaway-agent-{self.node}", credentials=Credentials(user, password), timeout_s=60
        )
        self._bus = Bus(transport)
        self._db = sqlite3.connect(":memory:", isolation_level=None)
        SCHEMA.upgrade(self._db, Path(":memory:"))
        self._outbox = Outbox(
            self._db,
            transport,
            self._tasks,
            of_node(self._bus, self.node),
            tells=True,
        )
        self._outbox.start()
        self._config = ReceivedConfig(self._bus, self.node, Store(self._db))
        await self._serve()
        self._tasks.eternal("config", self._config.run())
        self._tasks.eternal("beat", self._beat_forever())

    async def close(self) -> None:
        """End at once, as by a kill."""
        await self._tasks.close()
        with contextlib.suppress(TransportError):
            await self._bus.close()

    async def _serve(self) -> None:
        served: tuple[tuple[Any, Any], ...] = (
            (catalogue.CREATE, self._create),
            (catalogue.REJECT_CREATE, self._reject_create),
            (catalogue.START, self._start),
            (catalogue.STOP, self._stop),
            (catalogue.KILL, self._kill),
            (catalogue.REMOVE, self._remove),
            (catalogue.INVENTORY, self._inventory),
            (catalogue.VOLUME_INVENTORY, self._volumes),
            (catalogue.NETWORK_INVENTORY, self._networks),
            (catalogue.NODE_FACTS, self._known_facts),
        )
        for channel, handler in served:
            await self._bus.serve(channel, handler, node=self.node)

    # --- beats

    async def _beat_forever(self) -> None:
        """The first beat comes at once, the others in a phase of this node's own, as machines start at any time."""
        await self.send_beat()
        await asyncio.sleep(random.random() * self._interval_s)
        while True:
            interval_s = self._interval_s
            await self.send_beat()
            await asyncio.sleep(interval_s)

    @property
    def _interval_s(self) -> float:
        return max(BEAT_S, self._config.beat_interval_s)

    async def send_beat(self) -> None:
        """Publish the present beat."""
        with contextlib.suppress(TransportError):
            await self._bus.publish(catalogue.BEAT, self.beat(), node=self.node)

    def beat(self) -> Beat:
        """The present beat, with facts in the first ones only."""
        has_facts = self._facts_due > 0
        self._facts_due -= has_facts
        specs = [held.spec for held in self.containers.values()]
        live = [held.spec for held in self.containers.values() if held.status.state is State.RUNNING]
        taken = [wanted(spec.resources) for spec in live]
        free = Capacity(
            nano_cpus=max(0, _CORES * CORE - sum(one.nano_cpus for one in taken)),
            memory=max(0, _MEMORY - sum(one.memory for one in taken)),
        )
        return Beat(
            node=self.node,
            epoch=self.epoch,
            inventory=self.revision,
            time_ns=time.time_ns(),
            interval_ns=int(self._interval_s * 1e9),
            capacity=Capacity(nano_cpus=_CORES * CORE, memory=_MEMORY),
            free=free,
            running=len(live),
            containers=len(specs),
            reserved=total(reservation(spec.resources) for spec in specs),
            monotonic_ns=time.monotonic_ns(),
            facts_id=self._facts.id,
            has_facts=has_facts,
            facts=self._facts.facts if has_facts else NodeFacts(),
        )

    async def _known_facts(self, asked: Empty, command: Command) -> KnownFacts:
        return self._facts

    # --- what it holds

    async def hold(self, template: ContainerSpec, count: int) -> None:
        """Be an agent that was started anew and has so many running containers more, all like the template."""
        for number in range(count):
            self._add(template, f"{self.node}-{number}")
        self.epoch = secrets.token_hex(8)
        self._facts_due = _FACTS_SENT
        await self.send_beat()

    def _add(self, template: ContainerSpec, name: str) -> None:
        changes = {"id": hashlib.sha256(name.encode()).hexdigest(), "name": name, "created_ns": time.time_ns()}
        spec = template.model_copy(update=changes)
        self.containers[spec.id] = SimulatedContainer(spec, _running(_created(spec), next(self._pids), 2))

    async def _inventory(self, asked: ListInventory, command: Command) -> Encoded[commands.Inventory]:
        head = commands.Inventory(node=self.node, epoch=self.epoch, revision=self.revision)
        held = self.containers
        shown = {one: held[one] for one in asked.ids if one in held} if asked.ids else held
        return Encoded(page(head, shown, asked.after, self._bus.transport.max_payload - _FRAME))

    async def _volumes(self, asked: ListHeldVolumes, command: Command) -> VolumeInventory:
        return VolumeInventory(node=self.node, epoch=self.epoch)

    async def _networks(self, asked: ListHeldNetworks, command: Command) -> NetworkInventory:
        return NetworkInventory(node=self.node, epoch=self.epoch)

    # --- commands: each is carried out once

    async def _create(self, asked: CreateContainer, command: Command) -> StatusReply:
        spec = asked.spec
        known = self.containers.get(spec.id)
        if known is None:
            known = self.containers[spec.id] = SimulatedContainer(spec, _created(spec))
            with self._recording(known, command):
                self._tell(known, command, "create", spec=spec)
        return StatusReply(status=known.status)

    async def _reject_create(self, asked: ContainerId, command: Command) -> CreateRejected:
        return CreateRejected(rejected=asked.id not in self.containers)

    async def _start(self, asked: ContainerId, command: Command) -> StatusReply:
        def work(held: SimulatedContainer) -> None:
            if held.status.state is not State.RUNNING:
                held.status = _running(held.status, next(self._pids), held.status.seq + 1)
                self._tell_network(held, command, "connect")
                self._tell(held, command, "start")

        return self._once(asked.id, command, work)

    async def _stop(self, asked: StopContainer, command: Command) -> StatusReply:
        return self._once(asked.id, command, lambda held: self._end(held, command, "stop"))

    async def _kill(self, asked: KillContainer, command: Command) -> StatusReply:
        def work(held: SimulatedContainer) -> None:
            if held.status.state is not State.RUNNING:
                raise container_not_running(asked.id)
            self._end(held, command, "kill")

        return self._once(asked.id, command, work)

    async def _remove(self, asked: RemoveContainer, command: Command) -> StatusReply:
        def work(held: SimulatedContainer) -> None:
            self._end(held, command, "kill")
            held.status = held.status.model_copy(update={"state": State.REMOVING, "seq": held.status.seq + 1})
            self._tell(held, command, "destroy")
            del self.containers[asked.id]

        return self._once(asked.id, command, work)

    def _end(self, held: SimulatedContainer, command: Command, cause: str) -> None:
        """A running one ends by a signal."""
        if held.status.state is not State.RUNNING:
            return
        self._tell_network(held, command, "disconnect")
        ended = {"state": State.EXITED, "pid": 0, "exit_code": 137, "finished_ns": time.time_ns(), "endpoints": ()}
        for action in (cause, "die"):
            held.status = held.status.model_copy(update={**ended, "seq": held.status.seq + 1})
            self._tell(held, command, action)

    def _once(self, container: str, command: Command, work: Any) -> StatusReply:
        """The status that the command led to. Raises SeawayError (404)."""
        done = self._outcomes.get(command.id)
        if done is None:
            held = self.containers.get(container)
            if held is None:
                raise no_such_container(container)
            with self._recording(held, command):
                work(held)
            done = held.status
        return StatusReply(status=done)

    # --- events

    @contextlib.contextmanager
    def _recording(self, held: SimulatedContainer, command: Command) -> Iterator[None]:
        """The events within become one transaction of the outbox, and then are told."""
        with transaction(self._db):
            yield
        self.revision += 1
        self._outcomes[command.id] = held.status
        if len(self._outcomes) > _OUTCOMES:
            del self._outcomes[next(iter(self._outcomes))]
        self._outbox.kick()

    def _tell(self, held: SimulatedContainer, command: Command, action: str, spec: ContainerSpec | None = None) -> None:
        body = ContainerEvent(status=held.status, attributes=attributes_of(held.spec), spec=spec)
        self._add_event(held, command, "container", action, held.spec.id, held.status.seq, body)

    def _tell_network(self, held: SimulatedContainer, command: Command, action: str) -> None:
        attributes = {"name": "bridge", "type": "bridge", "container": held.spec.id}
        body = NetworkEvent(network_id=_BRIDGE, attributes=attributes)
        self._add_event(held, command, "network", action, _BRIDGE, 0, body)

    def _add_event(
        self, held: SimulatedContainer, command: Command, noun: str, action: str, subject: str, seq: int, body: Payload
    ) -> None:
        envelope = Envelope(
            secrets.token_hex(12), self.node, noun, action, subject, time.time_ns(), seq, command.id, command.actor
        )
        self._outbox.add(catalogue.EVENTS[noun, action], envelope, body, key=held.spec.id)


def _created(spec: ContainerSpec) -> ContainerStatus:
    return ContainerStatus(seq=1, log_path=f"/var/lib/seaway/agent/containers/{spec.id}/log.json")


def _running(status: ContainerStatus, pid: int, seq: int) -> ContainerStatus:
    address = f"172.30.{pid >> 8 & 255}.{pid & 255}"
    endpoint = Endpoint(
        network="bridge",
        network_id=_BRIDGE,
        endpoint_id=secrets.token_hex(32),
        address=address,
        prefix_len=16,
        gateway="172.30.0.1",
        mac_address="02:42:ac:1e:00:02",
    )
    changes = {"state": State.RUNNING, "pid": pid, "seq": seq, "run": status.run + 1, "started_ns": time.time_ns()}
    return status.model_copy(update={**changes, "endpoints": (endpoint,)})
