"""What is pushed to `/v2/` and must not get far, and what pushes leave behind."""

import asyncio
import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from seaway_contracts.errors import SeawayError
from seaway_image.http.access import Access, Rights, may_pull, may_push
from seaway_image.http.names import digest_in, manifest_in, repository_of
from seaway_image.http.spec_errors import SpecError
from seaway_image.oci.digests import Digest, digest_of
from seaway_image.oci.manifests import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from seaway_image.oci.pushed import parse_pushed
from seaway_image.store.image_store import ImageStore
from seaway_image.store.uploads import MOST_OF_ONE

AUTH = {"Authorization": "Bearer t0k"}


def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": digest_of(data), "size": len(data)}


async def push_blob(client: Any, data: bytes) -> Digest:
    done = await client.post(f"/v2/app/blobs/uploads/?digest={digest_of(data)}", data=data, headers=AUTH)
    assert done.status == 201, await done.text()
    return digest_of(data)


async def put(client: Any, reference: str, data: bytes, media_type: str = OCI_MANIFEST) -> Any:
    headers = AUTH | {"Content-Type": media_type}
    return await client.put(f"/v2/app/manifests/{reference}", data=data, headers=headers)


async def push_image(client: Any, image: Any, reference: str = "1") -> None:
    for data in (image.config, *image.blobs):
        await push_blob(client, data)
    assert (await put(client, reference, image.manifest, DOCKER_MANIFEST)).status == 201


async def codes(response: Any) -> list[str]:
    return [error["code"] for error in (await response.json())["errors"]]


# --- what is refused


async def test_10000_layers(client: Any, store: ImageStore) -> None:
    config = await push_blob(client, b"{}")
    layer = descriptor(b"{}", "application/vnd.oci.image.layer.v1.tar")
    named = {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": 2}
    document = {"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": named, "layers": [layer] * 10_000}
    refused = await put(client, "1", json.dumps(document).encode())
    assert (refused.status, await codes(refused)) == (400, ["MANIFEST_INVALID"])
    assert "10000 layers" in (await refused.json())["message"]
    assert store.table.registry.manifests == {}


async def test_indexes_nested_too_deep(client: Any, make_image: Any) -> None:
    image = make_image()
    await push_image(client, image, digest_of(image.manifest))
    inner, kind, statuses = image.manifest, DOCKER_MANIFEST, []
    for _ in range(5):
        inner = json.dumps(
            {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(inner, kind)]}
        ).encode()
        kind = OCI_INDEX
        statuses.append((await put(client, digest_of(inner), inner, OCI_INDEX)).status)
    assert statuses == [201, 201, 201, 400, 404]


@pytest.mark.parametrize("path", ["sha512:" + "a" * 128, "md5:" + "a" * 32, "sha256:..%2f..%2fnames.json"])
async def test_digests_of_another_kind(client: Any, path: str) -> None:
    for url in (f"/v2/app/blobs/{path}", f"/v2/app/manifests/{path}", f"/v2/app/referrers/{path}"):
        refused = await client.get(url, headers=AUTH)
        assert (refused.status, await codes(refused)) == (400, ["DIGEST_INVALID"])


@pytest.mark.parametrize("name", ["..%2f..%2fetc", "a%2f..%2fb", "a/%00", "a:tag", "a@sha256:" + "a" * 64, "A/b/C"])
async def test_names_with_tricks(
    client: Any, files_in: Callable[[Path], set[str]], store: ImageStore, name: str
) -> None:
    refused = await client.post(f"/v2/{name}/blobs/uploads/", headers=AUTH)
    assert (refused.status, await codes(refused)) == (400, ["NAME_INVALID"])
    assert files_in(store.blobs.root) == set()


