"""Distribution spec 1.1, "Pull": manifests and blobs, whole, by ranges, and whether they are there."""

import pytest
from tests.conformance.registry.client import Client
from tests.conformance.registry.content import image

from seaway_image.oci.digests import digest_of

NONE = "sha256:" + "a" * 64


async def test_support_is_determined_by_the_base(client: Client) -> None:
    assert (await client.ask("GET", "/v2/")).status == 200


@pytest.mark.parametrize("by", ["tag", "digest"])
async def test_a_manifest_is_pulled_as_it_was_pushed(client: Client, name: str, by: str) -> None:
    content = image()
    await client.push(name, content, "v1")
    reference = "v1" if by == "tag" else content.digest
    got = await client.manifest(name, reference)
    assert (got.status, got.body) == (200, content.manifest)
    assert got.headers["Content-Type"] == content.media_type
    assert got.headers["Docker-Content-Digest"] == content.digest
    head = await client.manifest(name, reference, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert head.headers["Content-Length"] == str(len(content.manifest))
    assert head.headers["Docker-Content-Digest"] == content.digest


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("reference", ["none", NONE, ".NOT-A-TAG"])
async def test_a_manifest_that_is_not_there(client: Client, name: str, method: str, reference: str) -> None:
    for known in (False, True):
        got = await client.manifest(name, reference, method)
        assert got.status == 404
        if method == "GET" and not reference.startswith("."):
            assert got.codes == ["MANIFEST_UNKNOWN"]
        if not known:
            await client.push(name, image(), "v1")


async def test_a_manifest_is_in_its_own_repository_alone(client: Client, name: str) -> None:
    content = image()
    await client.push(name, content, "v1")
    await client.push(f"{name}-other", image(), "v1")
    assert (await client.manifest(f"{name}-other", content.digest)).status == 404


async def test_a_blob_is_pulled(client: Client, name: str) -> None:
    await client.push_blob(name, b"hello, registry")
    digest = digest_of(b"hello, registry")
    got = await client.blob(name, digest)
    assert (got.status, got.body, got.headers["Docker-Content-Digest"]) == (200, b"hello, registry", digest)
    head = await client.blob(name, digest, "HEAD")
    assert (head.status, head.body) == (200, b"")
    assert (head.headers["Content-Length"], head.headers["Docker-Content-Digest"]) == ("15", digest)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_blob_that_is_not_there(client: Client, name: str, method: str) -> None:
    got = await client.blob(name, NONE, method)
    assert got.status == 404
    if method == "GET":
        assert got.codes == ["BLOB_UNKNOWN"]


@pytest.mark.parametrize(
    ("wanted", "part", "stated"),
    [
        ("bytes=0-4", b"hello", "bytes 0-4/15"),
        ("bytes=7-", b"registry", "bytes 7-14/15"),
        ("bytes=-3", b"try", "bytes 12-14/15"),
    ],
)
async def test_a_range_of_a_blob(client: Client, name: str, wanted: str, part: bytes, stated: str) -> None:
    await client.push_blob(name, b"hello, registry")
    got = await client.blob(name, digest_of(b"hello, registry"), Range=wanted)
    assert (got.status, got.body, got.headers["Content-Range"]) == (206, part, stated)


async def test_a_range_beyond_the_end(client: Client, name: str) -> None:
    await client.push_blob(name, b"hello, registry")
    got = await client.blob(name, digest_of(b"hello, registry"), Range="bytes=99-")
    assert got.status == 416
