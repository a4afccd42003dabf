"""`docker import`: a root filesystem's tar becomes an image of one layer."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from seaway_archive.inflate import LAYER_FORMATS
from seaway_contracts.errors import bad_request
from seaway_contracts.images import History, ImageConfig
from seaway_docker.references import Reference
from seaway_image.archives.config_changes import apply_changes
from seaway_image.archives.decompress import decompressed
from seaway_image.archives.load import layer_descriptor
from seaway_image.oci.config_encoding import encode_config
from seaway_image.oci.digests import Digest
from seaway_image.oci.manifests import OCI_CONFIG, Descriptor
from seaway_image.oci.platforms import NOT_SUPPORTED, OURS, Platform
from seaway_image.store.blobs import Lease
from seaway_image.store.image_changes import NOBODY, Cause, image_change
from seaway_image.store.image_store import ImageStore
from seaway_image.store.layers import check_tar


@dataclass(frozen=True)
class ImportOrder:
    """What to make of the tar: `changes` are Dockerfile instructions, `source` is what Docker calls the origin."""

    target: Reference | None = None
    changes: tuple[str, ...] = ()
    message: str = ""
    source: str = "-"
    platform: Platform = Platform()  # noqa: RUF009 — frozen, so one for all is right
    by: Cause = NOBODY


async def import_image(
    store: ImageStore,
    source: AsyncIterator[bytes],
    order: ImportOrder,
    *,
    clock_ns: Callable[[], int] = time.time_ns,
) -> Digest:
    """The id of the new image; raises SeawayError and then nothing is left."""
    if order.platform.os != OURS:
        raise bad_request(NOT_SUPPORTED)
    config = apply_changes(ImageConfig(), order.changes)
    with store.blobs.lease() as lease:
        try:
            layer = await _ingest(store, source, lease)
            return await _make(store, layer, config, order, clock_ns(), lease)
        finally:
            store.discard(lease)


async def _ingest(store: ImageStore, source: AsyncIterator[bytes], lease: Lease) -> Digest:
    async with store.blobs.writer(lease=lease) as writer:
        assert writer is not None  # only a known digest can be there already
        async for piece in decompressed(source, kept=LAYER_FORMATS):
            await writer.write(piece)
        digest = await writer.finish()
    await asyncio.to_thread(check_tar, store.blobs.path(digest))
    return digest


async def _make(
    store: ImageStore, layer: Digest, config: ImageConfig, order: ImportOrder, now_ns: int, lease: Lease
) -> Digest:
    comment = order.message or f"Imported from {order.source}"
    facts = await store.facts(layer)
    document = encode_config(
        platform=order.platform,
        created_ns=now_ns,
        config=config,
        diff_ids=[facts.diff_id],
        history=[History(created_ns=now_ns, comment=comment)],
        comment=comment,
    )
    blob = await store.blobs.put(document, lease=lease)
    described = await layer_descriptor(store, layer)
    image = await store.assemble(Descriptor(OCI_CONFIG, blob.digest, blob.size), [described], lease)
    tags = [order.target] if order.target else []
    told = [image_change("tag", image.id, tag.familiar, order.by) for tag in tags]
    await store.register(image, tags=tags, told=[*told, image_change("import", image.id, by=order.by)])
    return image.id
