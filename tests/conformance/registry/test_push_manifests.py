"""Distribution spec 1.1, "Pushing Manifests": images, indexes, artifacts, subjects; and what is refused."""

import json

import pytest
from tests.conformance.registry.client import Client
from tests.conformance.registry.content import (
    CONFIG,
    LAYER,
    MANIFEST,
    Content,
    artifact,
    descriptor,
    image,
    index,
    subject_of,
)

from seaway_image.oci.digests import digest_of


@pytest.mark.parametrize(
    "content",
    [image(), image(layers=3), image(layers=0), artifact(), artifact(config="application/vnd.example.chart")],
    ids=["image", "three layers", "no layers", "artifact", "artifact by config"],
)
async def test_a_manifest_is_pushed(client: Client, name: str, content: Content) -> None:
    done = await client.push(name, content, "v1")
    assert done.headers["Docker-Content-Digest"] == content.digest
    got = await client.ask("GET", done.headers["Location"], headers={"Accept": MANIFEST})
    assert (got.status, got.body) == (200, content.manifest)


async def test_pushed_again_and_with_another_tag(client: Client, name: str) -> None:
    content = image()
    await client.push(name, content, "v1", "v1", "v2")
    for tag in ("v1", "v2"):
        assert (await client.manifest(name, tag)).body == content.manifest


async def test_a_tag_moves(client: Client, name: str) -> None:
    old, new = image(), image()
    await client.push(name, old, "v1")
    await client.push(name, new, "v1")
    assert (await client.manifest(name, "v1")).body == new.manifest
    assert (await client.manifest(name, old.digest)).body == old.manifest


async def test_an_index_of_indexes(client: Client, name: str) -> None:
    one, two = image(), image(architecture="arm64")
    inner = index(one, two)
    outer = index(inner)
    for content in (one, two, inner):
        await client.push(name, content)
    await client.push(name, outer, "v1")
    for content in (one, two, inner, outer):
        got = await client.manifest(name, content.digest)
        assert (got.body, got.headers["Content-Type"]) == (content.manifest, content.media_type)


async def test_more_fields_than_we_know(client: Client, name: str) -> None:
    content = image(**{"org.example.more": {"a": [1, 2, {"b": None}]}})
    await client.push(name, content, "v1")
    assert (await client.manifest(name, "v1")).body == content.manifest


async def test_another_digest(client: Client, name: str) -> None:
    content = image()
    await client.push(name, content, "v1")
    refused = await client.put(name, digest_of(b"other"), content)
    assert (refused.status, refused.codes) == (400, ["DIGEST_INVALID"])


@pytest.mark.parametrize("missing", [0, 1])
async def test_blobs_that_are_not_there(client: Client, name: str, missing: int) -> None:
    content = image()
    for place, blob in enumerate(content.blobs):
        if place != missing:
            await client.push_blob(name, blob)
    refused = await client.put(name, "v1", content)
    assert refused.status in (400, 404)
    assert set(refused.codes) == {"MANIFEST_BLOB_UNKNOWN"}
    assert (await client.manifest(name, "v1")).status == 404


async def test_a_manifest_of_an_index_that_is_not_there(client: Client, name: str) -> None:
    one = image()
    refused = await client.put(name, "v1", index(one))
    assert refused.status in (400, 404)
    assert set(refused.codes) == {"MANIFEST_BLOB_UNKNOWN"}


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"{}", b"\xff", b'{"schemaVersion": 2}'])
@pytest.mark.part("strict manifests")
async def test_no_manifest_at_all(client: Client, name: str, data: bytes) -> None:
    refused = await client.put(name, "v1", Content(data, MANIFEST))
    assert (refused.status, set(refused.codes) <= {"MANIFEST_INVALID", "TAG_INVALID"}) == (400, True)


async def test_a_manifest_of_4_megabytes(client: Client, name: str) -> None:
    content = image(annotations={"pad": "x" * (4_000_000 - 1000)})
    await client.push(name, content, "v1")
    assert (await client.manifest(name, "v1")).body == content.manifest


async def test_a_manifest_that_is_too_large(client: Client, name: str) -> None:
    content = image(annotations={"pad": "x" * (5 << 20)})
    for blob in content.blobs:
        await client.push_blob(name, blob)
    refused = await client.put(name, "v1", content)
    assert client.lacks or (refused.status, refused.codes) == (413, ["SIZE_INVALID"])


@pytest.mark.part("referrers")  # docker-registry fetches its URL
async def test_layers_that_may_not_be_distributed_need_not_be_there(client: Client, name: str) -> None:
    config = json.dumps({"os": "linux", "architecture": "amd64", "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    away = descriptor(
        b"elsewhere", "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", urls=["https://x.test/l"]
    )
    document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": descriptor(config, CONFIG), "layers": [away]}
    content = Content(json.dumps(document).encode(), MANIFEST, (config,))
    await client.push(name, content, "v1")
    assert (await client.manifest(name, "v1")).body == content.manifest


async def test_a_subject_need_not_be_there(client: Client, name: str) -> None:
    content = artifact("application/vnd.example.sbom", subject=subject_of(image()))
    done = await client.push(name, content)
    if "referrers" not in client.lacks:
        assert done.headers["OCI-Subject"] == json.loads(content.manifest)["subject"]["digest"]


async def test_a_layer_that_lies_about_its_size(client: Client, name: str) -> None:
    content = image()
    document = json.loads(content.manifest)
    document["layers"][0] |= {"size": 5, "mediaType": LAYER}
    for blob in content.blobs:
        await client.push_blob(name, blob)
    refused = await client.put(name, "v1", Content(json.dumps(document).encode(), MANIFEST))
    assert client.lacks or (refused.status, refused.codes) == (400, ["MANIFEST_INVALID"])
