"""Distribution spec 1.1, "Content Management": tags, manifests and blobs are deleted."""

import pytest
from tests.conformance.registry.client import Client
from tests.conformance.registry.content import image

from seaway_image.oci.digests import digest_of

NONE = "sha256:" + "a" * 64


@pytest.mark.part("tag deletion")
async def test_a_tag_is_deleted_alone(client: Client, name: str) -> None:
    content = image()
    await client.push(name, content, "v1", "v2")
    assert (await client.ask("DELETE", f"/v2/{name}/manifests/v1")).status == 202
    assert (await client.manifest(name, "v1")).status == 404
    for reference in ("v2", content.digest):
        assert (await client.manifest(name, reference)).status == 200
    assert (await client.ask("GET", f"/v2/{name}/tags/list")).json["tags"] == ["v2"]


async def test_a_manifest_goes_with_its_tags(client: Client, name: str) -> None:
    content, other = image(), image()
    await client.push(name, content, "v1", "v2")
    await client.push(name, other, "v3")
    assert (await client.ask("DELETE", f"/v2/{name}/manifests/{content.digest}")).status == 202
    for reference in ("v1", "v2", content.digest):
        assert (await client.manifest(name, reference)).status == 404
    assert (await client.manifest(name, "v3")).status == 200
    assert (await client.ask("DELETE", f"/v2/{name}/manifests/{content.digest}")).status == 404


async def test_manifests_that_are_not_there(client: Client, name: str) -> None:
    assert (await client.ask("DELETE", f"/v2/{name}/manifests/{NONE}")).status == 404
    if "tag deletion" not in client.lacks:
        assert (await client.ask("DELETE", f"/v2/{name}/manifests/v1")).status == 404


async def test_a_blob_is_deleted(client: Client, name: str) -> None:
    data = b"to be deleted" + name.encode()
    await client.push_blob(name, data)
    assert (await client.ask("DELETE", f"/v2/{name}/blobs/{digest_of(data)}")).status == 202
    assert (await client.blob(name, digest_of(data))).status == 404
    assert (await client.ask("DELETE", f"/v2/{name}/blobs/{digest_of(data)}")).status == 404


async def test_a_manifest_is_pushed_again(client: Client, name: str) -> None:
    content = image()
    await client.push(name, content, "v1")
    await client.ask("DELETE", f"/v2/{name}/manifests/{content.digest}")
    await client.push(name, content, "v1")
    assert (await client.manifest(name, "v1")).body == content.manifest
