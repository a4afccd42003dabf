"""The image service on the bus: its calls, its HTTP side, its collection of blobs."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, closing
from pathlib import Path
from typing import Final

from prometheus_client import Counter

from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import of_service
from seaway_bus.outbox import open_outbox
from seaway_bus.streams import ByteStream
from seaway_contracts import catalogue
from seaway_contracts.archives import GrantCommit
from seaway_contracts.base import Empty
from seaway_contracts.errors import Code, SeawayError, bad_request
from seaway_contracts.images import (
    BlobEndpoint,
    GrantBuild,
    ImageList,
    ImageRecord,
    ImageRef,
    ListImages,
    PullRequest,
    PullStarted,
    RemovedImages,
    RemoveImage,
    RevokeBuild,
    TagRequest,
)
from seaway_image.http.access import Access
from seaway_image.http.application import ImageHttp
from seaway_image.http.archives import ArchiveRoutes
from seaway_image.http.registry import Registry
from seaway_image.http.server import serve_http
from seaway_image.oci.documents import MAX_CONFIG
from seaway_image.oci.platforms import parse_platform
from seaway_image.registry.credentials import credentials_from
from seaway_image.registry.login import RegistryCalls
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.transport import HttpTransport
from seaway_image.settings import ImageSettings
from seaway_image.store.durable import write_file
from seaway_image.store.events import ImageEvents
from seaway_image.store.image_changes import Cause
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import read_reference
from seaway_image.store.paging import page
from seaway_kit import tls
from seaway_kit.addresses import join_address, split_address
from seaway_kit.service import ServiceContext
from seaway_kit.tasks import Tasks, cancel

log = logging.getLogger(__name__)
_COLLECT_EVERY_S: Final = 600.0
_LINGER_S: Final = 20.0  # for the client to read to the end before the stream is closed
_WILDCARDS: Final = ("0.0.0.0", "::")
PULLS: Final = Counter("seaway_image_pulls_total", "Pulls that ended, by outcome.", ["outcome"])
for _outcome in ("ok", "failed", "cancelled"):  # from 0 on: PromQL's `increase` misses the first count of a new series
    PULLS.labels(_outcome)
COLLECTED: Final = Counter("seaway_image_collected_bytes_total", "Bytes of blobs that nobody needed any more.")


class ImageService:
    """The calls. Each may come twice, and then does its work once."""

    def __init__(
        self,
        store: ImageStore,
        pulls: Pulls,
        bus: Bus,
        tasks: Tasks,
        url: str,
        access: Access,
        registry: Registry,
    ) -> None:
        self._store = store
        self._pulls = pulls
        self._bus = bus
        self._tasks = tasks
        self._url = url
        self._access = access
        self._registry = registry
        self._streams: set[str] = set()

    async def serve(self) -> None:
        """Answer on the bus from now on."""
        await self._bus.serve(catalogue.GET_IMAGE, self.get)
        await self._bus.serve(catalogue.LIST_IMAGES, self.list_images)
        await self._bus.serve(catalogue.PULL_IMAGE, self.pull)
        await self._bus.serve(catalogue.TAG_IMAGE, self.tag)
        await self._bus.serve(catalogue.REMOVE_IMAGE, self.remove)
        await self._bus.serve(catalogue.BLOB_ENDPOINT, self.locate)
        await self._bus.serve(catalogue.NODE_BLOB_ENDPOINT, self.locate_for_node)
        await self._bus.serve(catalogue.GRANT_COMMIT, self.grant_commit)
        await self._bus.serve(catalogue.GRANT_BUILD, self.grant_build)
        await self._bus.serve(catalogue.REVOKE_BUILD, self.revoke_build)
        await self._bus.serve(catalogue.NODE_IMAGES, self.list_images)

    async def get(self, request: ImageRef, _: Command) -> ImageRecord:
        """One image."""
        return await self._store.get(request.ref)

    async def list_images(self, request: ListImages, _: Command) -> ImageList:
        """A page of images, newest first."""
        return page(await self._store.all(), request.after)

    async def locate(self, _: Empty, __: Command) -> BlobEndpoint:
        """Where the HTTP side is, for services."""
        return BlobEndpoint(url=self._url, token=self._access.token)

    async def locate_for_node(self, _: Empty, command: Command) -> BlobEndpoint:
        """Where a node reads blobs."""
        return BlobEndpoint(url=self._url, token=self._access.reader(command.node))

    async def grant_commit(self, request: GrantCommit, command: Command) -> BlobEndpoint:
        """Where that node may send the layer of one image, which is made in the name of whoever commands it."""
        size = len(request.order.model_dump_json())
        if size > MAX_CONFIG:
            raise bad_request(f"the new image's config has {size} bytes, more than the {MAX_CONFIG} taken")
        order = request.order.model_copy(update={"cause": command.id, "actor": command.actor})
        return BlobEndpoint(url=self._url, token=self._access.upload(request.node, order))

    async def grant_build(self, request: GrantBuild, command: Command) -> BlobEndpoint:
        """Where a build on that node reads its base images and leaves its result, and a token for both."""
        repository = read_reference(request.repository)
        if repository.tag or repository.digest:
            raise bad_request(f"{request.repository[:100]!r} is no repository's name: it has a tag or digest")
        token = self._access.build(repository.name, Cause(command.id, command.actor))
        return BlobEndpoint(url=self._url, token=token)

    async def revoke_build(self, request: RevokeBuild, _: Command) -> Empty:
        """That build has ended."""
        await self._registry.end_build(request.token)
        return Empty()

    async def tag(self, request: TagRequest, command: Command) -> Empty:
        """A further name."""
        await self._store.tag(request.source, request.target, Cause(command.id, command.actor))
        return Empty()

    async def remove(self, request: RemoveImage, command: Command) -> RemovedImages:
        """Untag, delete; the disk is freed at once."""
        by = Cause(command.id, command.actor)
        done = await self._store.remove(request.ref, force=request.force, in_use=request.in_use, by=by)
        if any(item.deleted for item in done.items):
            await self.collect(grace_s=0)
        return RemovedImages(items=done.items, reclaimed=done.reclaimed)

    async def collect(self, *, grace_s: float | None = None) -> None:
        """Delete the blobs that nobody needs."""
        gone = await (self._store.collect() if grace_s is None else self._store.collect(grace_s=grace_s))
        COLLECTED.inc(sum(blob.size for blob in gone))

    async def collect_always(self) -> None:
        """Delete unneeded blobs from time to time, for ever."""
        while True:
            try:
                await self._registry.sweep()
                await self.collect()
            except (SeawayError, OSError) as error:
                log.warning("blobs could not be collected: %s", error)
            await asyncio.sleep(_COLLECT_EVERY_S)

    # --- pull

    async def pull(self, request: PullRequest, command: Command) -> PullStarted:
        """Start a pull; lines and outcome go over the stream."""
        order = PullOrder(
            reference=read_reference(request.ref).with_default_tag(),
            platform=parse_platform(request.platform) if request.platform else None,
            credentials=credentials_from(request.auth),
            cause=command.id,
            actor=command.actor,
        )
        if request.stream not in self._streams:
            stream = self._bus.serve_stream(request.stream, self._tasks)
            self._streams.add(request.stream)
            try:
                await stream.open()
            except BaseException:
                self._streams.discard(request.stream)
                raise
            self._tasks.spawn(f"pull {order.reference.familiar}", self._report(order, stream))
        return PullStarted()

    async def _report(self, order: PullOrder, stream: ByteStream) -> None:
        """Send a pull's lines; a client that has gone takes its share in the pull with it."""
        sending = self._tasks.spawn("pull-lines", self._send_lines(order, stream))
        watching = self._tasks.spawn("pull-client", _client_ended_well(stream))
        try:
            await asyncio.wait({sending, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done() and watching.result():
                await asyncio.wait({sending})
            elif sending.done():
                await asyncio.wait({watching}, timeout=_LINGER_S)
        finally:
            await cancel(watching)
            await cancel(sending)
            self._streams.discard(stream.id)
            await stream.close()

    async def _send_lines(self, order: PullOrder, stream: ByteStream) -> None:
        outcome = "failed"
        try:
            async with aclosing(self._pulls.pull(order)) as lines:
                async for progress in lines:
                    await stream.write(progress.line())
            outcome = "ok"
            await stream.end()
        except SeawayError as error:
            await _fail(stream, error)
        except asyncio.CancelledError:
            outcome = "cancelled"
            raise
        except Exception as error:
            log.exception("pull of %s failed", order.reference.familiar)
            await _fail(stream, SeawayError(Code.INTERNAL, f"pull of {order.reference.familiar} failed: {error}"))
        finally:
            PULLS.labels(outcome).inc()


async def _fail(stream: ByteStream, error: SeawayError) -> None:
    try:
        await stream.fail(error)
    except SeawayError as gone:
        log.info("nobody heard that a pull failed (%s): %s", error, gone)


async def _client_ended_well(stream: ByteStream) -> bool:
    """Wait for the client, which sends nothing, to end its side; False if it has gone instead."""
    try:
        while await stream.read():
            pass
    except SeawayError:
        return False
    return True


@asynccontextmanager
async def image_service(context: ServiceContext) -> AsyncIterator[None]:
    """The running service; leaving stops it."""
    settings = context.settings
    assert isinstance(settings, ImageSettings)  # `run` takes no other
    async with AsyncExitStack() as stack:
        db = stack.enter_context(closing(open_outbox(settings.root / "image" / "events.db")))
        deliver = of_service(context.bus, settings.node)
        events = ImageEvents(db, context.bus.transport, context.tasks, settings.node, deliver)
        store = ImageStore(settings.root / "image", tell=events.tell)
        store.open()
        events.start(store.table.news)
        transport = HttpTransport(certificates=settings.registry_certs)
        await transport.open()
        stack.push_async_callback(transport.close)
        pulls = Pulls(store, transport, settings.registries, context.tasks)
        access = Access(_token(settings.root / "image" / "service-token"))
        registry = Registry(store, pulls, access)
        stack.enter_context(registry.open())
        routes = [*registry.routes(), *ArchiveRoutes(store, access).routes()]
        url = await stack.enter_async_context(_http(settings, ImageHttp(access, routes)))
        service = ImageService(store, pulls, context.bus, context.tasks, url, access, registry)
        await service.serve()
        await RegistryCalls(transport, settings.registries).serve(context.bus)
        context.tasks.eternal("collect", service.collect_always())
        stack.push_async_callback(context.tasks.close)
        yield


@asynccontextmanager
async def _http(settings: ImageSettings, http: ImageHttp) -> AsyncIterator[str]:
    """The HTTP side; gives its URL."""
    host, port = split_address(settings.http)
    cert = settings.http_cert
    secure = tls.serving(cert, settings.http_key or cert) if cert else None
    async with serve_http(http.application(), host, port, secure) as taken:
        yield settings.http_url.rstrip("/") or _url(settings, host, taken)


def _url(settings: ImageSettings, host: str, port: int) -> str:
    reached = settings.node if host in _WILDCARDS else host
    return f"{'https' if settings.http_cert else 'http'}://{join_address(reached, port)}"


def _token(path: Path) -> str:
    """The services' token for the HTTP side: made once, so that it holds over a restart."""
    try:
        token = path.read_text().strip()
    except FileNotFoundError:
        token = ""
    if not token:
        token = secrets.token_urlsafe(32)
        write_file(path, token.encode())
    return token
