"""Pulls: a registry's image into the store, with Docker's progress; equal pulls at one time share one download."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from seaway_contracts.errors import Code, SeawayError, bad_request, internal
from seaway_docker.references import Reference
from seaway_image.oci.configs import ImageDocument, parse_config
from seaway_image.oci.digests import Digest, parse_digest, short
from seaway_image.oci.documents import MAX_CONFIG
from seaway_image.oci.manifests import MAX_NESTING, Descriptor, Manifest, parse_manifest, select_entry
from seaway_image.oci.platforms import Platform
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.pull_plan import PlannedLayer, asked, check_platform, plan_layers, status_text
from seaway_image.registry.push_plan import compression_in
from seaway_image.registry.session import RegistrySession
from seaway_image.registry.transport import HttpTransport, Unreachable
from seaway_image.store.blobs import Lease
from seaway_image.store.image_changes import Cause, ImageChange, image_change
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import StoredImage
from seaway_image.store.progress import Emit, Progress, SharedWork
from seaway_image.store.remote_blobs import RemoteBlob
from seaway_kit.failpoints import Failpoint, reach
from seaway_kit.tasks import Tasks

PARALLEL: Final = 3
_TICK_S: Final = 0.1
_RESUMABLE: Final = frozenset({Code.UNAVAILABLE, Code.TIMEOUT, Code.INTERNAL})


@dataclass(frozen=True)
class PullOrder:
    """What to pull; a reference without tag and digest means all tags.

    `platform` None: the default one, and no complaint if a single manifest is for another.
    `cause` and `actor`: by which command, and who asked.
    """

    reference: Reference
    platform: Platform | None = None
    credentials: Credentials = Credentials()  # noqa: RUF009 — frozen, so one for all is right
    cause: str = ""
    actor: str = ""

    @property
    def every_tag(self) -> bool:
        """Whether all tags of the repository are wanted."""
        return self.reference.tag is None and self.reference.digest is None

    def change(self, image: Digest) -> ImageChange:
        """What is told of a pull that ended well."""
        reference = self.reference
        return image_change(
            "pull", image, reference.familiar, Cause(self.cause, self.actor), name=reference.familiar_name
        )


class Pulls:
    """All pulls of this service."""

    def __init__(
        self,
        store: ImageStore,
        transport: HttpTransport,
        settings: RegistrySettings,
        tasks: Tasks,
        *,
        default_platform: Platform | None = None,
    ) -> None:
        self._store = store
        self._transport = transport
        self._settings = settings
        self._tasks = tasks
        self._default = default_platform or Platform()
        self._running: dict[tuple[str, Platform | None, str], SharedWork] = {}
        self._slots = asyncio.Semaphore(PARALLEL)

    async def pull(self, order: PullOrder) -> AsyncGenerator[Progress, None]:
        """Pull, and say how it goes; raises SeawayError (before the first line if the image can't be had at all)."""
        key = (order.reference.canonical, order.platform, order.credentials.fingerprint)
        shared = self._running.get(key)
        if shared is None:
            shared = self._running[key] = self._start(key, order)
        async with aclosing(shared.follow()) as lines:
            async for progress in lines:
                yield progress

    def _start(self, key: tuple[str, Platform | None, str], order: PullOrder) -> SharedWork:
        async def work(emit: Emit) -> None:
            try:
                await self._pull(order, emit)
            except Unreachable as error:  # Docker's status for it is 500
                raise internal(error.message) from error

        shared: SharedWork

        def ended() -> None:
            if self._running.get(key) is shared:
                del self._running[key]

        shared = SharedWork(f"pull {key[0]}", work, self._tasks, ended)
        return shared

    async def _pull(self, order: PullOrder, emit: Emit) -> None:
        session = self._session(order)
        references = await session.tags() if order.every_tag else [order.reference]
        newer = False
        for reference in references:
            one = _Pull(self._store, session, order, reference, self._default, self._slots, emit)
            newer |= await one.run(is_last=reference is references[-1])
        emit(Progress(status_text(order.reference, newer=newer)))

    def _session(self, order: PullOrder) -> RegistrySession:
        return RegistrySession(self._transport, order.reference, self._settings, order.credentials)


class _Pull:
    def __init__(
        self,
        store: ImageStore,
        session: RegistrySession,
        order: PullOrder,
        reference: Reference,
        default: Platform,
        slots: asyncio.Semaphore,
        emit: Emit,
    ) -> None:
        self._store = store
        self._session = session
        self._order = order
        self._reference = reference
        self._default = default
        self._slots = slots
        self._emit = emit

    async def run(self, *, is_last: bool) -> bool:
        """Pull; whether anything has changed. The last one of an order tells of the order."""
        with self._store.blobs.lease() as lease:
            try:
                return await self._run(lease, is_last)
            except SeawayError as error:
                if error.code not in _RESUMABLE:
                    self._store.discard(lease)
                raise

    async def _run(self, lease: Lease, is_last: bool) -> bool:
        reference = self._reference
        first = await self._session.manifest(asked(reference))
        named = await self._store.blobs.put(first.data, lease=lease)
        manifest_digest, manifest = await self._choose(first.data, first.media_type, lease)
        self._emit(Progress(f"Pulling from {reference.path}", title=asked(reference)))
        document = await self._config(manifest.config, lease)
        check_platform(reference, document.platform, self._order.platform)
        before = dict(self._store.table.tags)
        newer = document.id not in self._store.table.images
        await self._layers(plan_layers(manifest, document, self._stored), lease, quiet=not newer)
        image = await self._store.check(manifest_digest)
        reach(Failpoint.PULL_CHECKED)
        tags = [] if reference.digest else [reference.with_default_tag()]
        told = [self._order.change(image.id)] if is_last else []
        await self._store.register(image, tags=tags, digests=[(reference, named.digest)], told=told)
        reach(Failpoint.PULL_TOLD)
        remember(self._store, image, reference)
        moved = any(before.get(tag.canonical) != image.id for tag in tags)
        self._emit(Progress(f"Digest: {named.digest}"))
        return newer or moved

    async def _choose(self, data: bytes, media_type: str, lease: Lease) -> tuple[Digest, Manifest]:
        """Down through indexes to the manifest for the platform."""
        for _ in range(MAX_NESTING + 1):
            parsed = parse_manifest(data, media_type)
            if isinstance(parsed, Manifest):
                stored = await self._store.blobs.put(data, lease=lease)
                return stored.digest, parsed
            entry = select_entry(parsed, self._order.platform or self._default).descriptor
            fetched = await self._session.manifest(entry.digest)
            data, media_type = fetched.data, entry.media_type
            if len(data) != entry.size:
                raise bad_request(f"manifest {entry.digest} has {len(data)} bytes, its index says {entry.size}")
        raise bad_request(f"indexes are nested more than {MAX_NESTING} deep")

    async def _config(self, blob: Descriptor, lease: Lease) -> ImageDocument:
        await self._fetch(blob, lease, lambda _: None)
        return parse_config(await self._store.blobs.read_bytes(blob.digest, MAX_CONFIG))

    def _stored(self, digest: Digest) -> bool:
        return self._store.blobs.size(digest) is not None

    async def _layers(self, planned: list[PlannedLayer], lease: Lease, *, quiet: bool) -> None:
        emit = _silent if quiet else self._emit
        for layer in planned:
            lease.hold(layer.blob.digest)
            if not layer.present:
                emit(Progress("Pulling fs layer", short(layer.blob.digest)))
        done = asyncio.Event()
        done.set()
        try:
            async with asyncio.TaskGroup() as group:
                for layer in planned:
                    before, done = done, asyncio.Event()
                    group.create_task(self._layer(layer, lease, emit, before, done))
        except BaseExceptionGroup as failures:
            raise _first(failures) from None

    async def _layer(
        self, layer: PlannedLayer, lease: Lease, emit: Emit, before: asyncio.Event, done: asyncio.Event
    ) -> None:
        name = short(layer.blob.digest)
        if not layer.present and self._slots.locked():
            emit(Progress("Waiting", name))
        async with self._slots:
            present = layer.present and self._stored(layer.blob.digest)
            if not present:
                await self._fetch(layer.blob, lease, _Meter(name, layer.blob.size, emit))
                emit(Progress("Download complete", name))
            facts = await self._store.facts(layer.blob.digest)
        if facts.diff_id != layer.diff_id:
            raise bad_request(f"layer {layer.blob.digest} unpacks to {facts.diff_id}, not to {layer.diff_id} as named")
        await before.wait()
        emit(Progress("Already exists" if present else "Pull complete", name))
        done.set()

    async def _fetch(self, blob: Descriptor, lease: Lease, progress: Callable[[int], None]) -> None:
        parse_digest(blob.digest)
        async with self._store.blobs.writer(lease=lease, digest=blob.digest, size=blob.size) as writer:
            if writer is not None:
                await self._session.download(blob, writer, progress)
        reach(Failpoint.PULL_BLOB)


def remember(store: ImageStore, image: StoredImage, repository: Reference) -> None:
    """The repository has the image's layers: pushes need not send them there again."""
    for layer in image.layers:
        store.sources.add(
            RemoteBlob(
                diff_id=layer.diff_id,
                digest=layer.digest,
                size=layer.size,
                compression=compression_in(layer.media_type),
                repository=repository.name,
            )
        )


class _Meter:
    """Tells how a download goes, ten times a second at most."""

    def __init__(self, layer: str, total: int, emit: Emit) -> None:
        self._layer = layer
        self._total = total
        self._emit = emit
        self._next = 0.0

    def __call__(self, current: int) -> None:
        now = asyncio.get_running_loop().time()
        if now >= self._next or current >= self._total:
            self._next = now + _TICK_S
            self._emit(Progress("Downloading", self._layer, current, self._total))
        if current >= self._total:
            self._emit(Progress("Verifying Checksum", self._layer))


def _silent(_: Progress) -> None:
    """The layers of an image that is there already are not told of."""


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    first = failures.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first
