"""The API on a unix socket, over an in-memory bus on which a small stand-in of the suite answers."""

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import pytest
from tests.unit.seaway_api.suite_networks import SuiteNetworks
from tests.unit.seaway_api.suite_volumes import SuiteVolumes

from seaway_api.api import Api
from seaway_api.cache.hub import Hub
from seaway_api.cache.stats_feeds import StatsFeeds
from seaway_api.http.archive_client import ArchiveClient
from seaway_api.service import serve
from seaway_api.settings import ApiSettings
from seaway_bus.bus import Bus, Command
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue as cat
from seaway_contracts import commands as c
from seaway_contracts.archives import GrantCommit
from seaway_contracts.base import Empty
from seaway_contracts.containers import ContainerRecord, ContainerStatus, Health, State
from seaway_contracts.errors import Code, SeawayError, conflict, not_found, not_modified
from seaway_contracts.images import (
    BlobEndpoint,
    ImageList,
    ImageRecord,
    ImageRef,
    ListImages,
    PruneImages,
    PullRequest,
    PullStarted,
    Registries,
    RemovedImage,
    RemovedImages,
    RemoveImage,
    TagRequest,
)
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.nodes import NodeList
from seaway_contracts.placement import Placement, PlaceRequest
from seaway_contracts.records import (
    ContainerList,
    ContainerLocation,
    ForgetContainer,
    ListContainers,
    RegisterContainer,
    RegisteredContainer,
    ResolveContainer,
)
from seaway_contracts.stats import WatchStats
from seaway_contracts.volumes import VolumeRecord
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.fake_transport import FakeServer, FakeTransport
from seaway_testing.waiting import GUARD_S

StreamScript = Callable[[ByteStream], Awaitable[None]]


