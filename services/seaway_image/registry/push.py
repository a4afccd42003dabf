"""Pushes: images of the store into a registry, with Docker's progress."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from seaway_contracts.errors import Code, SeawayError
from seaway_docker.references import Reference
from seaway_image.oci.digests import Digest, digest_of, short
from seaway_image.oci.documents import MAX_MANIFEST
from seaway_image.oci.manifests import Descriptor, Manifest, parse_manifest
from seaway_image.registry.credentials import Credentials
from seaway_image.registry.endpoints import RegistrySettings
from seaway_image.registry.push_plan import (
    PlannedLayer,
    PushPlan,
    check_repository,
    closing_line,
    mounts_for,
    path_of,
    plan_push,
    pushed_manifest,
    tags_to_push,
    token_scope,
)
from seaway_image.registry.refusals import Refusal, push_error
from seaway_image.registry.session import RegistrySession
from seaway_image.registry.transport import HttpTransport
from seaway_image.registry.upload import Target, UploadTimeouts
from seaway_image.registry.uploads import PARALLEL, Sleep, Uploads, first
from seaway_image.store.blobs import Blob, Lease
from seaway_image.store.image_changes import Cause, ImageChange, image_change
from seaway_image.store.image_store import ImageStore
from seaway_image.store.names import StoredImage, StoredLayer
from seaway_image.store.progress import Emit, Progress, SharedWork
from seaway_kit.tasks import Tasks

_MOST_SCOPES: Final = 20
_OCI_GZIP: Final = "application/vnd.oci.image.layer.v1.tar+gzip"


@dataclass(frozen=True)
class PushOrder:
    """What to push: one tag, or all of a repository where `reference` has none.

    `cause` and `actor`: by which command, and who asked.
    """

    reference: Reference
    credentials: Credentials = Credentials()  # noqa: RUF009 — frozen, so one for all is right
    cause: str = ""
    actor: str = ""

    def change(self, image: Digest) -> ImageChange:
        """What is told of a push that ended well."""
        reference = self.reference
        return image_change(
            "push", image, reference.familiar, Cause(self.cause, self.actor), name=reference.familiar_name
        )


class Pushes:
    """All pushes of this service."""

    def __init__(
        self,
        store: ImageStore,
        transport: HttpTransport,
        settings: RegistrySettings,
        tasks: Tasks,
        *,
        parallel: int = PARALLEL,
        timeouts: UploadTimeouts | None = None,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._store = store
        self._transport = transport
        self._settings = settings
        self._tasks = tasks
        self._uploads = Uploads(store, tasks, parallel=parallel, sleep=sleep)
        self._timeouts = timeouts or UploadTimeouts()

    async def push(self, order: PushOrder) -> AsyncGenerator[Progress, None]:
        """Push, and say how it goes; raises SeawayError. Whoever stops listening stops the push."""

        async def work(emit: Emit) -> None:
            await self._run(order, emit)

        shared = SharedWork(f"push {order.reference.familiar}", work, self._tasks, lambda: None)
        async with aclosing(shared.follow()) as lines:
            async for progress in lines:
                yield progress

    async def _run(self, order: PushOrder, emit: Emit) -> None:
        reference = order.reference
        emit(Progress(f"The push refers to repository [{reference.name}]"))
        check_repository(self._store.table, reference)
        session = RegistrySession(self._transport, reference, self._settings, order.credentials)
        target = Target(session, await session.reach(), self._timeouts)
        with self._store.blobs.lease() as lease:
            planned = [await self._plan(tag, image, lease) for tag, image in tags_to_push(self._store.table, reference)]
            session.scope = token_scope(reference, self._mounted(reference, planned))
            account = order.credentials.fingerprint
            for one in planned:
                told = [order.change(one.image.id)] if one is planned[-1] else []
                await _Push(self._store, self._uploads, target, account, one, emit).run(told)

    async def _plan(self, tag: Reference, image: Digest, lease: Lease) -> "_Planned":
        stored = self._store.table.images[image]
        for digest in stored.blobs:
            lease.hold(digest)
        data = await self._store.blobs.read_bytes(stored.manifest, MAX_MANIFEST)
        manifest = parse_manifest(data)
        assert isinstance(manifest, Manifest)  # an image in the table has one

        def is_remote(layer: StoredLayer) -> bool:
            return self._store.sources.has(layer.digest, layer.diff_id)

        return _Planned(tag, stored, data, manifest, plan_push(manifest, stored, is_remote))

    def _mounted(self, target: Reference, planned: Sequence["_Planned"]) -> list[str]:
        """Repositories from which layers may be mounted."""
        layers = {layer.key: layer for one in planned for layer in one.plan.layers}
        found = dict.fromkeys(
            path_of(source)
            for layer in layers.values()
            for source in mounts_for(layer, target, self._store.sources.of(layer.stored.diff_id))
        )
        return list(found)[:_MOST_SCOPES]


@dataclass(frozen=True)
class _Planned:
    """A tag and what is pushed for it; `data` is the stored manifest."""

    tag: Reference
    image: StoredImage
    data: bytes
    manifest: Manifest
    plan: PushPlan


class _Push:
    """One tag."""

    def __init__(
        self,
        store: ImageStore,
        uploads: Uploads,
        target: Target,
        account: str,
        planned: _Planned,
        emit: Emit,
    ) -> None:
        self._store = store
        self._uploads = uploads
        self._target = target
        self._account = account
        self._planned = planned
        self._emit = emit

    async def run(self, told: Sequence[ImageChange]) -> None:
        """Layers, config, manifest; then the image has its name by digest here, too."""
        planned, tag = self._planned, self._planned.tag
        blobs = await self._layers()
        await self._uploads.deliver_config(planned.image.id, self._target, self._account)
        data, media_type = planned.data, planned.manifest.media_type
        if not planned.plan.as_is:
            layers = [_descriptor(layer, blobs[layer.key]) for layer in planned.plan.layers]
            data, media_type = pushed_manifest(planned.manifest.config, layers)
        digest = digest_of(data)
        await self._put_manifest(data, digest, media_type)
        line = closing_line(tag.tag or "", digest, len(data))
        self._emit(Progress(line))
        await self._store.register(planned.image, digests=[(tag, digest)], told=told)
        self._emit(Progress("", aux={"Tag": tag.tag, "Digest": digest, "Size": len(data)}))

    async def _layers(self) -> dict[str, Blob]:
        """What the registry has for each layer, by its key; from the top down, as Docker."""
        layers = list(reversed(self._planned.plan.layers))
        for layer in layers:
            self._emit(Progress("Preparing", short(layer.stored.diff_id)))
        once = {layer.key: layer for layer in layers}
        try:
            async with asyncio.TaskGroup() as group:
                sent = {
                    key: group.create_task(self._uploads.deliver(layer, self._target, self._account, self._emit))
                    for key, layer in once.items()
                }
        except BaseExceptionGroup as failures:
            raise first(failures) from None
        return {key: task.result() for key, task in sent.items()}

    async def _put_manifest(self, data: bytes, digest: Digest, media_type: str) -> None:
        session, endpoint = self._target.session, self._target.endpoint
        url = session.url(endpoint, f"manifests/{self._planned.tag.tag}")
        headers = {"Content-Type": media_type, "Content-Length": str(len(data))}

        async def body() -> AsyncIterator[bytes]:
            yield data

        async def put() -> None:
            async with session.exchange(endpoint, "PUT", url, headers, good=(201, 202, 204), body=body) as response:
                stored = response.headers.get("Docker-Content-Digest", "")
                if stored and stored != digest:
                    text = f"the registry has stored the manifest as {stored[:100]!r}, not as {digest}"
                    raise SeawayError(Code.INTERNAL, text)

        try:
            await session.retrying(put)
        except Refusal as refusal:
            raise push_error(refusal) from refusal


def _descriptor(layer: PlannedLayer, blob: Blob) -> Descriptor:
    return Descriptor(_OCI_GZIP if layer.packed else layer.stored.media_type, blob.digest, blob.size)
