"""The content store of a session: results come in blob by blob, bases go out, and only what is ours is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson
import pytest
from tests.unit.seaway_api.buildkit.pipes import connected
from tests.unit.seaway_api.buildkit.registry import Registry, digest_of, registry

from seaway_api.buildkit.content import SERVICE, SessionContent
from seaway_api.buildkit.grpc import Answer, Code, GrpcError, Messages, call, error_of, frame, request_headers
from seaway_api.buildkit.http2 import Headers, Http2, Stream
from seaway_api.buildkit.image_service import BuildResult, ImageService
from seaway_api.buildkit.messages import encode, parse
from seaway_api.buildkit.relay import Relay
from seaway_api.buildkit.sessions import BuildSession
from seaway_bus.bus import Bus, Command
from seaway_contracts.errors import SeawayError
from seaway_kit.tasks import Tasks

EXPORT: Headers = [(b"buildkit-attachable-store-id", b"export")]
BASE: Headers = [(b"buildkit-attachable-store-id", b"oci:seaway-store")]
DATA = bytes(range(256)) * 20_000


@dataclass
class Store:
    """The builder's connection to a session whose content is answered; `passed` are the calls for its client."""

    builder: Http2
    service: ImageService
    session: BuildSession
    registry: Registry
    passed: list[str]

    @property
    def result(self) -> BuildResult:
        assert self.session.result is not None
        return self.session.result


@asynccontextmanager
async def store_of(bus: Bus) -> AsyncIterator[Store]:
    tasks, passed = Tasks("test"), list[str]()

    async def client(stream: Stream) -> None:
        passed.append(stream.path)
        await Answer(stream).end(Code.NOT_FOUND, "the client has no such store")

    async with registry(bus) as images, connected(client) as to_client:

        async def behind() -> Http2:
            return to_client

        service = ImageService(bus, "n1")
        session = BuildSession("s", "me", result=service.result(Command.new("me")))
        relay = Relay(behind, methods := {})
        methods.update(SessionContent(session, service, relay, tasks).methods())
        async with connected(relay.serve) as builder:
            yield Store(builder, service, session, images, passed)
        await tasks.close()
        await service.close()


async def write(store: Store, data: bytes, digest: str, *, piece: int = 1 << 20, gap: int = 0) -> GrpcError | None:
    """Offer a blob as BuildKit does: ask for its state, then send pieces, then commit."""
    stream = await store.builder.open(request_headers(f"{SERVICE}Write", EXPORT))
    messages = Messages(stream)
    await stream.send(frame(encode("WriteContentRequest", ref="r", total=len(data), expected=digest)))
    if await messages.next() is None:
        return error_of(stream.trailers or await stream.head())
    for start in range(0, len(data), piece):
        part = data[start : start + piece]
        await stream.send(frame(encode("WriteContentRequest", action=1, offset=start + gap, data=part)))
        if await messages.next() is None:
            return error_of(stream.trailers)
    await stream.send(frame(encode("WriteContentRequest", action=2, offset=len(data), expected=digest)))
    last = await messages.next()
    if last is not None:
        assert parse("WriteContentResponse", last).digest == digest
        await messages.next()
    return error_of(stream.trailers)


async def test_a_blob_comes_in_whole_and_once(fake_bus: Bus) -> None:
    async with store_of(fake_bus) as store:
        assert await write(store, DATA, digest_of(DATA)) is None
        assert store.registry.blobs[digest_of(DATA)] == DATA
        again = await write(store, DATA, digest_of(DATA))
        assert again is not None and again.code == Code.ALREADY_EXISTS
        assert store.registry.uploads == 1


async def test_blobs_that_lie_or_have_gaps_are_refused(fake_bus: Bus) -> None:
    async with store_of(fake_bus) as store:
        lie = await write(store, DATA, digest_of(b"other"))
        assert lie is not None and "not what its digest says" in lie.text
        gap = await write(store, DATA, digest_of(DATA), gap=7)
        assert gap is not None and gap.code == Code.FAILED_PRECONDITION
        nameless = await write(store, DATA, "")
        assert nameless is not None and nameless.code == Code.INVALID_ARGUMENT
        assert store.registry.blobs == {}


async def test_bases_go_out_whole_and_in_part(fake_bus: Bus) -> None:
    async with store_of(fake_bus) as store:
        digest = store.registry.put(DATA)
        headers = request_headers(f"{SERVICE}Info", BASE)
        (info,) = await ask(store, headers, encode("InfoRequest", digest=digest))
        assert parse("InfoResponse", info).info.size == len(DATA)
        for offset, size in ((0, 0), (100, 0), (100, 1000), (len(DATA), 0)):
            request = encode("ReadContentRequest", digest=digest, offset=offset, size=size)
            answers = await ask(store, request_headers(f"{SERVICE}Read", BASE), request)
            pieces = [parse("ReadContentResponse", answer) for answer in answers]
            assert b"".join(piece.data for piece in pieces) == DATA[offset : offset + size if size else None]
            assert [piece.offset for piece in pieces[:1]] == [offset][: len(pieces)]


async def test_a_base_that_is_gone_is_not_found(fake_bus: Bus) -> None:
    async with store_of(fake_bus) as store:
        with pytest.raises(GrpcError) as missing:
            await ask(store, request_headers(f"{SERVICE}Info", BASE), encode("InfoRequest", digest=digest_of(b"")))
        assert missing.value.code == Code.NOT_FOUND


async def ask(store: Store, headers: Headers, request: bytes) -> list[bytes]:
    stream = await store.builder.open(headers)
    await stream.send(frame(request))
    await stream.end()
    messages, answers = Messages(stream), list[bytes]()
    while (answer := await messages.next()) is not None:
        answers.append(answer)
    if (error := error_of(stream.trailers or await stream.head())) is not None:
        raise error
    return answers


async def test_stores_of_the_clients_own_are_the_clients(fake_bus: Bus) -> None:
    async with store_of(fake_bus) as store:
        for method in ("Info", "Read", "Write", "Status"):
            with pytest.raises(GrpcError, match="the client has no such store"):
                await call(store.builder, f"{SERVICE}{method}", encode("InfoRequest", digest=digest_of(DATA)))
        assert store.passed == [f"{SERVICE}{method}" for method in ("Info", "Read", "Write", "Status")]
        assert store.registry.uploads == 0


async def test_an_image_has_its_names_when_it_is_finished(fake_bus: Bus) -> None:
    async with store_of(fake_bus) as store:
        config = store.registry.put(b"{}")
        manifest = orjson.dumps({"mediaType": "application/x", "config": {"digest": config}})
        identifier = await store.result.finish(store.registry.put(manifest), ["docker.io/library/a:1", "localhost:5/b"])
        assert identifier == config and store.registry.manifests == [manifest]
        assert store.registry.tags == [(config, "a:1"), (config, "localhost:5/b")]
        await store.result.close()
        await store.result.close()
        assert store.registry.open_grants == 0


@pytest.mark.parametrize("manifest", [b"", b"[]", b"{}", b'{"config": 1}'])
async def test_what_is_no_manifest_makes_no_image(fake_bus: Bus, manifest: bytes) -> None:
    async with store_of(fake_bus) as store:
        with pytest.raises(SeawayError, match="no image's manifest"):
            await store.result.finish(store.registry.put(manifest), ["a"])
        assert store.registry.manifests == [] and store.registry.tags == []
