"""One build for a client: a node gets the context, says what it needs, builds, and the image gets its names."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Mapping
from dataclasses import dataclass
from typing import Final

from aiohttp import StreamReader
from pydantic import ValidationError

from seaway_api.api import Api
from seaway_api.builds.bases import BaseFinder
from seaway_api.builds.network import Lease, leased, other_node
from seaway_api.builds.options import BuildRequest
from seaway_api.builds.output import BuildOutput
from seaway_api.builds.words import BuildWords, Narrator
from seaway_bus.bus import Command
from seaway_bus.streams import ByteStream
from seaway_bus.transport import TransportError
from seaway_cluster.make import new_container_id
from seaway_contracts import catalogue as cat
from seaway_contracts.builds import BUILT, BuildBase, BuildGo, BuildOptions, BuildPlan, BuildRecord, StartBuild
from seaway_contracts.commands import ContainerId
from seaway_contracts.errors import SeawayError, internal
from seaway_contracts.ids import is_network_id
from seaway_contracts.images import GrantBuild, RegistryAuth, RevokeBuild, TagRequest
from seaway_contracts.placement import PlaceRequest
from seaway_docker.streams import error_line
from seaway_kit.tasks import cancel

log = logging.getLogger(__name__)
_MOST_LINE: Final = 64 << 20
_REFUSAL_S: Final = 30.0
_ENDED_S: Final = 5.0


@dataclass(frozen=True)
class Build:
    """One build. `options` are those of the request, with its network resolved; `node`: the only one that will do."""

    api: Api
    request: BuildRequest
    options: BuildOptions
    auths: Mapping[str, RegistryAuth]
    command: Command
    node: str = ""

    async def run(self, body: StreamReader, output: BuildOutput) -> None:
        """Build, and tell the client. Raises SeawayError where nothing has been said yet."""
        identifier = new_container_id()
        try:
            async with self._placed(identifier) as (node, lease):
                await self._run_on(node, identifier, lease, body, output)
        except SeawayError as error:
            if not output.has_begun:
                raise
            await output.fail(error_line(error.message))
        finally:
            with contextlib.suppress(TransportError):
                await self.api.bus.publish(cat.UNPLACED, ContainerId(id=identifier))

    @contextlib.asynccontextmanager
    async def _placed(self, identifier: str) -> AsyncIterator[tuple[str, Lease | None]]:
        """A node that builds, and the endpoint of the steps there if they are in a network of users.

        Like a container, a build goes to the node of its network, even if another one was chosen first.
        """
        node, network = await self._place(identifier, self.node), self.options.network
        if not is_network_id(network):
            yield node, None
            return
        async with contextlib.AsyncExitStack() as stack:
            try:
                lease = await stack.enter_async_context(leased(self.api, network, identifier, node))
            except SeawayError as error:
                if not (home := other_node(error)):
                    raise
                node = await self._place_with(network, identifier, home)
                lease = await stack.enter_async_context(leased(self.api, network, identifier, node))
            yield node, lease

    async def _place_with(self, network: str, identifier: str, home: str) -> str:
        """The node of a network, if that can build. Raises SeawayError."""
        try:
            return await self._place(identifier, home)
        except SeawayError as error:
            text = f"network {self.request.network[:64]} is on node {home}, where this can't be built: {error.message}"
            raise SeawayError(error.code, text) from error

    async def _place(self, identifier: str, node: str) -> str:
        request = PlaceRequest(
            container_id=identifier,
            resources=self.options.resources,
            platform=self.request.platform,
            image_ref=self.request.cache_from[0] if self.request.cache_from else "",
            node=node,
            builds=True,
        )
        return (await self.api.bus.call(cat.PLACE, request)).node

    async def _run_on(
        self, node: str, identifier: str, lease: Lease | None, body: StreamReader, output: BuildOutput
    ) -> None:
        async with self.api.stream(node) as stream, self.api.stream(node) as context:
            remote = bool(self.options.remote)
            asked = StartBuild(
                id=identifier,
                name=self.request.build_id,
                stream=stream.id,
                context="" if remote else context.id,
                options=self.options,
                joins=lease.joins if lease is not None else None,
            )
            await self.api.bus.call(cat.START_BUILD, asked, node=node, command=self.command)
            if not remote:
                await self._send(body, context)
            records = _records(stream)
            plan = await anext(records, None)
            if plan is None or plan.plan is None:
                raise internal("the node sent no plan of the build")
            narrator = Narrator(plan.plan, self._wanted())
            if plan.plan.refused:
                await output.say(*narrator.announce())
                await output.fail(error_line(plan.plan.refused))
                return
            if lines := narrator.makes_nothing():
                await output.say(*lines[:-1])
                await output.fail(lines[-1])
                return
            async with self._granted(node, identifier) as go:
                await self._prepare(plan.plan, narrator, go, stream, output)
                image = await self._follow(records, narrator, output)
                if image:
                    await self._finish(image, narrator, output)
            if lease is not None:
                lease.has_left = await _has_ended(records)

    def _next(self) -> Command:
        """A further command in the client's name: one id is one effect."""
        return Command.new(self.command.actor)

    def _wanted(self) -> BuildWords:
        return BuildWords(self.options.labels, self.request.tags, keeps_containers=not self.request.removes)

    async def _send(self, body: StreamReader, context: ByteStream) -> None:
        """Send the context. A refusal of the node ends the sending at once."""
        tasks = self.api.tasks
        answer = tasks.spawn("build-context-answer", _outcome(_read_all(context)))
        sending = tasks.spawn("build-context", _outcome(_write_all(body, context)))
        try:
            await asyncio.wait({answer, sending}, return_when=asyncio.FIRST_COMPLETED)
            unsent = sending.result() if sending.done() else None
            await asyncio.wait({answer}, timeout=_REFUSAL_S if unsent else None)
            if error := (answer.result() if answer.done() else None) or unsent:
                raise error
        finally:
            await cancel(sending)
            await cancel(answer)

    @contextlib.asynccontextmanager
    async def _granted(self, node: str, identifier: str) -> AsyncIterator[BuildGo]:
        """Where the node gets images, and puts the one that it builds; not after this."""
        repository = f"{BUILT}{identifier[:32]}"
        endpoint = await self.api.bus.call(
            cat.GRANT_BUILD, GrantBuild(node=node, repository=repository), command=self._next()
        )
        try:
            yield BuildGo(url=endpoint.url, token=endpoint.token, repository=repository)
        finally:
            await self._revoke(endpoint.token)

    async def _revoke(self, token: str) -> None:
        try:
            await self.api.bus.call(cat.REVOKE_BUILD, RevokeBuild(token=token))
        except SeawayError as error:
            log.warning("a build's token lapses by itself: %s", error)

    async def _prepare(
        self, plan: BuildPlan, narrator: Narrator, go: BuildGo, stream: ByteStream, output: BuildOutput
    ) -> None:
        """Find the bases, pull those that are not here, and let the node begin."""
        finder = BaseFinder(self.api, self.auths, self.command.actor, self.request.pull, self.request.platform)
        if plan.bases:
            await output.say(*narrator.announce())
        bases = [await self._find(finder, name, plan, output) for name in plan.bases]
        narrator.know({base.name: base.id for base in bases}, finder.triggers)
        await stream.write(go.model_copy(update={"bases": tuple(bases)}).model_dump_json().encode())
        await stream.end()

    @staticmethod
    async def _find(finder: BaseFinder, name: str, plan: BuildPlan, output: BuildOutput) -> BuildBase:
        try:
            return await finder.find(name, output.say)
        except SeawayError as error:
            if name in plan.froms:
                raise
            raise SeawayError(error.code, f"invalid from flag value {name}: {error.message}") from error

    async def _follow(self, records: AsyncIterator[BuildRecord], narrator: Narrator, output: BuildOutput) -> str:
        """Tell the client what happens; the image's id, or nothing after a failure that it was told."""
        async for record in records:
            if record.kind != "end":
                await output.say(*narrator.tell(record))
            elif record.code:
                await output.fail(narrator.failed(record))
                return ""
            else:
                return record.text
        raise internal("the build ended without a word")

    async def _finish(self, image: str, narrator: Narrator, output: BuildOutput) -> None:
        for tag in self.request.tags:
            await self.api.bus.call(cat.TAG_IMAGE, TagRequest(source=image, target=tag), command=self._next())
        await output.say(*narrator.done(image))
        await output.built(image)


async def _records(stream: ByteStream) -> AsyncIterator[BuildRecord]:
    """What the node says, line by line. Raises SeawayError."""
    rest = b""
    while data := await stream.read():
        *lines, rest = (rest + data).split(b"\n")
        if len(rest) > _MOST_LINE:
            raise internal("the node says too much of the build at once")
        for line in lines:
            try:
                yield BuildRecord.model_validate_json(line)
            except ValidationError:
                raise internal("what the node says of the build can't be read") from None


async def _has_ended(records: AsyncIterator[BuildRecord]) -> bool:
    """Wait until the node has taken down what the steps had; False where it says nothing of that in time."""
    with contextlib.suppress(SeawayError, TimeoutError):
        async with asyncio.timeout(_ENDED_S):
            async for _ in records:
                pass
            return True
    return False


async def _outcome(work: Awaitable[None]) -> SeawayError | None:
    try:
        await work
    except SeawayError as error:
        return error
    return None


async def _read_all(stream: ByteStream) -> None:
    while await stream.read():
        pass


async def _write_all(body: StreamReader, stream: ByteStream) -> None:
    async for data in body.iter_any():
        await stream.write(data)
    await stream.end()
