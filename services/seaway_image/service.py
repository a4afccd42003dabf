"""The image service on the bus: its calls, its HTTP side, its collection of blobs."""

import asyncio
import logging
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from pathlib import Path
from typing import Final

from prometheus_client import Counter

from seaway_bus.bus import Bus, Command
from seaway_bus.event_sender import of_service
from seaway_bus.outbox import open_outbox
from seaway_contracts import catalogue
from seaway_contracts.archives import GrantCommit
from seaway_contracts.base import Empty
from seaway_contracts.errors import SeawayError, bad_request
from seaway_contracts.images import (
    BlobEndpoint,
    GrantBuild,
    ImageList,
    ImageRecord,
    ImageRef,
    ListImages,
    PruneImages,
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
from seaway_image.http.logins import Logins
from seaway_image.http.registry import Registry
from seaway_image.http.server import serve_http
from seaway_image.oci.digests import parse_digest
from seaway_image.oci.documents import MAX_CONFIG
from seaway_image.oci.platforms import parse_platform
from seaway_image.registry.credentials import credentials_from
from seaway_image.registry.login import RegistryCalls
from seaway_image.registry.pull import PullOrder, Pulls
from seaway_image.registry.push import Pushes
from seaway_image.registry.queries import RegistryQueries
from seaway_image.registry.transport import HttpTransport
from seaway_image.settings import ImageSettings
from seaway_image.store.durable import write_file
from seaway_image.store.events import ImageEvents
from seaway_image.store.image_changes import Cause
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import Outcome, read_reference
from seaway_image.store.paging import page
from seaway_image.transfers import PULLS, PushCalls, Transfers
from seaway_kit import tls
from seaway_kit.addresses import join_address, split_address
from seaway_kit.service import ServiceContext
from seaway_kit.tasks import Tasks

log = logging.getLogger(__name__)
_COLLECT_EVERY_S: Final = 600.0
_WILDCARDS: Final = ("0.0.0.0", "::")
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
        self._transfers = Transfers(bus, tasks)
        self._url = url
        self._access = access
        self._registry = registry

    async def serve(self) -> None:
        """Answer on the bus from now on."""
        await self._bus.serve(catalogue.GET_IMAGE, self.get)
        await self._bus.serve(catalogue.LIST_IMAGES, self.list_images)
        await self._bus.serve(catalogue.PULL_IMAGE, self.pull)
        await self._bus.serve(catalogue.TAG_IMAGE, self.tag)
        await self._bus.serve(catalogue.REMOVE_IMAGE, self.remove)
        await self._bus.serve(catalogue.PRUNE_IMAGES, self.prune)
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
        """A page of images, newest first; or what has changed since the list that the caller has."""
        version = self._store.changes.version
        changes = self._store.changes.since(request.since, self._store.table) if request.since else None
        if changes is not None:
            whole = page(await self._store.records(changes.changed), "")
            if not whole.next:
                return whole.model_copy(update={"version": version, "partial": True, "gone": changes.gone})
        return page(await self._store.all(), request.after).model_copy(update={"version": version})

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
        done = await self._store.remove(
            request.ref, force=request.force, prune=request.prune, in_use=request.in_use, by=by
        )
        return await self._removed(done)

    async def prune(self, request: PruneImages, command: Command) -> RemovedImages:
        """Delete many; the disk is freed at once."""
        by = Cause(command.id, command.actor)
        done = await self._store.remove_unused(map(parse_digest, request.ids), request.in_use, by)
        return await self._removed(done)

    async def _removed(self, done: Outcome) -> RemovedImages:
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
        reference = read_reference(request.ref)
        every = request.all_tags and reference.tag is None and reference.digest is None
        order = PullOrder(
            reference=reference if every else reference.with_default_tag(),
            platform=parse_platform(request.platform) if request.platform else None,
            credentials=credentials_from(request.auth),
            cause=command.id,
            actor=command.actor,
        )
        name = f"pull of {order.reference.familiar}"
        await self._transfers.start(name, request.stream, self._pulls.pull(order), PULLS)
        return PullStarted()


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
        transport = HttpTransport(certificates=settings.registry_certs, insecure=settings.insecure_registry)
        await transport.open()
        stack.push_async_callback(transport.close)
        pulls = Pulls(store, transport, settings.registries, context.tasks)
        token = _token(settings.root / "image" / "service-token")
        access = Access(token, authorize=Logins(context.bus).authorize)
        registry = Registry(store, pulls, access)
        stack.enter_context(registry.open())
        routes = [*registry.routes(), *ArchiveRoutes(store, access).routes()]
        url = await stack.enter_async_context(_http(settings, ImageHttp(access, routes)))
        pushes = Pushes(store, transport, settings.registries, context.tasks, parallel=settings.max_concurrent_uploads)
        service = ImageService(store, pulls, context.bus, context.tasks, url, access, registry)
        await service.serve()
        await PushCalls(pushes, context.bus, context.tasks).serve()
        await RegistryCalls(transport, settings.registries).serve(context.bus)
        await RegistryQueries(transport, settings.registries).serve(context.bus)
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
