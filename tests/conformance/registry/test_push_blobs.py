"""Distribution spec 1.1, "Pushing blobs": in one piece, in chunks, mounted from elsewhere, cancelled."""

import pytest
from tests.conformance.registry.client import Client

from seaway_image.oci.digests import digest_of

DATA = bytes(range(256)) * 40
DIGEST = digest_of(DATA)
OCTETS = {"Content-Type": "application/octet-stream"}


async def check(client: Client, name: str, location: str, data: bytes = DATA) -> None:
    assert (await client.ask("GET", location)).body == data
    assert (await client.blob(name, digest_of(data))).body == data


async def test_post_then_put(client: Client, name: str) -> None:
    done = await client.finish(await client.begin(name), DIGEST, DATA)
    assert done.status == 201
    await check(client, name, done.headers["Location"])


async def test_a_blob_of_no_bytes(client: Client, name: str) -> None:
    done = await client.finish(await client.begin(name), digest_of(b""), b"")
    assert done.status == 201
    await check(client, name, done.headers["Location"], b"")


async def test_a_single_post(client: Client, name: str) -> None:
    """A registry may say 202 instead, and then the client goes on with PUT."""
    done = await client.ask("POST", f"/v2/{name}/blobs/uploads/?digest={DIGEST}", data=DATA, headers=OCTETS)
    if done.status == 202:
        done = await client.finish(done.headers["Location"], DIGEST, DATA)
    assert done.status == 201
    await check(client, name, done.headers["Location"])


async def test_chunks_in_order(client: Client, name: str) -> None:
    where, size = await client.begin(name), 4000
    for start in range(0, 8000, size):
        headers = OCTETS | {"Content-Range": f"{start}-{start + size - 1}"}
        taken = await client.ask("PATCH", where, data=DATA[start : start + size], headers=headers)
        assert (taken.status, taken.headers["Range"]) == (202, f"0-{start + size - 1}")
        where = taken.headers["Location"]
        status = await client.ask("GET", where)
        assert (status.status, status.headers["Range"]) == (204, f"0-{start + size - 1}")
        where = status.headers["Location"]
    last = {"Content-Range": f"8000-{len(DATA) - 1}"}
    done = await client.finish(where, DIGEST, DATA[8000:], **last)
    assert done.status == 201
    await check(client, name, done.headers["Location"])


async def test_a_stream_without_ranges(client: Client, name: str) -> None:
    """As Docker pushes: one PATCH whose length nobody has announced, and an empty PUT."""

    async def pieces():  # type: ignore[no-untyped-def]
        for start in range(0, len(DATA), 3000):
            yield DATA[start : start + 3000]

    taken = await client.ask("PATCH", await client.begin(name), data=pieces(), headers=OCTETS)
    assert taken.status == 202
    done = await client.finish(taken.headers["Location"], DIGEST)
    assert done.status == 201
    await check(client, name, done.headers["Location"])


@pytest.mark.part("strict chunks")
@pytest.mark.parametrize("first", [("5-9", 5), ("1-4", 4)])
async def test_the_first_chunk_begins_with_0(client: Client, name: str, first: tuple[str, int]) -> None:
    headers = OCTETS | {"Content-Range": first[0]}
    refused = await client.ask("PATCH", await client.begin(name), data=DATA[: first[1]], headers=headers)
    assert refused.status == 416


@pytest.mark.part("strict chunks")
@pytest.mark.parametrize("start", [0, 2999, 3001])
async def test_a_chunk_out_of_order(client: Client, name: str, start: int) -> None:
    """The upload goes on where it was."""
    headers = OCTETS | {"Content-Range": "0-2999"}
    taken = await client.ask("PATCH", await client.begin(name), data=DATA[:3000], headers=headers)
    headers = OCTETS | {"Content-Range": f"{start}-{start + 99}"}
    refused = await client.ask("PATCH", taken.headers["Location"], data=DATA[start : start + 100], headers=headers)
    assert refused.status == 416
    status = await client.ask("GET", taken.headers["Location"])
    assert (status.status, status.headers["Range"]) == (204, "0-2999")
    done = await client.finish(status.headers["Location"], DIGEST, DATA[3000:])
    assert done.status == 201


@pytest.mark.part("strict chunks")
async def test_the_last_chunk_out_of_order(client: Client, name: str) -> None:
    taken = await client.ask("PATCH", await client.begin(name), data=DATA[:3000], headers=OCTETS)
    refused = await client.finish(taken.headers["Location"], DIGEST, DATA[4000:], **{"Content-Range": "4000-10239"})
    assert refused.status == 416


@pytest.mark.parametrize(
    "digest", [digest_of(b"other"), "sha256:short", "md5:" + "a" * 32, "nothing", "sha256:" + "A" * 64, ""]
)
async def test_a_digest_that_is_not_the_blobs(client: Client, name: str, digest: str) -> None:
    refused = await client.finish(await client.begin(name), digest, DATA)
    assert (refused.status, refused.codes) == (400, ["DIGEST_INVALID"])
    assert (await client.blob(name, DIGEST, "HEAD")).status == 404


async def test_a_blob_is_mounted(client: Client, name: str) -> None:
    await client.push_blob(name, DATA)
    done = await client.ask("POST", f"/v2/{name}-b/blobs/uploads/?mount={DIGEST}&from={name}")
    assert done.status == 201
    await check(client, f"{name}-b", done.headers["Location"])


async def test_a_blob_that_can_not_be_mounted_is_uploaded(client: Client, name: str) -> None:
    other = b"nobody has this" + name.encode()
    started = await client.ask("POST", f"/v2/{name}-b/blobs/uploads/?mount={digest_of(other)}&from={name}")
    assert started.status == 202
    done = await client.finish(started.headers["Location"], digest_of(other), other)
    assert done.status == 201


async def test_an_upload_is_cancelled(client: Client, name: str) -> None:
    where = await client.begin(name)
    taken = await client.ask("PATCH", where, data=DATA[:100], headers=OCTETS)
    assert (await client.ask("DELETE", taken.headers["Location"])).status == 204
    gone = await client.ask("GET", taken.headers["Location"])
    assert (gone.status, gone.codes) == (404, ["BLOB_UPLOAD_UNKNOWN"])
    assert (await client.finish(taken.headers["Location"], DIGEST, DATA)).status == 404


@pytest.mark.parametrize("bad", ["a/UPPER", "a//b", "-a", "a/.b", "a/b_", "a%2f..%2fb"])
async def test_a_name_that_is_none(client: Client, bad: str) -> None:
    refused = await client.ask("POST", f"/v2/{bad}/blobs/uploads/")
    assert refused.status in (400, 404, 301)
