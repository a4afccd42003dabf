"""What is rewritten in a client's calls to BuildKit: Solve, in both of its forms, and ListWorkers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from seaway_api.buildkit import messages, solve
from seaway_api.buildkit.builder import Builder, NoBuilder
from seaway_api.buildkit.content import grpc_error
from seaway_api.buildkit.dockerfile import read_dockerfile
from seaway_api.buildkit.grpc import Answer, Code, GrpcError, Messages
from seaway_api.buildkit.http2 import Http2, Stream
from seaway_api.buildkit.image_service import ImageService
from seaway_api.buildkit.relay import Method, Relay
from seaway_api.buildkit.sessions import BuildSession, SessionRefused, Sessions
from seaway_api.translate.image_catalogue import ImageCatalogue
from seaway_bus.bus import Command
from seaway_contracts.errors import Code as SuiteCode
from seaway_contracts.errors import SeawayError

log = logging.getLogger(__name__)
SOLVE: Final = "/moby.buildkit.v1.Control/Solve"
PRUNE: Final = "/moby.buildkit.v1.Control/Prune"
DISK_USAGE: Final = "/moby.buildkit.v1.Control/DiskUsage"
WORKERS: Final = "/moby.buildkit.v1.Control/ListWorkers"
GATEWAY_SOLVE: Final = "/moby.buildkit.v1.frontend.LLBBridge/Solve"
_BUILD_ID: Final = b"buildkit-controlapi-buildid"
_MOST_BASES: Final = 200
SESSION_S: Final = 30.0
Images = Callable[[], Awaitable[ImageCatalogue]]


class ControlMethods:
    """The methods of one client's connection."""

    def __init__(
        self, relay: Relay, builder: Builder, sessions: Sessions, service: ImageService, images: Images, actor: str
    ) -> None:
        """`images` lists what is in the store; `actor` is the client."""
        self._relay = relay
        self._builder = builder
        self._sessions = sessions
        self._service = service
        self._images = images
        self._actor = actor
        self._running: dict[str, BuildSession] = {}

    def methods(self) -> Mapping[str, Method]:
        """By path."""
        return {
            SOLVE: self.build,
            WORKERS: self.list_workers,
            GATEWAY_SOLVE: self.gateway_solve,
            PRUNE: self.about_cache,
            DISK_USAGE: self.about_cache,
        }

    async def about_cache(self, stream: Stream) -> None:
        """A builder is not started to be asked for its cache: then it is empty."""
        try:
            is_there = await self._builder.is_there()
        except NoBuilder as error:
            raise GrpcError(Code.UNAVAILABLE, str(error)) from error
        if is_there:
            await self._relay.forward(stream)
            return
        answer = Answer(stream)
        if stream.path == DISK_USAGE:
            await answer.message(messages.encode("DiskUsageResponse"))
        await answer.end()

    async def list_workers(self, stream: Stream) -> None:
        """The builder's workers, without what this daemon has not."""

        async def finish(answer: bytes) -> bytes:
            return solve.workers_as_moby(answer)

        await self._relay.forward_one(stream, await Messages(stream).only(), finish)

    # --- Control.Solve

    async def build(self, stream: Stream) -> None:
        """A build, to its end. Its image has its names before the client hears that it is done."""
        try:
            planned = solve.plan_solve(await Messages(stream).only())
        except solve.Refused as error:
            raise GrpcError(Code.INVALID_ARGUMENT, str(error)) from None
        if not planned.session:
            if planned.ours:
                raise GrpcError(Code.INVALID_ARGUMENT, "a build into Seaway's store needs a session")
            return await self._relay.forward_one(stream, planned.request)
        try:
            with self._sessions.building(planned.session, self._actor) as session:
                await self._build(stream, planned, session)
        except SessionRefused as error:
            raise GrpcError(Code.PERMISSION_DENIED, str(error)) from None

    async def _build(self, stream: Stream, planned: solve.PlannedSolve, session: BuildSession) -> None:
        self._running[planned.ref] = session
        try:
            if planned.ours:
                await self._build_here(stream, planned, session)
            else:
                await self._relay.forward_one(stream, planned.request)
        finally:
            self._running.pop(planned.ref, None)

    async def _build_here(self, stream: Stream, planned: solve.PlannedSolve, session: BuildSession) -> None:
        if session.result is not None:
            raise GrpcError(Code.FAILED_PRECONDITION, "this session builds an image already: wait for its end")
        result = session.result = self._service.result(Command.new(self._actor))

        async def finish(answer: bytes) -> bytes:
            made = solve.built(answer)
            if made is None:
                return answer
            try:
                await result.finish(made.manifest, made.names)
            except SeawayError as error:
                raise grpc_error(error) from error
            return solve.answer_as_moby(answer)

        try:
            await self._relay.forward_one(stream, planned.request, finish)
        finally:
            session.result = None
            try:
                await result.close()
            except SeawayError as error:
                log.info("a build's place at the image service could not be given back: %s", error)

    # --- LLBBridge.Solve

    async def gateway_solve(self, stream: Stream) -> None:
        """A frontend's part of a build, which may take its bases from our store."""
        try:
            asked = solve.read_gateway_solve(await Messages(stream).only())
        except solve.Refused as error:
            raise GrpcError(Code.INVALID_ARGUMENT, str(error)) from None
        session = self._session_of(stream)
        bases = await self._bases(asked, session) if asked.local and session is not None else {}
        await self._relay.forward_one(stream, solve.with_bases(asked.data, bases) if bases else asked.data)

    def _session_of(self, stream: Stream) -> BuildSession | None:
        for value in stream.values(_BUILD_ID):
            return self._running.get(value.decode("latin-1"))
        return None

    async def _bases(self, asked: solve.GatewaySolve, session: BuildSession) -> dict[str, str]:
        """Manifests of images in the store, by the names that they have in FROM."""
        text = None
        if asked.dockerfile:
            text = await read_dockerfile(await client_of(session), asked.directory, asked.dockerfile)
        named = None if text is None else solve.names_in_dockerfile(text)
        try:
            found = {
                solve.base_name(name): image.id
                for image in (await self._images()).images
                for name in image.facts.references
            }
            names = solve.usable_bases(found, named)[:_MOST_BASES]
            manifests = await asyncio.gather(*(self._manifest(found[name]) for name in names))
        except SeawayError as error:
            raise grpc_error(error) from error
        return {name: manifest for name, manifest in zip(names, manifests, strict=True) if manifest}

    async def _manifest(self, identifier: str) -> str:
        """Empty for an image that has just been removed."""
        try:
            return await self._service.manifest_of(identifier)
        except SeawayError as error:
            if error.code is not SuiteCode.NOT_FOUND:
                raise
            return ""


async def client_of(session: BuildSession) -> Http2:
    """Where the client serves its files. A build that goes on without them would take bases from elsewhere."""
    if (client := await session.serving(SESSION_S)) is None:
        text = f"session {session.id[:100]} of this build has not come within {SESSION_S:g} s; try again"
        raise GrpcError(Code.UNAVAILABLE, text)
    return client