async def test_a_body_that_is_longer_than_announced(client: Any, store: ImageStore) -> None:
    where = (await client.post("/v2/app/blobs/uploads/", headers=AUTH)).headers["Location"]
    refused = await client.patch(where, data=b"x" * 20, headers=AUTH | {"Content-Range": "0-9"})
    assert (refused.status, await codes(refused)) == (400, ["SIZE_INVALID"])

    async def pieces() -> Any:
        for _ in range(4):
            yield b"x" * 5

    refused = await client.patch(where, data=pieces(), headers=AUTH | {"Content-Range": "0-9"})
    assert (refused.status, await codes(refused)) == (400, ["BLOB_UPLOAD_INVALID"])
    assert (await client.get(where, headers=AUTH)).status == 404
    assert list((store.blobs.root / "tmp").iterdir()) == []


async def test_uploads_of_one_user_are_bounded(client: Any, access: Access) -> None:
    locations = []
    for _ in range(MOST_OF_ONE):
        locations.append((await client.post("/v2/app/blobs/uploads/", headers=AUTH)).headers["Location"])
    refused = await client.post("/v2/app/blobs/uploads/", headers=AUTH)
    assert (refused.status, await codes(refused)) == (429, ["TOOMANYREQUESTS"])
    other = {"Authorization": f"Bearer {access.build('docker.io/library/app')}"}
    assert (await client.post("/v2/app/blobs/uploads/", headers=other)).status == 202
    assert (await client.get(locations[0], headers=other)).status == 404, "an upload is its owner's"
    assert (await client.delete(locations[0], headers=AUTH)).status == 204
    assert (await client.post("/v2/app/blobs/uploads/", headers=AUTH)).status == 202


async def test_a_layer_that_is_not_what_the_config_says(
    client: Any, store: ImageStore, access: Access, make_image: Any
) -> None:
    """A registry keeps it, and it is no image; a build is refused."""
    image, other = make_image(b"a"), make_image(b"b")
    for data in (image.config, *other.blobs):
        await push_blob(client, data)
    lying = other.manifest.replace(digest_of(other.config).encode(), digest_of(image.config).encode())
    kept = await put(client, "1", lying, DOCKER_MANIFEST)
    assert kept.status == 201 and "unpacks to" in kept.headers["Warning"]
    assert await store.all() == []
    build = {"Authorization": f"Bearer {access.build('docker.io/library/app')}", "Content-Type": DOCKER_MANIFEST}
    refused = await client.put("/v2/app/manifests/2", data=lying, headers=build)
    assert (refused.status, await codes(refused)) == (400, ["MANIFEST_INVALID"])


# --- logins


