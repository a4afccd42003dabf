"""Metadata's processes, what is asked of them, and a node as far as they meet it."""

import asyncio
import contextlib
import hashlib
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from tests.integration.forked import Forked

from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import of_node
from seaway_bus.outbox import Outbox, open_outbox
from seaway_contracts.catalogue import (
    BEAT,
    CONTAINERS_BUCKET,
    GET_CONTAINER,
    INVENTORY,
    LIST_CONTAINERS,
    NAMES_BUCKET,
    REGISTER,
    event_channel,
)
from seaway_contracts.commands import Inventory, InventoryItem, ListInventory
from seaway_contracts.containers import ContainerRecord, ContainerSpec, ContainerStatus, State
from seaway_contracts.lifecycle import Envelope
from seaway_contracts.records import ContainerList, ListContainers, RegisterContainer, ResolveContainer
from seaway_kit.tasks import Tasks
from seaway_testing.builders import beat, container_event, container_id, spec, status
from seaway_testing.nats_server import NatsServer
from seaway_testing.waiting import until

_PATIENT_S = 20


class Copy:
    """One process of metadata."""

    def __init__(self, nats: NatsServer, root: Path, number: int) -> None:
        self._arguments = ["--nats", nats.url, "--root", str(root / f"root-{number}")]
        self._log = root / f"metadata-{number}.log"
        self._process: Forked | None = None

    async def start(self) -> "Copy":
        """Start, and wait until it says that it is ready."""
        before = self.log.count("is ready")
        self._spawn()
        await until(lambda: self.log.count("is ready") > before or self._ended, _PATIENT_S, "readiness")
        assert not self._ended, self.log
        return self

    def _spawn(self) -> None:
        self._process = Forked("seaway_metadata.main", self._arguments, self._log)

    @property
    def log(self) -> str:
        return self._log.read_text() if self._log.exists() else ""

    @property
    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def send(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def stop(self) -> int:
        assert self._process is not None
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(timeout=_PATIENT_S)


@contextlib.asynccontextmanager
async def running(copies: list[Copy]) -> AsyncIterator[list[Copy]]:
    """All started at once; killed at the end, also where one doesn't come up."""
    try:
        await asyncio.gather(*(copy.start() for copy in copies))
        yield copies
    finally:
        for copy in copies:
            copy.kill()


Connect = Callable[[], Awaitable[Bus]]


class Agent:
    """What a node says of its containers: told at once, and handed over to metadata until it is stored."""

    def __init__(self, bus: Bus, directory: Path, tasks: Tasks, node: str = "n1") -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.bus = bus
        self.node = node
        self._db = open_outbox(directory / "outbox.db")
        self._outbox = Outbox(self._db, bus.transport, tasks, of_node(bus, node), tells=True)
        self._outbox.start()

    async def publish(self, action: str, body: ContainerStatus, seed: int = 1, event_id: str = "") -> None:
        """Returns as an agent answers: when the event is told."""
        await self.tell(action, body, container_id(seed), event_id=event_id)

    async def tell(
        self,
        action: str,
        body: ContainerStatus,
        identifier: str,
        changed: ContainerSpec | None = None,
        event_id: str = "",
    ) -> None:
        seed = f"{event_id or identifier} {action} {body.seq}"
        envelope, event = container_event(action, body)
        envelope = Envelope(
            id=hashlib.sha256(seed.encode()).hexdigest()[:24],
            node=self.node,
            noun="container",
            action=action,
            subject_id=identifier,
            time_ns=envelope.time_ns,
            seq=body.seq,
        )
        self._outbox.tell(event_channel("container", action), envelope, event.model_copy(update={"spec": changed}))
        if (told := self._outbox.sent(identifier)) is not None:
            await told
        await self.bus.transport.flush()

    async def stored(self) -> None:
        """Wait until all that was told is in the stream."""
        assert await self._outbox.flush(_PATIENT_S)

    async def beat(self, **changes: object) -> None:
        await self.bus.publish(BEAT, beat(self.node, **changes), node=self.node)
        await self.bus.flush()

    def close(self) -> None:
        self._db.close()


async def register(bus: Bus, seed: int, name: str = "", **changes: object) -> None:
    one = spec(seed, name=name, **changes) if name else spec(seed, **changes)
    await bus.call(REGISTER, RegisterContainer(spec=one, node="n1"), timeout_s=2)


async def get(bus: Bus, ref: str) -> ContainerRecord:
    return await bus.call(GET_CONTAINER, ResolveContainer(ref=ref), timeout_s=2)


async def seen_by_all(bus: Bus, ref: str) -> set[int]:
    """The status numbers that reads find, asked often enough to meet each copy."""
    return {(await get(bus, ref)).status.seq for _ in range(30)}


async def everything(bus: Bus) -> list[ContainerRecord]:
    found: list[ContainerRecord] = []
    after = ""
    while True:
        page: ContainerList = await bus.call(LIST_CONTAINERS, ListContainers(after=after))
        found += page.containers
        after = page.next
        if not after:
            return found


async def keys(bus: Bus) -> tuple[set[str], set[str]]:
    containers, names = [await bus.transport.bucket(config) for config in (CONTAINERS_BUCKET, NAMES_BUCKET)]
    held = {entry.key async for entry in containers.entries() if not entry.key.startswith("_")}
    return held, {bytes.fromhex(entry.key).decode() async for entry in names.entries()}


async def settled(bus: Bus, containers: set[str], names: set[str]) -> None:
    """Wait until the buckets hold exactly this."""
    for _ in range(200):
        if await keys(bus) == (containers, names):
            return
        await asyncio.sleep(0.05)
    assert await keys(bus) == (containers, names)


class Node:
    """A node's agent, as far as metadata meets it."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self.items = [InventoryItem(spec=spec(seed), status=status(State.RUNNING, 2)) for seed in range(25)]

    async def serve(self) -> "Node":
        await self.bus.serve(INVENTORY, self.inventory, node="n1")
        return self

    async def inventory(self, request: ListInventory, command: Command) -> Inventory:
        start = int(request.after or 0)
        following = str(start + 10) if start + 10 < len(self.items) else ""
        items = tuple(self.items[start : start + 10])
        return Inventory(node="n1", epoch="e1", revision=1, containers=items, next=following)
