"""A client's calls to a builder: what is refused, what is answered here, and what nobody starts a builder for."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from tests.unit.seaway_api.buildkit.pipes import PipeEnd, pipe

from seaway_api.buildkit.builder import Nowhere
from seaway_api.buildkit.connections import relay_grpc
from seaway_api.buildkit.control import DISK_USAGE, PRUNE, SOLVE, WORKERS
from seaway_api.buildkit.grpc import Answer, Code, GrpcError, Messages, call
from seaway_api.buildkit.http2 import Http2, Stream
from seaway_api.buildkit.image_service import ImageService
from seaway_api.buildkit.messages import encode, new, parse
from seaway_api.buildkit.sessions import Sessions
from seaway_api.translate.image_catalogue import ImageCatalogue
from seaway_bus.bus import Bus
from seaway_kit.tasks import Tasks

SNAPSHOTTER = "org.mobyproject.buildkit.worker.snapshotter"


class StandIn:
    """A builder in memory that counts its connections."""

    place = "here"

    def __init__(self, tasks: Tasks, *, there: bool = True) -> None:
        self._tasks = tasks
        self._there = there
        self.connections: list[Http2] = []
        self.solved: list[bytes] = []

    async def connect(self) -> PipeEnd:
        ours, theirs = pipe()
        self.connections.append(Http2(theirs, serve=self._serve))
        self._tasks.spawn("stand-in", self.connections[-1].run())
        return ours

    async def is_there(self) -> bool:
        return self._there

    async def _serve(self, stream: Stream) -> None:
        request, answer = await Messages(stream).only(), Answer(stream)
        if stream.path == WORKERS:
            worker = new("WorkerRecord", ID="w", Labels={SNAPSHOTTER: "overlayfs", "a": "b"})
            await answer.message(encode("ListWorkersResponse", record=[worker]))
        elif stream.path == SOLVE:
            self.solved.append(request)
            await answer.message(encode("SolveResponse", ExporterResponse={"x": "y"}))
        else:
            await answer.message(b"")
        await answer.end()


async def no_images() -> ImageCatalogue:
    return ImageCatalogue(())


@asynccontextmanager
async def client_of(builder: StandIn | Nowhere, bus: Bus, actor: str = "me") -> AsyncIterator[Http2]:
    """A client's connection to `/grpc`."""
    tasks = Tasks("client")
    ours, theirs = pipe()
    service = ImageService(bus, "n1")
    tasks.spawn("relay", relay_grpc(theirs, builder, Sessions(), service, no_images, actor))
    connection = Http2(ours)
    tasks.spawn("client", connection.run())
    try:
        yield connection
    finally:
        await tasks.close()
        await service.close()


async def test_workers_are_shown_as_a_docker_daemons(fake_bus: Bus, tasks: Tasks) -> None:
    async with client_of(StandIn(tasks), fake_bus) as client:
        (answer,) = await call(client, WORKERS, b"")
        (worker,) = parse("ListWorkersResponse", answer).record
        assert dict(worker.Labels) == {"a": "b"}


async def test_builds_that_are_none_of_ours_pass(fake_bus: Bus, tasks: Tasks) -> None:
    builder = StandIn(tasks)
    request = encode("SolveRequest", Ref="r", Session="s", Exporters=[new("Exporter", Type="local")])
    async with client_of(builder, fake_bus) as client:
        (answer,) = await call(client, SOLVE, request)
        assert parse("SolveResponse", answer).ExporterResponse["x"] == "y"
    assert builder.solved == [request]


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"FrontendAttrs": {"platform": "linux/amd64,linux/arm64"}}, "one platform"),
        ({"Entitlements": ["security.insecure"]}, "security.insecure"),
        ({"ExporterDeprecated": "moby"}, "needs a session"),
    ],
)
async def test_what_is_refused_never_reaches_the_builder(
    fake_bus: Bus, tasks: Tasks, asked: dict[str, object], words: str
) -> None:
    builder = StandIn(tasks)
    async with client_of(builder, fake_bus) as client:
        with pytest.raises(GrpcError, match=words) as refused:
            await call(client, SOLVE, encode("SolveRequest", **asked))
        assert refused.value.code == Code.INVALID_ARGUMENT
        with pytest.raises(GrpcError, match="no SolveRequest"):
            await call(client, SOLVE, b"\xff\xff")
    assert builder.connections == []


async def test_an_unused_connection_needs_no_builder(fake_bus: Bus, tasks: Tasks) -> None:
    builder = StandIn(tasks)
    async with client_of(builder, fake_bus):
        pass
    assert builder.connections == []


async def test_the_builder_is_let_go_with_its_client(fake_bus: Bus, tasks: Tasks) -> None:
    builder = StandIn(tasks)
    async with client_of(builder, fake_bus) as client:
        await call(client, WORKERS, b"")
        (connection,) = builder.connections
        assert not connection.ended
    assert connection.ended


@pytest.mark.parametrize(("path", "answers"), [(DISK_USAGE, [b""]), (PRUNE, [])])
async def test_nobody_starts_a_builder_for_its_cache(
    fake_bus: Bus, tasks: Tasks, path: str, answers: list[bytes]
) -> None:
    idle, running = StandIn(tasks, there=False), StandIn(tasks)
    async with client_of(idle, fake_bus) as client:
        assert await call(client, path, b"") == answers
    assert idle.connections == []
    async with client_of(running, fake_bus) as client:
        await call(client, path, b"")
    assert len(running.connections) == 1


@pytest.mark.parametrize("path", [SOLVE, WORKERS, DISK_USAGE, PRUNE, "/any.other/Method"])
async def test_without_a_builder_every_call_says_what_to_do(fake_bus: Bus, path: str) -> None:
    async with client_of(Nowhere(), fake_bus) as client:
        with pytest.raises(GrpcError, match="DOCKER_BUILDKIT=0 docker build") as refused:
            await call(client, path, encode("SolveRequest"))
        assert refused.value.code == Code.UNAVAILABLE
