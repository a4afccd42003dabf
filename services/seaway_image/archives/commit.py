"""`docker commit`: a container's writable layer, over the image that it came from, becomes an image."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from seaway_contracts.archives import ImageOrder
from seaway_contracts.errors import bad_request, not_found
from seaway_contracts.images import Healthcheck, History, ImageConfig
from seaway_docker.references import Reference
from seaway_image.archives.config_changes import apply_changes
from seaway_image.archives.load import layer_descriptor
from seaway_image.oci.config_encoding import encode_config
from seaway_image.oci.configs import ImageDocument
from seaway_image.oci.digests import Digest, parse_digest
from seaway_image.oci.manifests import MAX_LAYERS, OCI_CONFIG, Descriptor
from seaway_image.store.blobs import Lease
from seaway_image.store.image_changes import Cause, image_change
from seaway_image.store.image_store import ImageStore
from seaway_image.store.layers import check_tar
from seaway_image.store.names import StoredImage, read_target

# A tar without entries: two blocks of zeros. It adds no layer.
EMPTY_LAYER: Final = Digest("sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef")


@dataclass(frozen=True)
class MadeImage:
    """The new image and the name that it got."""

    id: Digest
    tag: Reference | None


def merged(config: ImageConfig, below: ImageConfig) -> ImageConfig:
    """`config` with what it leaves open from `below`, but for shell and triggers (moby daemon/commit.go, merge)."""
    keys = {text.partition("=")[0] for text in config.env}
    kept = tuple(text for text in below.env if text.partition("=")[0] not in keys)
    entrypoint, cmd, escaped = config.entrypoint, config.cmd, config.args_escaped
    if not entrypoint:
        cmd, escaped = (cmd, escaped) if cmd else (below.cmd, below.args_escaped)
        entrypoint = below.entrypoint if entrypoint is None else entrypoint
    return config.model_copy(
        update={
            "user": config.user or below.user,
            "env": config.env + kept,
            "labels": below.labels | config.labels,
            "exposed_ports": tuple(sorted({*config.exposed_ports, *below.exposed_ports})),
            "volumes": tuple(sorted({*config.volumes, *below.volumes})),
            "entrypoint": entrypoint,
            "cmd": cmd,
            "args_escaped": escaped,
            "workdir": config.workdir or below.workdir,
            "stop_signal": config.stop_signal or below.stop_signal,
            "healthcheck": _merged_check(config.healthcheck, below.healthcheck),
        }
    )


def _merged_check(check: Healthcheck | None, below: Healthcheck | None) -> Healthcheck | None:
    """Field by field: what is at its default is left open."""
    if check is None or below is None:
        return check or below
    return below.model_copy(update={name: value for name, value in check if value})


async def commit_image(
    store: ImageStore,
    source: AsyncIterator[bytes],
    order: ImageOrder,
    *,
    clock_ns: Callable[[], int] = time.time_ns,
) -> MadeImage:
    """Make the image of the tar in `source`; raises SeawayError and then nothing is left."""
    config = merged(apply_changes(order.config, order.changes), order.container)
    target = read_target(order.target) if order.target else None
    below = store.table.images.get(parse_digest(order.image))
    if below is None:
        raise not_found(f"No such image: {order.image}: the container's image is gone, pull or load it again")
    with store.blobs.lease() as lease:
        for digest in (below.id, below.manifest, *(layer.digest for layer in below.layers)):
            lease.hold(digest)
        try:
            layer = await _ingest(store, source, lease)
            now = clock_ns()
            image = await _make(store, below, layer, config, order, now, lease)
            by = Cause(order.cause, order.actor)
            told = [image_change("tag", image.id, target.familiar, by)] if target else []
            tags = [target] if target else []
            await store.register(image, tags=tags, told=told, tagged_ns=now)
            return MadeImage(image.id, target)
        finally:
            store.discard(lease)


async def _ingest(store: ImageStore, source: AsyncIterator[bytes], lease: Lease) -> Digest | None:
    """The stored layer; None for an empty one."""
    async with store.blobs.writer(lease=lease) as writer:
        assert writer is not None  # only a known digest can be there already
        async for piece in source:
            await writer.write(piece)
        digest = await writer.finish()
    if digest == EMPTY_LAYER:
        return None
    await asyncio.to_thread(check_tar, store.blobs.path(digest))
    return digest


async def _make(
    store: ImageStore,
    below: StoredImage,
    layer: Digest | None,
    config: ImageConfig,
    order: ImageOrder,
    now_ns: int,
    lease: Lease,
) -> StoredImage:
    document = await store.document(below.id)
    layers = [Descriptor(known.media_type, known.digest, known.size) for known in below.layers]
    diff_ids = [*document.diff_ids]
    if layer is not None:
        layers.append(await layer_descriptor(store, layer))
        diff_ids.append((await store.facts(layer)).diff_id)
    if len(layers) > MAX_LAYERS:
        raise bad_request(f"the image would have {len(layers)} layers, more than the {MAX_LAYERS} allowed")
    step = History(
        created_ns=now_ns,
        created_by=order.created_by,
        author=order.author,
        comment=order.comment,
        empty_layer=layer is None,
    )
    data = encode_config(
        platform=document.platform,
        created_ns=now_ns,
        config=config,
        diff_ids=diff_ids,
        history=[*_history(document), step],
        author=order.author,
        comment=order.comment,
    )
    blob = await store.blobs.put(data, lease=lease)
    made = await store.assemble(Descriptor(OCI_CONFIG, blob.digest, blob.size), layers, lease)
    return made.model_copy(update={"parent": below.id})


def _history(document: ImageDocument) -> Sequence[History]:
    """An image may come without history; a history that has begun must tell of all layers."""
    return document.history or [History(created_ns=document.created_ns)] * len(document.diff_ids)