async def test_logins(store: ImageStore, client: Any, access: Access) -> None:
    people = {"reader": may_pull("reader"), "writer": may_push("writer")}

    async def authorize(user: str, password: str) -> Rights | None:
        return people.get(user) if password == "secret" else None

    access._authorize = authorize

    def login(user: str, password: str) -> dict[str, str]:
        return {"Authorization": f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"}

    for headers, push in (
        ({}, 401),
        (login("reader", "x"), 401),
        (login("reader", "secret"), 403),
        (login("writer", "secret"), 202),
    ):
        assert (await client.get("/v2/", headers=headers)).status == (401 if push == 401 else 200)
        assert (await client.post("/v2/app/blobs/uploads/", headers=headers)).status == push
    gone = await client.delete(f"/v2/app/manifests/{digest_of(b'')}", headers=login("reader", "secret"))
    assert gone.status == 403
    stranger = await client.get("/v2/")
    assert stranger.headers["WWW-Authenticate"] == 'Basic realm="seaway"'


# --- what is left behind


async def test_strays_go_after_their_grace(client: Any, store: ImageStore, registry_http: Any, make_image: Any) -> None:
    image, tagged = make_image(b"a"), make_image(b"b")
    await push_image(client, image, digest_of(image.manifest))
    await push_image(client, tagged, "1")
    where = (await client.post("/v2/app/blobs/uploads/", headers=AUTH)).headers["Location"]
    await registry_http.sweep()
    await store.collect(grace_s=0)
    assert (await client.get(f"/v2/app/manifests/{digest_of(image.manifest)}", headers=AUTH)).status == 200
    assert (await client.get(where, headers=AUTH)).status == 204
    await asyncio.sleep(0.01)
    await registry_http.sweep(0)
    await store.collect(grace_s=0)
    assert (await client.get(f"/v2/app/manifests/{digest_of(image.manifest)}", headers=AUTH)).status == 404
    assert (await client.get(where, headers=AUTH)).status == 404
    assert set(store.blobs.digests()) == {digest_of(d) for d in (tagged.manifest, tagged.config, *tagged.blobs)}


async def test_blobs_of_a_push_survive_a_collection(client: Any, store: ImageStore, make_image: Any) -> None:
    """`docker rmi` collects at once, while somebody pushes."""
    image = make_image()
    for data in (image.config, *image.blobs):
        await push_blob(client, data)
    await store.collect(grace_s=0)
    assert (await put(client, "1", image.manifest, DOCKER_MANIFEST)).status == 201


async def test_rmi_takes_what_was_pushed(client: Any, store: ImageStore, registry_http: Any, make_image: Any) -> None:
    image = make_image()
    await push_image(client, image)
    index = json.dumps(
        {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [descriptor(image.manifest, DOCKER_MANIFEST)]}
    ).encode()
    assert (await put(client, "2", index, OCI_INDEX)).status == 201
    await store.remove("app:1")
    assert (await client.get("/v2/app/manifests/2", headers=AUTH)).status == 200
    await store.remove("app:2")
    assert (store.table.registry.manifests, store.table.registry.tags, store.table.images) == ({}, {}, {})


async def test_a_tag_that_moves_by_docker_moves_here(client: Any, store: ImageStore, make_image: Any) -> None:
    one, two = make_image(b"1"), make_image(b"2")
    await push_image(client, one, "1")
    await push_image(client, two, "2")
    await store.tag("app:1", "app:2")
    assert await (await client.get("/v2/app/manifests/2", headers=AUTH)).read() == one.manifest
    assert (await (await client.get("/v2/app/tags/list", headers=AUTH)).json())["tags"] == ["1", "2"]
    assert (await (await client.get("/v2/_catalog?n=1", headers=AUTH)).json())["repositories"] == ["app"]


async def test_it_is_all_there_after_a_restart(client: Any, store: ImageStore, make_image: Any) -> None:
    image = make_image()
    await push_image(client, image)
    where = (await client.post("/v2/app/blobs/uploads/", headers=AUTH)).headers["Location"]
    await client.patch(where, data=b"half", headers=AUTH)
    again = ImageStore(store.blobs.root)
    again.open()
    assert again.table == store.table
    assert list((store.blobs.root / "tmp").iterdir()) == []


# --- fuzz

_json = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from([OCI_INDEX, OCI_MANIFEST, "sha256:" + "a" * 64]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["mediaType", "digest", "size", "config", "layers", "manifests", "subject", "x"]),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["schemaVersion", "mediaType", "config", "layers", "manifests", "subject", "artifactType", "annotations"]
        ),
        _json,
    )
)
@settings(max_examples=200, deadline=None)
def test_any_manifest_is_parsed_or_refused(document: dict[str, Any]) -> None:
    try:
        parse_pushed(json.dumps(document | {"schemaVersion": 2}).encode(), OCI_MANIFEST)
    except SeawayError as error:
        assert error.status in (400, 413)


@given(st.text(max_size=60))
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_path_is_read_or_refused(text: str) -> None:
    for read in (repository_of, digest_in, lambda one: manifest_in(repository_of("app"), one)):
        try:
            found = str(read(text))
        except SpecError as error:
            assert error.status == 400
        else:
            assert ".." not in found.replace("...", "").split("/") and "\0" not in found
