"""The sagas over an in-memory bus, on which a stand-in of metadata, scheduler, image service and one agent answers."""

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest

from seaway_bus.bus import Bus, Command
from seaway_contracts import catalogue as cat
from seaway_contracts import commands as c
from seaway_contracts.base import Empty, Payload
from seaway_contracts.containers import ContainerRecord, ContainerStatus, State
from seaway_contracts.errors import SeawayError, conflict, not_found
from seaway_contracts.execs import CreateExec, ExecId, ExecInfo, ExecStarted, ExecState, ExecStatus, StartExec
from seaway_contracts.images import ImageRecord, ImageRef
from seaway_contracts.lifecycle import ContainerEvent, Envelope
from seaway_contracts.networks import NetworkRecord, NetworkRef, NetworkReply
from seaway_contracts.placement import Placement, PlaceRequest
from seaway_contracts.records import ForgetContainer, RegisterContainer, RegisteredContainer, ResolveContainer
from seaway_contracts.volumes import VolumeRecord, VolumeRef, VolumeReply
from seaway_kit.tasks import Tasks
from seaway_testing import builders
from seaway_testing.clock import START_NS
from seaway_testing.fake_transport import FakeServer, FakeTransport

NODE = "n1"


@dataclass
class Suite:
    """`fail`: what a request is refused with, by its name; `refuse_once`: only the next one. `meanwhile`: what happens
    while a request of that name is answered.
    """

    bus: Bus
    tasks: Tasks
    records: dict[str, ContainerRecord] = field(default_factory=dict)
    calls: list[tuple[str, Any, Command]] = field(default_factory=list)
    networks: dict[str, NetworkRecord] = field(default_factory=dict)
    volumes: dict[str, VolumeRecord] = field(default_factory=dict)
    fail: dict[str, SeawayError] = field(default_factory=dict)
    refuse_once: dict[str, SeawayError] = field(default_factory=dict)
    meanwhile: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    image: ImageRecord = field(default_factory=builders.image)
    output: bytes = b""
    last_words: bool = True
    exit_code: int | None = 0
    _execs: dict[str, CreateExec] = field(default_factory=dict)

    async def serve(self) -> None:
        for channel, answer in (
            (cat.GET_IMAGE, self._image),
            (cat.GET_CONTAINER, self._get),
            (cat.PLACE, self._place),
            (cat.REGISTER, self._register),
            (cat.FORGET, self._forget),
            (cat.GET_NETWORK, self._network),
            (cat.GET_VOLUME, self._volume),
        ):
            await self.bus.serve(channel, self._handler(channel.name, answer))  # type: ignore[arg-type, misc]
        await self.bus.on_message(cat.UNPLACED, partial(self._heard, cat.UNPLACED.name))
        for channel, answer in (
            (cat.CREATE, self._create),
            (cat.START, self._start),
            (cat.REMOVE, self._remove),
            (cat.CREATE_EXEC, self._create_exec),
            (cat.START_EXEC, self._start_exec),
            (cat.INSPECT_EXEC, self._inspect_exec),
        ):
            await self.bus.serve(channel, self._handler(channel.name, answer), node=NODE)  # type: ignore[arg-type, misc]

    def named(self, name: str) -> list[Any]:
        """The requests of one kind, in order."""
        return [request for kind, request, _ in self.calls if kind == name]

    @property
    def kinds(self) -> list[str]:
        """What was asked, in order."""
        return [kind for kind, _, _ in self.calls]

    def add(self, record: ContainerRecord) -> ContainerRecord:
        self.records[record.id] = record
        return record

    async def emit(self, action: str, identifier: str, status: ContainerStatus) -> None:
        """Publish an event as metadata does."""
        time_ns = START_NS + status.seq
        envelope = Envelope(f"{action}-{status.seq}", NODE, "container", action, identifier, time_ns, seq=status.seq)
        channel = cat.event_channel("container", action)
        data = channel.encode(ContainerEvent(status=status))
        await self.bus.transport.store(channel.subject(NODE, identifier), data, envelope.headers())

    def _handler(self, name: str, answer: Callable[[Any], Awaitable[Any]]) -> Callable[[Any, Command], Awaitable[Any]]:
        async def handle(request: Any, command: Command) -> Any:
            self.calls.append((name, request, command))
            if name in self.meanwhile:
                await self.meanwhile[name]()
            if name in self.refuse_once:
                raise self.refuse_once.pop(name)
            if name in self.fail:
                raise self.fail[name]
            return await answer(request)

        return handle

    def _heard(self, name: str, message: Payload) -> None:
        self.calls.append((name, message, Command.new()))

    async def _image(self, _: ImageRef) -> ImageRecord:
        return self.image

    async def _get(self, request: ResolveContainer) -> ContainerRecord:
        for record in self.records.values():
            if request.ref in (record.id, record.spec.name):
                return record
        raise not_found(f"No such container: {request.ref}")

    async def _place(self, _: PlaceRequest) -> Placement:
        return Placement(node=NODE)

    async def _register(self, request: RegisterContainer) -> RegisteredContainer:
        if any(record.spec.name == request.spec.name for record in self.records.values()):
            raise conflict("taken")
        self.add(ContainerRecord(spec=request.spec, node=request.node))
        return RegisteredContainer(spec=request.spec, volumes=tuple(self.volumes.values()))

    async def _network(self, request: NetworkRef) -> NetworkReply:
        if request.ref not in self.networks:
            raise not_found(f"network {request.ref} not found")
        return NetworkReply(network=self.networks[request.ref])

    async def _volume(self, request: VolumeRef) -> VolumeReply:
        if request.name not in self.volumes:
            raise not_found(f"get {request.name}: no such volume")
        return VolumeReply(volume=self.volumes[request.name])

    async def _forget(self, request: ForgetContainer) -> Empty:
        self.records.pop(request.id, None)
        return Empty()

    async def _create(self, request: c.CreateContainer) -> c.StatusReply:
        self.add(ContainerRecord(spec=request.spec, node=NODE, status=builders.status()))
        return c.StatusReply(status=builders.status(), warnings=("take care",))

    async def _start(self, request: c.ContainerId) -> c.StatusReply:
        if not self.records[request.id].status.seq:
            raise not_found("not here")
        return c.StatusReply(status=builders.status(State.RUNNING, 2))

    async def _remove(self, request: c.RemoveContainer) -> c.StatusReply:
        return c.StatusReply(status=self.records.pop(request.id).status)

    async def _create_exec(self, request: CreateExec) -> c.StatusReply:
        self._execs[request.spec.id] = request
        return c.StatusReply(status=builders.status(State.RUNNING, 3))

    async def _start_exec(self, request: StartExec) -> ExecStarted:
        stream = await self.bus.serve_stream(request.stream, self.tasks).open()

        async def play() -> None:
            with contextlib.suppress(SeawayError):
                await stream.write(self.output)
                await stream.end(self._info(request.id).model_dump_json().encode() if self.last_words else b"")

        self.tasks.spawn("exec", play())
        return ExecStarted()

    async def _inspect_exec(self, request: ExecId) -> ExecInfo:
        return self._info(request.id)

    def _info(self, identifier: str) -> ExecInfo:
        made = self._execs[identifier]
        status = ExecStatus(state=ExecState.ENDED, exit_code=self.exit_code)
        return ExecInfo(container=made.container, spec=made.spec, status=status)


@pytest.fixture
async def suite(fake_server: FakeServer, tasks: Tasks) -> AsyncIterator[Suite]:
    serving = Suite(Bus(FakeTransport(fake_server)), tasks)
    await serving.serve()
    yield serving
    await serving.bus.close()