@dataclass
class Answer:
    """A whole HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


class Wire:
    """A raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    def half_close(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.close()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers (names in lower case)."""
        async with asyncio.timeout(GUARD_S):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        fields = dict(line.split(": ", 1) for line in lines[1:] if line)
        return int(lines[0].split(" ")[1]), {name.lower(): value for name, value in fields.items()}

    async def chunk(self) -> bytes:
        """The next chunk of a chunked body; b"" at its end."""
        async with asyncio.timeout(GUARD_S):
            size = int((await self.reader.readuntil(b"\r\n")).strip(), 16)
            data = await self.reader.readexactly(size)
            await self.reader.readexactly(2)
        return data

    async def exactly(self, size: int) -> bytes:
        async with asyncio.timeout(GUARD_S):
            return await self.reader.readexactly(size)

    async def rest(self) -> bytes:
        """All until the server closes."""
        async with asyncio.timeout(GUARD_S):
            return await self.reader.read()

    async def answer(self, method: str = "GET") -> Answer:
        """A whole answer, however its length is told."""
        status, headers = await self.head()
        body = b""
        if method == "HEAD" or status in (204, 304):
            pass
        elif headers.get("transfer-encoding") == "chunked":
            while data := await self.chunk():
                body += data
        elif "content-length" in headers:
            body = await self.exactly(int(headers["content-length"]))
        else:
            body = await self.rest()
        return Answer(status, headers, body)


@dataclass
class Suite:
    """Stands for metadata, scheduler, image service and one agent. Scripts say what streams carry."""

    bus: Bus
    records: dict[str, ContainerRecord] = field(default_factory=dict)
    images: dict[str, ImageRecord] = field(default_factory=dict)
    calls: list[tuple[str, Any]] = field(default_factory=list)
    told: dict[str, tuple[Envelope, ContainerEvent]] = field(default_factory=dict)
    commands: list[Command] = field(default_factory=list)
    fail: dict[str, SeawayError] = field(default_factory=dict)
    held: dict[str, ContainerStatus] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], Awaitable[Any]]] = field(default_factory=dict)
    """What happens while a request of that kind is being answered."""
    names_taken: int = 0
    reclaimed: int = 0
    attach: StreamScript | None = None
    logs: StreamScript | None = None
    pull: StreamScript | None = None
    stats: StreamScript | None = None
    health: Health | None = None
    warnings: tuple[str, ...] = ()
    nodes: NodeList = field(default_factory=NodeList)
    known_registries: Registries = field(default_factory=Registries)
    networks: SuiteNetworks = field(init=False)
    volumes: SuiteVolumes = field(init=False)
    tasks: Tasks = field(default_factory=lambda: Tasks("suite"))
    _numbers: Any = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.networks = SuiteNetworks(self.records)
        self.volumes = SuiteVolumes(self.records)

    async def serve(self) -> None:
        bus = self.bus
        await bus.serve(cat.RESOLVE, self._handler("resolve", self._resolve))
        await bus.serve(cat.GET_CONTAINER, self._handler("get", self._get))
        await bus.serve(cat.LIST_CONTAINERS, self._handler("list", self._list))
        await bus.serve(cat.LIST_NODES, self._handler("nodes", self._nodes))
        await bus.serve(cat.TELL_PRUNE, self._handler("pruned", self._empty))
        await bus.serve(cat.REGISTER, self._handler("register", self._register))
        await bus.serve(cat.FORGET, self._handler("forget", self._forget))
        await bus.serve(cat.PLACE, self._handler("place", self._place))
        await bus.on_message(cat.UNPLACED, lambda unplaced: self.calls.append(("unplace", unplaced)))
        await bus.serve(cat.GRANT_COMMIT, self._handler("grant", self._grant))
        await bus.serve(cat.GET_IMAGE, self._handler("image", self._image))
        await bus.serve(cat.LIST_IMAGES, self._handler("images", self._images))
        await bus.serve(cat.TAG_IMAGE, self._handler("tag", self._tag))
        await bus.serve(cat.REMOVE_IMAGE, self._handler("rmi", self._rmi))
        await bus.serve(cat.PRUNE_IMAGES, self._handler("image prune", self._prune_images))
        await bus.serve(cat.REGISTRIES, self._handler("registries", self._registries))
        await bus.serve(cat.LOGIN, self._handler("login", self._empty))
        await bus.serve(cat.PULL_IMAGE, self._handler("pull", self._pull))
        await self.networks.serve(bus, self._handler)
        await self.volumes.serve(bus, self._handler)
        for name, channel, state in (
            ("start", cat.START, State.RUNNING),
            ("stop", cat.STOP, State.EXITED),
            ("restart", cat.RESTART, State.RUNNING),
            ("kill", cat.KILL, State.EXITED),
            ("pause", cat.PAUSE, State.PAUSED),
            ("unpause", cat.UNPAUSE, State.RUNNING),
        ):
            await bus.serve(channel, self._handler(name, self._setter(state)), node="n1")  # type: ignore[arg-type]
        await bus.serve(cat.CREATE, self._handler("create", self._create), node="n1")
        await bus.serve(cat.REMOVE, self._handler("remove", self._remove), node="n1")
        await bus.serve(cat.RESIZE, self._handler("resize", self._empty), node="n1")
        await bus.serve(cat.RENAME, self._handler("rename", self._rename))
        await bus.serve(cat.UPDATE, self._handler("update", self._update), node="n1")
        await bus.serve(cat.TOP, self._handler("top", self._top), node="n1")
        await bus.serve(cat.INVENTORY, self._handler("inventory", self._inventory), node="n1")
        await bus.serve(cat.HEALTH, self._handler("health", self._health), node="n1")
        await bus.serve(cat.STATS, self._handler("stats", self._stats), node="n1")
        await bus.serve(cat.ATTACH, self._handler("attach", self._attach), node="n1")
        await bus.serve(cat.DETACH, self._handler("detach", self._empty), node="n1")
        await bus.serve(cat.LOGS, self._handler("logs", self._logs), node="n1")

    def named(self, name: str) -> list[Any]:
        """The requests of one kind, in order."""
        return [request for kind, request in self.calls if kind == name]

    def add(self, record: ContainerRecord) -> ContainerRecord:
        self.records[record.id] = record
        return record

    async def emit(self, action: str, identifier: str, status: ContainerStatus, **attributes: str) -> Envelope:
        """Publish a container event as metadata does."""
        envelope, body = self._event(action, identifier, status, attributes)
        await self.store(envelope, body)
        return envelope

    async def tell(self, action: str, identifier: str, status: ContainerStatus, **attributes: str) -> Envelope:
        """Tell of a container event as an agent does; it is not stored yet."""
        envelope, body = self._event(action, identifier, status, attributes)
        channel = cat.event_channel("container", action)
        await self.bus.transport.publish(
            channel.told_subject("n1", identifier), channel.encode(body), envelope.headers()
        )
        self.told[envelope.id] = envelope, body
        return envelope

    async def store(self, envelope: Envelope, body: ContainerEvent) -> None:
        """Into the stream."""
        channel, identifier = cat.event_channel("container", envelope.action), envelope.subject_id
        await self.bus.transport.store(channel.subject("n1", identifier), channel.encode(body), envelope.headers())

    def _event(
        self, action: str, identifier: str, status: ContainerStatus, attributes: dict[str, str]
    ) -> tuple[Envelope, ContainerEvent]:
        number = next(self._numbers)
        envelope = Envelope(
            id=f"{number:024x}",
            node="n1",
            noun="container",
            action=action,
            subject_id=identifier,
            time_ns=builders.START_NS + number,
            seq=status.seq,
        )
        return envelope, ContainerEvent(status=status, attributes=attributes)

    def _handler(self, name: str, answer: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Command], Awaitable[Any]]:
        async def handle(request: Any, command: Command) -> Any:
            self.calls.append((name, request))
            self.commands.append(command)
            if name in self.fail:
                raise self.fail[name]
            if name in self.meanwhile:
                await self.meanwhile[name]()
            return await answer(request)

        return handle

    async def _grant(self, request: GrantCommit) -> BlobEndpoint:
        return BlobEndpoint(url="http://image", token=f"for {request.node}")

    async def _empty(self, _: Any) -> Empty:
        return Empty()

    def _find(self, ref: str) -> ContainerRecord:
        for record in self.records.values():
            if ref in (record.spec.name, record.id) or (len(ref) >= 3 and record.id.startswith(ref)):
                return record
        raise not_found(f"No such container: {ref}")

    async def _resolve(self, request: ResolveContainer) -> ContainerLocation:
        record = self._find(request.ref)
        return ContainerLocation(id=record.id, node=record.node, name=record.spec.name)

    async def _get(self, request: ResolveContainer) -> ContainerRecord:
        return self._find(request.ref)

    async def _list(self, request: ListContainers) -> ContainerList:
        """Pages of two, so that paging is always at work."""
        live = (State.RUNNING, State.PAUSED, State.RESTARTING)
        kept = [one for one in self.records.values() if request.all or one.status.state in live]
        kept.sort(key=lambda one: -one.spec.created_ns)
        start = int(request.after or 0)
        following = str(start + 2) if start + 2 < len(kept) else ""
        return ContainerList(containers=tuple(kept[start : start + 2]), next=following)

    async def _registries(self, _: Empty) -> Registries:
        return self.known_registries

    async def _nodes(self, _: Empty) -> NodeList:
        return self.nodes

    async def _register(self, request: RegisterContainer) -> RegisteredContainer:
        if self.names_taken:
            self.names_taken -= 1
            raise conflict("taken")
        for record in self.records.values():
            if record.spec.name == request.spec.name:
                raise conflict(f'Conflict. The container name "/{request.spec.name}" is already in use')
        self.records[request.spec.id] = ContainerRecord(spec=request.spec, node=request.node)
        return RegisteredContainer(spec=request.spec, volumes=self._new_volumes(request))

    def _new_volumes(self, request: RegisterContainer) -> tuple[VolumeRecord, ...]:
        """Those that the registration makes."""
        return tuple(
            self.volumes.add(
                VolumeRecord(
                    id=f"id of {mount.source}",
                    name=mount.source,
                    created_ns=request.spec.created_ns,
                    node=request.node,
                    labels=mount.volume_labels,
                    options=mount.volume_options,
                    made_for=request.spec.id,
                )
            )
            for mount in request.spec.mounts
            if mount.type == "volume" and not mount.anonymous and mount.source not in self.volumes.volumes
        )

    async def _forget(self, request: ForgetContainer) -> Empty:
        self.records.pop(request.id, None)
        return Empty()

    async def _place(self, request: PlaceRequest) -> Placement:
        return Placement(node=request.node or "n1")

    async def _image(self, request: ImageRef) -> ImageRecord:
        image = self.images.get(request.ref)
        if image is None:
            raise not_found(f"No such image: {request.ref}:latest")
        return image

    async def _images(self, _: ListImages) -> ImageList:
        return ImageList(images=tuple(self.images.values()))

    async def _tag(self, _: TagRequest) -> Empty:
        return Empty()

    async def _rmi(self, request: RemoveImage) -> RemovedImages:
        return RemovedImages(
            items=(RemovedImage(untagged=request.ref), RemovedImage(deleted="sha256:1")), reclaimed=self.reclaimed
        )

    async def _prune_images(self, request: PruneImages) -> RemovedImages:
        items = tuple(RemovedImage(deleted=image) for image in request.ids)
        return RemovedImages(items=items, reclaimed=self.reclaimed * len(items))

    async def _create(self, _: c.CreateContainer) -> c.StatusReply:
        return c.StatusReply(status=ContainerStatus(seq=1))

    def _setter(self, state: State) -> Callable[[Any], Awaitable[c.StatusReply]]:
        async def handle(request: Any) -> c.StatusReply:
            record = self._find(request.id)
            if record.status.state == state:
                raise not_modified()
            status = record.status.model_copy(update={"state": state, "seq": record.status.seq + 1})
            self.records[record.id] = record.model_copy(update={"status": status})
            return c.StatusReply(status=status)

        return handle

    async def _inventory(self, asked: c.ListInventory) -> c.Inventory:
        held = [self._find(identifier) for identifier in asked.ids]
        items = tuple(c.InventoryItem(spec=one.spec, status=self.held.get(one.id, one.status)) for one in held)
        return c.Inventory(node="n1", epoch="e1", revision=1, containers=items)

    async def _remove(self, request: c.RemoveContainer) -> c.StatusReply:
        record = self.records.pop(request.id)
        return c.StatusReply(status=record.status)

    async def _rename(self, request: c.RenameContainer) -> c.StatusReply:
        record = self._find(request.id)
        spec = record.spec.model_copy(update={"name": request.name})
        self.records[record.id] = record.model_copy(update={"spec": spec})
        return c.StatusReply(status=record.status)

    async def _update(self, request: c.UpdateContainer) -> c.StatusReply:
        return c.StatusReply(status=self._find(request.id).status, warnings=self.warnings)

    async def _top(self, _: c.ListProcesses) -> c.ProcessList:
        return c.ProcessList(titles=("PID", "CMD"), processes=(("7", "sleep 9"),))

    async def _health(self, _: c.ContainerId) -> c.HealthReply:
        return c.HealthReply(health=self.health)

    async def _stats(self, request: WatchStats) -> Empty:
        return await self._stream(request.stream, self.stats)

    async def _attach(self, request: c.AttachContainer) -> Empty:
        return await self._stream(request.stream, self.attach)

    async def _logs(self, request: c.ReadLogs) -> Empty:
        return await self._stream(request.stream, self.logs)

    async def _pull(self, request: PullRequest) -> PullStarted:
        await self._stream(request.stream, self.pull)
        return PullStarted()

    async def _stream(self, identifier: str, script: StreamScript | None) -> Empty:
        assert script is not None
        stream = await ByteStream(self.bus.transport, identifier, "serving", self.tasks).open()

        async def play() -> None:
            with contextlib.suppress(SeawayError):
                await script(stream)
            await stream.close()

        self.tasks.spawn("script", play())
        return Empty()


@dataclass
class Rig:
    """The API under test, the suite around it, and a way in."""

    api: Api
    suite: Suite
    path: str
    server: FakeServer
    wires: list[Wire] = field(default_factory=list)

    async def wire(self) -> Wire:
        """A fresh connection."""
        wire = Wire(*await asyncio.open_unix_connection(self.path))
        self.wires.append(wire)
        return wire

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request on a connection of its own."""
        wire = await self.wire()
        data = b"" if body is None else body if isinstance(body, bytes) else orjson.dumps(body)
        fields = {"Host": "docker", "Content-Length": str(len(data))}
        if body is not None:
            fields["Content-Type"] = "application/json"
        fields |= {name.replace("_", "-"): value for name, value in headers.items()}
        head = "".join(f"{name}: {value}\r\n" for name, value in fields.items() if value)
        wire.send(f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + data)
        answer = await wire.answer(method)
        wire.close()
        return answer

    async def quiet(self) -> None:
        """Let everything that is under way on the in-memory bus come to rest."""
        for _ in range(50):
            await asyncio.sleep(0)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    server = FakeServer()
    suite = Suite(Bus(FakeTransport(server)))
    bus, tasks = Bus(FakeTransport(server)), Tasks("api")
    settings = ApiSettings(run=tmp_path, root=tmp_path, node="n1", socket_group="nobody-has-this-group")
    await bus.prepare()
    await suite.serve()
    hub = Hub(bus.transport, tasks, bus.down_nodes)
    await hub.start()
    archives = ArchiveClient(bus)
    api = Api(settings, bus, hub, tasks, archives, StatsFeeds(bus, tasks))
    suite.images["busybox"] = builders.image()
    async with serve(api):
        rig = Rig(api, suite, str(tmp_path / "docker.sock"), server)
        yield rig
        for wire in rig.wires:
            wire.close()
    await archives.close()
    await hub.close()
    await suite.tasks.close()
    await tasks.close()
    await bus.close()
    await suite.bus.close()


@pytest.fixture
def failure() -> Callable[..., SeawayError]:
    """An error as a service raises it."""

    def make(code: Code, message: str) -> SeawayError:
        return SeawayError(code, message)

    return make
