"""Indexes of indexes at `/v2/`: read once, kept whole."""

import json
from typing import Any

import pytest

from seaway_image.oci.digests import Digest, digest_of
from seaway_image.oci.manifests import DOCKER_MANIFEST, OCI_INDEX
from seaway_image.store.blobs import BlobStore
from seaway_image.store.image_store import ImageStore

AUTH = {"Authorization": "Bearer t0k"}


def index_of(*named: tuple[bytes, str]) -> bytes:
    children = [{"mediaType": kind, "digest": digest_of(data), "size": len(data)} for data, kind in named]
    return json.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": children}).encode()


async def put(client: Any, name: str, reference: str, data: bytes, media_type: str = OCI_INDEX) -> Any:
    headers = AUTH | {"Content-Type": media_type}
    return await client.put(f"/v2/{name}/manifests/{reference}", data=data, headers=headers)


async def push_image(client: Any, name: str, image: Any) -> None:
    for data in (image.config, *image.blobs):
        started = f"/v2/{name}/blobs/uploads/?digest={digest_of(data)}"
        assert (await client.post(started, data=data, headers=AUTH)).status == 201
    assert (await put(client, name, digest_of(image.manifest), image.manifest, DOCKER_MANIFEST)).status == 201


async def test_an_index_that_names_one_manifest_a_thousand_times(
    client: Any, make_image: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three levels of it are a thousand million ways to one manifest."""
    image = make_image()
    await push_image(client, "app", image)
    read: list[Digest] = []
    whole = BlobStore.read_bytes

    async def counted(store: BlobStore, digest: Digest, limit: int) -> bytes:
        read.append(digest)
        assert len(read) < 1000, "each manifest is read once"
        return await whole(store, digest, limit)

    monkeypatch.setattr(BlobStore, "read_bytes", counted)
    inner, kind = image.manifest, DOCKER_MANIFEST
    for _ in range(3):
        inner = index_of(*[(inner, kind)] * 1000)
        kind = OCI_INDEX
        assert (await put(client, "app", digest_of(inner), inner)).status == 201
    assert (await put(client, "app", "1", inner)).status == 201


async def test_what_is_below_an_index_stays_with_it(client: Any, store: ImageStore, make_image: Any) -> None:
    image = make_image()
    await push_image(client, "one", image)
    inner = index_of((image.manifest, DOCKER_MANIFEST))
    outer = index_of((inner, OCI_INDEX))
    assert (await put(client, "one", digest_of(inner), inner)).status == 201
    assert (await put(client, "two", "1", outer)).status == 201
    for data in (inner, image.manifest):
        gone = await client.delete(f"/v2/one/manifests/{digest_of(data)}", headers=AUTH)
        assert gone.status == 202
    await store.remove("two:1")
    assert (await put(client, "two", digest_of(outer), outer)).status == 201
    await store.collect(grace_s=0)
    for data in (outer, inner, image.manifest):
        got = await client.get(f"/v2/two/manifests/{digest_of(data)}", headers=AUTH)
        assert (got.status, await got.read()) == (200, data)
